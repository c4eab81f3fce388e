"""Who wants no accounts loads nothing for them."""

import subprocess
import sys

HEAVY = ("sqlalchemy", "alembic", "psycopg")
LIGHT = (
    "undiced",
    "undiced.account.scopes, undiced.account.records, undiced.account.errors",
    "undiced.account.actor, undiced.account.secret_text, undiced.account.names, undiced.account.pepper",
    "undiced.cli.app",
    "undiced.api.app",
)


def test_the_databases_library_is_loaded_by_nobody_who_does_not_use_it() -> None:
    lines = ["import sys"]
    for names in LIGHT:
        lines += [f"import {names}", f"print({names!r}, [name for name in {HEAVY} if name in sys.modules])"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{names} []" for names in LIGHT]
