"""Measures the router beside a bare proxy. Run by hand: nothing in here is collected by pytest."""
