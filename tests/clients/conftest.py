"""One server for all clients: as it is shipped, and a few providers who fail on purpose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.process import ServerProcess, as_shipped, serving
from tests.support.scripts import SCRIPTED, models, scripted

FAILING = {
    "broken": scripted(fail="broken"),
    "busy": scripted(fail="busy", retry_after_s=1),
    "cut": scripted(fail="broken", fail_after_s=0.2),
    "refused": scripted(fail="refused"),
}
NANOGPTS = {
    "Elevenlabs-Turbo-V2.5": {"tts": "ticket"},
    "Kokoro-82m": {"tts": "url"},
    "tts-1-hd": {"tts": "audio"},
}
"""The models of its page, each with the form of answer that it has there."""


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The router without a key: espeak speaks for everybody."""
    config = as_shipped()
    config["providers"] |= FAILING
    config["models"] |= models({name: (name,) for name in FAILING})
    for name, answers in NANOGPTS.items():
        config["models"][name] = {"same_as": "moss-tts-nano", "family": "openai", **answers}
    with serving(config, tmp_path_factory.mktemp("clients"), plugins=[SCRIPTED]) as server:
        yield server
        errors = [line for line in server.log.text.splitlines() if '"level":"error"' in line]
        assert errors == []
