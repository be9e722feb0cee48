"""Processes that speak jobs; those that were killed, or died of what they read, are replaced."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.process import ROOT

END_S = 60.0


class Crew:
    """`count` workers, once they were hired."""

    def __init__(
        self, config: Mapping[str, Any], folder: Path, count: int, *, lease_s: float, plugins: str
    ) -> None:
        """`plugins` is a folder in which they are installed."""
        self._folder = folder
        self._count = count
        self._lease_s = lease_s
        self._plugins = plugins
        self._number = 0
        self._processes: list[subprocess.Popen[bytes]] = []
        self.deaths = 0
        """Of those that nobody killed."""
        folder.mkdir()
        self._config = folder / "router.yaml"
        self._config.write_text(yaml.safe_dump(dict(config)), "utf-8")

    def hire(self) -> None:
        """As many as are missing."""
        dead = [process for process in self._processes if process.poll() is not None]
        self.deaths += len(dead)
        self._processes = [process for process in self._processes if process not in dead]
        while len(self._processes) < self._count:
            self._processes.append(self._hired())

    def kill(self, dice: random.Random) -> None:
        """One of them, wherever it is."""
        process = self._processes.pop(dice.randrange(len(self._processes)))
        process.kill()
        process.wait(END_S)

    def kill_all(self) -> None:
        """At the same moment."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait(END_S)
        self._processes.clear()

    def finish(self) -> None:
        """Everybody ends when asked to."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            assert process.wait(END_S) == 0, self.errors()

    def errors(self) -> str:
        """The ends of what they have logged."""
        return "\n".join(file.read_text("utf-8")[-2_000:] for file in self._folder.glob("*.err"))

    def _hired(self) -> subprocess.Popen[bytes]:
        self._number += 1
        with (self._folder / f"{self._number}.err").open("wb") as log:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.soak.job_worker", str(self._lease_s)),
                    *("--config", str(self._config)),
                ],
                cwd=self._folder,
                env=self._environ(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "PYTHONPATH": os.pathsep.join([self._plugins, str(ROOT)]),
        }
