"""The engine: scripts go in, sound comes out, whoever else is speaking.

`book.py` knows who wants to be said, under one lock; `loop.py` makes frames of it, many rows at a
time, on a thread of its own; `codec.py` makes sound of the frames on another. `engine.py` holds
them together.
"""
