"""A server as it is shipped, and a place to try the examples in."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.support.process import ROOT, ServerProcess, as_shipped, serving

_KEPT = ("LANG", "SYSTEMROOT", "TMPDIR")


class Desk(msgspec.Struct, frozen=True):
    """Where a reader tries the examples: a checkout, a sample of a voice, and no key."""

    folder: Path
    environ: dict[str, str]


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(as_shipped(), tmp_path_factory.mktemp("server")) as process:
        yield process


@pytest.fixture(scope="package")
def desk(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "config").mkdir()
    shutil.copy(ROOT / "config" / "router.yaml", folder / "config")
    sample = httpx.get(f"{server.url}/v1/voices/onyx/sample", trust_env=False)
    (folder / "reference.wav").write_bytes(sample.raise_for_status().content)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return Desk(folder, kept | {"HOME": str(folder), "PATH": path})
