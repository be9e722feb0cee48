"""Compact graphs, built from the shipped weights, behind the promises of `parts`."""
