"""The model from a hub that breaks, and from the disk without one."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import onnxruntime as ort
import pytest
from huggingface_hub import constants, try_to_load_from_cache

from providers.moss_tts_nano import KIND, fetching, hub_cache, pull
from providers.moss_tts_nano.hashes import PUBLISHED, RECORD, check, recorded
from providers.moss_tts_nano.layout import BadAssets, find
from providers.moss_tts_nano.places import Source
from providers.moss_tts_nano.pull import Pulled
from providers.moss_tts_nano.releases import CODEC, TTS
from router.contract.errors import Broken, NotReady, Unreachable
from router.contract.provider import Host, Interrupted
from router.contract.record import AssetsStage
from tests.providers.moss.model_hub import ModelHub, model_hub
from tests.support import tiny_moss

BIG = "moss_tts_local_shared.data"
SMALL = "tts_browser_onnx_meta.json"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_moss.write(tmp_path_factory.mktemp("model"))


@pytest.fixture
def far(written: Path) -> Iterator[ModelHub]:
    with model_hub() as served:
        for repository in (TTS, CODEC):
            served.serve(repository.name, repository.revision, written / repository.folder)
        yield served


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache of the test's own, and pauses that nobody notices."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(fetching, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    return tmp_path / "hub"


def source(far: ModelHub | None, directory: Path | None = None, *, offline: bool = False) -> Source:
    url = far.url if far else "http://127.0.0.1:9"
    return Source(TTS, CODEC, endpoint=url, directory=directory, offline=offline)


def same_files(pulled: Pulled, written: Path) -> bool:
    there = {path.name: path.read_bytes() for path in find(pulled.directory).files}
    return there == {path.name: path.read_bytes() for path in find(written).files}


def content(cache: Path, name: str) -> Path:
    return next(cache.rglob(f"snapshots/*/{name}")).resolve()


def spoil(path: Path) -> None:
    """A wrong byte in a file that keeps its size."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


# ---- fetching


def test_a_pull_fetches_both_repositories_into_the_hubs_cache(
    far: ModelHub, cache: Path, written: Path
) -> None:
    pulled = pull.pull(source(far))
    assert same_files(pulled, written)
    assert str(pulled.directory).startswith(str(cache))
    assert not list(cache.rglob("*.part"))
    assert not list(cache.rglob("README.md"))


def test_what_is_in_the_cache_is_what_huggingface_hub_finds_there(
    far: ModelHub, cache: Path
) -> None:
    pull.pull(source(far))
    found = try_to_load_from_cache(TTS.name, BIG, cache_dir=cache, revision=TTS.revision)
    assert isinstance(found, str)
    assert Path(found).read_bytes() == far.files[TTS.name][BIG]


def test_onnxruntime_opens_the_graphs_of_the_cache_with_their_weights(far: ModelHub) -> None:
    layout = find(pull.pull(source(far)).directory)
    assert layout.graphs["prefill"].is_symlink()
    for graph in (*layout.graphs.values(), *layout.codec_graphs.values()):
        session = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
        assert session.get_inputs()


def test_a_pull_into_a_directory_lays_down_a_model_directory(
    far: ModelHub, cache: Path, tmp_path: Path, written: Path
) -> None:
    pulled = pull.pull(source(far, tmp_path / "mine"))
    assert pulled.directory == tmp_path / "mine"
    assert same_files(pulled, written)
    assert not cache.exists()
    assert set(recorded(tmp_path / "mine" / TTS.folder)) > {BIG, SMALL}


def test_a_second_pull_asks_nobody(far: ModelHub, tmp_path: Path) -> None:
    for directory in (None, tmp_path / "mine"):
        first = pull.pull(source(far, directory))
        asked = len(far.asked)
        assert pull.pull(source(far, directory)) == first
        assert len(far.asked) == asked


