"""`python -m router` is `tts-router`."""

from router.cli import main

main()
