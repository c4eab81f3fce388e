"""`undiced compile` and `simulate`: the commands that ask what a model would do on a wafer.

Everything printed here is simulated, and says so.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.asking import DECIDED, Compiling, Context, Machine, Phase, Prefix, Routing, Subject, Timed
from undiced.cli.gathered import gathered
from undiced.cli.given import refuse_given
from undiced.cli.options import Json
from undiced.cli.report import writing
from undiced.core.errors import InvalidRequestError
from undiced.core.printable import printable

if TYPE_CHECKING:
    from undiced.compiled import Compiled
    from undiced.program import HostProgram
    from undiced.program.wafer.program import WaferProgram
    from undiced.study.question import Placed, Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Anew(Compiling):
    """The same, of what can't be a program yet, or is for the host."""

    machine: Machine = "wse3"
    context: Context = 4096


@gathered
def compile(
    given: typer.Context,
    model: Subject,
    *,
    placing: Anew,
    phase: Phase = "decode",
    out: Annotated[Path | None, typer.Option("--output", "-o", help="Write the program to this file.")] = None,
    dump: Annotated[bool, typer.Option(help="Print the whole program as text.")] = False,
    as_json: Json = False,
) -> None:
    """Place a model on wafers, or on this host. Says how it fits and how fast it would run."""
    from undiced.study.program_file import is_program

    if is_program(model):
        raise InvalidRequestError(f"{model} is compiled already.", remedy="Time it with `undiced simulate`.")
    program: HostProgram | WaferProgram
    if placing.machine == "host":
        refuse_given(given, DECIDED | {"phase", "clock"}, "has no effect on a host program")
        from undiced.compiled import compile_for_host

        compiled = compile_for_host(model, max_batch=placing.batch, max_context=placing.context)
        program, summary = compiled.program, partial(_host_summary, compiled)
    else:
        asked = placing.question(model, phase)
        placed = _placed(asked, quiet=as_json)
        program, summary = placed.program, partial(_answer, placed, asked)
    if out is not None:
        with writing(out):
            program.save(out)
    if dump:
        from undiced.cli.terminal import emit
        from undiced.program.dump import dump as text

        emit({"dump": text(program)}) if as_json else typer.echo(printable(text(program)), nl=False)
        return
    found = summary()
    _show({**found, "file": str(out)} if out is not None and as_json else found, as_json)
    if out is not None and not as_json:
        from undiced.cli.terminal import folded

        uses = "" if placing.machine == "host" else f": `undiced simulate {out}` times it, `undiced map {out}` draws it"
        typer.echo(folded(printable(f"Wrote {out}{uses}."), sys.stdout))


@gathered
def simulate(
    given: typer.Context,
    model: Timed,
    *,
    placing: Compiling,
    phase: Phase = "decode",
    prefix: Prefix = None,
    draft: Annotated[
        str | None,
        typer.Option(help="Speculate with this draft model, on spare cores or a wafer of its own; or with lookup."),
    ] = None,
    routing: Routing = None,
    acceptance: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE|measured[:WORK]|FILE.json[:WORK]",
            help="How likely a guess is right; goes with --draft. 0.8 is assumed of drafts, lookups were measured.",
        ),
    ] = None,
    frontier: Annotated[
        bool, typer.Option("--frontier", help="How many streams of which context the same memory holds, and how fast.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Time a model on wafers. Says seconds and cycles per token, and where every cycle goes."""
    from undiced.study.program_file import is_program, open_program
    from undiced.study.question import Placed, as_compiled

    if draft is None:
        refuse_given(given, {"acceptance"}, "has no effect without --draft")
    asked = replace(
        placing.question(model, phase), prefix=prefix, draft=draft, routing=routing, acceptance=acceptance,
        frontier=frontier,
    )  # fmt: skip
    if not is_program(model):
        _show(
            _replayed(asked) if asked.replayed else _answer(_placed(asked, quiet=as_json), asked, quiet=as_json),
            as_json,
        )
        return
    refuse_given(given, DECIDED, "was decided when the program was compiled")
    opened = open_program(Path(model), placing.machine)
    with opened.computing():
        found = _answer(Placed(opened.program, opened.wafer), as_compiled(asked, opened.program), quiet=as_json)
    _show(found, as_json)


def _placed(asked: Question, *, quiet: bool) -> Placed:
    """The program that answers a question; shows how far that is."""
    from undiced.cli.terminal import Bar
    from undiced.study.question import place

    asked.check()
    with Bar("Placing", quiet=quiet) as bar:
        return place(asked, bar.share)


def _answer(placed: Placed, asked: Question, *, quiet: bool = True) -> dict[str, object]:
    """The report; shows how far a draft is placed."""
    from undiced.cli.terminal import Bar
    from undiced.study.answer import whole_answer

    with Bar("Placing the draft", quiet=quiet or asked.draft is None) as bar:
        return whole_answer(placed, asked, bar.share)


def _replayed(asked: Question) -> dict[str, object]:
    from undiced.study.replay import replay_answer

    asked.check()
    return replay_answer(asked)


def _host_summary(compiled: Compiled) -> dict[str, object]:
    """What the program is, and the work of a token at the longest context it holds."""
    from undiced.model.node import Load

    program, graph = compiled.program, compiled.graph
    load = Load(1, float(program.bounds.context))
    return {
        "machine": program.machine,
        "model": program.model,
        "threads": program.cores,
        "instructions": len(program.instrs),
        "parameters": graph.parameters,
        "active_parameters": graph.active_parameters,
        "flops_per_token": graph.flops(load),
        "weight_bytes": program.fact("weight_bytes"),
        "bytes_per_token": program.fact("matmul_bytes_per_token"),
        "digest": program.digest,
    }


def _show(found: dict[str, object], as_json: bool) -> None:
    from undiced.cli.terminal import emit

    if as_json:
        emit(found)
        return
    from undiced.cli.report import show

    show(found)
