"""Cores of a small region with hand-written values, to run single instructions of the mesh executor on."""

import numpy as np

from undiced.program.wafer.value import Kind
from undiced.sim.mesh.batch import Batch
from undiced.sim.mesh.caches import Caches
from undiced.sim.mesh.cores import Cores
from undiced.sim.mesh.declarations import Declarations
from undiced.sim.mesh.executor import EXECUTORS
from undiced.sim.mesh.spreading import gather, spread


def batch(tokens, positions=None, sequences=None):
    """A step of these token ids; by default one sequence from its first position on."""
    positions = list(range(len(tokens))) if positions is None else positions
    sequences = [0] * len(tokens) if sequences is None else sequences
    lengths = [1 + max(p for p, t in zip(positions, sequences, strict=True) if t == s) for s in sequences]
    return Batch(*(np.array(column, dtype=np.int64) for column in (tokens, positions, sequences, lengths)))


def cores(rows, columns, values, arrays, *, tokens=None, trees=(), numbers="fp32"):
    """A region whose values hold whole arrays: (tokens, *dims) of activations, (*dims) of weights and tables."""
    declared = Declarations(values, trees)
    made = Cores(rows, columns, numbers, tokens or batch([0]))
    bound = {n: spread(declared[n], a, rows, columns) for n, a in arrays.items() if declared.constant(n)}
    made.begin(declared, bound, Caches(rows, columns, declared))
    for name, array in arrays.items():
        if not declared.constant(name):
            made.keep(name, spread(declared[name], np.asarray(array, np.float32), rows, columns))
    return made


def execute(made, *instructions):
    """Run instructions in order."""
    for instruction in instructions:
        EXECUTORS[type(instruction)](made, instruction)


def whole(made, name):
    """A value as one array."""
    constant = made.values[name].kind in (Kind.WEIGHT, Kind.TABLE)
    return gather(made.values[name], made.read(name), lead=0 if constant else 1)
