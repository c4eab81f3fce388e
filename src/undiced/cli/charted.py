"""The atlas of what a command is given: a model, placed for its question, or a program of a file. With a bar meanwhile.

Knows what is refused before anything long begins; neither how an atlas is drawn nor where that is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from undiced.cli.asking import DECIDED
from undiced.cli.given import refuse_given
from undiced.cli.terminal import Bar
from undiced.core.errors import InvalidRequestError
from undiced.core.mapping import Phase
from undiced.program.wafer.step import Step
from undiced.sim.atlas.atlas import Atlas, atlas
from undiced.sim.outlook import check_phase, is_prompt
from undiced.study.program_file import is_program, open_program
from undiced.study.question import OURS, Question, place

if TYPE_CHECKING:
    from undiced.machine.wafer import Wafer
    from undiced.program.wafer.program import WaferProgram
    from undiced.sim.atlas.links import Links
    from undiced.study.program_file import ProgramFile

_PLACED = 0.95  # of the work, when what it is for begins
_PLACED_FIRST = 0.15  # where links are simulated in between
Linking = Callable[["WaferProgram", "Wafer", int, Callable[[float, str], None]], "Links"]


@contextmanager
def charted(
    given: typer.Context,
    model: str,
    asked: Question,
    machine: str | None,
    then: str,
    *,
    quiet: bool,
    linking: Linking | None = None,
) -> Iterator[Atlas]:
    """The atlas that answers a question; the bar stands until the caller has made of it what is called `then`.

    Args:
        linking: finds what links carried, for an atlas that tells it.

    Raises:
        UndicedError: what is asked does not fit, or can't be asked of a program.
    """
    opened = None
    if is_program(model):
        refuse_given(given, DECIDED | {"batch", "phase"}, "was decided when the program was compiled")
        opened = open_program(Path(model), machine)
    with Bar("Placing", quiet=quiet) as bar, opened.computing() if opened else nullcontext():
        found = _of_program(opened, asked, bar, linking) if opened else _of_model(asked, bar, linking)
        bar.share(_PLACED, then)
        yield found


@contextmanager
def compiled(
    given: typer.Context, model: str, asked: Question, machine: str | None, then: str, *, quiet: bool
) -> Iterator[tuple[WaferProgram, Wafer, Bar]]:
    """The program of a question, or of a file, and its machine; as `charted`."""
    opened = None
    if is_program(model):
        refuse_given(given, DECIDED | {"batch", "phase"}, "was decided when the program was compiled")
        opened = open_program(Path(model), machine)
    with Bar("Placing", quiet=quiet) as bar, opened.computing() if opened else nullcontext():
        if opened:
            program, wafer, most = opened.program, opened.wafer, opened.program.bounds.context
            _check(opened, asked.context or most if is_prompt(program) else most)
        else:
            asked.check()
            _refuse_ours(asked, "simulation")
            placed = place(asked, lambda share, what: bar.share(share * _PLACED, what))
            program, wafer = placed.program, placed.wafer
        bar.share(_PLACED, then)
        yield program, wafer, bar


def _of_program(opened: ProgramFile, asked: Question, bar: Bar, linking: Linking | None) -> Atlas:
    """Of a compiled program, which holds so many positions and no more."""
    program, wafer, context = opened.program, opened.wafer, asked.context or opened.program.bounds.context
    _check(opened, context)
    links = linking(program, wafer, context, bar.share) if linking else None
    return atlas(program, wafer, context, asked.clock_hz, links=links)


def _check(opened: ProgramFile, context: int) -> None:
    """It is looked at as what it was made for."""
    phase: Phase = "prefill" if is_prompt(opened.program) else "decode"
    check_phase(opened.program, Step(context=context), phase)


def _refuse_ours(asked: Question, what: str) -> None:
    if asked.mapping == OURS and asked.way == "prefill":
        raise InvalidRequestError(
            f"The {what} shows one token of our mapping; chunks of a prompt pass the same regions.",
            remedy="Leave --phase out.",
        )


def _of_model(asked: Question, bar: Bar, linking: Linking | None) -> Atlas:
    """Of a model, placed for this."""
    asked.check()
    _refuse_ours(asked, "map")
    most = _PLACED_FIRST if linking else _PLACED
    placed = place(asked, lambda share, what: bar.share(share * most, what))
    program, wafer = placed.program, placed.wafer
    links = None
    if linking:
        rest = _PLACED - _PLACED_FIRST
        links = linking(
            program, wafer, asked.positions, lambda share, what: bar.share(_PLACED_FIRST + share * rest, what)
        )
    return atlas(program, wafer, asked.positions, asked.clock_hz, placed.wafers_given, links)
