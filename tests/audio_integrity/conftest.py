"""One mouth for all of these tests: starting espeak-ng for each would take longer than judging."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.audio_integrity import sounds


@pytest.fixture(scope="package")
def mouth() -> Iterator[sounds.Mouth]:
    with sounds.mouth() as opened:
        yield opened
