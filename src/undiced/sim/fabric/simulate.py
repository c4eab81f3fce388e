"""Runs a level-2 program on the native simulator, and says in words what waits where if it does not end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiced import _native
from undiced.core.errors import ProgramFileError
from undiced.sim.fabric.encode import Encoded, encode, figures
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.microops import MicroOp
from undiced.sim.fabric.outcome import Event, Outcome, Status, Waiting
from undiced.sim.fabric.program import FabricProgram
from undiced.sim.fabric.routes import Port

LIMIT = 1 << 31  # ours: cycles
_STATUS: tuple[Status, ...] = ("finished", "deadlock", "limit")
_FAULT = 3
_MAIN = 8
_WHY = (
    "nothing has come on color {color} for input queue {queue}",
    "output queue {queue} of color {color} has no room",
    "input queue {queue} holds wavelets of another color than {color}",
    "microthreads have not ended",
    "output queue {queue} is not empty",
    "it was at work",
    "a wavelet of color {color} from the {port} can't go on: its way does not accept it, or has no room",
    "a wavelet of color {color} can't leave output queue {queue}",
    "wavelets of color {color} in input queue {queue} were never read",
    "output queue {queue} serves another color than {color}",
    "the router has no such position for color {color}",
    "a number that says where elements lie names a place beyond the core's memory",
    "a wavelet of color {color} from the {port} is on its way by the route that is written over",
)


def simulate(
    program: FabricProgram,
    hardware: Hardware,
    *,
    memory: NDArray[np.uint8] | None = None,
    threads: int = 0,
    limit: int = LIMIT,
    skew: int = 0,
    jitter: int = 0,
    seed: int = 0,
    watch: Sequence[tuple[int, int]] = (),
    progress: Callable[[int], None] | None = None,
) -> Outcome:
    """Move every wavelet of a program.

    Args:
        memory: [height, width, bytes] of every core at the start, used in place; zeros if not given.
        threads: of this machine; 0 takes as many as it has. The outcome is the same for any number.
        limit: cycles after which the simulation ends.
        skew: cores start up to so many cycles late; jitter: set-ups take up to so many more, both by `seed`.
        watch: cores (x, y) whose operations are told one by one.
        progress: called now and then with the cycle.

    Raises:
        ProgramFileError: the program breaks a rule of the fabric; names coordinates, colors and queues.
    """
    encoded, counts, memory = encode(program), _Counts.of(program), _memory(program, memory)
    began = time.perf_counter()
    try:
        status, cycles, hops, active, worked, waits, events, starts, ends = _native.fabric_simulate(
            program.width, program.height, encoded.ops, encoded.blocks, encoded.sections, encoded.colors,
            encoded.switches, figures(hardware), memory.reshape(-1, program.memory_bytes),
            threads or os.cpu_count() or 1, limit, skew, jitter, seed, _watched(program, watch),
            counts.finished, counts.loads, counts.busy, _asking(progress),
        )  # fmt: skip
    except ValueError as error:
        raise ProgramFileError(f"The program can't run: {error}.") from error
    waiting = tuple(_waiting(program, encoded, each) for each in waits)
    if status == _FAULT:
        raise ProgramFileError(f"The program can't go on: {told(waiting[0])}.")
    shape = (program.height, program.width)
    return Outcome(
        status=_STATUS[status],
        cycles=cycles,
        memory=memory,
        finished=counts.finished.reshape(shape),
        loads=counts.loads.reshape(*shape, len(Port)),
        busy=counts.busy.reshape(shape),
        sections=_spans(starts, ends),
        hops=hops,
        active=active,
        worked=worked,
        seconds=time.perf_counter() - began,
        waiting=waiting,
        events=tuple(_event(program, encoded, each) for each in events),
    )


@dataclass(frozen=True, slots=True)
class _Counts:
    """What the native simulator fills in, core by core."""

    finished: NDArray[np.uint32]
    loads: NDArray[np.uint32]
    busy: NDArray[np.uint32]

    @classmethod
    def of(cls, program: FabricProgram) -> _Counts:
        cores = program.width * program.height
        return cls(*(np.zeros(shape, dtype=np.uint32) for shape in (cores, (cores, len(Port)), cores)))


def _memory(program: FabricProgram, given: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    wanted = (program.height, program.width, program.memory_bytes)
    if given is None:
        return np.zeros(wanted, dtype=np.uint8)
    if given.shape != wanted or given.dtype != np.uint8 or not given.flags.c_contiguous:
        raise ProgramFileError(f"Memory is {given.shape} of {given.dtype}, not {wanted} bytes.")
    return given


def _watched(program: FabricProgram, watch: Sequence[tuple[int, int]]) -> list[int]:
    """Numbers of cores, ascending."""
    found = sorted(y * program.width + x for x, y in set(watch))
    if found and not 0 <= found[0] <= found[-1] < program.width * program.height:
        raise ProgramFileError("A watched core lies off the mesh.")
    return found


def _asking(progress: Callable[[int], None] | None) -> Callable[[int], bool]:
    def go_on(cycle: int) -> bool:
        if progress is not None:
            progress(cycle)
        return True

    return go_on


def _spans(starts: Sequence[int], ends: Sequence[int]) -> NDArray[np.uint32]:
    """[sections, 2]; zeros where no core has any."""
    never = np.iinfo(np.uint32).max
    return (
        np.array([(0, 0) if start == never else (start, end) for start, end in zip(starts, ends, strict=True)])
        .reshape(-1, 2)
        .astype(np.uint32)
    )


def _event(program: FabricProgram, encoded: Encoded, found: tuple[int, ...]) -> Event:
    core, thread, section, block, op, start, end = found
    operation = _named(encoded.operations[block][op])
    return Event(core % program.width, core // program.width, thread, section, operation, start, end)


def told(waiting: Waiting) -> str:
    """One line of what waits."""
    what = f" in {waiting.operation} of {waiting.section!r}" if waiting.operation else ""
    return f"core ({waiting.x}, {waiting.y}), {waiting.thread}{what}: {waiting.why}"


def _waiting(program: FabricProgram, encoded: Encoded, found: tuple[int, ...]) -> Waiting:
    core, thread, section, block, op, why, queue, color, port = found
    name = "the router" if thread < 0 else "the main thread" if thread == _MAIN else f"microthread {thread}"
    operation = encoded.operations[block][op] if block >= 0 and op < len(encoded.operations[block]) else None
    words = _WHY[why].format(queue=queue, color=color, port=Port(port).name.lower() if port >= 0 else "")
    return Waiting(
        core % program.width,
        core // program.width,
        name,
        program.sections[section].name if section >= 0 else "",
        _named(operation),
        words,
    )


def _named(operation: MicroOp | None) -> str:
    if operation is None:
        return ""
    return getattr(operation, "function", type(operation).__name__.lower())
