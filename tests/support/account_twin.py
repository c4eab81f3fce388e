"""The obvious twin of who may do what with accounts: from the rows of all tables every right is spelled out as a token.

A right is (scope, organization, project); the project is None for what is done in the whole organization. Slow, and
written from docs/accounts.md alone: it shares no line with the package.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]
State = dict[str, dict[Any, Row]]  # table, key of the row, row
Token = tuple[str, str | None, str | None]

MANAGE = (
    "orgs:read", "orgs:write", "projects:read", "projects:write", "members:read", "members:write",
    "keys:read", "keys:write", "audit:read", "billing:read",
)  # fmt: skip
ROLES = {
    "org_admin": {*MANAGE, "all keys"},
    "billing": {"orgs:read", "projects:read", "audit:read", "billing:read"},
    "project_admin": {
        "orgs:read", "projects:read", "projects:write", "members:read", "keys:read", "keys:write",
        "billing:read", "all keys",
    },
    "member": {"orgs:read", "projects:read", "keys:read", "keys:write"},
}  # fmt: skip
IN_A_PROJECT = ("project_admin", "member")
WIDE = ("orgs:write", "members:write", "audit:read")
OPERATOR: Row = {
    "id": "",
    "org_id": None,
    "project_id": None,
    "member_id": None,
    "kind": "management",
    "scopes": MANAGE,
}


def places(state: State, key: Row) -> Iterator[tuple[str | None, str | None]]:
    """Where a key is good for anything."""
    if key["project_id"] is not None:
        yield key["org_id"], key["project_id"]
        return
    if key["org_id"] is None:
        yield None, None
    for org_id in state["organizations"]:
        if key["org_id"] in (None, org_id):
            yield org_id, None
            for project in state["projects"].values():
                if project["org_id"] == org_id:
                    yield org_id, project["id"]


def role_rights(state: State, member_id: str, project_id: str | None) -> set[str]:
    """What a person may do in a project, or in the whole organization."""
    found: set[str] = set()
    for grant in state["grants"].values():
        if grant["member_id"] == member_id and (
            grant["role"] not in IN_A_PROJECT or (project_id is not None and grant["project_id"] == project_id)
        ):
            found |= ROLES[grant["role"]]
    return found


def rights(state: State, key: Row) -> set[Token]:
    """Everything that the holder of a key may do. `all keys`: it is not bound to those of its own person."""
    found = set()
    for org_id, project_id in places(state, key):
        allowed = {*key["scopes"], "all keys"}
        if key["member_id"] is not None:
            allowed &= role_rights(state, key["member_id"], project_id) | ({*key["scopes"]} - {*MANAGE})
        found |= {(scope, org_id, project_id) for scope in allowed}
    return found


def scopes_of(tokens: set[Token]) -> set[str]:
    return {scope for scope, _, _ in tokens}


def alive(state: State, key: Row, now: int) -> bool:
    """Whether a key opens anything."""
    if any(key[name] is not None and key[name] <= now for name in ("expires", "revoked", "overlap_until")):
        return False
    owners = (("organizations", "org_id"), ("projects", "project_id"), ("members", "member_id"))
    if any(key[name] is not None and state[table][key[name]]["archived"] is not None for table, name in owners):
        return False
    if key["member_id"] is None or key["project_id"] is None:
        return True
    return "keys:write" in role_rights(state, key["member_id"], key["project_id"])


def sees_key(state: State, holder: Row, key: Row) -> bool:
    tokens = rights(state, holder)
    if holder["org_id"] not in (None, key["org_id"]) or holder["project_id"] not in (None, key["project_id"]):
        return False
    if "keys:read" not in scopes_of(tokens):
        return False
    own = key["member_id"] is not None and key["member_id"] == holder["member_id"]
    return own or ("all keys", key["org_id"], key["project_id"]) in tokens


def reaches_project(state: State, holder: Row, project: Row) -> bool:
    """Whether a project exists for somebody."""
    if holder["org_id"] not in (None, project["org_id"]) or holder["project_id"] not in (None, project["id"]):
        return False
    return holder["member_id"] is None or bool(role_rights(state, holder["member_id"], project["id"]))


def reaches_member(state: State, holder: Row, member: Row) -> bool:
    """Whether a member exists for somebody: as itself, in the whole organization, or in a project of both."""
    if holder["org_id"] not in (None, member["org_id"]):
        return False
    person = holder["member_id"]
    whole = person is None or bool(role_rights(state, person, None))
    if person == member["id"] or (holder["project_id"] is None and whole):
        return True
    grants = [grant for grant in state["grants"].values() if grant["member_id"] == member["id"] and grant["project_id"]]
    return any(reaches_project(state, holder, state["projects"][grant["project_id"]]) for grant in grants)


def sees_member(state: State, holder: Row, member: Row) -> bool:
    if holder["org_id"] not in (None, member["org_id"]):
        return False
    tokens, org_id = rights(state, holder), member["org_id"]
    if holder["member_id"] == member["id"] or ("members:read", org_id, None) in tokens:
        return True
    grants = [grant for grant in state["grants"].values() if grant["member_id"] == member["id"]]
    return any(grant["project_id"] and ("members:read", org_id, grant["project_id"]) in tokens for grant in grants)


def sees_project(state: State, holder: Row, project: Row) -> bool:
    return ("projects:read", project["org_id"], project["id"]) in rights(state, holder)


def excess(before: State, after: State, holder: Row) -> list[str]:
    """What of the difference between two states its author had no right to; empty where all is well."""
    tokens, found = rights(before, holder), list[str]()

    def need(scope: str, org_id: str | None, project_id: str | None, why: str) -> None:
        if (scope, org_id, project_id) not in tokens:
            found.append(f"{why} without {scope}")

    for table, old, new in _changes(before, after):
        row = new or old
        assert row is not None
        org_id = row["id"] if table == "organizations" else row.get("org_id")
        if table in ("facts", "instances"):
            continue
        if holder["org_id"] not in (None, org_id):
            found.append(f"{table} of another organization")
        if table == "organizations":
            need("orgs:write", org_id if old else None, None, "organization")
        elif table == "projects":
            first = old is None and org_id not in before["organizations"]
            need(
                "projects:write" if not first else "orgs:write",
                None if first else org_id,
                row["id"] if old else None,
                "project",
            )
        elif table in ("members", "invitations"):
            need("members:write", org_id, None, table)
        elif table == "grants":
            need("members:write", org_id, None, "role")
        elif table == "keys" and old is not None:
            need("keys:write", org_id, row["project_id"], "key changed")
            if not sees_key(before, holder, old):
                found.append("a key changed that is not seen")
        elif table == "keys":
            found += _gained(after, tokens, holder, row)
        if table in ("grants", "invitations") and not (table == "invitations" and old):
            for scope in ROLES[row["role"]]:
                need(scope, org_id, row["project_id"], f"role {row['role']}")
    return found


def _gained(state: State, tokens: set[Token], holder: Row, key: Row) -> list[str]:
    """What a new key gives that its maker did not have."""
    found = []
    if ("keys:write", key["org_id"], key["project_id"]) not in tokens:
        found.append("key without keys:write")
    own = key["member_id"] is not None and key["member_id"] == holder["member_id"]
    if not own and ("all keys", key["org_id"], key["project_id"]) not in tokens:
        found.append("key of somebody else")
    if key["kind"] == "inference":
        if {"metrics", "priority"} & set(key["scopes"]) and holder["org_id"] is not None:
            found.append("a scope of the operator's own")
        return found
    if not own and key["member_id"] is not None and ("members:write", key["org_id"], None) not in tokens:
        found.append("another member's identity")
    return found + [f"gained {token}" for token in rights(state, key) - tokens]


def _changes(before: State, after: State) -> Iterator[tuple[str, Row | None, Row | None]]:
    for table in after:
        for name in before[table].keys() | after[table].keys():
            old, new = before[table].get(name), after[table].get(name)
            if old != new:
                yield table, old, new
