"""Limits: how much an organization, a project or a key may use; set by the operator, seen by whom they bind.

Knows tiers: sets of limits under a name. Counting is the business of `counters`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from undiced.account import reach
from undiced.account.audit import note
from undiced.account.bucket import CAPACITY_MOST, Bucket
from undiced.account.changes import raise_counter
from undiced.account.counters import DAY_S, Counter
from undiced.account.errors import PermissionDeniedError
from undiced.account.ledger_records import Metric, Standing, Subject
from undiced.account.ledger_tables import LIMITS
from undiced.account.secret_text import new_id
from undiced.account.subjects import About, about
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from sqlalchemy import RowMapping, Select

    from undiced.account.actor import Actor
    from undiced.account.database import Database, Transaction

_MODEL = re.compile(r"[!-~]{0,200}")


@dataclass(frozen=True, slots=True)
class Measure:
    """What a limit counts: a metric in a window of seconds; 0 for what runs at once."""

    metric: Metric
    window_s: int


# The names that commands and requests use. u: uncached.
MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "rpm": Measure("requests", 60),
        "rph": Measure("requests", 3600),
        "rpd": Measure("requests", DAY_S),
        "tpm": Measure("tokens", 60),
        "tph": Measure("tokens", 3600),
        "tpd": Measure("tokens", DAY_S),
        "utpm": Measure("uncached_tokens", 60),
        "utph": Measure("uncached_tokens", 3600),
        "utpd": Measure("uncached_tokens", DAY_S),
        "concurrency": Measure("concurrency", 0),
    }
)

# A start for an operator, in the proportions that hosted services have; total tokens are three times the uncached ones.
TIERS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "free": {"rpm": 5, "utpm": 30_000, "tpm": 90_000, "tpd": 1_000_000, "concurrency": 2},
        "developer": {"rpm": 300, "utpm": 500_000, "tpm": 1_500_000, "concurrency": 32},
        "enterprise": {"rpm": 3_000, "utpm": 5_000_000, "tpm": 15_000_000, "concurrency": 256},
    }
)


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit. `model`: '' for all together."""

    id: str
    org_id: str
    subject: Subject
    subject_id: str
    model: str
    metric: Metric
    window_s: int
    capacity: int

    @property
    def name(self) -> str:
        """What commands and requests call it: by `MEASURES`."""
        return next(name for name, measure in MEASURES.items() if measure == Measure(self.metric, self.window_s))


