"""What operations of the fabric make of numbers: functions, in steps and of the library, bit for bit as the mesh
simulator has them, and what is no number.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from support.fabric_programs import Simulate, line, plain
from support.fabric_simulators import SIMULATORS, native

from undiced.core.errors import ProgramFileError
from undiced.program.wafer.sequences import SEQUENCES, Step
from undiced.program.wafer.value import DType
from undiced.sim.fabric.microops import Function, Immediate, Memory, Out, Source, Vector
from undiced.sim.mesh.functions import run_function, run_library
from undiced.sim.mesh.rounding import rounded

BOTH = pytest.mark.parametrize("simulate", SIMULATORS)
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


@BOTH
@pytest.mark.parametrize("name", sorted(SEQUENCES))
def test_functions_in_steps_are_those_of_the_mesh_bit_for_bit(simulate: Simulate, name: str) -> None:
    registers = {"x": 0}
    ops = tuple(operation(step, registers) for step in SEQUENCES[name])
    found = made(simulate, ops, len(registers), arguments())
    assert found.view(np.uint32).tolist() == run_function(name, arguments()).view(np.uint32).tolist()


@BOTH
@pytest.mark.parametrize("function", LIBRARY)
def test_the_library_s_functions_are_those_of_the_mesh_bit_for_bit(simulate: Simulate, function: Function) -> None:
    x = np.concatenate([arguments()[:32], -arguments()[32:]]) if function != "inverse_root" else arguments()
    found = made(simulate, (Vector(function, vector(1), vector(0), extents=(COUNT,)),), 2, x)
    assert found.view(np.uint32).tolist() == run_library(function, x).view(np.uint32).tolist()


@BOTH
@pytest.mark.parametrize("function", ["maximum", "minimum"])
def test_what_is_no_number_stays_none(simulate: Simulate, function: Function) -> None:
    a, b = arguments(), arguments()[::-1].copy()
    a[3], b[5] = np.nan, np.nan
    found = made(simulate, (Vector(function, vector(2), vector(0), vector(1), extents=(COUNT,)),), 3, a, b)
    assert np.array_equal(found, getattr(np, function)(a, b), equal_nan=True)


@BOTH
def test_comparisons_are_strict_and_choices_keep_every_bit(simulate: Simulate) -> None:
    a, b = arguments(), arguments()[::-1].copy()
    a[:6] = [np.inf, -np.inf, -0.0, 1, np.nan, 3]
    b[:6] = [np.inf, -3e38, 0.0, 1, 1, np.nan]
    above = Vector("above", vector(2), vector(0), vector(1), extents=(COUNT,))
    chosen = Vector("choose", vector(3), vector(0), vector(1), vector(2), extents=(COUNT,))
    assert np.array_equal(made(simulate, (above,), 3, a, b), (a > b).astype(np.float32))
    found, wanted = made(simulate, (above, chosen), 4, a, b), np.where(a > b, a, b)
    assert found.view(np.uint32).tolist() == wanted.view(np.uint32).tolist()


@BOTH
@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16])
def test_16_bit_results_are_rounded_to_even(simulate: Simulate, dtype: DType) -> None:
    """Numbers half-way between two, subnormal ones, too large ones, and what is no number."""
    x = arguments()
    x[:8] = [2049, 2051, 65519, 65520, 3e-8, 6e-8, np.inf, np.nan]
    narrow = Vector("move", vector(1, dtype), vector(0), extents=(COUNT,))
    widen = Vector("move", vector(2), vector(1, dtype), extents=(COUNT,))
    assert np.array_equal(made(simulate, (narrow, widen), 3, x), rounded(x, dtype), equal_nan=True)


@BOTH
def test_moves_keep_every_bit_of_32_bit_elements(simulate: Simulate) -> None:
    x = np.arange(COUNT, dtype=np.uint32) * np.uint32(0x03F0_1201) + np.uint32(0x7F80_0001)  # some of them no numbers
    found = made(simulate, (Vector("move", vector(1), vector(0), extents=(COUNT,)),), 2, x.view(np.float32))
    assert found.view(np.uint32).tolist() == x.tolist()


@BOTH
def test_a_comparison_gives_one_where_both_are_the_same(simulate: Simulate) -> None:
    a, b = arguments(), arguments()
    b[::3] += 1
    found = made(simulate, (Vector("equal", vector(2), vector(0), vector(1), extents=(COUNT,)),), 3, a, b)
    assert found.tolist() == (a == b).astype(np.float32).tolist()
    assert 0 < found.sum() < COUNT


@BOTH
def test_integers_are_read_as_they_lie(simulate: Simulate) -> None:
    """Bytes with a sign, and nibbles from 0 to 15, of which the lower one of a byte comes first."""
    held = np.arange(4 * COUNT, dtype=np.uint8)
    for dtype, wanted in (
        (DType.I8, held.view(np.int8)[:COUNT]),
        (DType.I4, np.stack([held & 15, held >> 4], axis=1).reshape(-1)[:COUNT]),
    ):
        found = made(
            simulate, (Vector("move", vector(1), vector(0, dtype), extents=(COUNT,)),), 2, held.view(np.float32)
        )
        assert found.tolist() == wanted.astype(np.float32).tolist()


@BOTH
def test_a_number_in_memory_says_where_elements_lie(simulate: Simulate) -> None:
    """Rows of 8 by the numbers that a row before them holds: read, and written."""
    table, picks = arguments(), np.zeros(COUNT, np.float32)
    picks[:2] = [5, 2]
    read = Vector("move", Memory(2 * BYTES, (1,)), Memory(0, (1,), index=BYTES, pitch=32), extents=(8,))
    written = Vector("move", Memory(2 * BYTES, (1,), index=BYTES + 4, pitch=32), Memory(0, (1,)), extents=(8,))
    found = made(simulate, (read, written), 3, table, picks)
    assert found[:8].tolist() == table[40:48].tolist()
    assert found[16:24].tolist() == table[:8].tolist()
    assert not found[8:16].any()


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e30, -1, 12])
def test_a_number_that_leads_out_of_memory_ends_the_program(number: float) -> None:
    picks = np.full(COUNT, number, np.float32)
    read = Vector("move", Memory(BYTES, (1,)), Memory(0, (1,), index=BYTES - 4, pitch=64), extents=(8,))
    with pytest.raises(ProgramFileError, match=r"core \(0, 0\), the main thread in move .* beyond the core's memory"):
        made(native, (read,), 2, picks)


@pytest.mark.parametrize(
    ("op", "why"),
    [
        (Vector("move", vector(1, DType.I8), vector(0)), "integers are read from memory alone"),
        (Vector("move", Out(0, 0, DType.I8), vector(0)), "integers are read from memory alone"),
        (Vector("move", vector(1), Memory(0, (1,), index=2 * BYTES, pitch=4)), "holds no number of a core"),
        (Vector("move", Out(0, 0), Memory(0, (1,), index=BYTES, pitch=4)), "beside wavelets"),
    ],
)
def test_what_cores_do_not_do_with_integers_and_picked_rows_is_refused(op: Vector, why: str) -> None:
    with pytest.raises(ProgramFileError, match=why):
        made(native, (op,), 2)
