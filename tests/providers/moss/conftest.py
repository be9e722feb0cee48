"""Model directories, written once for all tests of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.tiny_moss import PLAIN, TINY, Spec, Style, write

MossDirectory = Callable[..., Path]
"""Takes `spec`, `seed` and `style`, all by name; the same ones give the same directory, which
nobody changes."""


@pytest.fixture(scope="session")
def moss_directory(tmp_path_factory: pytest.TempPathFactory) -> MossDirectory:
    known: dict[tuple[Spec, int, Style], Path] = {}

    def made(*, spec: Spec = TINY, seed: int = 0, style: Style = PLAIN) -> Path:
        asked = (spec, seed, style)
        if asked not in known:
            folder = tmp_path_factory.mktemp("moss")
            known[asked] = write(folder, spec, seed=seed, style=style)
        return known[asked]

    return made


@pytest.fixture(scope="session")
def tiny_moss(moss_directory: MossDirectory) -> Path:
    return moss_directory()
