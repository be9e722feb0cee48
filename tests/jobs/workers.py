"""Real worker processes: started with a config, watched by their log, ended by a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support.process import ROOT, START_S, STOP_S, Log

_READY = "tts-router worker speaks jobs"
_KEPT = ("PATH", "LANG", "SYSTEMROOT", "TMPDIR")


class WorkerProcess:
    """`tts-router worker` on its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self._process = process
        self.log = Log(process.stderr)

    def spoken(self) -> list[int]:
        """The pieces that it has spoken, in their order."""
        ids = [r["request_id"] for r in self.log.records if r["outcome"] == "spoken"]
        return [int(id.split(".")[1]) for id in ids]

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait(STOP_S)

    def terminate(self) -> int:
        """Ask it to end, and tell its status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(STOP_S)

    def close(self) -> None:
        if self._process.poll() is None:
            self.kill()
        self.log.close()


@contextmanager
def working(config: Mapping[str, Any], folder: Path) -> Iterator[WorkerProcess]:
    """A worker with this config, which finds the scripted provider installed."""
    folder.mkdir(parents=True)
    file = folder / "router.yaml"
    file.write_text(yaml.safe_dump(dict(config)), "utf-8")
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    env |= {"HOME": str(folder), "PYTHONPATH": f"{_installed(folder)}{os.pathsep}{ROOT}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "router", "worker", "--log", "json", "--config", str(file)],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    worker = WorkerProcess(process)
    try:
        worker.log.until(lambda log: _READY in log.text, START_S)
        yield worker
    finally:
        worker.close()


def _installed(folder: Path) -> Path:
    """A folder on whose path the scripted provider is an installed plugin."""
    about = folder / "plugins" / "tts_router_test_plugins-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tts-router-test-plugins\nVersion: 1.0\n", "utf-8"
    )
    points = "[tts_router]\nscripted = router.testing.scripted\n"
    (about / "entry_points.txt").write_text(points, "utf-8")
    return about.parent
