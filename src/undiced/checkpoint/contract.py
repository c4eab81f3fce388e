"""What every kind of checkpoint offers to the packages above. Says nothing about how files are laid out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Literal, Protocol

from undiced.checkpoint.tensor import TensorInfo
from undiced.core.formats import FORMATS


class Checkpoint(Protocol):
    """An open model: its metadata and its tensors, mapped from disk and never copied."""

    @property
    def kind(self) -> Literal["gguf", "hf"]:
        """Which naming scheme `metadata` and `tensors` follow."""

    @property
    def name(self) -> str:
        """Short name for display: the catalog's, the file's own, or the file name."""

    @property
    def path(self) -> Path:
        """The GGUF file or the Hugging Face folder."""

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 over headers, sizes and samples of the data; a cache key, independent of file times."""

    @property
    def metadata(self) -> Mapping[str, object]:
        """GGUF: key to Python value (arrays are lists, decoded on first use). Hugging Face: the parsed config.json."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Every tensor in a format we know, by name, in file order."""

    @property
    def unread(self) -> Mapping[str, str]:
        """Tensors that are there and are no weights by themselves, by name: their dtypes."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the file's way of quantization is done differently here, in whole sentences; usually nothing."""

    def raw(self, name: str) -> memoryview:
        """Read-only bytes of a tensor in its format, without a copy where the file has them so.

        Raises CheckpointError for an unknown name, and for tensors that are put together and do not belong together.
        """

    def forget(self) -> None:
        """Give back the memory that reading tensors took. Views stay valid and are read from disk again."""

    def close(self) -> None:
        """Let go of the files. Views handed out before stay valid until they are dropped."""


def bytes_by_format(checkpoint: Checkpoint) -> dict[str, int]:
    """What tensors of each number format take in the file, the most first."""
    sizes = Counter[str]()
    for tensor in checkpoint.tensors.values():
        sizes[tensor.precision] += tensor.file_bytes
    return dict(sizes.most_common())


def kept_by_format(checkpoint: Checkpoint) -> dict[str, int]:
    """What tensors of each number format take in the engine's memory, the most first; vectors become F32."""
    sizes = Counter[str]()
    for tensor in checkpoint.tensors.values():
        form = FORMATS[tensor.format if len(tensor.shape) > 1 else "F32"]
        sizes[form.name] += int(prod(tensor.shape) * form.resident_bits / 8)
    return dict(sizes.most_common())
