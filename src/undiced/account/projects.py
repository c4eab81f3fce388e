"""Projects: what keys for inference belong to, below an organization."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from undiced.account.audit import note
from undiced.account.changes import raise_counter
from undiced.account.errors import NameTakenError
from undiced.account.names import name_of
from undiced.account.paging import part
from undiced.account.reach import organization, project
from undiced.account.records import Organization, Project
from undiced.account.secret_text import new_id
from undiced.account.tables import PROJECTS

if TYPE_CHECKING:
    from undiced.account.actor import Actor
    from undiced.account.database import Database, Transaction


class Projects:
    """See the file's head."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, actor: Actor, org: str, name: str) -> Project:
        """A new project.

        Raises:
            InvalidRequestError: the name can't be one. NameTakenError: another project of the organization has it.
            UnknownNameError: there is no such organization. ArchivedError: it is. PermissionDeniedError.
        """
        name = name_of(name, "name")
        try:
            with self._database.write() as transaction:
                found = organization(transaction, actor, org, active=True)
                actor.need("projects:write")
                return add_project(transaction, actor, found, name)
        except IntegrityError:
            raise NameTakenError(
                f"There is a project '{name}' already.", remedy="Choose another name.", param="name"
            ) from None

    def list(
        self, actor: Actor, org: str, *, archived: bool = False, after: str | None = None, limit: int | None = None
    ) -> list[Project]:
        """Those that exist for the actor, by name; `archived`: those too that are. `after`, `limit`: as of `part`.

        Raises:
            InvalidRequestError: there is none that `after` names. UnknownNameError: there is no such organization.
            PermissionDeniedError: the actor may see none.
        """
        narrowed = () if archived else (PROJECTS.c.archived.is_(None),)
        with self._database.read() as transaction:
            found = organization(transaction, actor, org)
            actor.need_somewhere("projects:read")
            query = select(PROJECTS).where(PROJECTS.c.org_id == found.id)
            if (places := actor.places("projects:read")) is not None:
                query = query.where(PROJECTS.c.id.in_(places))
            return [Project(**row) for row in part(transaction, query, (PROJECTS.c.name,), narrowed, after, limit)]

    def show(self, actor: Actor, org: str, ref: str) -> Project:
        """One of them.

        Raises:
            UnknownNameError: none that exists for the actor is called that. PermissionDeniedError: it may not see it.
        """
        with self._database.read() as transaction:
            found = organization(transaction, actor, org)
            actor.need_somewhere("projects:read")
            shown = project(transaction, actor, found, ref)
            actor.need("projects:read", shown.id)
            return shown

    def archive(self, actor: Actor, org: str, ref: str) -> Project:
        """End a project: its keys work no more. Again changes nothing.

        Raises:
            UnknownNameError: as `show`. PermissionDeniedError: the actor may not.
        """
        with self._database.write() as transaction:
            found = organization(transaction, actor, org)
            actor.need_somewhere("projects:write")
            before = project(transaction, actor, found, ref)
            actor.need("projects:write", before.id)
            if before.archived is not None:
                return before
            after = replace(before, archived=transaction.now)
            here = PROJECTS.c.id == before.id
            transaction.connection.execute(update(PROJECTS).where(here).values(archived=after.archived))
            note(transaction, actor, "project.archive", found.id, before=before, after=after)
            raise_counter(transaction)
            return after


def add_project(transaction: Transaction, actor: Actor, org: Organization, name: str) -> Project:
    """A row for a new project, in a transaction that is open."""
    made = Project(f"prj_{new_id()}", org.id, name, transaction.now)
    values = {"id": made.id, "org_id": made.org_id, "name": made.name, "created": made.created}
    transaction.connection.execute(insert(PROJECTS).values(values))
    note(transaction, actor, "project.create", org.id, after=made)
    return made
