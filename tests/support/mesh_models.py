"""Tiny checkpoints on meshes: graph and weights of a case, and a mesh executor beside the graph interpreter."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from support.tiny_models import load_case, make_folder

from undiced.checkpoint import open_checkpoint
from undiced.compiler.wafer.lower.mesh import compile_mesh
from undiced.model import KvState, build, load_weights, run_graph
from undiced.sim.mesh.executor import MeshExecutor


@cache
def tiny(name):
    """Graph and float32 weights of a case."""
    with TemporaryDirectory() as folder:
        checkpoint = open_checkpoint(str(make_folder(load_case(name), Path(folder) / name)))
        graph = build(checkpoint)
        return graph, load_weights(graph, checkpoint)


def prompt(name, tokens=12):
    """The case's first tokens."""
    return list(load_case(name)["prompts"][0])[:tokens]


def reference(name, tokens):
    """(tokens, vocab) logits of the graph interpreter."""
    graph, weights = tiny(name)
    return run_graph(graph, weights, tokens, KvState())


def executor(name, rows, columns, *, numbers="fp32", **how):
    """A mesh executor of a case; `how` as `compile_mesh` takes it."""
    graph, weights = tiny(name)
    return MeshExecutor(compile_mesh(graph, rows, columns, **{"context": 64, **how}), weights.__getitem__, numbers)


def forced(mesh, tokens, first=4, sequence=0):
    """(tokens, vocab) logits of a sequence: its first tokens in one step, then token by token."""
    pieces = [tokens[:first], *([token] for token in tokens[first:])]
    return np.concatenate([mesh.step([(sequence, piece)]).logits for piece in pieces if piece])
