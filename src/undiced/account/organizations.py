"""Organizations: made and archived by the operator, seen by those who belong to them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from undiced.account.audit import note
from undiced.account.changes import raise_counter
from undiced.account.errors import NameTakenError, PermissionDeniedError
from undiced.account.names import name_of
from undiced.account.paging import part
from undiced.account.projects import add_project
from undiced.account.reach import organization
from undiced.account.records import Organization
from undiced.account.secret_text import new_id
from undiced.account.tables import ORGANIZATIONS

if TYPE_CHECKING:
    from undiced.account.actor import Actor
    from undiced.account.database import Database

FIRST_PROJECT = "default"


class Organizations:
    """See the file's head."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, actor: Actor, name: str) -> Organization:
        """A new organization, with a project named `default`.

        Raises:
            InvalidRequestError: the name can't be one. NameTakenError: it is another's.
            PermissionDeniedError: the actor is not the operator.
        """
        if actor.org_id is not None:
            raise PermissionDeniedError(
                "Organizations are made by the operator.", remedy="Ask whoever runs the server."
            )
        actor.need("orgs:write")
        name = name_of(name, "name")
        try:
            with self._database.write() as transaction:
                made = Organization(f"org_{new_id()}", name, transaction.now)
                values = {"id": made.id, "name": made.name, "created": made.created}
                transaction.connection.execute(insert(ORGANIZATIONS).values(values))
                note(transaction, actor, "org.create", made.id, after=made)
                add_project(transaction, actor, made, FIRST_PROJECT)
        except IntegrityError:
            raise NameTakenError(
                f"There is an organization '{name}' already.", remedy="Choose another name.", param="name"
            ) from None
        return made

    def list(
        self, actor: Actor, *, archived: bool = False, after: str | None = None, limit: int | None = None
    ) -> list[Organization]:
        """Those that exist for the actor, by name; `archived`: those too that are. `after`, `limit`: as of `part`.

        Raises:
            InvalidRequestError: there is none that `after` names. PermissionDeniedError: the actor may see none.
        """
        actor.need_somewhere("orgs:read")
        table = ORGANIZATIONS
        query = select(table) if actor.org_id is None else select(table).where(table.c.id == actor.org_id)
        narrowed = () if archived else (table.c.archived.is_(None),)
        with self._database.read() as transaction:
            rows = part(transaction, query, (table.c.name,), narrowed, after, limit)
            return [Organization(**row) for row in rows]

    def show(self, actor: Actor, org: str) -> Organization:
        """One of them.

        Raises:
            UnknownNameError: none that exists for the actor is called that. PermissionDeniedError: it may not see it.
        """
        with self._database.read() as transaction:
            found = organization(transaction, actor, org)
            actor.need_somewhere("orgs:read")
            return found

    def archive(self, actor: Actor, org: str) -> Organization:
        """End an organization: its keys work no more. Again changes nothing.

        Raises:
            UnknownNameError: as `show`. PermissionDeniedError: the actor may not.
        """
        with self._database.write() as transaction:
            before = organization(transaction, actor, org)
            actor.need("orgs:write")
            if before.archived is not None:
                return before
            after = replace(before, archived=transaction.now)
            here = ORGANIZATIONS.c.id == before.id
            transaction.connection.execute(update(ORGANIZATIONS).where(here).values(archived=after.archived))
            note(transaction, actor, "org.archive", before.id, before=before, after=after)
            raise_counter(transaction)
            return after
