"""What the tools that work with styles are worth, on the models of the benchmark of style recovery."""
