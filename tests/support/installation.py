"""An installation of accounts for tests: two organizations on a SQLite database, and keys as they are asked for."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced.account.accounts import Accounts
from undiced.account.actor import Actor
from undiced.account.keys import KeyOrder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from undiced.account.records import Key

OPERATOR = Actor.operator("test")


@dataclass
class Installation:
    """`secrets`: every secret that was ever shown."""

    url: str
    accounts: Accounts
    secrets: list[str]

    def key(self, org: str | None = "acme", kind: str = "inference", **order: object) -> str:
        """The text of a new key."""
        return self.fresh(org, kind, **order)[1]

    def fresh(self, org: str | None = "acme", kind: str = "inference", **order: object) -> tuple[Key, str]:
        """A new key and its text."""
        project = "default" if kind == "inference" else None
        made, text = self.accounts.keys.create(OPERATOR, KeyOrder(kind, org, **{"project": project, **order}))
        self.secrets.append(text.reveal())
        return made, text.reveal()

    def org_id(self, name: str) -> str:
        return self.accounts.organizations.show(OPERATOR, name).id


@contextmanager
def installed(folder: Path) -> Iterator[Installation]:
    """Organizations `acme` and `globex`, each with its default project."""
    url = str(folder / "accounts.db")
    accounts = Accounts(url)
    for name in ("acme", "globex"):
        accounts.organizations.create(OPERATOR, name)
    try:
        yield Installation(url, accounts, [])
    finally:
        accounts.close()


def bearer(key: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"authorization": f"Bearer {key}"}
