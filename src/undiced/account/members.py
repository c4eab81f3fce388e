"""Members: the people of an organization and their roles."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import delete, exists, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from undiced.account.audit import note
from undiced.account.changes import raise_counter
from undiced.account.errors import NameTakenError, PermissionDeniedError
from undiced.account.names import email_of, role_of
from undiced.account.paging import LIST_MOST, part
from undiced.account.reach import grants_of, member, organization, project, unknown
from undiced.account.records import Grant, Member, Organization
from undiced.account.scopes import OF_PROJECTS, ROLES
from undiced.account.secret_text import new_id
from undiced.account.tables import GRANTS, MEMBERS

if TYPE_CHECKING:
    from sqlalchemy import Select

    from undiced.account.actor import Actor
    from undiced.account.database import Database, Transaction


class Members:
    """See the file's head."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, actor: Actor, org: str, email: str, role: str, project: str | None = None) -> Member:
        """A new member with a first role.

        Raises:
            InvalidRequestError: no address, no role, or a role at the wrong place.
            NameTakenError: there is a member with that address. UnknownNameError, ArchivedError, PermissionDeniedError.
        """
        email = email_of(email)
        try:
            with self._database.write() as transaction:
                found = organization(transaction, actor, org, active=True)
                grant = grant_of(transaction, actor, found, role, project, active=True)
                return add_member(transaction, actor, found, email, grant)
        except IntegrityError:
            remedy = "Give that member the role: undiced member grant."
            raise NameTakenError(f"There is a member '{email}' already.", remedy=remedy, param="email") from None

    def list(
        self, actor: Actor, org: str, *, archived: bool = False, after: str | None = None, limit: int = LIST_MOST
    ) -> list[Member]:
        """Those of an organization that the actor may see, by address; `archived`: those too that are. `after`,
        `limit`: as of `part`.

        Raises:
            InvalidRequestError: there is none that `after` names. UnknownNameError: there is no such organization.
            PermissionDeniedError: the actor may see none.
        """
        order, narrowed = (MEMBERS.c.email, MEMBERS.c.id), () if archived else (MEMBERS.c.archived.is_(None),)
        with self._database.read() as transaction:
            query = self._seen(transaction, actor, org)
            rows = part(transaction, query, order, narrowed, after, min(limit, LIST_MOST))
            grants = grants_of(transaction, [row["id"] for row in rows])
        return [_as_seen(actor, Member(**row, grants=grants.get(row["id"], ()))) for row in rows]

    def count(self, actor: Actor, org: str) -> int:
        """How many there are that are not archived. Raises as `list`."""
        with self._database.read() as transaction:
            here = self._seen(transaction, actor, org).where(MEMBERS.c.archived.is_(None))
            return int(transaction.connection.execute(select(func.count()).select_from(here.subquery())).scalar_one())

    def _seen(self, transaction: Transaction, actor: Actor, org: str) -> Select[tuple[object, ...]]:
        """All whom an actor may see; the same as `_sees`."""
        found = organization(transaction, actor, org)
        actor.need_somewhere("members:read")
        query = select(MEMBERS).where(MEMBERS.c.org_id == found.id)
        if (places := actor.places("members:read")) is None:
            return query
        there = exists().where(GRANTS.c.member_id == MEMBERS.c.id, GRANTS.c.project_id.in_(places))
        return query.where(or_(MEMBERS.c.id == actor.member_id, there))

    def show(self, actor: Actor, org: str, ref: str) -> Member:
        """One of them.

        Raises:
            UnknownNameError: nobody whom the actor may see is called that. PermissionDeniedError: it may see none.
        """
        with self._database.read() as transaction:
            found = organization(transaction, actor, org)
            if actor.member_id is None:
                actor.need_somewhere("members:read")
            shown = member(transaction, actor, found, ref)
        if not _sees(actor, shown):
            raise unknown("member", ref, "member")
        return _as_seen(actor, shown)

    def archive(self, actor: Actor, org: str, ref: str) -> Member:
        """End a membership: that member's keys work no more. Again changes nothing.

        Raises:
            UnknownNameError: nobody is called that. PermissionDeniedError: the actor may not.
        """
        with self._database.write() as transaction:
            found = organization(transaction, actor, org)
            actor.need("members:write")
            before = member(transaction, actor, found, ref)
            if before.archived is not None:
                return before
            after = replace(before, archived=transaction.now)
            here = MEMBERS.c.id == before.id
            transaction.connection.execute(update(MEMBERS).where(here).values(archived=after.archived))
            note(transaction, actor, "member.archive", found.id, before=before, after=after)
            raise_counter(transaction)
            return after

    def grant(self, actor: Actor, org: str, ref: str, role: str, project: str | None = None) -> Member:
        """Give a member a further role. Again changes nothing.

        Raises:
            InvalidRequestError, UnknownNameError, ArchivedError, PermissionDeniedError: as `create`.
        """
        with self._database.write() as transaction:
            found = organization(transaction, actor, org, active=True)
            grant = grant_of(transaction, actor, found, role, project, active=True)
            before = member(transaction, actor, found, ref, active=True)
            if grant in before.grants:
                return before
            _add(transaction, before, grant)
            return _changed(transaction, actor, found, before, "member.grant")

    def withdraw(self, actor: Actor, org: str, ref: str, role: str, project: str | None = None) -> Member:
        """Take a role from a member. Again changes nothing.

        Raises:
            InvalidRequestError, UnknownNameError, PermissionDeniedError: as `create`.
        """
        with self._database.write() as transaction:
            found = organization(transaction, actor, org)
            grant = grant_of(transaction, actor, found, role, project)
            before = member(transaction, actor, found, ref)
            if grant not in before.grants:
                return before
            here = (GRANTS.c.member_id == before.id, GRANTS.c.role == grant.role)
            place = GRANTS.c.project_id.is_not_distinct_from(grant.project_id)
            transaction.connection.execute(delete(GRANTS).where(*here, place))
            return _changed(transaction, actor, found, before, "member.withdraw")


