"""Level-2 programs with damaged arrays: the native simulator refuses them or runs them, and never leaves its memory."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from undiced import _native
from undiced.machine import wse2, wse3
from undiced.program.wafer.value import DType
from undiced.sim.fabric.encode import Encoded, encode, figures
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.microops import (
    Bind,
    Delay,
    Fork,
    Immediate,
    In,
    Memory,
    Out,
    Repaint,
    Send,
    Turn,
    Vector,
    Wait,
)
from undiced.sim.fabric.program import FabricProgram, Paint, Section
from undiced.sim.fabric.roles import Places, Role, rectangle
from undiced.sim.fabric.routes import Command, Control, Port, Switch, Way

WIDTH, HEIGHT, BYTES = 5, 3, 64
EXAMPLES = int(os.environ.get("UNDICED_TESTS_DAMAGED", "300"))
KIND, CONTROLS, TARGET, SOURCES, SCRIPT, THREAD = 0, 5, 24, (60, 96, 132), 180, 184  # bytes of an operation
INDEX = 28  # of an operand, whose first byte is its place
VECTOR, FORK, MEMORY = 0, 1, 1
HARDWARE = [Hardware.of(wse3()), Hardware.of(wse2(), link_rate=0.5)]


def program() -> FabricProgram:
    """Rows that send both ways, with every kind of operation."""
    core, east, west = Port.CORE, Port.EAST, Port.WEST
    line = (Places(0, HEIGHT),)
    inner = Role((Places(1, WIDTH - 1),), line)
    first, last = Role((Places(0, 1),), line), Role((Places(WIDTH - 1, WIDTH),), line)
    paints = (
        Paint(first, 3, Switch((Way((core,), (east,)), Way((core,), (core, east))))),
        Paint(inner, 3, Switch((Way((west,), (core, east)), Way((west,), (east,))), ring=False)),
        Paint(last, 3, Switch((Way((west,), (core,)),))),
        Paint(last, 7, Switch((Way((core,), (west,)),))),
        Paint(inner, 7, Switch((Way((east,), (west,)),))),
        Paint(first, 7, Switch((Way((east,), (core,)),))),
    )
    there, half = Memory(0, (1,)), Memory(32, (1,), DType.F16)
    advance = Control(((Command.NOTHING, 2), (Command.ADVANCE, 1), (Command.RESET, 0)))
    wire = Out(2, 3, DType.F16, advance=False, control=advance)
    heads = (
        Vector("move", wire, there, extents=(5,)),
        Fork(4, (Vector("add", there, In(3, 7), Immediate(2.0), extents=(3,)),)),
        Delay(9.5),
        Wait((4,), 3.0),
        Bind(2, 3, 2.0),
        Turn(3, 0, 4.0),
        Send(2, 3, Control()),
        Repaint(5, Switch((Way((core,), (core,)), Way((east,), (core,)))), 2.0),
        Repaint(5, None),
    )
    others = (
        Vector("multiply_add", half, In(2, 3, DType.F16), Immediate(0.5), half, extents=(5,)),
        Vector("maximum", there, there, Memory(4, (0,)), extents=(4,), loops=1, setup=2.5),
    )
    ends = (*others, Vector("move", Out(3, 7), there, extents=(3,)))
    section = Section("all", ((first, heads), (inner, others), (last, ends)))
    return FabricProgram(
        WIDTH, HEIGHT, BYTES, paints, (section, Section("rest", ((rectangle(0, 0, 2, 2), (Delay(1.0),)),)))
    )


@dataclass(frozen=True, slots=True)
class Arrays:
    """What the native simulator takes, as it may be damaged."""

    encoded: Encoded
    figures: list[int]

    def run(self, threads: int) -> str:
        """What became of it."""
        memory = np.zeros((WIDTH * HEIGHT, BYTES), dtype=np.uint8)
        finished, busy = (np.zeros(WIDTH * HEIGHT, dtype=np.uint32) for _ in range(2))
        loads = np.zeros((WIDTH * HEIGHT, len(Port)), dtype=np.uint32)
        e = self.encoded
        try:
            _native.fabric_simulate(
                WIDTH, HEIGHT, e.ops, e.blocks, e.sections, e.colors, e.switches, self.figures, memory, threads, 3_000,
                5, 2, 1, [], finished, loads, busy, lambda cycle: True,
            )  # fmt: skip
        except (ValueError, RuntimeError):
            return "refused"
        return "ran"


def intact(hardware: Hardware) -> Arrays:
    return Arrays(encode(program()), figures(hardware))


@pytest.mark.parametrize("hardware", HARDWARE)
def test_the_undamaged_program_runs(hardware: Hardware) -> None:
    assert intact(hardware).run(2) == "ran"


def places(arrays: Arrays) -> list[NDArray[np.generic]]:
    """Every array that can be damaged."""
    charts = [part for chart in (*arrays.encoded.sections, *filter(None, arrays.encoded.colors)) for part in chart]
    return [arrays.encoded.ops, arrays.encoded.blocks, arrays.encoded.switches, *charts]


def damaged(number: int, at: int, *to: int) -> str:
    """What becomes of the program with other bytes in one operation."""
    arrays = intact(HARDWARE[0])
    arrays.encoded.ops[number, at : at + len(to)] = to
    return arrays.run(1)


def in_memory(operand: int) -> list[int]:
    """The vector operations that have this operand in memory."""
    ops = intact(HARDWARE[0]).encoded.ops
    return np.flatnonzero((ops[:, KIND] == VECTOR) & (ops[:, operand] == MEMORY)).tolist()


def test_a_control_wavelet_behind_results_in_memory_is_refused() -> None:
    """It has no queue: it would be written over the state of a thread."""
    assert len(in_memory(TARGET)) == 5
    for number in in_memory(TARGET):
        assert damaged(number, CONTROLS, 1) == "refused"


@pytest.mark.parametrize("operand", [TARGET, *SOURCES])
def test_an_index_at_the_end_of_all_numbers_is_refused(operand: int) -> None:
    """Four more are below zero, if they are counted in 32 bits."""
    for number in in_memory(operand):
        assert damaged(number, operand + INDEX, 0xFF, 0xFF, 0xFF, 0x7F) == "refused"


def test_scripts_that_start_each_other_are_refused() -> None:
    """A core that has two of them for no time at all would never come to the end of a cycle."""
    arrays = intact(HARDWARE[0])
    ops, blocks = arrays.encoded.ops, arrays.encoded.blocks
    [fork] = np.flatnonzero(ops[:, KIND] == FORK)
    started = ops[[fork, fork]]
    started[:, SCRIPT] = len(blocks) + 1, len(blocks)
    started[:, THREAD] = 1, 0
    ops[fork, SCRIPT], ops[fork, THREAD] = len(blocks), 0
    more = np.array([[len(ops), 1], [len(ops) + 1, 1]], dtype=blocks.dtype)
    encoded = replace(arrays.encoded, ops=np.concatenate([ops, started]), blocks=np.concatenate([blocks, more]))
    assert Arrays(encoded, arrays.figures).run(1) == "refused"


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_damaged_arrays_are_refused_or_run(data: st.DataObject) -> None:
    arrays = intact(data.draw(st.sampled_from(HARDWARE)))
    for _ in range(data.draw(st.integers(1, 4))):
        which = data.draw(st.integers(0, 12))
        if which == 12:
            at = data.draw(st.integers(0, len(arrays.figures) - 1))
            arrays.figures[at] = data.draw(st.integers(-(2**31), 2**31 - 1) | st.integers(0, 40))
            continue
        found = places(arrays)
        array = found[which % 3] if which < 9 else found[data.draw(st.integers(3, len(found) - 1))]
        flat = array.reshape(-1).view(np.uint8)
        flat[data.draw(st.integers(0, flat.size - 1))] = data.draw(st.integers(0, 255))
    assert arrays.run(data.draw(st.sampled_from([1, 3]))) in ("refused", "ran")
