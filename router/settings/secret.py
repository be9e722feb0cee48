"""The secret of this installation: from the config, else made once and kept."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from router.contract.provider import Secret
from router.settings.structs import Settings

FILE = "secret"
_BYTES = 32


def secret_of(settings: Settings) -> Secret:
    """The config's secret, else that of `data_dir`, made there with mode 0600 when it is missing.

    Several processes may start at once: whoever links its file first wins, and all read that one.

    Raises:
        OSError: `data_dir` cannot be read or written.
    """
    if settings.server.secret:
        return settings.server.secret
    path = settings.data_dir / FILE
    if not path.exists():
        _make(path)
    return Secret(path.read_text("ascii").strip())


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    own = path.with_name(f"{FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(_BYTES))
        os.link(own, path)  # fails where another was first; never leaves half a file
    except FileExistsError:
        pass
    finally:
        own.unlink(missing_ok=True)
