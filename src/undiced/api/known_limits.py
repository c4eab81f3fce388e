"""Known limits: how the limits of keys stood when this process last saw them, and so how they stand about now. For
answers to what was not held against limits itself: it was refused before, or the database is away.

What is older than ten seconds is read anew, if the database answers soon. Knows no headers. Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING

from undiced.account.errors import DatabaseAwayError, DatabaseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor

    from undiced.account.keyring import Caller
    from undiced.account.ledger_records import Standing

    Read = Callable[[str, str, str], tuple[Standing, ...]]

_FRESH_S = 10.0
_PATIENCE_S = 0.5
_PAUSE_S = 5.0  # after a look at the database that failed or took longer
_MOST = 10_000  # keys, of which the ones that asked last are remembered
_MOST_READ = 64  # of them at once
_log = logging.getLogger("undiced.accounts")


@dataclass(slots=True)
class _Key:
    """The limits of one key by model, '' for all together, and when they were seen. `read_s`: all of them were."""

    read_s: float = -inf
    by_model: dict[str, tuple[float, tuple[Standing, ...]]] = field(default_factory=dict)

    def fresh(self, model: str, since_s: float) -> bool:
        seen = [self.by_model[name][0] if name in self.by_model else self.read_s for name in ("", model)]
        return min(seen) > since_s


class KnownLimits:
    """See the file's head.

    Args:
        read: how the limits of an organization, a project and a key stand in the database. thread: where it may wait.
        clock: never goes back, in seconds.
    """

    def __init__(self, read: Read, thread: Executor, clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._thread, self._clock = read, thread, clock
        self._keys: OrderedDict[str, _Key] = OrderedDict()
        self._reading: dict[str, asyncio.Future[None]] = {}
        self._again_s = -inf

    def saw(self, caller: Caller, model: str, standings: Iterable[Standing]) -> None:
        """All limits that bind a caller's requests for a model stand so now."""
        self._keep(self._key(caller), {"", model}, standings)

    async def of(self, caller: Caller, model: str = "") -> tuple[Standing, ...]:
        """How the limits stand that bind a caller's requests for a model ('': for whichever). Never fails: what is not
        known is not there.
        """
        key = self._key(caller)
        now_s = self._clock()
        if not key.fresh(model, now_s - _FRESH_S) and now_s >= self._again_s:
            await self._refresh(caller, key)
        return self.recalled(caller, model)

    def recalled(self, caller: Caller, model: str) -> tuple[Standing, ...]:
        """The same without a look at the database."""
        key, now_s = self._key(caller), self._clock()
        seen = [key.by_model[name] for name in dict.fromkeys(("", model)) if name in key.by_model]
        return tuple(_later(one, now_s - at_s) for at_s, standings in seen for one in standings)

    def _key(self, caller: Caller) -> _Key:
        key = self._keys.setdefault(caller.key_id, _Key())
        self._keys.move_to_end(caller.key_id)
        while len(self._keys) > _MOST:
            self._keys.popitem(last=False)
        return key

    def _keep(self, key: _Key, models: set[str], standings: Iterable[Standing]) -> None:
        now_s, all_of = self._clock(), list(standings)
        for model in models:
            key.by_model[model] = (now_s, tuple(one for one in all_of if one.model == model))

    async def _refresh(self, caller: Caller, key: _Key) -> None:
        reading = self._reading.get(caller.key_id)
        if reading is None:
            if len(self._reading) >= _MOST_READ:
                return
            reading = self._reading[caller.key_id] = asyncio.ensure_future(self._fetch(caller, key))
            reading.add_done_callback(lambda _: self._reading.pop(caller.key_id, None))
        try:
            await asyncio.wait_for(asyncio.shield(reading), _PATIENCE_S)
        except TimeoutError:
            self._again_s = self._clock() + _PAUSE_S

    async def _fetch(self, caller: Caller, key: _Key) -> None:
        assert caller.org_id is not None
        assert caller.project_id is not None
        subjects = (caller.org_id, caller.project_id, caller.key_id)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._thread, self._look, *subjects)
        except Exception as error:  # no answer fails because it can't say how limits stand
            self._again_s = self._clock() + _PAUSE_S
            if not isinstance(error, DatabaseAwayError | DatabaseError):
                _log.exception("limits can't be read")
            return
        if found is None:
            return
        self._again_s = -inf
        key.read_s = self._clock()
        key.by_model.clear()
        self._keep(key, {"", *(one.model for one in found)}, found)

    def _look(self, *subjects: str) -> tuple[Standing, ...] | None:
        """On the thread: who has waited for it while looks began to fail or to take long makes nobody wait any more."""
        return None if self._clock() < self._again_s else self._read(*subjects)


def _later(standing: Standing, seconds: float) -> Standing:
    """A standing after a while in which nobody took anything."""
    if not standing.window_s:
        return standing
    reset_s = max(0.0, standing.reset_s - seconds)
    left = int(standing.capacity * (1 - reset_s / standing.window_s))
    return replace(standing, left=min(standing.capacity, max(0, left, standing.left)), reset_s=reset_s)
