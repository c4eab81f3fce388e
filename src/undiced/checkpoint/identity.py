"""Which files a model lies in: so that a process that opens it again can tell that they are the same.

Asks the file system alone; reads no file. Contents are `Checkpoint.digest`'s business.
"""

from __future__ import annotations

import os
from pathlib import Path

from undiced.core.digest import sha256
from undiced.core.errors import CheckpointError
from undiced.core.quote import file_name

_PARTS = (".json", ".safetensors")  # what weights and configuration are read from; a note beside them may change


def identity(path: Path) -> str:
    """Hexadecimal SHA-256 over names, devices, inodes, sizes and times of change of a GGUF file or a folder's files.

    It changes when a file is replaced, written to, added or removed, whatever time stamp the writer gives it.

    Raises:
        CheckpointError: the file or the folder is gone or can't be read.
    """
    digest = sha256()
    try:
        for file in sorted(_files(path)):
            found = file.stat()
            facts = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            digest.update(os.fsencode(file.name) + repr(facts).encode())
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError(
            f"Cannot read {file_name(path)}: {reason}.", remedy="Check the path and its permissions."
        ) from error
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    return [file for file in path.iterdir() if file.suffix in _PARTS] if path.is_dir() else [path]
