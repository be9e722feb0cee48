"""A file of tensors beside the graphs that share them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Make = Callable[[], NDArray[np.float32]]


class Place(NamedTuple):
    """Where a tensor lies."""

    file: str
    offset: int
    size_bytes: int
    shape: tuple[int, ...]


class DataFile:
    """Equal tensors are stored once. Nothing is kept in memory but where they are."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._by_name: dict[str, Place] = {}
        self._by_digest: dict[bytes, Place] = {}

    def add(self, name: str, make: Make) -> Place:
        """Where the tensor of that name is; it is made if it was not there."""
        if name not in self._by_name:
            self._by_name[name] = self._stored(np.ascontiguousarray(make(), "<f4"))
        return self._by_name[name]

    def _stored(self, array: NDArray[np.float32]) -> Place:
        digest = hashlib.blake2b(array.data, digest_size=16, key=repr(array.shape).encode())
        found = self._by_digest.get(digest.digest())
        if found is not None:
            return found
        place = Place(self._path.name, self._file.tell(), array.nbytes, array.shape)
        self._file.write(array.data)
        self._by_digest[digest.digest()] = place
        return place

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
