"""Progress: how many tokens of each running answer were handed to the socket, where kill -9 can't take it.

A file of this instance, locked while it lives and mapped into memory, with a slot of 8 bytes per answer. Storing is one
store into the page cache, which outlives the process; nothing is flushed while tokens stream. Knows no database.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from undiced.account.errors import DatabaseError

_BYTES = 8
_SLOTS = 65_536
_ENDING = ".progress"


def progress_of(folder: Path, instance_id: str) -> Path:
    """Where an instance's file lies."""
    return folder / f"{instance_id}{_ENDING}"


class Progress:
    """The slots of an instance. Taken and stored to from one thread, given back from any.

    Args:
        folder: where the files of all instances of this machine lie. instance_id: whose it is.

    Raises:
        DatabaseError: the folder can't be written.
    """

    def __init__(self, folder: Path, instance_id: str) -> None:
        self._path = progress_of(folder, instance_id)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = _locked(self._path)
            self._map = mmap.mmap(self._file, _SLOTS * _BYTES)
        except OSError as error:
            raise DatabaseError(
                f"Cannot write {self._path}: {error.strerror}.",
                remedy="Make the folder writable, and room on its disk.",
            ) from None
        self._counts = memoryview(self._map).cast("Q")
        self._free: list[int] = []  # that were given back
        self._next = 0  # the first that never was taken

    def take(self) -> int | None:
        """A slot, at zero; None if all are taken."""
        if self._free:
            return self._free.pop()
        if self._next == _SLOTS:
            return None
        self._next += 1
        return self._next - 1

    def store(self, slot: int, tokens: int) -> None:
        """So many tokens of the answer in a slot were handed over."""
        self._counts[slot] = tokens

    def cell(self, slot: int) -> memoryview:
        """A slot's own memory, for who stores there himself. Has to be let go before `close`."""
        return self._counts[slot : slot + 1]

    def give(self, slot: int) -> None:
        """The slot's answer is settled, and the database knows; another one may have it."""
        self._counts[slot] = 0
        self._free.append(slot)

    def close(self) -> None:
        """Let the file go; it stays where an answer is not settled, for whoever comes next."""
        self._counts.release()
        self._map.close()
        if len(self._free) == self._next:
            self._path.unlink(missing_ok=True)
        os.close(self._file)


def _locked(path: Path) -> int:
    """A new file, whose name nobody sees before it is locked, and whose bytes no full disk can refuse later."""
    unnamed = path.with_suffix(".new")
    file = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.posix_fallocate(file, 0, _SLOTS * _BYTES)
        unnamed.rename(path)
    except OSError:
        unnamed.unlink(missing_ok=True)
        os.close(file)
        raise
    return file


class LeftBehind:
    """The file of a dead instance, locked so that no other process settles it meanwhile.

    Attributes:
        instance_id: whose it was.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._file = path, descriptor
        self.instance_id = path.name.removesuffix(_ENDING)

    @classmethod
    def all(cls, folder: Path) -> Iterator[LeftBehind]:
        """Those of a folder whose instances are dead: nobody holds their locks."""
        for path in sorted(folder.glob(f"*{_ENDING}")):
            with contextlib.suppress(OSError):  # gone meanwhile
                descriptor = os.open(path, os.O_RDWR)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    os.close(descriptor)
                else:
                    yield cls(path, descriptor)

    def counts(self) -> list[int]:
        """What its slots say."""
        data = os.pread(self._file, _SLOTS * _BYTES, 0)
        return list(memoryview(data[: len(data) // _BYTES * _BYTES]).cast("Q"))

    def close(self, *, settled: bool) -> None:
        """Let it go; for good if its answers are settled."""
        if settled:
            self._path.unlink(missing_ok=True)
        os.close(self._file)
