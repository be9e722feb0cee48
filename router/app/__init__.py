"""Puts everything together: the only room that knows everybody."""