def test_the_environment_names_a_mirror(
    far: ModelHub, monkeypatch: pytest.MonkeyPatch, written: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{far.url}/")
    assert same_files(pull.pull(Source(TTS, CODEC)), written)


def test_no_key_of_the_hub_is_given_to_a_mirror(
    far: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull.pull(source(far))
    assert {one.authorization for one in far.asked} == {None}
    assert all("/api/models/" in one.path or "api" not in one.path for one in far.asked)


def test_progress_is_told_stage_by_stage_up_to_the_last_byte(far: ModelHub) -> None:
    told: list[tuple[str, int, int]] = []
    pull.pull(source(far), lambda *one: told.append(one))
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == ["listing", "fetching", "checking"]
    for stage in ("fetching", "checking"):
        done = [(done, total) for one, done, total in told if one == stage]
        assert done[0][0] == 0
        assert done[-1][0] == done[-1][1] > 100_000
        assert all(0 <= part <= total for part, total in done)


# ---- what goes wrong on the way


@pytest.mark.parametrize("mine", [False, True])
def test_a_cut_is_resumed_where_it_was(
    mine: bool, far: ModelHub, tmp_path: Path, written: Path
) -> None:
    far.cuts[BIG] = [50_000, 70_000]
    pulled = pull.pull(source(far, tmp_path / "mine" if mine else None))
    assert same_files(pulled, written)
    first, *later = far.fetched(BIG)[::2]
    assert first is None
    assert "bytes=50000-" in later
    assert "bytes=120000-" in later


def test_a_pull_that_was_ended_goes_on_in_the_next(far: ModelHub, written: Path) -> None:
    far.cuts[BIG] = [60_000]
    with pytest.raises(Interrupted):
        pull.pull(source(far), stopped=lambda: len(far.fetched(BIG)) > 1)
    before = len(far.asked)
    assert same_files(pull.pull(source(far)), written)
    again = [one for one in far.asked[before:] if one.path.endswith(BIG)]
    assert {one.range for one in again} == {"bytes=60000-"}


def test_a_hub_that_ignores_ranges_gives_the_whole_once_more(far: ModelHub, written: Path) -> None:
    far.cuts[BIG] = [50_000]
    far.ignores_ranges = True
    assert same_files(pull.pull(source(far)), written)


def test_a_hub_that_is_busy_is_asked_again(far: ModelHub, written: Path) -> None:
    far.says[BIG] = [503, 429, 500]
    assert same_files(pull.pull(source(far)), written)


def test_a_hub_that_always_breaks_off_is_given_up(far: ModelHub) -> None:
    far.cuts[BIG] = [0] * 50
    with pytest.raises(Unreachable, match="breaks off"):
        pull.pull(source(far))
    assert len(far.cuts[BIG]) == 50 - fetching.TRIES


def test_a_hub_that_refuses_is_not_asked_again(far: ModelHub) -> None:
    far.says[BIG] = [403] * 9
    with pytest.raises(Unreachable, match="403"):
        pull.pull(source(far))
    assert len(far.says[BIG]) == 8


def test_a_file_that_came_damaged_is_fetched_again(far: ModelHub, written: Path) -> None:
    far.damaged = {BIG: 1, SMALL: 1}
    assert same_files(pull.pull(source(far)), written)


def test_a_file_that_always_comes_damaged_is_never_laid_down(far: ModelHub, cache: Path) -> None:
    far.damaged[BIG] = 99
    with pytest.raises(Broken, match="damaged"):
        pull.pull(source(far))
    assert not list(cache.rglob(f"snapshots/*/{BIG}"))


def test_a_hub_that_sends_more_than_it_told_fills_no_disk(far: ModelHub, cache: Path) -> None:
    far.sizes[BIG] = 1_000
    with pytest.raises(Broken, match="more than the hub told"):
        pull.pull(source(far))
    assert max(path.stat().st_size for path in cache.rglob("*.part")) <= 1_000


def test_too_little_space_is_told_before_a_byte_is_fetched(far: ModelHub) -> None:
    far.sizes[BIG] = 10**17
    with pytest.raises(NotReady, match=r"needs 100,000,000,\d{3} MB in .* MB are free"):
        pull.pull(source(far))
    assert not [one for one in far.asked if "resolve" in one.path]


def test_a_model_that_the_hub_does_not_have_is_one_clear_line(far: ModelHub) -> None:
    other = msgspec.structs.replace(CODEC, revision="0" * 40)
    with pytest.raises(NotReady, match="does not have OpenMOSS-Team/MOSS-Audio"):
        pull.pull(msgspec.structs.replace(source(far), codec=other))


def test_something_that_is_no_model_hub_is_one_clear_line(
    far: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tree in (b"<html>", b'{"error": 1}', b'[{"type": "file"}]', b"[3]"):
        monkeypatch.setattr(ModelHub, "tree", lambda *_, tree=tree: tree)
        with pytest.raises((Unreachable, NotReady)) as told:
            pull.pull(source(far))
        assert "\n" not in told.value.message


def test_names_that_lead_out_of_the_folder_are_not_taken(
    far: ModelHub, tmp_path: Path, written: Path
) -> None:
    far.files[TTS.name] |= {"../evil.onnx": b"x", "/evil.onnx": b"x", "sub/evil.onnx": b"x"}
    assert same_files(pull.pull(source(far, tmp_path / "mine")), written)
    assert not list(tmp_path.rglob("evil.onnx"))


def test_a_password_in_a_mirrors_address_is_not_told() -> None:
    for url in ("http://user:secret@127.0.0.1:9", "http://127.0.0.1:9/secret?key=secret"):
        with pytest.raises(Unreachable) as told:
            pull.pull(Source(TTS, CODEC, endpoint=url))
        assert "http://127.0.0.1:9 cannot" in told.value.message
        assert "secret" not in told.value.message


def test_files_of_ones_own_are_never_replaced(far: ModelHub, tmp_path: Path) -> None:
    own = tmp_path / "mine" / TTS.folder / BIG
    own.parent.mkdir(parents=True)
    own.write_bytes(b"weights of my own")
    with pytest.raises(NotReady, match="will not be replaced"):
        pull.pull(source(far, tmp_path / "mine"))
    assert own.read_bytes() == b"weights of my own"


# ---- without a network


def test_no_network_is_one_clear_line_with_the_remedy() -> None:
    with pytest.raises(Unreachable, match="cannot be reached") as told:
        pull.pull(source(None))
    assert "\n" not in told.value.message
    assert "HF_ENDPOINT" in told.value.message


@pytest.mark.parametrize("mine", [False, True])
def test_a_model_that_is_there_needs_no_network(mine: bool, far: ModelHub, tmp_path: Path) -> None:
    directory = tmp_path / "mine" if mine else None
    first = pull.pull(source(far, directory))
    asked = len(far.asked)
    assert pull.pull(source(None, directory)) == first
    assert pull.pull(source(far, directory, offline=True)) == first
    assert len(far.asked) == asked


def test_offline_without_a_model_asks_nobody(
    far: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotReady, match="offline"):
        pull.pull(source(far, offline=True))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(NotReady, match="offline"):
        pull.pull(source(far))
    assert not far.asked


# ---- damaged on the disk


@pytest.mark.parametrize("name", [BIG, SMALL])
@pytest.mark.parametrize("mine", [False, True])
def test_a_damaged_file_of_the_right_size_is_found_and_fetched_again(
    mine: bool, name: str, far: ModelHub, cache: Path, tmp_path: Path, written: Path
) -> None:
    directory = tmp_path / "mine" if mine else None
    pull.pull(source(far, directory))
    damaged = next((tmp_path / "mine").rglob(name)) if mine else content(cache, name)
    spoil(damaged)
    asked = len(far.asked)
    assert same_files(pull.pull(source(far, directory)), written)
    fetched = {one.path.rpartition("/")[2] for one in far.asked[asked:] if "resolve" in one.path}
    assert fetched == {name}


def test_a_damaged_file_is_found_offline_too(far: ModelHub, cache: Path) -> None:
    pull.pull(source(far))
    spoil(content(cache, BIG))
    with pytest.raises(NotReady, match="not whole"):
        pull.pull(source(far, offline=True))


def test_a_missing_file_alone_is_fetched(far: ModelHub, cache: Path, written: Path) -> None:
    pull.pull(source(far))
    content(cache, BIG).unlink()  # its link leads nowhere now
    assert same_files(pull.pull(source(far)), written)


def test_a_damaged_rest_of_a_cut_file_is_no_harm(far: ModelHub, cache: Path, written: Path) -> None:
    far.says[BIG] = [403]
    with pytest.raises(Unreachable):
        pull.pull(source(far))
    part = next(cache.rglob("*.part"))
    part.write_bytes(b"\xff" * 1_000)
    assert same_files(pull.pull(source(far)), written)
    part.write_bytes(b"\xff" * 10_000_000)
    content(cache, BIG).unlink()
    assert same_files(pull.pull(source(far)), written)


# ---- hashes


def test_files_that_are_not_those_published_are_told_and_used(far: ModelHub) -> None:
    pulled = pull.pull(source(far))
    assert SMALL in pulled.unknown
    assert BIG in pulled.unknown


def test_the_real_tokenizer_is_the_one_published(tmp_path: Path) -> None:
    from tests.providers.moss.real_data import real  # noqa: PLC0415  # only this test needs it

    assert check([real("tokenizer.model")]).unknown == ()
    other = tmp_path / "tokenizer.model"
    other.write_bytes(real("tokenizer.model").read_bytes() + b" ")
    assert check([other]).unknown == ("tokenizer.model",)
    assert check([other]).damaged == ()


def test_a_hash_that_is_known_in_part_is_held_to_that_part() -> None:
    known = PUBLISHED["moss_tts_prefill.onnx"]
    whole = "d56126dc" + "0" * 52 + "f3db"
    assert known.fits(whole, 283_305)
    assert not known.fits(whole, 283_304)
    assert not known.fits("e" + whole[1:], 283_305)
    assert not known.fits(whole[:-1] + "c", 283_305)


def test_unchanged_files_are_not_read_twice_and_changed_ones_are(
    far: ModelHub, cache: Path, tmp_path: Path
) -> None:
    stamps = tmp_path / "stamps" / "moss.json"
    pulled = pull.pull(source(far), stamps=stamps)
    read: list[int] = []
    files = find(pulled.directory).files
    assert check(files, stamps, read.append).fingerprint == pulled.fingerprint
    assert read == []
    spoil(content(cache, BIG))
    assert [path.name for path in check(files, stamps, read.append).damaged] == [BIG]
    assert sum(read) == len(far.files[TTS.name][BIG])


def test_the_fingerprint_changes_with_any_file(far: ModelHub, written: Path) -> None:
    files = find(pull.pull(source(far)).directory).files
    first = check(files).fingerprint
    assert first == check(find(written).files).fingerprint
    assert first != check(files[1:]).fingerprint


@pytest.mark.parametrize("spoiled", [b"", b"{", b'{"a": 3}'])
def test_a_spoiled_stamp_or_record_is_as_none(
    spoiled: bytes, far: ModelHub, tmp_path: Path, written: Path
) -> None:
    stamps, mine = tmp_path / "stamps.json", tmp_path / "mine"
    pull.pull(source(far, mine), stamps=stamps)
    stamps.write_bytes(spoiled)
    (mine / TTS.folder / RECORD).write_bytes(spoiled)
    assert same_files(pull.pull(source(far, mine), stamps=stamps), written)


# ---- several at once


def test_two_pulls_at_once_fetch_everything_once(far: ModelHub, written: Path) -> None:
    done: list[Pulled] = []
    threads = [
        threading.Thread(target=lambda: done.append(pull.pull(source(far)))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(done) == 2
    assert same_files(done[0], written)
    resolved = [one.path for one in far.asked if "resolve" in one.path]
    assert len(resolved) == len(set(resolved))


def test_a_directory_that_cannot_be_written_is_one_clear_line(
    far: ModelHub, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_bytes(b"")
    with pytest.raises(Broken, match="cannot be kept") as told:
        pull.pull(source(far, taken))
    assert "\n" not in told.value.message


def test_a_cached_model_is_found_without_hashing_or_asking(far: ModelHub) -> None:
    assert pull.present(source(far)) is None
    pulled = pull.pull(source(far))
    there = pull.present(source(None))
    assert there is not None
    assert there.files == find(pulled.directory).files
    with pytest.raises(BadAssets):
        find(hub_cache.cached(CODEC))


# ---- by the kind of provider


class Patient:
    """Somebody who waits for the work to its end."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def progress(self, stage: AssetsStage, done: int, total: int) -> None:
        self.stages.append(stage)

    def stopped(self) -> bool:
        return False


def asked_of_the_kind(into: Path | None, host_dir: Path, **settings: object) -> list[str]:
    host = Host("moss", host_dir, host_dir, lambda _event: None)
    assert KIND.assets is not None
    return list(KIND.assets(KIND.settings(**settings), host).pull(into, Patient()))


def test_the_kind_says_where_the_model_is_and_warns_of_other_files(
    far: ModelHub, tmp_path: Path
) -> None:
    said = asked_of_the_kind(tmp_path / "mine", tmp_path, endpoint=far.url)
    assert said[0] == f"The model is in {tmp_path / 'mine'}, every file proven."
    assert said[1].startswith("Warning: not the files of the release")
    assert BIG in said[1]


def test_a_pull_by_name_fetches_though_the_config_never_does(far: ModelHub, tmp_path: Path) -> None:
    said = asked_of_the_kind(None, tmp_path, endpoint=far.url, pull="never")
    assert "every file proven" in said[0]


def test_a_pull_by_name_reads_every_byte(far: ModelHub, tmp_path: Path, written: Path) -> None:
    mine = tmp_path / "mine"
    asked_of_the_kind(None, tmp_path, endpoint=far.url, directory=mine)
    damaged = mine / TTS.folder / BIG
    before = damaged.stat()
    spoil(damaged)
    os.utime(damaged, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a bad disk does it
    asked_of_the_kind(None, tmp_path, endpoint=far.url, directory=mine)
    assert damaged.read_bytes() == (written / TTS.folder / BIG).read_bytes()
