"""The long forms, by hand: `python -m tests.soak NAME [--seconds N] [--size N]` runs
`tests/soak/NAME.py`."""

from __future__ import annotations

import argparse
import inspect
from importlib import import_module
from pathlib import Path

_CHOICES = ("seconds", "size")


def names() -> list[str]:
    """The modules of this folder that can be run."""
    files = Path(__file__).parent.glob("*.py")
    return sorted(file.stem for file in files if "\ndef main(" in file.read_text("utf-8"))


def run() -> None:
    parser = argparse.ArgumentParser("python -m tests.soak", description=__doc__)
    parser.add_argument("name", choices=[name for name in names() if name != "__main__"])
    parser.add_argument("--seconds", type=float, help="how long, where that can be chosen")
    parser.add_argument("--size", type=int, help="how much, where that can be chosen")
    asked = parser.parse_args()
    main = import_module(f"tests.soak.{asked.name}").main
    given = {name: value for name in _CHOICES if (value := getattr(asked, name)) is not None}
    if unknown := given.keys() - inspect.signature(main).parameters.keys():
        parser.error(f"{asked.name} has no --{' and no --'.join(sorted(unknown))}")
    main(**given)


if __name__ == "__main__":
    run()
