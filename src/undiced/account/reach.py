"""Finding what an actor names, by name or id. What lies outside its reach is not found, whether it is there or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import or_, select

from undiced.account.errors import ArchivedError, UnknownNameError
from undiced.account.records import Grant, Member, Organization, Project
from undiced.account.tables import GRANTS, MEMBERS, ORGANIZATIONS, PROJECTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import RowMapping, Select

    from undiced.account.actor import Actor
    from undiced.account.database import Transaction


def organization(transaction: Transaction, actor: Actor, ref: str, *, active: bool = False) -> Organization:
    """An organization by its name or id. `active`: it has to be one that is not archived.

    Raises:
        UnknownNameError: none is called that, or it does not exist for the actor. ArchivedError: it is.
    """
    table = ORGANIZATIONS
    row = one(transaction, select(table).where(or_(table.c.id == ref, table.c.name == ref)))
    if row is None or not actor.sees(row["id"]):
        raise unknown("organization", ref, "org")
    found = Organization(**row)
    if active and found.archived is not None:
        raise archived("organization", found.name)
    return found


def project(transaction: Transaction, actor: Actor, org: Organization, ref: str, *, active: bool = False) -> Project:
    """A project of an organization by its name or id. `active`: it has to be one that is not archived.

    Raises:
        UnknownNameError: none is called that, or it does not exist for the actor. ArchivedError: it is.
    """
    table = PROJECTS
    row = one(transaction, select(table).where(table.c.org_id == org.id, or_(table.c.id == ref, table.c.name == ref)))
    if row is None or not actor.may("projects:read", row["id"]):
        raise unknown("project", ref, "project")
    found = Project(**row)
    if active and found.archived is not None:
        raise archived("project", found.name)
    return found


def member(transaction: Transaction, org: Organization, ref: str, *, active: bool = False) -> Member:
    """A member of an organization by id or e-mail address. `active`: it has to be one that is not archived.

    Raises:
        UnknownNameError: nobody is called that. ArchivedError: it is.
    """
    table = MEMBERS
    query = select(table).where(table.c.org_id == org.id, or_(table.c.id == ref, table.c.email == ref.lower()))
    row = one(transaction, query)
    if row is None:
        raise unknown("member", ref, "member")
    found = Member(**row, grants=grants_of(transaction, [row["id"]]).get(row["id"], ()))
    if active and found.archived is not None:
        raise archived("member", found.email)
    return found


def grants_of(transaction: Transaction, members: Sequence[str]) -> dict[str, tuple[Grant, ...]]:
    """The roles of members, by their ids."""
    table, found = GRANTS, dict[str, tuple[Grant, ...]]()
    query = select(table.c.member_id, table.c.role, table.c.project_id).where(table.c.member_id.in_(members))
    order = (table.c.member_id, table.c.role, table.c.project_id)
    for member_id, role, project_id in transaction.connection.execute(query.order_by(*order)):
        found[member_id] = (*found.get(member_id, ()), Grant(role, project_id))
    return found


def one(transaction: Transaction, query: Select[tuple[object, ...]]) -> RowMapping | None:
    """The row of a query that has one at most."""
    return transaction.connection.execute(query).mappings().one_or_none()


def unknown(what: str, ref: str, param: str) -> UnknownNameError:
    """The error for a name that names nothing."""
    return UnknownNameError(f"There is no {what} '{ref[:80]}'.", remedy=f"See: undiced {param} list.", param=param)


def archived(what: str, name: str) -> ArchivedError:
    """The error for what is archived."""
    return ArchivedError(f"The {what} '{name}' is archived.", remedy="Ask whoever runs the server for another.")
