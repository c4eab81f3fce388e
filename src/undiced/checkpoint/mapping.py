"""A read-only memory map of one regular file, with every slice checked against its size.

Knows no format. A file that another process truncates while it is mapped is beyond what a map can guard against.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from undiced.core.errors import CheckpointError
from undiced.core.opening import open_regular
from undiced.core.quote import file_name

DAMAGED = "The file is damaged or incomplete; download it again."
SAMPLES = 16
SAMPLE_BYTES = 4096


class MappedFile:
    """One mapped file.

    Attributes:
        path: where it was opened.
        size: its length in bytes when it was opened; at least 1.
    """

    __slots__ = ("_map", "path", "size")

    def __init__(self, path: Path) -> None:
        self.path = path
        fd, self.size = open_regular(path)
        try:
            if self.size == 0:
                raise CheckpointError(f"{file_name(path)} is empty.", remedy="Download it again.")
            self._map: mmap.mmap | None = mmap.mmap(fd, self.size, access=mmap.ACCESS_READ)
        except (OSError, OverflowError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise CheckpointError(
                f"Cannot map {file_name(path)}: {reason}.", remedy="Copy it to a local disk."
            ) from error
        finally:
            os.close(fd)

    @property
    def buffer(self) -> mmap.mmap:
        """The whole map, for parsers."""
        if self._map is None:
            raise CheckpointError(f"{file_name(self.path)} was closed.", remedy="Open the checkpoint again.")
        return self._map

    def view(self, offset: int, nbytes: int) -> memoryview:
        """Bytes [offset, offset + nbytes) without a copy. Raises CheckpointError outside the file."""
        if offset < 0 or nbytes < 0 or offset + nbytes > self.size:
            raise CheckpointError(
                f"{self.path.name}: bytes {offset} to {offset + nbytes} lie outside the file of {self.size} bytes.",
                remedy=DAMAGED,
            )
        return memoryview(self.buffer)[offset : offset + nbytes]

    def forget(self) -> None:
        """Give back the memory of pages that were read; they are read again when looked at, mostly from the system's
        cache. Does nothing where the system has no such call.
        """
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def fingerprint(self, header_bytes: int) -> bytes:
        """SHA-256 over the header, the size and a few evenly spaced samples: telling, and cheap for any size."""
        from hashlib import sha256

        digest = sha256(self.view(0, header_bytes))
        digest.update(self.size.to_bytes(8, "little"))
        body = self.size - header_bytes
        for index in range(SAMPLES):
            start = header_bytes + body * index // SAMPLES
            digest.update(self.view(start, min(SAMPLE_BYTES, self.size - start)))
        if body > SAMPLE_BYTES:
            digest.update(self.view(self.size - SAMPLE_BYTES, SAMPLE_BYTES))
        return digest.digest()

    def close(self) -> None:
        """Unmap, or leave that to the last view that is still held."""
        held, self._map = self._map, None
        if held is not None:
            try:
                held.close()
            except BufferError:
                del held
