"""GET /v1/limits: all that binds the caller's own key, and how it stands. Read from the database on a thread of its
own; who asks often shares what is being read.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from starlette.responses import Response

from undiced.account.errors import DatabaseAwayError, DatabaseError
from undiced.account.ledger_records import Metric, Subject
from undiced.api.caller import caller_of, usable
from undiced.api.encoding import encode

if TYPE_CHECKING:
    from starlette.requests import Request

    from undiced.account.allowances import Allowance, Allowances
    from undiced.account.keyring import Caller
    from undiced.api.service import Service

_MOST_READ = 64  # keys whose allowance is read, or waits for it, at once
_log = logging.getLogger("undiced.accounts")


class OwnLimit(Struct, frozen=True):
    """A limit and how it stands. `scope`: whose it is; `model`: null for all together; `reset_s`: until it is full."""

    object: Literal["limit"]
    scope: Subject
    model: str | None
    metric: Metric
    window_s: int
    capacity: int
    left: int
    reset_s: float


class OwnBalance(Struct, frozen=True):
    """A balance. Amounts are in billionths of the currency's unit; `reserved`: for what runs."""

    object: Literal["balance"]
    currency: str
    prepaid: bool
    balance: int
    reserved: int


class OwnBudget(Struct, frozen=True):
    """A budget per calendar month in UTC. `spent`: with the worst case of what runs. `stops`: more is refused."""

    object: Literal["budget"]
    scope: Subject
    amount: int
    spent: int
    stops: bool


class OwnLimits(Struct, frozen=True):
    """All that binds a key."""

    object: Literal["list"]
    data: list[OwnLimit]
    balance: OwnBalance | None
    budgets: list[OwnBudget]


class AllowanceReader:
    """Reads allowances of callers. Belongs to one event loop."""

    def __init__(self, allowances: Allowances) -> None:
        self._allowances = allowances
        self._thread = ThreadPoolExecutor(1, "allowances")
        self._reading: dict[str, asyncio.Future[Allowance]] = {}

    async def of(self, caller: Caller) -> Allowance:
        """That of a caller.

        Raises:
            DatabaseAwayError: it can't be said now.
        """
        assert caller.org_id is not None
        assert caller.project_id is not None
        return await asyncio.shield(self._read(caller.key_id, caller.org_id, caller.project_id))

    def close(self) -> None:
        """Read no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _read(self, key_id: str, org_id: str, project_id: str) -> asyncio.Future[Allowance]:
        reading = self._reading.get(key_id)
        if reading is None:
            if len(self._reading) >= _MOST_READ:
                raise _away()
            reading = asyncio.ensure_future(self._fetch(org_id, project_id, key_id))
            self._reading[key_id] = reading
            reading.add_done_callback(lambda done: self._was_read(key_id, done))
        return reading

    def _was_read(self, key_id: str, done: asyncio.Future[Allowance]) -> None:
        del self._reading[key_id]
        if not done.cancelled():
            done.exception()  # those who wait for it have it

    async def _fetch(self, org_id: str, project_id: str, key_id: str) -> Allowance:
        read, loop = self._allowances.of, asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, read, org_id, project_id, key_id)
        except (DatabaseError, DatabaseAwayError) as error:
            _log.warning("the accounts' database can't be used to read limits: %s", error)
            raise _away() from None


async def own_limits(request: Request) -> Response:
    """What binds the key that asks; nothing where no keys are asked for."""
    service: Service = request.app.state.service
    caller = caller_of(request.scope)
    told = OwnLimits("list", [], None, [])
    if service.meter is not None and caller is not None:
        told = _told(await service.meter.allowances.of(caller), _models(service, caller))
    return Response(encode(told), headers={"cache-control": "no-store"}, media_type="application/json")


def _models(service: Service, caller: Caller) -> frozenset[str] | None:
    """The models whose limits a caller may see; None for all. Of others it is not even told that they exist."""
    if caller.models is None:
        return None
    return caller.models | {each.card.id for each in usable(service.deployments, caller)}


def _told(found: Allowance, models: frozenset[str] | None) -> OwnLimits:
    limits = [
        OwnLimit("limit", one.subject, one.model or None, one.metric, one.window_s, one.capacity, one.left, one.reset_s)
        for one in found.limits
        if not one.model or models is None or one.model in models
    ]
    budgets = [OwnBudget("budget", one.subject, one.amount, one.spent, one.stops) for one in found.budgets]
    one = found.balance
    balance = None if one is None else OwnBalance("balance", one.currency, one.prepaid, one.balance, one.reserved)
    return OwnLimits("list", limits, balance, budgets)


def _away() -> DatabaseAwayError:
    return DatabaseAwayError("Limits can't be read now.", remedy="Try again.", retry_after_s=1.0)
