"""The one door to every file that others made: regular files only, of a bounded size, never waited for.

A pipe, a device, a socket, a folder or a sparse giant in a file's place is refused before a byte is read. Links are
followed, because download caches are made of them; what they lead to is checked. Knows no format.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from undiced.core.errors import CheckpointError
from undiced.core.quote import file_name

CHUNK_BYTES = 1 << 20


def open_regular(path: Path) -> tuple[int, int]:
    """-> (a descriptor to close, the file's size in bytes). Raises CheckpointError for what is no readable file."""
    try:
        # Non-blocking, so that a named pipe is refused below instead of waited for.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except PermissionError as error:
        raise CheckpointError(
            f"{file_name(path)} cannot be read: permission denied.",
            remedy="Let this user read the file and its folder.",
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CheckpointError(
            f"Cannot open {file_name(path)}: {reason}.", remedy="Check the path and its permissions."
        ) from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(f"{file_name(path)} is not a regular file.", remedy="Name a model file.")
        return fd, status.st_size
    except BaseException:
        os.close(fd)
        raise


def is_own(status: os.stat_result) -> bool:
    """Whether nobody but the user may write to a file or a folder."""
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def read_file(path: Path, limit: int) -> bytes:
    """The bytes of a small file. Raises CheckpointError for one that is empty, unreadable, or longer than `limit`."""
    name = file_name(path)
    fd, size = open_regular(path)
    try:
        if size > limit:
            raise CheckpointError(
                f"{name} has {size} bytes; {limit} are allowed.", remedy="It is not what its name says; fetch it again."
            )
        data = bytearray()
        while len(data) <= limit and (chunk := os.read(fd, min(CHUNK_BYTES, limit + 1 - len(data)))):
            data += chunk
    except OSError as error:
        raise CheckpointError(f"{name} cannot be read: {error.strerror}.", remedy="Copy it to a local disk.") from error
    finally:
        os.close(fd)
    if not data or len(data) > limit:
        raise CheckpointError(f"{name} is {'longer than it said' if data else 'empty'}.", remedy="Fetch it again.")
    return bytes(data)


def read_if_there(path: Path, limit: int) -> bytes | None:
    """Like `read_file`, or None where the folder has no such entry (a link that leads nowhere is an entry)."""
    with suppress(OSError, ValueError):
        if not os.path.lexists(path):
            return None
    return read_file(path, limit)
