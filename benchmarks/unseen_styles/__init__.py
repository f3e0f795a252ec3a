"""Styles that nothing was tuned to: planted and real mixtures on several kinds of images, in two halves."""
