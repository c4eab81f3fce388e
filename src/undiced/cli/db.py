"""`undiced db`: the database of accounts as a whole: its schema, whether it is sound, a copy of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from undiced.cli.accounts import Db, Place
from undiced.cli.gathered import gathered
from undiced.cli.options import Json
from undiced.cli.rows import say
from undiced.core.exits import Exit


def upgrade(db: Db = None, as_json: Json = False) -> None:
    """Bring the database to this version's schema, or make one. It changes whole or not at all."""
    from undiced.account import schema
    from undiced.cli.terminal import Bar, emit

    with Place(db).database(create=True) as database, Bar("Upgrading", quiet=as_json) as bar:
        steps = len(schema.known())
        found = schema.upgrade(database, lambda at: bar.share(int(at) / steps, f"Upgraded to {at}"))
    if as_json:
        emit({"database": database.shown, "before": found, "schema": schema.HEAD})
    elif found == schema.HEAD:
        say(f"{database.shown} has the newest schema ({found}).")
    else:
        was = "was empty" if found is None else f"was {found}"
        say(f"{database.shown} has schema {schema.HEAD} now; it {was}.")


@gathered
def check(*, place: Place, as_json: Json = False) -> None:
    """See whether the database is whole and its pepper fits. Status 1 if not."""
    from undiced.account.check import check as checked
    from undiced.account.check import counts
    from undiced.cli.rows import show_lines
    from undiced.cli.terminal import Bar, emit

    with place.database() as database:
        with Bar("Checking", quiet=as_json) as bar:
            found = list(checked(database, place.pepper_file, bar.share))
        fine = all(each.fine for each in found)
        holds = counts(database) if fine else {}
    if as_json:
        emit({"database": database.shown, "fine": fine, "findings": [asdict(each) for each in found], "counts": holds})
    else:
        lines = [("database", database.shown), *((each.what, f"{each.words} {each.remedy}") for each in found)]
        show_lines([*lines, *((name, f"{count:,}") for name, count in holds.items())])
    if not fine:
        raise typer.Exit(Exit.ERROR)


def back_up(
    file: Annotated[Path, typer.Argument(help="A new file.", metavar="FILE")], db: Db = None, as_json: Json = False
) -> None:
    """Copy the database while it is in use. The pepper is not in it: keep its file elsewhere."""
    from undiced.account import schema
    from undiced.account.backup import backup
    from undiced.cli.terminal import Bar, emit

    with Place(db).database() as database:
        schema.present(database)
        with Bar(f"Copying to {file}", quiet=as_json) as bar:
            nbytes = backup(database, file, lambda share: bar.share(share, ""))
    if as_json:
        emit({"database": database.shown, "file": str(file), "bytes": nbytes})
    else:
        say(f"Copied {database.shown} to {file}: {nbytes:,} bytes.")
        say("The pepper is not in it. Keep a copy of its file in another place.", err=True)
