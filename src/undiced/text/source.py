"""What this package needs of a checkpoint: its kind, place, digest and metadata. Knows no tensor.

`undiced.checkpoint.Checkpoint` satisfies it; so does any small stand-in of a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class TextSource(Protocol):
    """The part of a checkpoint that text handling reads.

    kind is "gguf" (metadata: GGUF keys and values) or "hf" (path: the folder; metadata: its config.json).
    """

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def digest(self) -> str: ...
    @property
    def metadata(self) -> Mapping[str, object]: ...
