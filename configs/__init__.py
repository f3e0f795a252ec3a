"""Shipped settings (YAML), found by name."""
