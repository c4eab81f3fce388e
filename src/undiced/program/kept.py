"""Host programs that were compiled before, as files in a folder of the user's own: one for each model file and bounds.

A file that is absent, damaged, of another build or not the user's alone is as good as none. Nothing in it is executed:
it is data of known types, sealed by a digest. Only what has passed `verify` is kept, so that it is not verified again
where it is read; the engine checks every instruction in any case.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from undiced.core.digest import sha256
from undiced.core.errors import CheckpointError
from undiced.core.opening import is_own, read_if_there
from undiced.program.host.program import HostProgram
from undiced.program.host.verify import verify, vouch

_DIGEST_BYTES = 32
_ENDING = ".program"
MOST_BYTES = 4 << 20  # of a file; a model of 405 billion parameters takes 0.4 MB
MOST_FILES = 64  # the oldest go first


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What a file holds: what it was made from, the model's configuration as its owner encodes it, and the program."""

    key: str
    config: bytes
    program: HostProgram


class KeptPrograms:
    """The programs of a folder, which is made when there is one to keep."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Kept | None:
        """What was kept under a key."""
        try:
            if not is_own(self._folder.stat()):
                return None
            data = read_if_there(self._path(key), MOST_BYTES)
            if data is None or sha256(data[:-_DIGEST_BYTES]).digest() != data[-_DIGEST_BYTES:]:
                return None
            found = msgspec.msgpack.decode(data[:-_DIGEST_BYTES], type=Kept)
        except (CheckpointError, OSError, ValueError, ArithmeticError, RecursionError):  # msgspec's are ValueErrors
            return None
        if found.key != key:
            return None
        vouch(found.program)
        return found

    def put(self, kept: Kept) -> None:
        """Keep one, if the folder can be written and it is not too large. Raises CompileError for an illegal one."""
        verify(kept.program)
        data = msgspec.msgpack.encode(kept)
        data += sha256(data).digest()
        if len(data) > MOST_BYTES:
            return
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not is_own(self._folder.stat()):
                return
            path = self._path(kept.key)
            new = path.with_suffix(f".{os.getpid()}")
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(file, "wb") as out:
                    out.write(data)
                new.replace(path)
            except BaseException:
                new.unlink(missing_ok=True)
                raise
            self._prune()

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_ENDING}"

    def _prune(self) -> None:
        files = [file for file in self._folder.iterdir() if file.suffix == _ENDING]
        for file in sorted(files, key=lambda file: file.stat().st_mtime_ns)[:-MOST_FILES]:
            file.unlink(missing_ok=True)
