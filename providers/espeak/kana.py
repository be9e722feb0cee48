"""The process that reads kanji: Japanese text in, the same words in katakana out.

    python -I kana.py ROOT SITE

ROOT is the folder that holds `providers`, SITE the one that holds `pyopenjtalk`. It speaks the
protocol of `child.py`: a frame is `{"text": …}`, and the A frames hold UTF-8. It is a process of
its own because the analysis holds the interpreter's lock, its dictionaries need 160 MiB, and its
import prints to stdout. It brings its dictionaries and downloads nothing (0.4.1).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

_MOST = 16 << 10


class Analyse(Protocol):
    def __call__(self, text: str, *, predict_nani: bool) -> Sequence[Mapping[str, Any]]: ...


def katakana(line: str, analyse: Analyse) -> str:
    """One line as it is pronounced, with a space between accent phrases.

    The spaces are needed: espeak-ng drops the end of a word of more than some fifty syllables.
    """
    parts = []
    for word in analyse(line, predict_nani=False):
        if word["pos"] == "記号":  # punctuation
            parts.append(word["string"])
            continue
        if word["chain_flag"] != 1:  # it does not lean on the word before
            parts.append(" ")
        parts.append(word["pron"].replace("’", ""))  # the mark of a whispered vowel
    return "".join(parts).strip()


def main(root: str, site: str) -> None:
    sys.path += [root, site]
    from providers.espeak.child import Pipe, stay_small  # noqa: PLC0415  # known only now

    pipe = Pipe()
    stay_small(4 << 30)
    import pyopenjtalk  # noqa: PLC0415  # after the pipe has been made safe from its prints

    analyse: Analyse = pyopenjtalk.run_frontend
    katakana("日本", analyse)  # the dictionaries load at the first word
    pipe.write(b"R")
    while True:
        frame = pipe.read()
        if not frame:
            pipe.write(b"S")
            continue
        lines = json.loads(frame)["text"].splitlines()
        spoken = "\n".join(katakana(line, analyse) for line in lines).encode()
        for start in range(0, len(spoken), _MOST):
            pipe.write(b"A", spoken[start : start + _MOST])
        pipe.write(b"E")


if __name__ == "__main__":
    main(*sys.argv[1:])
