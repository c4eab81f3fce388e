"""`undiced trace`: one token's way over wafers as a file for trace viewers.

Knows what is asked and where it is written; tracks and their format are the simulators'.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from undiced.cli.asking import (
    Batch,
    Clock,
    CodeBytes,
    Groups,
    Layers,
    Mapping,
    Objective,
    Phase,
    Region,
    Stages,
    Sums,
    Timed,
    TimedContext,
    TimedMachine,
    Wafers,
    Weights,
)
from undiced.cli.options import Json
from undiced.cli.report import writing
from undiced.core.printable import printable


def trace(
    given: typer.Context,
    model: Timed,
    out: Annotated[Path, typer.Option("--output", "-o", help="Write the trace to this file.")] = Path("trace.json"),
    machine: TimedMachine = None,
    wafers: Wafers = None,
    weights: Weights = "fp16",
    sum_bits: Sums = 16,
    mapping: Mapping = "undiced",
    context: TimedContext = None,
    batch: Batch = 1,
    region: Region = "auto",
    groups: Groups = None,
    stages: Stages = None,
    layers: Layers = None,
    phase: Phase = "decode",
    objective: Objective = "latency",
    clock: Clock = None,
    code_bytes: CodeBytes = None,
    as_json: Json = False,
) -> None:
    """Write one token's simulated time line, instruction by instruction, for Perfetto and other trace viewers."""
    from undiced.cli.charted import charted
    from undiced.cli.pictures import expect
    from undiced.cli.terminal import emit, folded
    from undiced.sim.trace import token
    from undiced.sim.trace.chrome import document
    from undiced.sim.views.words import stamp
    from undiced.study.question import Question

    expect(out)
    asked = Question(
        model, machine or "wse3", wafers, context, batch, weights, sum_bits, mapping, objective, phase, region, groups,
        stages, layers, code_bytes, clock,
    )  # fmt: skip
    with charted(given, model, asked, machine, "Writing", quiet=as_json) as atlas:
        tracks, told = token.groups(atlas), token.about(atlas)
        text = "".join(document(tracks, list(token.arrows(atlas)), atlas.timing.clock_hz, told))
        with writing(out):
            out.write_text(text, encoding="utf-8")
    slices = sum(len(track.slices) for group in tracks for track in group.tracks)
    if as_json:
        emit({"file": str(out), "slices": slices, **told})
        return
    typer.echo(printable(f"{out}: {slices:,} slices of one simulated token. Perfetto (ui.perfetto.dev) opens it."))
    if atlas.unfit is not None:
        typer.echo(folded(printable(stamp(atlas)), sys.stderr), err=True)
