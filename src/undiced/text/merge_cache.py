"""Merge lists on disk, keyed by a checkpoint's digest: little-endian 32-bit token ids behind a checksum.

A damaged, foreign or unreadable file is a miss and is rewritten; a folder that cannot be written is no error.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import tempfile
from array import array
from pathlib import Path

from undiced.core.errors import CheckpointError
from undiced.core.opening import read_if_there

_MAGIC = b"undiced-merges-2\n"
_SUFFIX = ".merges"
_MAX_BYTES = 64 << 20  # ours: 500,000 merges take 4 MB


def load_merges(folder: Path, key: str, vocab_size: int) -> tuple[list[int], list[int]] | None:
    """The left and the right ids stored under `key`, or None. Every id is checked to be below `vocab_size`."""
    try:
        data = read_if_there(folder / (key + _SUFFIX), _MAX_BYTES)
    except CheckpointError:
        return None
    if data is None:
        return None
    head = len(_MAGIC) + 32
    body = data[head:]
    if data[: len(_MAGIC)] != _MAGIC or data[len(_MAGIC) : head] != hashlib.sha256(body).digest() or len(body) % 8:
        return None
    ids = array("i")
    ids.frombytes(body)
    if sys.byteorder == "big":
        ids.byteswap()
    if ids and not 0 <= min(ids) <= max(ids) < vocab_size:
        return None
    flat = ids.tolist()
    half = len(flat) // 2
    return flat[:half], flat[half:]


def store_merges(folder: Path, key: str, left: list[int], right: list[int]) -> None:
    """Writes atomically: readers see the old file or the whole new one."""
    ids = array("i", left)
    ids.extend(right)
    if sys.byteorder == "big":
        ids.byteswap()
    body = ids.tobytes()
    temporary = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".merges-", delete=False) as file:
            temporary = file.name
            file.write(_MAGIC + hashlib.sha256(body).digest() + body)
        Path(temporary).replace(folder / (key + _SUFFIX))
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
