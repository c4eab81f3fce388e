"""Under which license a model comes, as its own files or its catalog entry say it. Judges nothing."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from undiced.checkpoint.catalog import CATALOG
from undiced.core.errors import CheckpointError
from undiced.core.opening import read_if_there

if TYPE_CHECKING:
    from undiced.checkpoint.contract import Checkpoint

_CARD, _CARD_BYTES = "README.md", 1 << 20
_HEAD = re.compile(r"\A---\r?\n(.*?)\r?\n---", re.DOTALL)
_LINE = re.compile(r"^(license|license_name):[ \t]*['\"]?([\w .+-]{1,80}?)['\"]?[ \t]*\r?$", re.MULTILINE)


def license_of(checkpoint: Checkpoint) -> str:
    """A license's short name, or "" where nothing says it.

    The catalog's, else `general.license` of a GGUF file, else the head of the README.md beside the files.
    """
    packaged = CATALOG.get(checkpoint.name)
    if packaged and packaged.file == checkpoint.path.name:
        return packaged.license
    own = checkpoint.metadata.get("general.license") if checkpoint.kind == "gguf" else None
    return own[:80] if isinstance(own, str) and own else license_beside(checkpoint.path)


def license_beside(path: Path) -> str:
    """The license that the README.md of a folder, or beside a file, has in its head; "" without one."""
    text = b""
    with suppress(CheckpointError):
        text = read_if_there((path if path.is_dir() else path.parent) / _CARD, _CARD_BYTES) or b""
    head = _HEAD.match(text.decode("utf-8", "replace"))
    found: dict[str, str] = dict(_LINE.findall(head[1])) if head else {}
    name = found.get("license", "")
    return found.get("license_name") or name if name == "other" else name