class Limits:
    """See the file's head."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set(
        self,
        actor: Actor,
        org: str,
        capacities: Mapping[str, int | None],
        *,
        project: str | None = None,
        key: str | None = None,
        model: str = "",
    ) -> Sequence[Limit]:
        """Set some limits by their names in `MEASURES`, and take away those that are None. What was used stays used.

        Raises:
            InvalidRequestError: a name or number that is none. UnknownNameError. PermissionDeniedError.
        """
        if not _MODEL.fullmatch(model):
            raise InvalidRequestError("This is no name of a model.", remedy="See GET /v1/models.", param="model")
        wanted = {_measure(name): _capacity(name, number) for name, number in capacities.items()}
        with self._database.write() as transaction:
            place = about(transaction, actor, org, project, key)
            _see_right(actor)
            _lock(transaction, place)
            for measure, capacity in wanted.items():
                _set(transaction, actor, place, model, measure, capacity)
            return _of(transaction, place)

    def list(self, actor: Actor, org: str, *, project: str | None = None, key: str | None = None) -> Sequence[Limit]:
        """Those of an organization, or of a project or key of it.

        Raises:
            UnknownNameError. PermissionDeniedError.
        """
        with self._database.read() as transaction:
            place = about(transaction, actor, org, project, key)
            actor.need("billing:read", place.project_id)
            return _of(transaction, place)

    def remove(self, actor: Actor, org: str, limit_id: str) -> Limit:
        """Take one away.

        Raises:
            UnknownNameError. PermissionDeniedError.
        """
        with self._database.write() as transaction:
            found = reach.organization(transaction, actor, org)
            _see_right(actor)
            here = (LIMITS.c.id == limit_id) & (LIMITS.c.org_id == found.id)
            row = reach.one(transaction, select(LIMITS).where(here)) if limit_id.isprintable() else None
            if row is None:
                raise reach.unknown("limit", limit_id, "limit")
            before = _limit(row)
            transaction.connection.execute(delete(LIMITS).where(here))
            note(transaction, actor, "limit.remove", found.id, before=before)
            return before

    def state(
        self, actor: Actor, org: str, *, project: str | None = None, key: str | None = None
    ) -> Sequence[tuple[Limit, Standing]]:
        """The same as `list`, each with how it stands now.

        Raises:
            UnknownNameError. PermissionDeniedError.
        """
        with self._database.read() as transaction:
            place = about(transaction, actor, org, project, key)
            actor.need("billing:read", place.project_id)
            rows = transaction.connection.execute(_query(place)).mappings().all()
            return [(_limit(row), Counter.read(row, transaction.now_ms).standing()) for row in rows]

    def clear(
        self, actor: Actor, org: str, *, project: str | None = None, key: str | None = None, model: str | None = None
    ) -> Sequence[Limit]:
        """Take away all of an organization, or of a project or key of it: for a model ('': for all together), or
        whatever they are for. Those of what is below it stay. Returns what was taken away.

        Raises:
            UnknownNameError. PermissionDeniedError.
        """
        with self._database.write() as transaction:
            place = about(transaction, actor, org, project, key)
            _see_right(actor)
            _lock(transaction, place)
            ended = [
                one for one in _of(transaction, place) if one.subject_id == place.id and model in (None, one.model)
            ]
            for one in ended:
                transaction.connection.execute(delete(LIMITS).where(LIMITS.c.id == one.id))
                note(transaction, actor, "limit.remove", place.org.id, before=one)
            return ended


def _see_right(actor: Actor) -> None:
    if actor.org_id is not None:
        raise PermissionDeniedError("Limits are set by the operator.", remedy="Ask whoever runs the server.")
    actor.need("orgs:write")


def _measure(name: str) -> Measure:
    found = MEASURES.get(name)
    if found is None:
        raise InvalidRequestError(f"'{name[:40]}' is no limit.", remedy=f"Use {', '.join(MEASURES)}.", param=name[:40])
    return found


def _capacity(name: str, number: int | None) -> int | None:
    if number is None or 0 < number <= CAPACITY_MOST:
        return number
    remedy = f"Give 1 to {CAPACITY_MOST}, or none to take it away."
    raise InvalidRequestError(f"{name} can't be {number}.", remedy=remedy, param=name)


def _lock(transaction: Transaction, place: About) -> None:
    """Lock all that a subject has, in the order in which requests lock them."""
    here = LIMITS.c.subject_id == place.id
    transaction.connection.execute(select(LIMITS.c.id).where(here).order_by(LIMITS.c.id).with_for_update()).all()


def _set(
    transaction: Transaction, actor: Actor, place: About, model: str, measure: Measure, capacity: int | None
) -> None:
    here = (
        (LIMITS.c.subject_id == place.id)
        & (LIMITS.c.model == model)
        & (LIMITS.c.metric == measure.metric)
        & (LIMITS.c.window_s == measure.window_s)
    )
    row = transaction.connection.execute(select(LIMITS).where(here).with_for_update()).mappings().one_or_none()
    if row is None:
        if capacity is not None:
            _add(transaction, actor, place, model, measure, capacity)
        return
    before = _limit(row)
    if capacity is None:
        transaction.connection.execute(delete(LIMITS).where(LIMITS.c.id == before.id))
        note(transaction, actor, "limit.remove", place.org.id, before=before)
    elif capacity != before.capacity:
        values = {"capacity": capacity}
        if measure.window_s:  # what it gained until now it gained as it was
            window_ms = measure.window_s * 1000
            bucket = Bucket(before.capacity, window_ms, row["level"], row["updated_ms"]).at(transaction.now_ms)
            level = bucket.level + (capacity - before.capacity) * window_ms
            values |= {"level": level, "updated_ms": bucket.updated_ms}
        transaction.connection.execute(update(LIMITS).where(LIMITS.c.id == before.id).values(values))
        note(transaction, actor, "limit.set", place.org.id, before=before, after=replace(before, capacity=capacity))


def _add(transaction: Transaction, actor: Actor, place: About, model: str, measure: Measure, capacity: int) -> None:
    named = (
        f"lim_{new_id()}",
        place.org.id,
        place.subject,
        place.id,
        model,
        measure.metric,
        measure.window_s,
        capacity,
    )
    made = Limit(*named)
    full = Bucket.full(capacity, measure.window_s * 1000, transaction.now_ms) if measure.window_s else None
    level = {"level": full.level if full else 0, "updated_ms": full.updated_ms if full else 0}
    columns = [column.name for column in LIMITS.c if column.name not in level]
    values = {**{name: getattr(made, name) for name in columns}, **level}
    transaction.connection.execute(insert(LIMITS).values(values))
    raise_counter(transaction)
    note(transaction, actor, "limit.set", place.org.id, after=made)


def _of(transaction: Transaction, place: About) -> list[Limit]:
    return [_limit(row) for row in transaction.connection.execute(_query(place)).mappings()]


def _query(place: About) -> Select[tuple[object, ...]]:
    here = LIMITS.c.org_id == place.org.id if place.subject == "organization" else LIMITS.c.subject_id == place.id
    order = (LIMITS.c.subject, LIMITS.c.subject_id, LIMITS.c.model, LIMITS.c.metric, LIMITS.c.window_s)
    return select(LIMITS).where(here).order_by(*order)


def _limit(row: RowMapping) -> Limit:
    return Limit(**{name: value for name, value in row.items() if name not in ("level", "updated_ms")})
