"""Weights that were packed before, as files in a folder of the user's own: as they lie in memory, so that the next
start looks at them instead of packing, in a tenth of the time.

A file that is absent, damaged, of another build or not the user's alone is as good as none. A file begins with its key
and a sum of each chunk, sealed by a digest; it has no name before it is whole, so that whatever ends the process leaves
nothing behind. Where the file system has no files without names (Linux's O_TMPFILE), nothing is kept.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from undiced import _native
from undiced.checkpoint.cache import packed_dir, packed_prefix
from undiced.core.build import files_of
from undiced.core.digest import sha256
from undiced.core.opening import is_own

if TYPE_CHECKING:
    from undiced.checkpoint import Checkpoint
    from undiced.core.manifest import WeightSlot

VARIABLE = "UNDICED_KEPT_MB"  # what the folder may hold; 0 keeps nothing
LEAST_BYTES = 16 << 20  # packed in 10 ms
MOST_BYTES = 2 << 30  # a larger model's file would push the checkpoint, or itself, out of the system's cache
MOST_OF_A_FILE = 3  # builds of Undiced that take turns with a model
_FOLDER_MB = 4096
_FREE_SHARE = 10  # a file takes at most so much of what is free
_ENDING = ".weights"
_MAKERS = ("checkpoint", "core", "engine")  # folders of what reads a model and packs it
_MAGIC = b"undiced weights 2\n"
_SUM_BYTES = 8
_DIGEST_BYTES = 32
_PAGE = 65536  # the largest that systems have: a view of a file begins at a page


class KeptWeights:
    """The packed weights of a model's file, for one program, build and folder; the folder is made when it is needed.

    Args:
        least: bytes that are worth keeping.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        slots: tuple[WeightSlot, ...],
        *,
        folder: Path | None = None,
        least: int = LEAST_BYTES,
    ) -> None:
        self._path, self._kind, self._slots = checkpoint.path, checkpoint.kind, slots
        self._folder = folder or packed_dir()
        self._least, self._most = least, _allowed_bytes()
        self.key = self._key() if self._most else None
        self.missing = self.key is not None  # whether they should be kept and are not

    def view_in(self, engine: _native.Engine) -> bool:
        """Make the engine's weights a view of the file; False if they have to be packed."""
        nbytes = engine.kept_bytes()
        self.missing = self.missing and nbytes >= self._least
        if self.key is None or not self.missing:
            return False
        try:
            if not is_own(self._folder.stat()):
                return False
            file = os.open(self._file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            status, head = os.fstat(file), head_bytes(nbytes)
            if not stat.S_ISREG(status.st_mode) or not is_own(status):
                return False
            sums = None
            if status.st_size == head + nbytes:
                sums = _sums(os.pread(file, head, 0), self.key, nbytes)
            if sums is None or not engine.view_kept(file, head, sums):
                with suppress(OSError):
                    self._file.unlink()
                return False
            self.missing = False
            return True
        except OSError:
            return False
        finally:
            os.close(file)

    def used(self) -> None:
        """Note that the file was used just now."""
        with suppress(OSError):
            os.utime(self._file)

    def room(self, nbytes: int) -> int | None:
        """A file without a name for so many bytes of weights behind `head_bytes`; None if none is to be kept."""
        if self.key is None or not self._least <= nbytes <= min(MOST_BYTES, self._most) or not hasattr(os, "O_TMPFILE"):
            return None
        file = None
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not is_own(self._folder.stat()):
                return None
            free = os.statvfs(self._folder)
            if nbytes * _FREE_SHARE > free.f_bavail * free.f_frsize:
                return None
            file = os.open(self._folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:
            return None
        return file

    def put(self, file: int, nbytes: int, sums: list[int]) -> None:
        """Give the file, which holds the weights now, its head and its name, unless the model's file has changed."""
        if self.key is None or self.key != self._key():
            return
        head = _MAGIC + self.key.encode() + b"".join(value.to_bytes(_SUM_BYTES, "little") for value in sums)
        with suppress(OSError):
            os.pwrite(file, (head + sha256(head).digest()).ljust(head_bytes(nbytes), b"\0"), 0)
            os.link(f"/proc/self/fd/{file}", self._file, src_dir_fd=file)  # with one, links are followed
            self._prune()

    @property
    def _file(self) -> Path:
        return self._folder / f"{packed_prefix(self._path)}{self.key}{_ENDING}"

    def _key(self) -> str | None:
        """Hexadecimal SHA-256 of the model's file, of what the program wants of it, and of what packs it. None for
        folders and for files that are one part of several, as for programs.
        """
        import msgspec

        from undiced.checkpoint.gguf_parts import part_names
        from undiced.checkpoint.identity import identity
        from undiced.core.errors import CheckpointError

        if self._kind != "gguf" or len(part_names(self._path.name)) > 1:
            return None
        try:
            library = Path(_native.__file__).stat()
            build = (library.st_size, library.st_mtime_ns, files_of(_MAKERS))
            known = (identity(self._path), msgspec.msgpack.encode(self._slots), build)
        except (OSError, CheckpointError):
            return None
        return sha256(repr(known).encode()).hexdigest()

    def _prune(self) -> None:
        """The oldest go: of one model's file, and of all."""
        found = sorted(
            ((file, file.stat()) for file in self._folder.iterdir() if file.suffix == _ENDING),
            key=lambda one: one[1].st_mtime_ns,
            reverse=True,
        )
        held, own = 0, 0
        for file, status in found:
            mine = file.name.startswith(packed_prefix(self._path))
            own += mine
            held += status.st_size
            if held > self._most or (mine and own > MOST_OF_A_FILE):
                file.unlink(missing_ok=True)
                held -= status.st_size


def _allowed_bytes() -> int:
    """What the folder may hold; what is no number of megabytes is taken for none."""
    try:
        return max(0, int(os.environ.get(VARIABLE, "").strip() or _FOLDER_MB)) * 1_000_000
    except ValueError:
        return 0


def head_bytes(nbytes: int) -> int:
    """Where weights of so many bytes begin in their file."""
    used = len(_MAGIC) + 2 * _DIGEST_BYTES + _SUM_BYTES * chunks(nbytes) + _DIGEST_BYTES
    return -(-used // _PAGE) * _PAGE


def chunks(nbytes: int) -> int:
    """Chunks that have a sum of their own."""
    return -(-nbytes // _native.KEPT_CHUNK)


def _sums(head: bytes, key: str, nbytes: int) -> bytes | None:
    """The sums in a file's head; None if it is not what was written for this key."""
    begin = len(_MAGIC) + 2 * _DIGEST_BYTES
    end = begin + _SUM_BYTES * chunks(nbytes)
    if head[:begin] != _MAGIC + key.encode() or head[end : end + _DIGEST_BYTES] != sha256(head[:end]).digest():
        return None
    return head[begin:end]
