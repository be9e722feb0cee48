"""`python -m tests.support.tiny_moss DIR`: write a model directory with random weights."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from tests.support.tiny_moss import FULL, TINY, write


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m tests.support.tiny_moss", description=__doc__)
    asked.add_argument("directory", type=Path)
    asked.add_argument("--full", action="store_true", help="the real model's size: 760 MB")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--stop-margin", type=float, help="20: never ends, 3: one frame in twenty")
    told = asked.parse_args()
    spec = FULL if told.full else TINY
    if told.stop_margin is not None:
        spec = msgspec.structs.replace(spec, stop_margin=told.stop_margin)
    print(write(told.directory, spec, seed=told.seed))


if __name__ == "__main__":
    main()
