"""Conversion of published data sets, and planting of known styles and errors."""
