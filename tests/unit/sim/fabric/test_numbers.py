"""What operations of the fabric make of numbers: the steps of functions bit for bit as the mesh simulator has them, the
library's functions to a few units of the last place, and what is no number.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from support.fabric_programs import Simulate, line, plain
from support.fabric_simulators import SIMULATORS

from undiced.program.wafer.sequences import SEQUENCES, Step
from undiced.program.wafer.value import DType
from undiced.sim.fabric.microops import Function, Immediate, Memory, Source, Vector
from undiced.sim.mesh.functions import run_function, run_library
from undiced.sim.mesh.rounding import rounded

pytestmark = pytest.mark.parametrize("simulate", SIMULATORS)
COUNT = 64
BYTES = 4 * COUNT
LIBRARY: tuple[Function, ...] = ("exp", "reciprocal", "inverse_root", "sigmoid", "tanh")
F32 = NDArray[np.float32]


def arguments() -> F32:
    """Positive numbers of all sizes that the sequences are good for."""
    drawn = np.random.default_rng(7).uniform(-20, 20, COUNT)
    return np.exp2(drawn).astype(np.float32)


def made(simulate: Simulate, ops: tuple[Vector, ...], vectors: int, *given: F32) -> F32:
    """What the operations leave in the last of so many vectors of memory, of which the first are given."""
    memory = np.zeros((1, 1, vectors * BYTES), np.uint8)
    for n, vector in enumerate(given):
        memory[0, 0, n * BYTES : (n + 1) * BYTES] = vector.view(np.uint8)
    outcome = simulate(line([ops], [{}], vectors * BYTES), plain(), memory=memory)
    return outcome.memory[0, 0, -BYTES:].view(np.float32)


def vector(n: int, dtype: DType = DType.F32) -> Memory:
    """The n-th vector of memory."""
    return Memory(n * BYTES, (1,), dtype)


def operation(step: Step, registers: dict[str, int]) -> Vector:
    """A step of a sequence as an operation."""
    a = vector(registers[step.a])
    b: Source = vector(registers[step.b]) if isinstance(step.b, str) else Immediate(step.b)
    target = vector(registers.setdefault(step.result, len(registers)))
    if step.kind == "multiply_add":
        return Vector("multiply_add", target, a, b, Immediate(step.c), extents=(COUNT,))
    if step.kind == "scaled_add":
        return Vector("multiply_add", target, a, Immediate(step.c), b, extents=(COUNT,))
    return Vector(step.kind, target, a, b, extents=(COUNT,))


@pytest.mark.parametrize("name", sorted(SEQUENCES))
def test_functions_in_steps_are_those_of_the_mesh_bit_for_bit(simulate: Simulate, name: str) -> None:
    registers = {"x": 0}
    ops = tuple(operation(step, registers) for step in SEQUENCES[name])
    found = made(simulate, ops, len(registers), arguments())
    assert found.view(np.uint32).tolist() == run_function(name, arguments()).view(np.uint32).tolist()


@pytest.mark.parametrize("function", LIBRARY)
def test_the_library_s_functions_are_right_to_a_few_last_places(simulate: Simulate, function: Function) -> None:
    x = np.concatenate([arguments()[:32], -arguments()[32:]]) if function != "inverse_root" else arguments()
    found = made(simulate, (Vector(function, vector(1), vector(0), extents=(COUNT,)),), 2, x)
    np.testing.assert_array_max_ulp(found, run_library(function, x), 4)


@pytest.mark.parametrize("function", ["maximum", "minimum"])
def test_what_is_no_number_stays_none(simulate: Simulate, function: Function) -> None:
    a, b = arguments(), arguments()[::-1].copy()
    a[3], b[5] = np.nan, np.nan
    found = made(simulate, (Vector(function, vector(2), vector(0), vector(1), extents=(COUNT,)),), 3, a, b)
    assert np.array_equal(found, getattr(np, function)(a, b), equal_nan=True)


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16])
def test_16_bit_results_are_rounded_to_even(simulate: Simulate, dtype: DType) -> None:
    """Numbers half-way between two, subnormal ones, too large ones, and what is no number."""
    x = arguments()
    x[:8] = [2049, 2051, 65519, 65520, 3e-8, 6e-8, np.inf, np.nan]
    narrow = Vector("move", vector(1, dtype), vector(0), extents=(COUNT,))
    widen = Vector("move", vector(2), vector(1, dtype), extents=(COUNT,))
    assert np.array_equal(made(simulate, (narrow, widen), 3, x), rounded(x, dtype), equal_nan=True)


def test_moves_keep_every_bit_of_32_bit_elements(simulate: Simulate) -> None:
    x = np.arange(COUNT, dtype=np.uint32) * np.uint32(0x03F0_1201) + np.uint32(0x7F80_0001)  # some of them no numbers
    found = made(simulate, (Vector("move", vector(1), vector(0), extents=(COUNT,)),), 2, x.view(np.float32))
    assert found.view(np.uint32).tolist() == x.tolist()
