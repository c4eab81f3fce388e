"""Keys: made, listed, rotated and revoked. The secret is shown once, by whoever made it, and stored nowhere.

Nobody makes a key that can do more than its maker. Knows no cache: `keyring` is what requests are held against.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import and_, false, insert, or_, select, update

from undiced.account import reach
from undiced.account.actor import Actor, may_have_keys
from undiced.account.audit import note
from undiced.account.changes import raise_counter
from undiced.account.errors import PermissionDeniedError
from undiced.account.names import folded, kind_of, label_of, later, models_of, scopes_of, span
from undiced.account.paging import LIST_MOST, part
from undiced.account.records import Key
from undiced.account.scopes import OPERATORS_OWN
from undiced.account.secret_text import SecretText
from undiced.account.tables import KEYS
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, RowMapping

    from undiced.account.database import Database, Transaction
    from undiced.account.records import Member, Organization
    from undiced.account.scopes import Kind

OVERLAP_MOST_S = 30 * 86_400
_SHOWN = [column for column in KEYS.c if column.name != "digest"]
_ENDS = (KEYS.c.revoked, KEYS.c.expires, KEYS.c.overlap_until)
Fresh = tuple[Key, SecretText]


@dataclass(frozen=True, slots=True)
class KeyOrder:
    """What a new key shall be; untrusted.

    Attributes:
        org: None for a key of the operator. project: needed for inference. member: the person whose key it is.
        scopes: None for what is usual. models: None for all. expires: Unix seconds; None for never.
    """

    kind: str
    org: str | None
    project: str | None = None
    member: str | None = None
    name: str = ""
    scopes: Sequence[str] | None = None
    models: Sequence[str] | None = None
    expires: int | None = None


class Keys:
    """See the file's head. `pepper`: what digests are made with."""

    def __init__(self, database: Database, pepper: bytes) -> None:
        self._database = database
        self._pepper = pepper

    def create(self, actor: Actor, order: KeyOrder) -> Fresh:
        """A new key, and its text, which can't be had again.

        Raises:
            InvalidRequestError: what is ordered is no key; names the field. UnknownNameError, ArchivedError.
            PermissionDeniedError: the actor may not make it.
        """
        kind, name = kind_of(order.kind), label_of(order.name)
        scopes = scopes_of(order.scopes, kind, bound=order.project is not None)
        models = models_of(order.models, kind)
        with self._database.write() as transaction:
            org, project_id, member_id = _place(transaction, actor, kind, order)
            text = SecretText.new("uk")
            expires, org_id = later(order.expires, transaction.now, "expires"), None if org is None else org.id
            place = (text.id, org_id, project_id, member_id)
            key = Key(*place, kind, name, text.last_four, scopes, models, transaction.now, expires)
            _need(actor, key)
            self._add(transaction, key, text)
            note(transaction, actor, "key.create", key.org_id, after=key)
            return key, text

    def list(
        self,
        actor: Actor,
        org: str | None,
        *,
        project: str | None = None,
        name: str | None = None,
        ended: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Key]:
        """Keys of an organization that the actor may see, oldest first; of the operator where `org` is None.

        Args:
            name: those that are called that. ended: those too that are revoked, expired or replaced.
            after: the last one of the page before.

        Raises:
            InvalidRequestError: there is none that `after` names. UnknownNameError: there is no such organization or
                project. PermissionDeniedError: it may see none.
        """
        with self._database.read() as transaction:
            narrowed = []
            if name is not None:
                narrowed.append(KEYS.c.name == name if name.isprintable() else false())
            if not ended:
                narrowed += [or_(end.is_(None), end > transaction.now) for end in _ENDS]
            query = select(*_SHOWN).where(self._here(transaction, actor, org, project), *_sight(actor))
            most = max(1, min(limit, LIST_MOST))
            rows = part(transaction, query, (KEYS.c.created, KEYS.c.id), narrowed, after, most)
            return [_key(row) for row in rows]

    def show(self, actor: Actor, key_id: str, org: str | None = None) -> Key:
        """One of them. `org`: the organization whose it has to be, if that is said.

        Raises:
            UnknownNameError: none that the actor may see has that id, or is called like that organization.
        """
        with self._database.read() as transaction:
            owner = None if org is None else reach.organization(transaction, actor, org)
            found = self._key(transaction, actor, key_id)
            if owner is not None and found.org_id != owner.id:
                raise reach.unknown("key", key_id, "key")
            return found

    def rotate(self, actor: Actor, key_id: str, *, overlap_s: int = 0, expires: int | None = None) -> Fresh:
        """A new key in the place of an old one, which goes on for `overlap_s` seconds.

        Raises:
            InvalidRequestError: the old one has ended or was rotated before; an overlap of over 30 days; a time that
                has passed. UnknownNameError, ArchivedError, PermissionDeniedError: as `create`.
        """
        span(overlap_s, 0, OVERLAP_MOST_S, "overlap_s")
        with self._database.write() as transaction:
            old = self._key(transaction, actor, key_id)
            _need(actor, old)
            _see_usable(transaction, old)
            text = SecretText.new("uk")
            until = later(expires, transaction.now, "expires") or old.expires
            new = replace(
                old, id=text.id, last_four=text.last_four, created=transaction.now, expires=until, last_used=None
            )
            self._add(transaction, new, text)
            after = replace(old, replaced_by=new.id, overlap_until=transaction.now + overlap_s)
            self._change(transaction, after, replaced_by=after.replaced_by, overlap_until=after.overlap_until)
            note(transaction, actor, "key.rotate", old.org_id, before=old, after=after)
            note(transaction, actor, "key.create", new.org_id, after=new)
            return new, text

    def revoke(self, actor: Actor, key_id: str) -> Key:
        """End a key. Again changes nothing.

        Raises:
            UnknownNameError: none that the actor may see has that id. PermissionDeniedError: it may not.
        """
        with self._database.write() as transaction:
            return self._end(transaction, actor, self._key(transaction, actor, key_id))

    def take_back(self, actor: Actor, key_id: str) -> None:
        """End a key that nobody has seen; one that it was made in the place of goes on as before.

        Raises:
            UnknownNameError, PermissionDeniedError: as `revoke`.
        """
        with self._database.write() as transaction:
            self._end(transaction, actor, self._key(transaction, actor, key_id))
            row = reach.one(transaction, select(*_SHOWN).where(KEYS.c.replaced_by == key_id))
            if row is not None:
                old = _key(row)
                restored = replace(old, replaced_by=None, overlap_until=None)
                self._change(transaction, restored, replaced_by=None, overlap_until=None)
                note(transaction, actor, "key.restore", old.org_id, before=old, after=restored)

    def _end(self, transaction: Transaction, actor: Actor, before: Key) -> Key:
        actor.need("keys:write", before.project_id)
        if before.revoked is not None:
            return before
        after = replace(before, revoked=transaction.now)
        self._change(transaction, after, revoked=after.revoked)
        note(transaction, actor, "key.revoke", before.org_id, before=before, after=after)
        return after

    def _here(
        self, transaction: Transaction, actor: Actor, org: str | None, project: str | None
    ) -> ColumnElement[bool]:
        """Where to look."""
        if org is None:
            if actor.org_id is not None:
                raise PermissionDeniedError("These are the operator's keys.", remedy="Name your organization.")
            actor.need("keys:read")
            return KEYS.c.org_id.is_(None)
        found = reach.organization(transaction, actor, org)
        actor.need_somewhere("keys:read")
        place = KEYS.c.org_id == found.id
        if project is None:
            return place
        return and_(place, KEYS.c.project_id == reach.project(transaction, actor, found, project).id)

    def _key(self, transaction: Transaction, actor: Actor, key_id: str) -> Key:
        """A key that exists for an actor; in a transaction that writes, held before its organization is."""
        query = reach.held(transaction, select(*_SHOWN).where(KEYS.c.id == key_id, *_sight(actor)))
        row = reach.one(transaction, query) if key_id.isprintable() and actor.somewhere("keys:read") else None
        if row is None:
            raise reach.unknown("key", key_id, "key")
        return _key(row)

    def _add(self, transaction: Transaction, key: Key, text: SecretText) -> None:
        values = asdict(key) | {"digest": text.digest(self._pepper), "scopes": json.dumps(key.scopes)}
        values["models"] = None if key.models is None else json.dumps(key.models)
        transaction.connection.execute(insert(KEYS).values(values))

    def _change(self, transaction: Transaction, key: Key, **values: int | str | None) -> None:
        transaction.connection.execute(update(KEYS).where(KEYS.c.id == key.id).values(values))
        raise_counter(transaction)


