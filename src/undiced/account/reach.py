"""Finding what an actor names, by name or id. What lies outside its reach is not found, whether it is there or not.

In a transaction that writes, an organization that was found is held until the end: whatever changes one begins here, so
its changes happen one after another. Knows reach and no scopes; what may be done with what was found is asked for
elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import or_, select

from undiced.account.errors import ArchivedError, UnknownNameError
from undiced.account.names import folded
from undiced.account.records import Grant, Member, Organization, Project
from undiced.account.scopes import OF_PROJECTS
from undiced.account.tables import GRANTS, MEMBERS, ORGANIZATIONS, PROJECTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import RowMapping, Select

    from undiced.account.actor import Actor
    from undiced.account.database import Transaction

_LISTS = {"invitation": "member invitations"}  # the commands that are not called after what they list


def organization(transaction: Transaction, actor: Actor, ref: str, *, active: bool = False) -> Organization:
    """An organization by its name or id. `active`: it has to be one that is not archived.

    Raises:
        UnknownNameError: none is called that, or it does not exist for the actor. ArchivedError: it is.
    """
    table = ORGANIZATIONS
    query = select(table).where(or_(table.c.id == ref, table.c.name == ref))
    if actor.org_id is not None:
        query = query.where(table.c.id == actor.org_id)
    row = one(transaction, held(transaction, query)) if ref.isprintable() else None
    if row is None:
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
    query = select(table).where(table.c.org_id == org.id, or_(table.c.id == ref, table.c.name == ref))
    row = one(transaction, query) if ref.isprintable() else None
    if row is None or not actor.reaches(row["id"]):
        raise unknown("project", ref, "project")
    found = Project(**row)
    if active and found.archived is not None:
        raise archived("project", found.name)
    return found


def member(transaction: Transaction, actor: Actor, org: Organization, ref: str, *, active: bool = False) -> Member:
    """A member of an organization by id or e-mail address; of several with one address the one that is not archived,
    or was last. `active`: it has to be one that is not archived.

    Raises:
        UnknownNameError: nobody is called that, or nobody who exists for the actor. ArchivedError: it is.
    """
    table = MEMBERS
    query = select(table).where(table.c.org_id == org.id, or_(table.c.id == ref, table.c.email == folded(ref)))
    last = query.order_by(table.c.archived.is_not(None), table.c.archived.desc(), table.c.id).limit(1)
    row = one(transaction, last) if ref.isprintable() else None
    found = None if row is None else Member(**row, grants=grants_of(transaction, [row["id"]]).get(row["id"], ()))
    if found is None or not reaches_member(actor, found):
        raise unknown("member", ref, "member")
    if active and found.archived is not None:
        raise archived("member", found.email)
    return found


def reaches_member(actor: Actor, one: Member) -> bool:
    """Whether a member exists for an actor: as itself, in its whole organization, or in one of its projects."""
    if actor.member_id == one.id or actor.reaches(None):
        return True
    return any(grant.role in OF_PROJECTS and actor.reaches(grant.project_id) for grant in one.grants)


def grants_of(transaction: Transaction, members: Sequence[str]) -> dict[str, tuple[Grant, ...]]:
    """The roles of members, by their ids."""
    table, found = GRANTS, dict[str, tuple[Grant, ...]]()
    query = select(table.c.member_id, table.c.role, table.c.project_id).where(table.c.member_id.in_(members))
    order = (table.c.member_id, table.c.role, table.c.project_id)
    for member_id, role, project_id in transaction.connection.execute(query.order_by(*order)):
        found[member_id] = (*found.get(member_id, ()), Grant(role, project_id))
    return found


def held(transaction: Transaction, query: Select[tuple[object, ...]]) -> Select[tuple[object, ...]]:
    """The query; if the transaction writes, nobody else changes its rows until then. SQLite has one writer anyway."""
    return query.with_for_update(key_share=True) if transaction.writes else query


def one(transaction: Transaction, query: Select[tuple[object, ...]]) -> RowMapping | None:
    """The row of a query that has one at most."""
    return transaction.connection.execute(query).mappings().one_or_none()


def unknown(what: str, ref: str, param: str) -> UnknownNameError:
    """The error for a name that names nothing."""
    command = _LISTS.get(param, f"{param} list")
    return UnknownNameError(f"There is no {what} '{ref[:80]}'.", remedy=f"See: undiced {command}.", param=param)


def archived(what: str, name: str) -> ArchivedError:
    """The error for what is archived."""
    return ArchivedError(f"The {what} '{name}' is archived.", remedy="Ask whoever runs the server for another.")
