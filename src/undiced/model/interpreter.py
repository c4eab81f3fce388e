"""Runs a graph with numpy, node by node, with a cache a sequence: the obvious twin of every engine.

Slow on purpose; holds all weights in float32. Prefill, decode and batches are one function: a step takes any number of
new tokens of each sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from undiced.core.errors import ContextLengthError, InvalidRequestError
from undiced.model.config import ModelConfig
from undiced.model.graph import Graph
from undiced.model.meaning import Run
from undiced.model.node import Node
from undiced.model.ops import OPS
from undiced.model.reference import F32
from undiced.model.state import KvState

Watch = Callable[[Node, F32], None]


def run_graph(
    graph: Graph,
    weights: Mapping[str, F32],
    tokens: Sequence[int],
    state: KvState,
    watch: Watch | None = None,
    context: int = 0,
) -> F32:
    """One step of one sequence.

    Args:
        graph: a verified graph.
        weights: float32 by slot name, matrices (rows, columns), vectors (n,).
        tokens: new token ids, at least one; they follow the positions already in `state`.
        state: the sequence's cache, extended in place.
        watch: called with every node and its value, for comparisons.
        context: the most positions that a sequence is meant to have, for rotations that depend on it; 0: as many as it
            has after this step, which is how transformers takes it.

    Returns:
        (tokens, vocab) logits.
    """
    return run_batch(graph, weights, [(tokens, state)], watch, context)[0]


def run_batch(
    graph: Graph,
    weights: Mapping[str, F32],
    batch: Sequence[tuple[Sequence[int], KvState]],
    watch: Watch | None = None,
    context: int = 0,
) -> list[F32]:
    """One step of several sequences of any lengths; see `run_graph`. Returns each one's (tokens, vocab) logits."""
    run = _run(graph.config, batch, context)
    values: dict[str, F32] = {}
    last = {name: index for index, node in enumerate(graph.nodes) for name in node.ins}
    for index, node in enumerate(graph.nodes):
        ins = [values[name] for name in node.ins if name in values]
        values[node.out] = OPS[node.op].run(node, ins, [weights[name] for name in node.weights], run)
        if watch is not None:
            watch(node, values[node.out])
        for name in {n for n in node.ins if last[n] == index}:
            values.pop(name, None)
    for (start, stop), state in zip(run.spans, run.states, strict=True):
        state.length += stop - start
    return [values[graph.output][start:stop] for start, stop in run.spans]


def _run(config: ModelConfig, batch: Sequence[tuple[Sequence[int], KvState]], context: int) -> Run:
    spans, positions, at = [], [], 0
    for tokens, state in batch:
        count = len(tokens)
        if count == 0:
            raise InvalidRequestError("A sequence of the step has no tokens.")
        if config.learned_positions and state.length + count > config.context:
            raise ContextLengthError(
                f"The sequence would have {state.length + count} tokens, the model has {config.context} positions."
            )
        spans.append((at, at + count))
        positions.append(np.arange(state.length, state.length + count, dtype=np.int64))
        at += count
    flat = np.concatenate([np.asarray(tokens, dtype=np.int64) for tokens, _ in batch])
    if flat.min() < 0 or flat.max() >= config.vocab:
        raise InvalidRequestError(f"Token ids must lie in 0 to {config.vocab - 1}.")
    return Run(flat, np.concatenate(positions), tuple(spans), tuple(state for _, state in batch), context)
