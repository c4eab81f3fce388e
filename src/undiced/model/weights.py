"""Loads a graph's weights as float32 by its manifest: the reference's way, which dequantizes everything.

Obeys sources and transforms exactly as an engine must; knows no tensor name and no family.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from undiced.checkpoint import Checkpoint
from undiced.checkpoint.decode import to_float
from undiced.core.errors import CheckpointError
from undiced.core.manifest import Source, Transform, WeightSlot
from undiced.model.graph import Graph
from undiced.model.reference import F32


def load_weights(graph: Graph, checkpoint: Checkpoint) -> dict[str, F32]:
    """Every slot of the graph: matrices (rows, columns), stacked experts along rows, vectors (n,)."""
    return {slot.name: load_slot(slot, checkpoint) for slot in graph.slots}


def load_slot(slot: WeightSlot, checkpoint: Checkpoint) -> F32:
    """One slot as float32; CheckpointError when the graph was made without a checkpoint or shapes disagree."""
    if not slot.sources:
        raise CheckpointError(
            f"Weight slot {slot.name} has no source: the graph was made from a configuration.",
            remedy="Make it from a checkpoint: build(open_checkpoint(path)).",
        )
    parts = [_load_source(source, checkpoint, slot.rows == 1) for source in slot.sources]
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
    expected = (slot.columns,) if slot.rows == 1 else (slot.rows, slot.columns)
    if whole.shape != expected:
        raise CheckpointError(
            f"Weight slot {slot.name}: the sources make {whole.shape}, expected {expected}.",
            remedy="The graph was made from other files; make it from these.",
        )
    return np.ascontiguousarray(whole)


def _load_source(source: Source, checkpoint: Checkpoint, is_vector: bool) -> F32:
    """Vectors are flattened and matrices folded to two dimensions before their transforms."""
    info = checkpoint.tensors[source.tensor]
    value: F32 = to_float(info, checkpoint.raw(source.tensor))
    if is_vector:
        value = value.reshape(-1)
    elif value.ndim > 2:
        value = value.reshape(prod(value.shape[:-1]), value.shape[-1])
    for step in source.transforms:
        value = TRANSFORMS[step.kind](value, step)
    return value


def _permute_rope(value: F32, step: Transform) -> F32:
    heads, dims = step.a, step.b
    split = value.reshape(heads, -1, *value.shape[1:]).copy()
    turned = split[:, :dims]
    pairs = turned.reshape(heads, 2, dims // 2, *value.shape[1:]).swapaxes(1, 2)
    split[:, :dims] = pairs.reshape(turned.shape)
    return split.reshape(value.shape)


TRANSFORMS: dict[str, Callable[[F32, Transform], F32]] = {
    "transpose": lambda value, step: value.T,
    "every": lambda value, step: value[step.a :: step.b],
    "split": lambda value, step: value[step.a : step.a + step.b],
    "permute_rope": _permute_rope,
    "add_one": lambda value, step: value + np.float32(1),
}
