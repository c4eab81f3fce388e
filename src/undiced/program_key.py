"""Which kept program is that of a model, bounds and this build. A composition root: it may import everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced import __version__
from undiced.core.build import files_of
from undiced.core.digest import sha256
from undiced.core.errors import CheckpointError

if TYPE_CHECKING:
    from undiced.checkpoint import Checkpoint

_MAKERS = (  # folders of what reads a model and makes a program of it
    "checkpoint", "compiler", "compiler/host", "core", "machine", "model", "model/families", "program", "program/host",
)  # fmt: skip


def program_key(checkpoint: Checkpoint, *how: object) -> str | None:
    """Hexadecimal SHA-256 of all that a program depends on: the model's file by `checkpoint.identity`, the build by its
    version and by sizes and times of its files, and `how` it is compiled. None for models whose programs are not kept:
    folders, which take notes of what they hold whenever they are read, and files that are one part of several.
    """
    from undiced.checkpoint.gguf_parts import part_names
    from undiced.checkpoint.identity import identity

    path = checkpoint.path
    if checkpoint.kind != "gguf" or len(part_names(path.name)) > 1:
        return None
    try:
        known = (__version__, files_of(_MAKERS), checkpoint.name, identity(path), *how)
    except (OSError, CheckpointError):
        return None
    return sha256(repr(known).encode()).hexdigest()
