"""Tiny checkpoints on meshes: graph and weights of a case, and a mesh executor beside the graph interpreter."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from support.meshes import compile_mesh
from support.tiny_models import load_case, make_folder

from undiced.checkpoint import open_checkpoint
from undiced.model import KvState, build, build_config, load_weights, run_graph
from undiced.sim.mesh.executor import MeshExecutor

CONTEXT = 64  # positions of the meshes' programs


@cache
def tiny(name):
    """Graph and float32 weights of a case."""
    with TemporaryDirectory() as folder:
        checkpoint = open_checkpoint(str(make_folder(load_case(name), Path(folder) / name)))
        graph = build(checkpoint)
        return graph, load_weights(graph, checkpoint)


def randomly(config, seed=1):
    """Graph of a configuration, and float32 weights of the size that checkpoints have."""
    graph, random = build_config(config, "F32"), np.random.RandomState(seed)
    weights = {}
    for slot in graph.slots:
        values = random.standard_normal((slot.columns,) if slot.rows == 1 else (slot.rows, slot.columns))
        if slot.rows > 1:
            values *= 1.5 / np.sqrt(slot.columns)
        else:
            values = 0.1 * values + (1.0 if "norm" in slot.name and not slot.name.endswith("bias") else 0.0)
        weights[slot.name] = values.astype(np.float32)
    return graph, weights


def differences(graph, weights, mesh, tokens, first=4):
    """The largest difference of logits from the graph interpreter's over their deviation, and whether choices agree."""
    found, wanted = forced(mesh, tokens, first), run_graph(graph, weights, tokens, KvState())
    return float(np.abs(found - wanted).max() / wanted.std()), bool((found.argmax(1) == wanted.argmax(1)).all())


def prompt(name, tokens=12):
    """The case's first tokens."""
    return list(load_case(name)["prompts"][0])[:tokens]


def reference(name, tokens):
    """(tokens, vocab) logits of the graph interpreter."""
    graph, weights = tiny(name)
    return run_graph(graph, weights, tokens, KvState(), context=CONTEXT)


def executor(name, rows, columns, *, numbers="fp32", **how):
    """A mesh executor of a case; `how` as `compile_mesh` takes it."""
    graph, weights = tiny(name)
    return MeshExecutor(compile_mesh(graph, rows, columns, **{"context": CONTEXT, **how}), weights.__getitem__, numbers)


def forced(mesh, tokens, first=4, sequence=0):
    """(tokens, vocab) logits of a sequence: its first tokens in one step, then token by token."""
    pieces = [tokens[:first], *([token] for token in tokens[first:])]
    return np.concatenate([mesh.step([(sequence, piece)]).logits for piece in pieces if piece])
