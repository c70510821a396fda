"""A snapshot of an index: its arrays as they are, after a header that says what they are.

Loading is copying, so that millions of records are back in seconds. A snapshot fits the code that made it: `LAYOUT`
goes up with every change to normalisation, keys or rows, and another layout is refused, to be built anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

__all__ = ["LAYOUT", "SnapshotError", "pack", "unpack"]

LAYOUT: Final = 1
_PIECE: Final = 1 << 24
_MAGIC: Final = b"sallyport-identity-index"


class SnapshotError(ValueError):
    """These bytes are no snapshot that this code can load."""


class _Part(Struct, array_like=True):
    dtype: str
    shape: list[int]


class _Header(Struct):
    layout: int
    tokens: list[str]
    parts: list[_Part]


def pack(tokens: list[str], arrays: Sequence[NDArray[Any]], write: Callable[[bytes], object]) -> None:
    """Give all to `write`, piece by piece. Each is a copy: the arrays move when they grow."""
    parts = [_Part(array.dtype.str, list(array.shape)) for array in arrays]
    header = msgspec.msgpack.encode(_Header(LAYOUT, tokens, parts))
    write(_MAGIC + len(header).to_bytes(8, "little") + header)
    for array in arrays:
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for start in range(0, len(flat), _PIECE):
            write(flat[start : start + _PIECE].tobytes())


def unpack(raw: bytes | bytearray | memoryview) -> tuple[list[str], list[NDArray[Any]]]:
    """Tokens and arrays of a snapshot; the arrays are views of `raw`. Raises SnapshotError."""
    start = len(_MAGIC) + 8
    if bytes(raw[: len(_MAGIC)]) != _MAGIC:
        raise SnapshotError("not a snapshot of an identity index")
    size = int.from_bytes(raw[len(_MAGIC) : start], "little")
    try:
        header = msgspec.msgpack.decode(raw[start : start + size], type=_Header)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"unreadable header: {error}") from None
    if header.layout != LAYOUT:
        raise SnapshotError(f"snapshot of layout {header.layout}, not {LAYOUT}")
    arrays: list[NDArray[Any]] = []
    at = start + size
    for part in header.parts:
        count = int(np.prod(part.shape))
        try:
            array = np.frombuffer(raw, dtype=np.dtype(part.dtype), count=count, offset=at)
        except ValueError:
            raise SnapshotError("the snapshot is cut off") from None
        arrays.append(array.reshape(part.shape))
        at += array.nbytes
    if at != len(raw):
        raise SnapshotError("the snapshot is longer than it says")
    return header.tokens, arrays
