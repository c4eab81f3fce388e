"""Keyring: what requests' keys are held against, from memory where it can be. Knows no HTTP and no thread.

Whoever owns it looks at the counter of changes every second (`look`, `take`). All callers are forgotten when it moved,
so a revoked key ends everywhere within `TRUST_S` seconds; without an answer of the database for `trust_s` nobody is let
in. Digests are remembered, secrets never; a check costs one HMAC and one comparison in constant time.
"""

from __future__ import annotations

import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import bindparam, or_, select, update

from undiced.account.actor import Actor, may_have_keys
from undiced.account.changes import counter
from undiced.account.errors import ArchivedError, DatabaseAwayError
from undiced.account.reach import grants_of
from undiced.account.tables import KEYS, MEMBERS, ORGANIZATIONS, PROJECTS
from undiced.core.errors import KeyRefusedError

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from undiced.account.database import Database, Transaction
    from undiced.account.records import Grant
    from undiced.account.scopes import Kind
    from undiced.account.secret_text import SecretText

T = TypeVar("T")
TRUST_S = 5.0
OUTAGE_TRUST_S = 3600.0  # where the operator lets known callers in without a database
_MOST = 100_000  # callers remembered, about 100 MB of them (benchmarks/accounts.py)
_MOST_UNKNOWN = 10_000  # ids of no key; a flood of them drives no caller out
_USED_STEP_S = 60  # `last_used` is that coarse
_OWNERS = {"organization": ORGANIZATIONS, "project": PROJECTS, "member": MEMBERS}
_KEY = (  # a key, and what it belongs to
    select(
        KEYS,
        ORGANIZATIONS.c.name.label("org_name"),
        *[table.c.archived.label(f"{name}_archived") for name, table in _OWNERS.items()],
    )
    .select_from(
        KEYS.outerjoin(ORGANIZATIONS, KEYS.c.org_id == ORGANIZATIONS.c.id)
        .outerjoin(PROJECTS, KEYS.c.project_id == PROJECTS.c.id)
        .outerjoin(MEMBERS, KEYS.c.member_id == MEMBERS.c.id)
    )
    .where(KEYS.c.id == bindparam("key"))
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the key tells.

    Attributes:
        key_id: of the key. kind: of the key.
        org_id, project_id, member_id: whose it is, as in `records.Key`; org_name: the organization's name.
        scopes: what it may do. models: those that it may use; None for all.
        grants: the roles of the member behind it; None without one.
    """

    key_id: str
    kind: Kind
    org_id: str | None
    org_name: str
    project_id: str | None
    member_id: str | None
    scopes: frozenset[str]
    models: frozenset[str] | None
    grants: tuple[Grant, ...] | None

    def actor(self, request_id: str) -> Actor:
        """The caller as one who acts on accounts."""
        return Actor(
            f"key:{self.key_id}", self.org_id, self.project_id, self.scopes, self.member_id, self.grants, request_id
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """A key as it is remembered. `until`: when it ends; `barred`: why it opens nothing though it has not ended."""

    digest: bytes
    caller: Caller
    until: float
    barred: str


@dataclass(frozen=True, slots=True)
class Read:
    """What one look into the database saw: the counter of changes, the database's clock, and when the look began."""

    counter: int
    now_s: float
    began_s: float


@dataclass(frozen=True, slots=True)
class Fetched(Read):
    """A look at one key; no entry: there is none of that id."""

    entry: Entry | None


class Keyring:
    """See the file's head. `fetch`, `look` and `write_used` use the database and may run on any thread; everything else
    belongs to one.

    Attributes:
        trust_s: what is remembered is believed for so long without an answer of the database.

    Args:
        clock: never goes back; tells how old what is remembered is, and how far the database's clock has gone since.
    """

    def __init__(
        self,
        database: Database,
        pepper: bytes,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._pepper = pepper
        self.trust_s = TRUST_S
        self._clock = clock
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._unknown: OrderedDict[str, None] = OrderedDict()
        self._counter = -1
        self._learned_s = -inf  # when the counter was
        self._fresh_s = -inf  # what is remembered was so then
        self._ahead_s = 0.0  # the database's clock, less ours
        self._used: dict[str, int] = {}

    def remembers(self, key_id: str) -> bool:
        """Whether a key can be judged without a `fetch` before."""
        return (key_id in self._entries or key_id in self._unknown) and self._clock() - self._fresh_s <= self.trust_s

    def judge(self, text: SecretText, kind: Kind) -> Caller:
        """Who holds a key that is remembered.

        Raises:
            KeyRefusedError: nobody: the key is unknown, wrong, ended, or of another kind. One text for all of these.
            ArchivedError: it is of something archived, or of a member without a role in its project.
            DatabaseAwayError: it is not remembered, or what is remembered is too old.
        """
        clock = self._clock()
        if clock - self._fresh_s > self.trust_s:
            raise _unsure()
        entry = self._entries.get(text.id)
        digest = text.digest(self._pepper)
        if entry is None:
            raise wrong_key() if text.id in self._unknown else _unsure()
        now = clock + self._ahead_s
        if not hmac.compare_digest(entry.digest, digest) or entry.caller.kind != kind or now >= entry.until:
            raise wrong_key()
        if entry.barred:
            raise ArchivedError(entry.barred, remedy="Ask for another key.")
        self._used[text.id] = int(now) // _USED_STEP_S * _USED_STEP_S
        return entry.caller

    def fetch(self, key_id: str) -> Fetched:
        """Look for a key.

        Raises:
            DatabaseAwayError: the database does not answer. DatabaseError: it can't be used.
        """
        began_s = self._clock()
        with self._database.read() as transaction:
            return Fetched(counter(transaction), transaction.now_ms / 1000, began_s, _entry(transaction, key_id))

    def keep(self, key_id: str, fetched: Fetched) -> None:
        """Remember what was found, or that nothing was. What was seen before a change that is known is thrown away: see
        `remembers`.
        """
        self.take(fetched)
        if fetched.counter != self._counter:
            return
        if fetched.entry is None:
            _put(self._unknown, key_id, None, _MOST_UNKNOWN)
        else:
            _put(self._entries, key_id, fetched.entry, _MOST)

    def look(self) -> Read:
        """See whether callers changed.

        Raises:
            DatabaseAwayError: the database does not answer. DatabaseError: it can't be used.
        """
        began_s = self._clock()
        with self._database.read() as transaction:
            return Read(counter(transaction), transaction.now_ms / 1000, began_s)

    def take(self, read: Read) -> None:
        """Forget all callers if they changed; else they may be trusted from when the look began.

        A look that began before the last change was known may see less than that; a later one that does sees a database
        that was put back to what it was.
        """
        if read.counter != self._counter:
            if read.counter < self._counter and read.began_s <= self._learned_s:
                return
            self._entries.clear()
            self._unknown.clear()
            self._counter, self._learned_s = read.counter, self._clock()
        if read.began_s >= self._fresh_s:
            self._fresh_s = read.began_s
            self._ahead_s = read.now_s - read.began_s

    def used(self) -> dict[str, int]:
        """When keys were used last, to the minute, since this was asked before."""
        used, self._used = self._used, {}
        return used

    def write_used(self, used: dict[str, int]) -> None:
        """Store when keys were used; a time never goes back.

        Raises:
            DatabaseAwayError: the database does not answer. DatabaseError: it can't be written.
        """
        if not used:
            return
        older = or_(KEYS.c.last_used.is_(None), KEYS.c.last_used < bindparam("at"))
        note = update(KEYS).where(KEYS.c.id == bindparam("key"), older).values(last_used=bindparam("at"))
        rows = [
            {"key": key, "at": at} for key, at in sorted(used.items())
        ]  # in one order: processes wait, none deadlocks
        with self._database.write() as transaction:
            transaction.connection.execute(note, rows)


def wrong_key() -> KeyRefusedError:
    """The one answer for a key that opens nothing, whatever is wrong with it."""
    return KeyRefusedError(
        "This needs an API key that is valid.", remedy="Send one as 'Authorization: Bearer KEY', or ask for another."
    )


def _unsure() -> DatabaseAwayError:
    return DatabaseAwayError("Keys can't be checked now.", remedy="Try again.", retry_after_s=1.0)


def _put(table: OrderedDict[str, T], key_id: str, value: T, most: int) -> None:
    """Put something last; what was put first leaves a full table."""
    table[key_id] = value
    table.move_to_end(key_id)
    if len(table) > most:
        table.popitem(last=False)


def _entry(transaction: Transaction, key_id: str) -> Entry | None:
    """A key with what decides about it."""
    row = transaction.connection.execute(_KEY, {"key": key_id}).mappings().one_or_none()
    if row is None:
        return None
    until = min((row[name] for name in ("expires", "revoked", "overlap_until") if row[name] is not None), default=inf)
    caller = _caller(transaction, row)
    dead = next((name for name in _OWNERS if row[f"{name}_archived"] is not None), None)
    barred = f"The {dead} of this key is archived." if dead else ""
    if not barred and caller.project_id and caller.grants is not None:
        allowed = may_have_keys(caller.grants, caller.project_id)
        barred = "" if allowed else "The member whose key this is has no role in its project any more."
    return Entry(row["digest"], caller, until, barred)


def _caller(transaction: Transaction, row: RowMapping) -> Caller:
    member_id, models = row["member_id"], row["models"]
    return Caller(
        key_id=row["id"],
        kind=row["kind"],
        org_id=row["org_id"],
        org_name=row["org_name"] or "",
        project_id=row["project_id"],
        member_id=member_id,
        scopes=_words(row["scopes"]),
        models=None if models is None else _words(models),
        grants=None if member_id is None else grants_of(transaction, [member_id]).get(member_id, ()),
    )


@lru_cache(1000)
def _words(text: str) -> frozenset[str]:
    """A stored list; most keys share theirs."""
    return frozenset(json.loads(text))
