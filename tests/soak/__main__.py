"""The long forms, by hand: `python -m tests.soak NAME [--seconds N]` runs `tests/soak/NAME.py`."""

from __future__ import annotations

import argparse
import inspect
from importlib import import_module
from pathlib import Path


def names() -> list[str]:
    """The modules of this folder that can be run."""
    files = Path(__file__).parent.glob("*.py")
    return sorted(file.stem for file in files if "\ndef main(" in file.read_text("utf-8"))


def run() -> None:
    parser = argparse.ArgumentParser("python -m tests.soak", description=__doc__)
    parser.add_argument("name", choices=[name for name in names() if name != "__main__"])
    parser.add_argument("--seconds", type=float, help="how long, where that can be chosen")
    asked = parser.parse_args()
    main = import_module(f"tests.soak.{asked.name}").main
    if asked.seconds is None:
        main()
    elif "seconds" in inspect.signature(main).parameters:
        main(seconds=asked.seconds)
    else:
        parser.error(f"{asked.name} is as long as its work")


if __name__ == "__main__":
    run()
