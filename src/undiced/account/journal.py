"""The journal: what the database could not take yet, in a file of this instance, on the disk before it is believed.

Lines of JSON. A line that a crash or a full disk cut off was never believed and is skipped; one that is forwarded twice
counts once. Knows no database.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from undiced.account.errors import DatabaseError
from undiced.account.ledger_records import Ask, Kept, Late, Outcome

ENDING = ".journal"


def journal_of(folder: Path, instance_id: str) -> Path:
    """Where an instance's file lies, beside its progress file, which is made before it."""
    return folder / f"{instance_id}{ENDING}"


class Journal:
    """See the file's head. What an earlier process left in the file is there again. Belongs to one thread.

    Raises:
        DatabaseError: the file can't be written or read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._waiting, self._size = _read(path)
            os.ftruncate(self._file, self._size)  # nothing is written behind a line that was cut off
            _sync_folder(path.parent)
        except OSError as error:
            raise DatabaseError(f"Cannot write {path}: {error.strerror}.", remedy="Make the folder writable.") from None
        self._asks = {one.id for one in self._waiting if isinstance(one, Late)}

    def __len__(self) -> int:
        return len(self._waiting)

    def holds(self, request: str) -> bool:
        """Whether the database does not know a request yet: what is said of it belongs here too."""
        return request in self._asks

    def append(self, kept: Sequence[Kept]) -> None:
        """Keep them, on the disk.

        Raises:
            OSError: they could not be written, and the file is as it was.
        """
        data = b"".join(_line(one) for one in kept)
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fdatasync(self._file)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)
        self._waiting += kept
        self._asks.update(one.id for one in kept if isinstance(one, Late))

    def waiting(self, most: int) -> list[Kept]:
        """The oldest of them."""
        return self._waiting[:most]

    def forwarded(self, count: int) -> None:
        """The database has the oldest so many. The file is emptied once it has all; what stays in it by a failure is
        forwarded once more and counts no more.
        """
        self._asks.difference_update(one.id for one in self._waiting[:count])
        del self._waiting[:count]
        if not self._waiting:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
                self._size = 0

    def close(self) -> None:
        """Let the file go; an empty one is deleted."""
        os.close(self._file)
        if not self._waiting:
            self._path.unlink(missing_ok=True)


def _line(one: Kept) -> bytes:
    return json.dumps(asdict(one)).encode() + b"\n"


def _read(path: Path) -> tuple[list[Kept], int]:
    """What a file holds, and how many bytes of it are whole lines."""
    data = path.read_bytes()
    size = data.rfind(b"\n") + 1
    found: list[Kept] = []
    for line in data[:size].split(b"\n"):
        with contextlib.suppress(ValueError, TypeError, KeyError):  # cut off by a crash
            told = json.loads(line)
            found.append(Late(_ask(told["ask"]), told["at_ms"]) if "ask" in told else Outcome(**told))
    return found, size


def _ask(told: dict[str, object]) -> Ask:
    """An ask as this version or an earlier one wrote it."""
    names = {"tier": "service_class"}
    return Ask(**{names.get(name, name): value for name, value in told.items()})  # type: ignore[arg-type]


def _sync_folder(folder: Path) -> None:
    """Have the file's name on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
