"""A strict shape refuses what its API does not know; the others do not mind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.served import NANO, NEWER, SHARED, envelope, served


@pytest.mark.parametrize(
    ("strict", "path"), [("leaper", SHARED), ("openai", NEWER), ("nanogpt", NANO)]
)
def test_only_a_strict_shape_refuses_unknown_fields(strict: str, path: str, tmp_path: Path) -> None:
    with served(tmp_path, {"strict": [strict]}) as api:
        for other in (SHARED, NEWER, NANO):
            answer = api.asks(other, wat=1)
            if other == path:
                error = envelope(answer, 400)
                assert (error["param"], error["code"]) == ("wat", "unknown_field")
            else:
                assert answer.status_code == 200
        known = {"language": "en", "seed": 1, "extra": {}, "sample_rate": 24_000}
        assert api.asks(path, **known, response_format="wav").status_code == 200
        assert api.asks(path, wat=None).status_code == 200, "null means absent"