def grant_of(
    transaction: Transaction, actor: Actor, org: Organization, role: str, ref: str | None, *, active: bool = False
) -> Grant:
    """A role that an actor may give or take: nobody gives more than it has. `active`: in no archived project.

    Raises:
        InvalidRequestError: no role, or one at the wrong place. UnknownNameError: no such project.
        ArchivedError: it is. PermissionDeniedError: the actor may not.
    """
    actor.need("members:write")
    kind = role_of(role, ref)
    place = None if ref is None else project(transaction, actor, org, ref, active=active).id
    lacks = next((scope for scope in sorted(ROLES[kind]) if not actor.may(scope, place)), None)
    if lacks is not None:
        raise PermissionDeniedError(
            f"The role '{kind}' includes '{lacks}', which the key does not have.", remedy="Use a key that has it."
        )
    return Grant(kind, place)


def add_member(transaction: Transaction, actor: Actor, org: Organization, email: str, grant: Grant) -> Member:
    """Rows for a new member, in a transaction that is open."""
    made = Member(f"mem_{new_id()}", org.id, email, transaction.now, grants=(grant,))
    values = {"id": made.id, "org_id": made.org_id, "email": made.email, "created": made.created}
    transaction.connection.execute(insert(MEMBERS).values(values))
    _add(transaction, made, grant)
    note(transaction, actor, "member.create", org.id, after=made)
    return made


def _add(transaction: Transaction, to: Member, grant: Grant) -> None:
    values = {"member_id": to.id, "org_id": to.org_id, "role": grant.role, "project_id": grant.project_id}
    transaction.connection.execute(insert(GRANTS).values(values))


def _changed(transaction: Transaction, actor: Actor, org: Organization, before: Member, action: str) -> Member:
    after = replace(before, grants=grants_of(transaction, [before.id]).get(before.id, ()))
    note(transaction, actor, action, org.id, before=before, after=after)
    raise_counter(transaction)
    return after


def _sees(actor: Actor, one: Member) -> bool:
    """Whether a member is one of those that an actor may see: all, itself, or those of its projects."""
    if actor.member_id == one.id or actor.may("members:read"):
        return True
    return any(grant.role in OF_PROJECTS and actor.may("members:read", grant.project_id) for grant in one.grants)


def _as_seen(actor: Actor, one: Member) -> Member:
    """A member without roles in projects that do not exist for an actor."""
    seen = tuple(grant for grant in one.grants if grant.project_id is None or actor.reaches(grant.project_id))
    return replace(one, grants=seen)
