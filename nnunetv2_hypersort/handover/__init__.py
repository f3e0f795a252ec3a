"""One style of a model for people without this package: exported, or as redrawn labels."""
