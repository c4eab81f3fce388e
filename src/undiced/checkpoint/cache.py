"""Where fetched models live, whether they are whole, and how two processes keep out of each other's way.

Knows directories, digests and locks; knows nothing of packages. `UNDICED_CACHE` moves the whole cache.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from undiced.checkpoint.catalog import PackagedModel
from undiced.core.errors import CheckpointError
from undiced.core.opening import open_regular, read_if_there

ENVIRONMENT = "UNDICED_CACHE"
VERIFIED = ".verified"
SEAL_BYTES = 256


def cache_dir() -> Path:
    """The user's cache directory for Undiced; it may not exist yet."""
    override = os.environ.get(ENVIRONMENT)
    if override:
        return Path(override).expanduser()
    if sys.platform == "linux":  # as platformdirs has it, which takes ten times as long to load
        return Path(os.environ.get("XDG_CACHE_HOME", "").strip() or "~/.cache").expanduser() / "undiced"
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("undiced", appauthor=False))


def model_path(model: PackagedModel) -> Path:
    """Where the file of a catalog entry is, or will be."""
    return cache_dir() / "models" / model.name / model.file


def packed_dir() -> Path:
    """Where packed weights are kept; see `engine.kept`."""
    return cache_dir() / "weights"


def packed_bytes() -> int:
    """What the packed weights of all models take there."""
    try:
        with os.scandir(packed_dir()) as found:
            return sum(one.stat(follow_symlinks=False).st_size for one in found)
    except OSError:
        return 0


def packed_prefix(path: Path) -> str:
    """How the names of files begin that hold the packed weights of a model's file."""
    from undiced.core.digest import sha256

    return f"{sha256(os.fsencode(path.absolute())).hexdigest()[:16]}-"


def forget_packed(path: Path) -> None:
    """Delete the packed weights of a model's file."""
    with suppress(OSError):
        for file in packed_dir().glob(f"{packed_prefix(path)}*"):
            file.unlink(missing_ok=True)


def is_cached(model: PackagedModel) -> bool:
    """Whether the whole file is there, by its SHA-256.

    A verified digest is remembered beside the file's size, times and inode, so that a start does not read the file;
    when one of these changes, it is hashed again.
    """
    try:
        fd, size = open_regular(model_path(model))
    except CheckpointError:
        return False
    with os.fdopen(fd, "rb") as file:
        if size != model.nbytes:
            return False
        seal = _seal(model, os.fstat(fd))
        if _remembered(model) == seal:
            return True
        import hashlib  # loads OpenSSL, which is as fast as a file of this size deserves

        if hashlib.file_digest(file, "sha256").hexdigest() != model.sha256:
            return False
    _remember(model, seal)
    return True


def _seal(model: PackagedModel, status: os.stat_result) -> bytes:
    """What a file looks like from outside, with the digest that it was found to have."""
    return f"{model.sha256} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}".encode()


def _remembered(model: PackagedModel) -> bytes | None:
    try:
        return read_if_there(model_path(model).parent / VERIFIED, SEAL_BYTES)
    except CheckpointError:
        return None


def _remember(model: PackagedModel, seal: bytes) -> None:
    """Keep a seal; a cache that cannot be written costs a hash at each start, no more."""
    import tempfile

    folder = model_path(model).parent
    with suppress(OSError):
        with tempfile.NamedTemporaryFile(dir=folder, prefix=VERIFIED, delete=False) as file:
            file.write(seal)
        try:
            Path(file.name).replace(folder / VERIFIED)
        except OSError:
            Path(file.name).unlink()


def way_out(error: OSError) -> str:
    """What helps where a cache can't be written."""
    denied = (errno.EACCES, errno.EPERM, errno.EROFS)
    return "Let this user write there" if error.errno in denied else "Make room"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder` against threads and processes; it is freed even if the holder is killed.

    Raises OSError for a lock that is a link or no regular file: nothing outside the folder is opened or changed.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(folder / ".lock", flags, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "the lock is not a regular file")
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
