"""Known annotation styles and errors, planted in the labels of a data set."""
