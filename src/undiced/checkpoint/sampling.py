"""A model's own sampling numbers: what its files or its catalog entry recommend. Knows no rule of what they yield to.

Folders: generation_config.json, of it the members that vLLM reads. GGUF: `general.sampling.*`, which llama.cpp's
converter copies from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from undiced.checkpoint.catalog import CATALOG
from undiced.core.sampling import PARAMETERS, Parameter

if TYPE_CHECKING:
    from undiced.checkpoint.contract import Checkpoint

_GGUF_NAMES = {"temperature": "temp", "repetition_penalty": "penalty_repeat"}
_DIGITS = 6  # as many as a float of 32 bits holds
_STATED = frozenset({"temperature", "top_p", "top_k", "min_p", "repetition_penalty"})


def own_sampling(checkpoint: Checkpoint) -> dict[str, float]:
    """The numbers that a model brings, by the names of `core.sampling`; empty if it brings none.

    A number outside its range is told in a warning and left out. Raises CheckpointError for a damaged file.
    """
    packaged = CATALOG.get(checkpoint.name)
    catalog = packaged.sampling if packaged and packaged.file == checkpoint.path.name else {}
    return _stated(checkpoint) or dict(catalog)


def _stated(checkpoint: Checkpoint) -> dict[str, float]:
    if checkpoint.kind == "hf":
        from undiced.core.documents import read_object_if_there

        values: Mapping[str, object] = read_object_if_there(checkpoint.path / "generation_config.json")
        names = {name: name for name in _STATED}
    else:
        values = checkpoint.metadata
        names = {name: f"general.sampling.{_GGUF_NAMES.get(name, name)}" for name in _STATED}
    found = {row.name: _number(row, values.get(names[row.name])) for row in PARAMETERS if row.name in _STATED}
    for name, number in found.items():
        if number is None and values.get(names[name]) is not None:
            import logging

            shown = str(values[names[name]])[:40]
            message = "%s: %s is %s, which is outside its range; it is left out."
            logging.getLogger(__name__).warning(message, checkpoint.name, names[name], shown)
    return {name: number for name, number in found.items() if number is not None}


def _number(row: Parameter, value: object) -> float | None:
    """A number that a client might send, too; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value not in row.wire:
        return None
    if row.kind == "i4":
        return int(value) if value == int(value) else None
    return float(f"{value:.{_DIGITS}g}")
