"""The verifier finds each broken rule in a program that was legal before."""

from dataclasses import replace

import pytest

from undiced.compiler.wafer.compile import compile_wafer
from undiced.compiler.wafer.options import Options
from undiced.compiler.wafer.verify import verify
from undiced.core.errors import CompileError
from undiced.machine import find_machine
from undiced.program import Rect

WSE3 = find_machine("wse3")
PROGRAM = compile_wafer("llama-3.1-8b", WSE3, Options())


def broken(index, **changes):
    regions = list(PROGRAM.regions)
    regions[index] = replace(regions[index], **changes)
    return replace(PROGRAM, regions=tuple(regions))


def test_a_compiled_program_is_legal():
    verify(PROGRAM, WSE3)


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (broken(0, rect=Rect(700, 0, 200, 10)), "leaves the mesh"),
        (broken(0, rect=Rect(-1, 0, 20, 10)), "leaves the mesh"),
        (broken(0, rect=Rect(0, 0, 0, 10)), "leaves the mesh"),
        (broken(-1, rect=Rect(10, 10, 300, 300)), "overlap"),
        (broken(0, code=99), "no stream"),
        (broken(0, wafer=-1), "no stream"),
        (broken(0, params=(1, 0, 0, 5)), "never runs"),
        (replace(PROGRAM, facts=(("sram_bytes_max_per_core", 1e6),)), "fullest core"),
        (replace(PROGRAM, regions=()), "no layers"),
    ],
)
def test_each_rule_is_found(program, says):
    with pytest.raises(CompileError, match=says):
        verify(program, WSE3)
