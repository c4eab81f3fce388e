"""Countings: requests that only tell how long something is. They cost nothing, and are held against limits of their
own: each limit on requests is one on countings as well, apart from it.

What they take is a processor's time and not the engine's, so each process counts those that it answers, in memory, and
goes on without the database. Knows headers, and no endpoint. Belongs to one event loop.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from undiced.account.bucket import Bucket
from undiced.account.errors import RequestsExceededError
from undiced.account.ledger_records import Standing
from undiced.api.anthropic.errors import PATHS
from undiced.api.caller import caller_of
from undiced.api.standing import STANDING, WINDOWS, standing_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from undiced.account.keyring import Caller
    from undiced.api.known_limits import KnownLimits
    from undiced.api.service import Service

_MOST = 100_000  # buckets, of which those that were used last are kept; about 30 MB


class Countings:
    """See the file's head.

    Args:
        clock: never goes back, in seconds.
    """

    def __init__(self, known: KnownLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._known, self._clock = known, clock
        self._buckets: OrderedDict[tuple[str, str, int], Bucket] = OrderedDict()

    async def take(self, caller: Caller, model: str) -> tuple[Standing, ...]:
        """Count one of a caller; returns how its limits on them stand.

        Raises:
            RequestsExceededError: one of them has no room now; the one that takes longest.
        """
        limits = [one for one in await self._known.of(caller, model) if one.metric == "requests"]
        found = [(one, _place(caller, one), self._bucket(caller, one)) for one in limits]
        refusals = [_exceeded(one, bucket) for one, _, bucket in found if bucket.wait_ms(1)]
        if refusals:
            refusal = max(refusals, key=lambda each: each.retry_after_s)
            refusal.standings = tuple(_standing(one, bucket) for one, _, bucket in found)
            raise refusal
        standings = []
        for one, place, bucket in found:
            self._buckets[place] = bucket.take(1)
            self._buckets.move_to_end(place)
            standings.append(_standing(one, self._buckets[place]))
        while len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
        return tuple(standings)

    def _bucket(self, caller: Caller, limit: Standing) -> Bucket:
        """As it stands now. If the limit was changed, what was used stays used."""
        now_ms, window_ms = int(self._clock() * 1000), limit.window_s * 1000
        bucket = self._buckets.get(_place(caller, limit))
        if bucket is None:
            return Bucket.full(limit.capacity, window_ms, now_ms)
        bucket = bucket.at(now_ms)
        if bucket.capacity == limit.capacity:
            return bucket
        return Bucket.full(limit.capacity, window_ms, now_ms).take(bucket.used)


async def count_counting(request: Request, model: str) -> None:
    """Hold a request that only counts against its caller's limits; its answer will say how they stand.

    Raises:
        RequestsExceededError: there is no room now.
    """
    service: Service = request.app.state.service
    caller = caller_of(request.scope)
    if service.meter is None or caller is None:
        return
    standings = await service.meter.countings.take(caller, model)
    anthropic = request.scope["path"] in PATHS
    request.scope[STANDING] = standing_headers(standings, time.time(), anthropic=anthropic)


def _place(caller: Caller, limit: Standing) -> tuple[str, str, int]:
    subjects = {"organization": caller.org_id, "project": caller.project_id, "key": caller.key_id}
    return str(subjects[limit.subject]), limit.model, limit.window_s


def _standing(limit: Standing, bucket: Bucket) -> Standing:
    full_s = bucket.wait_ms(bucket.capacity) / 1000
    return Standing(limit.subject, "requests", limit.window_s, bucket.capacity, bucket.left, full_s, limit.model)


def _exceeded(limit: Standing, bucket: Bucket) -> RequestsExceededError:
    wait_s = bucket.wait_ms(1) / 1000
    often = f"{limit.capacity} times" if limit.capacity > 1 else "once"
    whose = f" for {limit.model}" if limit.model else ""
    message = f"This {limit.subject} may count tokens {often}{whose} per {WINDOWS[limit.window_s]}."
    told: dict[str, object] = {
        "scope": limit.subject,
        "metric": "requests",
        "model": limit.model or None,
        "window_s": limit.window_s,
        "capacity": limit.capacity,
        "used": bucket.used,
        "reset_s": round(wait_s, 3),
    }
    remedy = f"Try again in {wait_s:.1f} seconds."
    return RequestsExceededError(message, remedy=remedy, limit=told, retry_after_s=wait_s)
