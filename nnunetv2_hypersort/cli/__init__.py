"""The `hypersort` command: one module per verb."""
