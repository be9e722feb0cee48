"""However many pieces there are, they are bound one block at a time."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import pytest

from router.audio.pipeline import Pipeline, preload
from router.contract.audio import AudioFormat
from router.contract.errors import Broken
from router.jobs import binding
from router.jobs.binding import Part, Stopped, TooLarge, bind
from router.testing.tone import tone

PCM = AudioFormat("pcm", 24_000, 1)


@pytest.fixture(scope="module")
def piece(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds of a tone, kept as a piece is."""
    preload()
    pipeline = Pipeline(AudioFormat("flac"))
    pipeline.begin(PCM)
    body = b"".join(pipeline.feed(chunk) for _, chunk in tone(20.0, PCM, 1.0))
    path = tmp_path_factory.mktemp("pieces") / "0000.flac"
    path.write_bytes(body + pipeline.end() + pipeline.finish())
    return path


def test_memory_does_not_grow_with_the_number_of_pieces(piece: Path, tmp_path: Path) -> None:
    peaks = []
    for count in (1, 10):
        with (tmp_path / "audio").open("w+b") as file:
            tracemalloc.start()
            parts = [Part(piece, 0.2)] * count
            bound = bind(parts, AudioFormat("wav"), file, lambda: False)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert bound.audio_ms == pytest.approx(count * 20_200, rel=0.01)

    assert peaks[1] < peaks[0] * 1.5


def test_who_stops_it_is_heard_at_the_next_block(piece: Path) -> None:
    looks = iter([False, True])

    with pytest.raises(Stopped):
        bind([Part(piece, 0.0)] * 5, AudioFormat("wav"), io.BytesIO(), lambda: next(looks))


def test_a_wav_that_grows_too_large_is_given_up(
    piece: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "WAV_MOST_BYTES", 1_000_000)

    with pytest.raises(TooLarge):
        bind([Part(piece, 0.0)] * 2, AudioFormat("wav"), io.BytesIO(), lambda: False)

    bind([Part(piece, 0.0)] * 2, AudioFormat("flac"), io.BytesIO(), lambda: False)


def test_a_piece_that_is_no_audio_is_no_silence(tmp_path: Path) -> None:
    path = tmp_path / "0000.flac"
    path.write_bytes(b"nothing of the kind" * 100)

    with pytest.raises(Exception) as failed:  # noqa: PT011  # whichever says so first
        bind([Part(path, 0.0)], AudioFormat("mp3"), io.BytesIO(), lambda: False)
    assert not isinstance(failed.value, Broken | TooLarge)
