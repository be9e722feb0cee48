"""The release of the model that we know: two repositories, each at one commit.

Source: the hub, as other projects recorded it; the hashes in `hashes` belong to these commits.
"""

from __future__ import annotations

import msgspec

TTS_FOLDERS = ("MOSS-TTS-Nano-100M-ONNX", "MOSS-TTS-Nano-ONNX-CPU")
CODEC_FOLDERS = ("MOSS-Audio-Tokenizer-Nano-ONNX", "MOSS-Audio-Tokenizer-Nano-ONNX-CPU")
"""What the folders of a model directory are called: now, and of old."""


class Repository(msgspec.Struct, frozen=True):
    """A repository of the hub at one commit."""

    name: str
    """`owner/name`."""
    revision: str
    """A whole commit id, so that its content never changes."""
    folder: str
    """What its folder is called in a model directory."""


TTS = Repository(
    "OpenMOSS-Team/MOSS-TTS-Nano-100M-ONNX",
    "f52645cb467506d8e18e746ddd59482685b74e58",
    TTS_FOLDERS[0],
)
CODEC = Repository(
    "OpenMOSS-Team/MOSS-Audio-Tokenizer-Nano-ONNX",
    "ceff0d0749bfb3fa2d61149794ec6feef0d1e1ae",
    CODEC_FOLDERS[0],
)
