"""Measures the local engine beside a loop in the official runtime's manner, at full size."""
