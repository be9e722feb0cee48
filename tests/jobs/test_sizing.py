"""What cannot be held is refused before anybody speaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.contract.audio import AudioFormat
from router.contract.errors import InputTooLong, UnsupportedFormat
from router.jobs.sizing import check_room, check_wav, wav_bytes
from router.testing.scripted import Scripted
from tests.jobs.desk import desk

STEREO = AudioFormat("wav", 48_000, 2)
LONGEST_S = (2**32 - 1 - 44) / 192_000


def test_a_wav_may_be_as_long_as_its_size_can_be_told() -> None:
    check_wav(LONGEST_S - 0.001, STEREO)

    assert wav_bytes(1.0, STEREO) == 44 + 192_000


@pytest.mark.parametrize("format", [STEREO, AudioFormat("wav")])
def test_a_longer_wav_is_refused_with_the_formats_that_can_hold_it(format: AudioFormat) -> None:
    with pytest.raises(UnsupportedFormat, match="mp3, opus, ogg, aac, flac, pcm") as refused:
        check_wav(LONGEST_S + 0.001, format)

    assert "4 GiB" in refused.value.message


def test_other_formats_have_no_such_end() -> None:
    check_wav(10 * LONGEST_S, AudioFormat("flac", 48_000, 2))


def test_what_is_more_than_all_jobs_may_have_is_refused() -> None:
    check_room(5, 5)
    with pytest.raises(InputTooLong, match="compressed"):
        check_room(6, 5)


async def test_a_wav_over_four_gib_is_refused_at_its_submission(tmp_path: Path) -> None:
    text = "A long sentence that says nothing, again and again. " * 19_000
    async with desk(tmp_path, voice=Scripted()) as at:
        with pytest.raises(UnsupportedFormat, match="opus"):
            await at.submit(text, format=AudioFormat("wav", 48_000, 2))

        job = await at.submit(text, format=AudioFormat("mp3"))
        await at.office.cancel(job.id, at.caller)
