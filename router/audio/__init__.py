"""What speech sounds like: sans-IO machines that take bytes and give bytes. No network, no clock.

`pipeline` is the front: a provider's format in, the caller's format out.
"""