def _place(
    transaction: Transaction, actor: Actor, kind: Kind, order: KeyOrder
) -> tuple[Organization | None, str | None, str | None]:
    """The organization, project and member of a new key.

    Raises:
        InvalidRequestError: a kind at the wrong place. UnknownNameError, ArchivedError, PermissionDeniedError.
    """
    if order.org is None:
        if kind == "inference" or order.project is not None or order.member is not None:
            remedy = "Name an organization and a project."
            raise InvalidRequestError("This key belongs to an organization.", remedy=remedy, param="org")
        if actor.org_id is not None:
            raise PermissionDeniedError("This would be a key of the operator.", remedy="Name your organization.")
        return None, None, None
    org = reach.organization(transaction, actor, order.org, active=True)
    actor.need_somewhere("keys:write")
    if kind == "inference" and order.project is None:
        remedy = "Name one; every organization begins with 'default'."
        raise InvalidRequestError("A key for inference belongs to a project.", remedy=remedy, param="project")
    project = None if order.project is None else reach.project(transaction, actor, org, order.project, active=True)
    project_id = None if project is None else project.id
    return org, project_id, _owner(transaction, actor, org, project_id, order.member)


def _owner(
    transaction: Transaction, actor: Actor, org: Organization, project_id: str | None, ref: str | None
) -> str | None:
    """Whose a new key is: of the member that is named, or of the actor itself where it may make no others.

    Raises:
        InvalidRequestError: that member has no role there. UnknownNameError, ArchivedError, PermissionDeniedError.
    """
    if actor.only_own(project_id):
        one = reach.member(transaction, actor, org, actor.member_id or "", active=True)
        if ref is not None and ref != one.id and folded(ref) != one.email:
            raise PermissionDeniedError("This would be another member's key.", remedy="Leave the member out.")
    elif ref is not None:
        one = reach.member(transaction, actor, org, ref, active=True)
    else:
        return None
    _see_role(one, project_id)
    return one.id


