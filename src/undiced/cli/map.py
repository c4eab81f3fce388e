"""`undiced map`: where a model lies on wafers and where its time goes, as a page or a picture.

Knows what is asked and where it is written; what is shown is the atlas's, how it is drawn the views'.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from undiced.cli.asking import Phase, Timed, Weighing
from undiced.cli.gathered import gathered
from undiced.cli.options import Json
from undiced.cli.report import writing
from undiced.core.printable import printable

if TYPE_CHECKING:
    from undiced.cli.charted import Linking
    from undiced.sim.atlas.atlas import Atlas

_Show = Literal["layers", "time", "sram", "traffic", "links", "trees", "timeline"]
_Theme = Literal["auto", "light", "dark"]
_PAGE = ".html"
_FORMS = (_PAGE, ".svg", ".png")


@gathered
def map_wafer(
    given: typer.Context,
    model: Timed,
    *,
    out: Annotated[
        Path, typer.Option("--output", "-o", help="FILE.html has all views and tables, FILE.svg and FILE.png one view.")
    ] = Path("wafer.html"),
    show: Annotated[_Show, typer.Option(help="The view of an .svg or .png, and the first one of an .html.")] = "layers",
    links: Annotated[
        bool,
        typer.Option(
            "--links", help="Simulate a layer wavelet by wavelet before: a view of what links carry. Minutes."
        ),
    ] = False,
    loads: Annotated[
        Path | None,
        typer.Option(
            "--loads", help="The same from an .npz of `undiced fabric layer --loads`, at once.", metavar="FILE"
        ),
    ] = None,
    theme: Annotated[_Theme, typer.Option(help="Colors; auto follows the reader's (a .png is light).")] = "auto",
    placing: Weighing,
    phase: Phase = "decode",
    as_json: Json = False,
) -> None:
    """Draw a model on wafers: its layers, time, memory, traffic and a token's time line. As a page, SVG or PNG."""
    from undiced.cli.charted import charted
    from undiced.cli.pictures import expect, see_form
    from undiced.cli.terminal import emit, folded
    from undiced.sim.atlas.record import record
    from undiced.sim.views.words import stamp

    see_form(out, _FORMS, "Name the file wafer.html.")
    expect(out)
    asked = placing.question(model, phase)
    linking = _linking(loads, links or show == "links")
    with charted(given, model, asked, placing.machine, "Drawing", quiet=as_json, linking=linking) as atlas:
        drawn = _drawn(atlas, out, show, theme)
    with writing(out):
        out.write_bytes(drawn)
    if as_json:
        emit({"file": str(out), **record(atlas)})
        return
    typer.echo(printable(str(out)))
    if atlas.unfit is not None:
        typer.echo(folded(printable(stamp(atlas)), sys.stderr), err=True)


def _linking(loads: Path | None, simulated: bool) -> Linking | None:
    """How link loads are found: in a file, by simulating, or not at all."""
    if loads is not None:
        from undiced.sim.atlas.links_file import read

        held = read(loads)
        return lambda *_: held
    if simulated:
        from undiced.sim.atlas.links import simulate_links

        return simulate_links
    return None


def _drawn(atlas: Atlas, out: Path, show: _Show, theme: _Theme) -> bytes:
    from undiced.cli.pictures import encoded
    from undiced.sim.views.page import page
    from undiced.sim.views.picture import picture

    if out.suffix.lower() == _PAGE:
        return page(atlas, show, theme).encode()
    return encoded(picture(atlas, show), out, theme)
