"""The long forms, by hand: `python -m tests.soak NAME` runs `tests/soak/NAME.py`."""

from __future__ import annotations

import sys
from importlib import import_module

if __name__ == "__main__":
    import_module(f"tests.soak.{sys.argv[1]}").main(full=True)
