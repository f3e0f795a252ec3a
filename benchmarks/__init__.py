"""Benchmarks, run from the root of the repository; not installed with the package."""
