"""Where a host program keeps the hidden state that its head sees, so that it can be told. One function of a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undiced.program import HostProgram

_NOWHERE = -1


def hidden_buffer(program: HostProgram) -> int:
    """The buffer that holds the sampled rows' last hidden state after a step, normed; -1 if there is none.

    It is the last one of the model's width that is written in floats for sampled rows alone.
    """
    found, width = _NOWHERE, program.buffers[0].width
    for instr in program.instrs:
        for index, start, columns in instr.writes():
            buffer = program.buffers[index]
            if (buffer.rows, buffer.kind, start, columns) == ("samples", "f32", 0, width):
                found = index
    return found


def hidden_width(program: HostProgram, index: int) -> int:
    """The width of what `hidden_buffer` found; 0 if that is none."""
    return 0 if index == _NOWHERE else program.buffers[index].width
