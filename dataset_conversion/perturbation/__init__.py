"""Planted annotation styles and errors: geometry, operations, spec, assignment and dataset folders."""
