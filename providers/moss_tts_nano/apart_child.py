"""The process that builds and proves: started by `apart`, told by arguments, heard on stdout."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import IO, cast

import msgspec

from providers.moss_tts_nano import fast
from providers.moss_tts_nano.apart import Came, Failed, Made, Word
from providers.moss_tts_nano.layout import find
from providers.moss_tts_nano.memory import available_bytes
from providers.moss_tts_nano.settings import Precision
from router.contract.errors import ProviderError
from router.contract.record import AssetsStage

_SHARE = 0.9
"""Of the memory that is there."""
_NICE = 5


class _Told:
    """The contract's `Work`; who wants it to stop ends the process."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe

    def progress(self, stage: AssetsStage, done: int, total: int, /) -> None:
        self.say(Came(stage, done, total))

    def stopped(self) -> bool:
        return False

    def say(self, word: Word) -> None:
        self._pipe.write(msgspec.json.encode(word) + b"\n")
        self._pipe.flush()


def main() -> None:
    folder, cache, precision, threads, wide = sys.argv[1:]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _be_modest()
    told = _Told(_stdout())
    try:
        layout = find(Path(folder))
        way, verdicts = fast.made_here(
            layout,
            Path(cache),
            cast("Precision", precision),
            (int(threads), int(wide)),
            told,
        )
    except ProviderError as error:
        told.say(Failed(error.message))
    except MemoryError:
        told.say(Failed("there is too little memory to make faster graphs."))
    else:
        told.say(Made(way, verdicts))


def _stdout() -> IO[bytes]:
    """Ours alone: what a native library prints must not be taken for a word."""
    own = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return os.fdopen(own, "wb")


def _end_with_parent() -> None:
    """Also where the parent was killed: it holds the other end of our stdin."""
    sys.stdin.buffer.read()
    os._exit(1)


def _be_modest() -> None:
    """The server comes first, for processors and memory alike. What is refused to us fails in one
    part's proof; what is taken beyond all there is would be anybody's end."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(_NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    available = available_bytes()
    if available is not None:
        import resource  # noqa: PLC0415  # there is none on Windows, where nobody tells either

        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_DATA, (int(available * _SHARE), most))


if __name__ == "__main__":
    main()
