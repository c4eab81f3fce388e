"""Periods: what was used and charged per minute, hour or day, as dashboards draw it. All in UTC, and a request counts
when it began.

Days are read from the sums per day, shorter periods from the requests themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from sqlalchemy import func, literal_column, select

from undiced.account.counters import DAY_S
from undiced.account.ledger_tables import CHARGES, REQUESTS
from undiced.account.subjects import about
from undiced.account.tables import ORGANIZATIONS
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table

    from undiced.account.actor import Actor
    from undiced.account.database import Database, Transaction

Width = Literal["1m", "1h", "1d"]
Part = Literal["project_id", "key_id", "model"]
WIDTHS: Mapping[Width, int] = MappingProxyType({"1m": 60, "1h": 3600, "1d": DAY_S})  # in seconds
_SUMS = ("prompt_tokens", "cached_tokens", "completion_tokens", "charge")


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the ledger is meant. Each of `projects`, `keys` and `models` that is not empty narrows it.

    Attributes:
        org: by name or id; None for the actor's own, or all where the actor is the operator.
        by: what the sums are told apart by.
    """

    org: str | None = None
    projects: Sequence[str] = ()
    keys: Sequence[str] = ()
    models: Sequence[str] = ()
    by: Sequence[Part] = ()


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """A sum. `start`: of its period, in Unix seconds; `group`: what it is of; `charge`: in nanos."""

    start: int
    group: Mapping[Part, str]
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    charge: int


class Periods:
    """See the file's head."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sums(self, actor: Actor, choice: Choice, width: Width, since: int, until: int) -> list[PeriodRow]:
        """Those of periods that begin from `since` up to, and without, `until`, both of them beginnings of periods, in
        their order; of periods in which nothing was used there are none.

        Raises:
            InvalidRequestError: projects or keys of no organization. UnknownNameError, PermissionDeniedError.
        """
        table = CHARGES if width == "1d" else REQUESTS
        with self._database.read() as transaction:
            here = _here(transaction, actor, choice, table)
            if choice.models:
                here.append(table.c.model.in_([model for model in choice.models if model.isprintable()]))
            return _read(transaction, table, here, choice.by, WIDTHS[width], since, until)


def _here(transaction: Transaction, actor: Actor, choice: Choice, table: Table) -> list[ColumnElement[bool]]:
    """The rows that are meant, all of which the actor may see."""
    org = choice.org if choice.org is not None else actor.org_id
    if org is None:
        actor.need("billing:read")
        if choice.projects or choice.keys:
            remedy = "Name the organization, too."
            raise InvalidRequestError("Projects and keys are of one organization.", remedy=remedy, param="org")
        return [table.c.org_id.in_(select(ORGANIZATIONS.c.id))]  # one by one: requests are found by theirs
    own = [actor.project_id] if actor.project_id is not None else []  # all that a key of a project can see
    places = [about(transaction, actor, org, name) for name in choice.projects or own]
    keys = [about(transaction, actor, org, key=name) for name in choice.keys]
    whole = about(transaction, actor, org)
    for place in places or keys or [whole]:
        actor.need("billing:read", place.project_id)
    here = [table.c.org_id == whole.org.id]
    if places:
        here.append(table.c.project_id.in_([place.id for place in places]))
    if keys:
        here.append(table.c.key_id.in_([key.id for key in keys]))
    return here


def _read(
    transaction: Transaction,
    table: Table,
    here: list[ColumnElement[bool]],
    by: Sequence[Part],
    width_s: int,
    since: int,
    until: int,
) -> list[PeriodRow]:
    if table is CHARGES:
        number: ColumnElement[int] = CHARGES.c.day
        count: ColumnElement[int] = func.sum(CHARGES.c.requests)
        here = [*here, number >= since // DAY_S, number < until // DAY_S]
    else:
        number = REQUESTS.c.created_ms // literal_column(str(width_s * 1000))  # no parameter: it stands there twice
        count = func.count()
        here = [*here, REQUESTS.c.created_ms >= since * 1000, REQUESTS.c.created_ms < until * 1000]
        here.append(REQUESTS.c.state.in_(("settled", "recovered")))
    columns = [number, *(table.c[name] for name in by)]
    sums = [func.sum(table.c[name]) for name in _SUMS]
    query = select(*columns, count, *sums).where(*here).group_by(*columns).order_by(*columns)
    rows = transaction.connection.execute(query).all()
    return [
        PeriodRow(row[0] * width_s, dict(zip(by, row[1 : 1 + len(by)], strict=True)), *map(int, row[1 + len(by) :]))
        for row in rows
    ]
