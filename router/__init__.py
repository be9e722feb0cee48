"""A text-to-speech router: three request shapes in, real speech out."""

__version__ = "0.1.0"
