"""docs/accounts.md against the code: what scopes mean, what roles include, which tables there are."""

import re
from pathlib import Path

from support import account_twin as twin

from undiced.account.scopes import INFERENCE_SCOPES, MANAGEMENT_SCOPES, OF_PROJECTS, ROLES, WIDE
from undiced.account.tables import METADATA

PAGE = (Path(__file__).parents[3] / "docs" / "accounts.md").read_text()


def table(title: str, head: str) -> list[list[str]]:
    """The rows of a table of a section, its head first."""
    section = re.split(r"\n## ", PAGE.split(f"\n## {title}\n", 1)[1])[0]
    lines = section[section.index(f"| {head} |") :].split("\n\n")[0].splitlines()
    return [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in lines
        if not line.startswith("|---")
    ]


def test_scopes_and_roles() -> None:
    head, *rows = table("Roles and scopes", "Scope")
    assert {row[0]: row[1] for row in rows} == MANAGEMENT_SCOPES
    for column, role in enumerate(head[2:], 2):
        assert {row[0] for row in rows if row[column]} == ROLES[role]
        whole = {row[column] for row in rows if row[column]}
        assert (whole == {"yes"}) == (role not in OF_PROJECTS)
    assert set(head[2:]) == ROLES.keys()
    assert set(re.findall(r"`([a-z:]+)`", PAGE.split("- **In a project**")[1].split("are for nothing")[0])) == WIDE


def test_scopes_for_inference() -> None:
    _, *rows = table("Serve with keys", "Scope")
    assert {row[0] for row in rows if not row[0].startswith("none")} == INFERENCE_SCOPES.keys()


def test_the_twin_of_the_isolation_test_knows_the_same_roles() -> None:
    assert set(twin.MANAGE) == MANAGEMENT_SCOPES.keys()
    assert {role: scopes - {"all keys"} for role, scopes in twin.ROLES.items()} == ROLES
    assert (set(twin.IN_A_PROJECT), set(twin.WIDE)) == (OF_PROJECTS, WIDE)


def test_tables() -> None:
    named = {name for row in table("How it is kept", "Table")[1:] for name in re.findall(r"[a-z]+", row[0])}
    assert named == METADATA.tables.keys()
