"""`undiced trace`: one token's way over wafers as a file for trace viewers.

Knows what is asked and where it is written; tracks and their format are the simulators'.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from undiced.cli.asking import Phase, Timed, Weighing
from undiced.cli.gathered import gathered
from undiced.cli.options import Json
from undiced.cli.report import writing
from undiced.core.printable import printable


@gathered
def trace(
    given: typer.Context,
    model: Timed,
    *,
    out: Annotated[Path, typer.Option("--output", "-o", help="Write the trace to this file.")] = Path("trace.json"),
    placing: Weighing,
    phase: Phase = "decode",
    as_json: Json = False,
) -> None:
    """Write one token's simulated time line, instruction by instruction, for Perfetto and other trace viewers."""
    from undiced.cli.charted import charted
    from undiced.cli.pictures import expect
    from undiced.cli.terminal import emit, folded
    from undiced.sim.trace import token
    from undiced.sim.trace.chrome import document
    from undiced.sim.views.words import stamp

    expect(out)
    asked = placing.question(model, phase)
    with charted(given, model, asked, placing.machine, "Writing", quiet=as_json) as atlas:
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
