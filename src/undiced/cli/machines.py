"""`undiced machines`: the machines that models can be placed on, and every figure of one with its provenance."""

from __future__ import annotations

import textwrap
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.options import Json
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from undiced.machine.constant import Constant
    from undiced.machine.wafer import Wafer

_NAME = 13  # columns
_WIDE = 110  # columns in which a meaning has room beside its figure


def machines(
    name: Annotated[
        str | None, typer.Argument(help="A machine or a .toml file: prints every figure of it.", metavar="NAME")
    ] = None,
    toml: Annotated[bool, typer.Option("--toml", help="Print it as a machine file, to start one of your own.")] = False,
    sources: Annotated[bool, typer.Option("--sources", help="Print where each figure comes from, too.")] = False,
    as_json: Json = False,
) -> None:
    """List the machines, or print one. Each figure has its unit, provenance and meaning.

    A machine of your own is a TOML file: base = "wse3", and the fields that differ. undiced machines wse3 --toml prints
    all of them.
    """
    from undiced.cli.terminal import emit
    from undiced.machine import PRESETS, find_machine
    from undiced.machine.toml import as_toml

    if name is None:
        if toml or sources:
            raise InvalidRequestError("A list has no figures.", remedy="Name a machine, for example wse3.")
        known = [preset() for preset in PRESETS.values()]
        emit([_summary(wafer) for wafer in known]) if as_json else _list(known)
        return
    wafer = find_machine(name)
    if toml:
        emit({"toml": as_toml(wafer)}) if as_json else typer.echo(as_toml(wafer), nl=False)
    elif as_json:
        emit({**_summary(wafer), "constants": _constants(wafer)})
    else:
        _show(wafer, sources)


def _summary(wafer: Wafer) -> dict[str, object]:
    columns, rows = wafer.mesh.size
    sram = wafer.core.sram_bytes.value
    return {
        "name": wafer.name,
        "columns": columns,
        "rows": rows,
        "sram_bytes_per_core": sram,
        "sram_bytes": sram * wafer.mesh.cores,
        "clock_hz": wafer.system.clock_hz.value,
    }


def _constants(wafer: Wafer) -> dict[str, dict[str, object]]:
    """Every figure by its name in a machine file."""
    meanings = wafer.meanings()
    return {
        name: {
            "value": each.value,
            "unit": each.unit,
            "provenance": each.provenance,
            "source": each.source,
            "low": each.low,
            "high": each.high,
            "meaning": meanings[name],
        }
        for name, each in wafer.constants()
    }


def _list(known: list[Wafer]) -> None:
    for wafer in known:
        columns, rows = wafer.mesh.size
        sram, clock = wafer.core.sram_bytes.value, wafer.system.clock_hz.value / 1e9
        typer.echo(
            f"{wafer.name:<{_NAME}}{columns} x {rows} usable cores, {sram / 1024:.0f} KiB each: "
            f"{sram * wafer.mesh.cores / 1e9:.1f} GB a wafer, at {clock:g} GHz"
        )
    typer.echo(f"{'toy-8x8':<{_NAME}}a mesh of wse3's cores, columns x rows")
    typer.echo(f"{'toy-8x8:48K':<{_NAME}}the same with that SRAM a core")
    typer.echo(f"{'FILE.toml':<{_NAME}}one of your own; to start: undiced machines wse3 --toml > FILE.toml")


def _show(wafer: Wafer, sources: bool) -> None:
    """A line per figure with its meaning beside it, or under it where the terminal is narrow."""
    from rich.table import Table

    from undiced.cli.terminal import table_console

    meanings, console = wafer.meanings(), table_console(highlight=False)
    if console.width < _WIDE:
        _show_narrow(wafer, sources, console.width)
        return
    for section, each in groupby(wafer.constants(), key=lambda pair: pair[0].split(".")[0]):
        grid = Table(box=None, pad_edge=False, header_style="bold", expand=False)
        grid.add_column(f"[{section}]".replace("[", r"\["), no_wrap=True)
        grid.add_column("value", justify="right", no_wrap=True)
        grid.add_column("unit", no_wrap=True)
        grid.add_column("provenance", no_wrap=True)
        grid.add_column("meaning" + ("; source" if sources else ""), overflow="fold")
        for name, constant in each:
            said = f"{meanings[name]}; {constant.source}" if sources else meanings[name]
            unit = "" if constant.unit == "1" else constant.unit
            grid.add_row(
                name.split(".")[1], f"{constant.value:,.10g}", unit, _known(constant), said.replace("[", r"\[")
            )
        console.print(grid)
        console.print()


def _show_narrow(wafer: Wafer, sources: bool, columns: int) -> None:
    meanings, last = wafer.meanings(), ""
    for name, constant in wafer.constants():
        section, field = name.split(".")
        if section != last:
            typer.secho(f"[{section}]" if not last else f"\n[{section}]", bold=True)
        last = section
        unit = "" if constant.unit == "1" else constant.unit
        typer.echo(f"{field:<26} {constant.value:>13,.10g} {unit:<10} {_known(constant)}")
        said = f"{meanings[name]}; {constant.source}" if sources else meanings[name]
        typer.echo(textwrap.fill(said, columns, initial_indent="    ", subsequent_indent="    "))


def _known(constant: Constant) -> str:
    """How a figure is known, with the range that it is varied over."""
    if constant.low is None or constant.high is None or constant.low == constant.high:
        return constant.provenance
    return f"{constant.provenance}, {constant.low:.3g} to {constant.high:.3g}"