def _see_role(owner: Member, project_id: str | None) -> None:
    if project_id is not None and not may_have_keys(owner.grants, project_id):
        remedy = "Give one first: undiced member grant."
        raise InvalidRequestError(f"{owner.email} has no role in that project.", remedy=remedy, param="member")


def _need(actor: Actor, key: Key) -> None:
    """See that an actor may hold such a key: it has the right to make keys, and every right that the key gives.

    Another member's key to manage things with acts as that member, so it is for those who manage members.
    """
    actor.need("keys:write", key.project_id)
    if actor.org_id is not None and (own := OPERATORS_OWN.intersection(key.scopes)):
        raise PermissionDeniedError(
            f"The scope '{min(own)}' is given by the operator alone.", remedy="Ask whoever runs the server."
        )
    if key.kind == "inference":
        return
    if key.member_id not in (None, actor.member_id):
        actor.need("members:write")
    for scope in key.scopes:
        actor.need(scope, key.project_id)


def _see_usable(transaction: Transaction, key: Key) -> None:
    """See that a key has not ended, and that nothing that it belongs to is archived."""
    ends = {"revoked": key.revoked, "rotated before": key.overlap_until, "expired": key.expires}
    passed = (why for why, end in ends.items() if end is not None and (end <= transaction.now or why != "expired"))
    if (why := next(passed, None)) is not None:
        remedy = f"Rotate {key.replaced_by}." if why == "rotated before" else "Make a new one: undiced key create."
        raise InvalidRequestError(f"The key {key.id} is {why}.", remedy=remedy, param="key")
    if key.org_id is None:
        return
    within = Actor("", key.org_id)
    org = reach.organization(transaction, within, key.org_id, active=True)
    if key.project_id is not None:
        reach.project(transaction, within, org, key.project_id, active=True)
    if key.member_id is not None:
        _see_role(reach.member(transaction, within, org, key.member_id, active=True), key.project_id)


def _sight(actor: Actor) -> list[ColumnElement[bool]]:
    """Which keys exist for an actor."""
    seen: list[ColumnElement[bool]] = []
    if actor.org_id is not None:
        seen.append(KEYS.c.org_id == actor.org_id)
    if actor.project_id is not None:
        seen.append(KEYS.c.project_id == actor.project_id)
    if actor.grants is None or not actor.only_own(actor.project_id):
        return seen
    own = KEYS.c.member_id == actor.member_id
    whole = [grant.project_id for grant in actor.grants if grant.role == "project_admin"]
    return [*seen, or_(own, KEYS.c.project_id.in_(whole))]


def _key(row: RowMapping) -> Key:
    models = row["models"]
    lists = {
        "scopes": tuple(json.loads(row["scopes"])),
        "models": None if models is None else tuple(json.loads(models)),
    }
    return Key(**{**row, **lists})
