"""The journal: outcomes that the database could not take yet, in a file of this instance, each on the disk before it is
believed.

Lines of JSON. A line that a crash cut off was never believed and is skipped; one that is forwarded twice closes its row
once. Knows no database.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from undiced.account.errors import DatabaseError
from undiced.account.ledger_records import Outcome

ENDING = ".journal"


def journal_of(folder: Path, instance_id: str) -> Path:
    """Where an instance's file lies, beside its progress file, which is made before it."""
    return folder / f"{instance_id}{ENDING}"


class Journal:
    """See the file's head. What an earlier process left in the file is there again.

    Raises:
        DatabaseError: the file can't be written or read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._waiting = _read(path)
        except OSError as error:
            raise DatabaseError(f"Cannot write {path}: {error.strerror}.", remedy="Make the folder writable.") from None

    def __len__(self) -> int:
        return len(self._waiting)

    def append(self, outcomes: Sequence[Outcome]) -> None:
        """Keep them, on the disk.

        Raises:
            OSError: they could not be written.
        """
        data = b"".join(json.dumps(asdict(outcome)).encode() + b"\n" for outcome in outcomes)
        os.write(self._file, data)
        os.fdatasync(self._file)
        self._waiting += outcomes

    def waiting(self, most: int) -> list[Outcome]:
        """The oldest of them."""
        return self._waiting[:most]

    def forwarded(self, count: int) -> None:
        """The database has the oldest so many. The file is emptied once it has all."""
        del self._waiting[:count]
        if not self._waiting:
            os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Let the file go; an empty one is deleted."""
        os.close(self._file)
        if not self._waiting:
            self._path.unlink(missing_ok=True)


def _read(path: Path) -> list[Outcome]:
    found = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(Outcome(**json.loads(line)))
        except (ValueError, TypeError):  # cut off by a crash
            continue
    return found
