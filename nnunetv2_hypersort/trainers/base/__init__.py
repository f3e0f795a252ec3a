"""What any trainer of this package needs."""
