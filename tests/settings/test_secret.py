"""The secret is made once, kept for its owner alone, and the same for everybody who starts."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from router.contract.provider import Secret
from router.settings.load import parse
from router.settings.secret import secret_of
from router.settings.structs import Settings


def keeping(folder: Path, more: str = "") -> Settings:
    return parse(f"server: {{data_dir: '{folder}'{more}}}", {})


def test_a_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    first = secret_of(keeping(folder))
    assert len(first.reveal()) == 64
    assert secret_of(keeping(folder)) == first
    assert stat.S_IMODE((folder / "secret").stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["secret"]


def test_a_secret_of_the_config_leaves_no_file(tmp_path: Path) -> None:
    assert secret_of(keeping(tmp_path / "data", ", secret: ours")) == Secret("ours")
    assert not (tmp_path / "data").exists()


def test_all_who_start_at_once_read_the_same_secret(tmp_path: Path) -> None:
    settings = keeping(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = {secret.reveal() for secret in pool.map(secret_of, [settings] * 32)}
    assert len(found) == 1
