"""Counters: the limits that a transaction of the ledger touches, locked, counted in memory, and written back once.

Knows limits and nothing of money. A request is held against all limits of its organization, project and key, for its
model and for all models together, and counts in all of them or in none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, update

from undiced.account.bucket import Bucket
from undiced.account.errors import (
    ConcurrencyExceededError,
    LimitExceededError,
    NeverEnoughError,
    RequestsExceededError,
)
from undiced.account.ledger_records import Ask, Metric, Outcome, Standing, Subject
from undiced.account.ledger_tables import LIMITS
from undiced.account.statements import Order, Statement, among

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from undiced.account.exchange import Rows
    from undiced.core.errors import UndicedError

DAY_S = 86_400


LOCKED = Statement(
    select(LIMITS)
    .where(among(LIMITS.c.subject_id, "subjects"), among(LIMITS.c.model, "models"))
    .order_by(LIMITS.c.id)
    .with_for_update()
)
_WRITE = Statement(
    update(LIMITS)
    .where(LIMITS.c.id == bindparam("row"))
    .values(level=bindparam("level"), updated_ms=bindparam("updated_ms"))
)
_WINDOWS = {60: "minute", 3600: "hour", DAY_S: "day"}
_WORDS: Mapping[str, str] = {"requests": "requests", "tokens": "tokens", "uncached_tokens": "uncached tokens"}


@dataclass(slots=True)
class Counter:
    """A limit as it stands. `running`: of concurrency; `bucket`: of everything else."""

    id: str
    subject: Subject
    subject_id: str
    model: str
    metric: Metric
    window_s: int
    capacity: int
    bucket: Bucket | None
    running: int = 0
    changed: bool = False

    @classmethod
    def read(cls, row: RowMapping, now_ms: int) -> Counter:
        """From its row, as of now."""
        names = ("id", "subject", "subject_id", "model", "metric", "window_s", "capacity")
        known = {name: row[name] for name in names}
        if row["metric"] == "concurrency":
            return cls(**known, bucket=None, running=row["level"])
        bucket = Bucket(row["capacity"], row["window_s"] * 1000, row["level"], row["updated_ms"])
        return cls(**known, bucket=bucket.at(now_ms))

    def amount(self, ask: Ask) -> int:
        """What an ask takes of it in advance."""
        return ask.prompt_tokens + ask.expected_tokens if self._counts_tokens else 1

    def final(self, outcome: Outcome) -> int:
        """What a request has taken of it in the end."""
        if outcome.state == "released" or self.metric == "concurrency":
            return 0
        if not self._counts_tokens:
            return 1
        cached = outcome.cached_tokens if self.metric == "uncached_tokens" else 0
        return outcome.prompt_tokens - cached + outcome.completion_tokens

    def refusal(self, ask: Ask) -> UndicedError | None:
        """Why an ask has no room in it, or None."""
        amount = self.amount(ask)
        if self.bucket is None:
            return None if self.running < self.capacity else self._busy()
        if amount > self.capacity:
            return NeverEnoughError(
                f"The request may need {amount} tokens, more than the {self.capacity} that {self._whose} may use per "
                f"{self._window}.",
                remedy="Shorten the prompt or lower max_tokens.",
                param="max_tokens",
            )
        wait_ms = self.bucket.wait_ms(amount)
        return self._exceeded(wait_ms / 1000) if wait_ms else None

    def take(self, amount: int) -> None:
        """Count an amount; a negative one is given back."""
        self.changed = True
        if self.bucket is None:
            self.running = max(0, self.running + amount)
        else:
            self.bucket = self.bucket.take(amount)

    def standing(self) -> Standing:
        """How it stands."""
        if self.bucket is None:
            left = max(0, self.capacity - self.running)
            return Standing(self.subject, self.metric, 0, self.capacity, left, 0.0, self.model)
        full_s = self.bucket.wait_ms(self.capacity) / 1000
        left = self.bucket.left
        return Standing(self.subject, self.metric, self.window_s, self.capacity, left, full_s, self.model)

    @property
    def level(self) -> int:
        """What is stored."""
        return self.running if self.bucket is None else self.bucket.level

    @property
    def _counts_tokens(self) -> bool:
        return self.metric in ("tokens", "uncached_tokens")

    @property
    def _window(self) -> str:
        return _WINDOWS.get(self.window_s, f"{self.window_s} s")

    @property
    def _whose(self) -> str:
        return f"this {self.subject}"

    def _much(self, words: str) -> str:
        return f"{self.capacity} {words.removesuffix('s') if self.capacity == 1 else words}"

    def _busy(self) -> ConcurrencyExceededError:
        limit = self._told(self.running, 0.0)
        message = f"{self._whose.capitalize()} runs {self._much('requests')} at once, as many as it may."
        remedy = "Wait for one of them to end."
        return ConcurrencyExceededError(message, remedy=remedy, limit=limit, retry_after_s=1.0)

    def _exceeded(self, wait_s: float) -> LimitExceededError:
        assert self.bucket is not None
        kind = RequestsExceededError if self.metric == "requests" else LimitExceededError
        model = f" of {self.model}" if self.model else ""
        much = f"{self._much(_WORDS[self.metric])}{model} per {self._window}"
        message = f"{self._whose.capitalize()} may use {much}."
        remedy = f"Try again in {wait_s:.1f} seconds."
        return kind(message, remedy=remedy, limit=self._told(self.bucket.used, wait_s), retry_after_s=wait_s)

    def _told(self, used: int, reset_s: float) -> dict[str, object]:
        return {
            "scope": self.subject,
            "metric": self.metric,
            "model": self.model or None,
            "window_s": self.window_s,
            "capacity": self.capacity,
            "used": used,
            "reset_s": round(reset_s, 3),
        }


class Counters:
    """Limits as they were `LOCKED`, until the transaction ends."""

    def __init__(self, rows: Rows, now_ms: int) -> None:
        self._all = {row["id"]: Counter.read(row, now_ms) for row in rows}
        self._of: dict[str, list[Counter]] = {}
        for counter in self._all.values():
            self._of.setdefault(counter.subject_id, []).append(counter)

    def see_room(self, ask: Ask) -> None:
        """See that an ask has room in all its limits.

        Raises:
            LimitExceededError: one of them has none now; the one that takes longest.
            NeverEnoughError: one of them never will.
        """
        refusals = [refusal for refusal in (counter.refusal(ask) for counter in self.of(ask)) if refusal is not None]
        if refusals:
            raise max(refusals, key=lambda one: getattr(one, "retry_after_s", inf))

    def take(self, ask: Ask) -> tuple[str, tuple[Standing, ...]]:
        """Count an ask in all its limits; returns what was taken from which, as it is stored, and how they stand."""
        held = {}
        for counter in self.of(ask):
            held[counter.id] = counter.amount(ask)
            counter.take(held[counter.id])
        return json.dumps(held), self.standings(ask)

    def standings(self, ask: Ask) -> tuple[Standing, ...]:
        """How the limits stand that an ask is held against."""
        return tuple(counter.standing() for counter in self.of(ask))

    def of(self, ask: Ask) -> list[Counter]:
        """The limits that an ask is held against."""
        subjects = (ask.org_id, ask.project_id, ask.key_id)
        return [one for subject in subjects for one in self._of.get(subject, ()) if one.model in ("", ask.model)]

    def settle(self, held: str, outcome: Outcome) -> None:
        """Put right what was counted in advance. A limit that was taken away meanwhile needs nothing."""
        for limit_id, amount in json.loads(held).items():
            if (counter := self._all.get(limit_id)) is not None:
                counter.take(counter.final(outcome) - amount)

    def top_up(self, held: str, tokens: int) -> str:
        """Count further tokens of an answer, whether there is room or not; returns what was taken in all."""
        taken: dict[str, int] = json.loads(held)
        for limit_id in taken:
            counter = self._all.get(limit_id)
            if counter is not None and counter.metric in ("tokens", "uncached_tokens"):
                counter.take(tokens)
                taken[limit_id] += tokens
        return json.dumps(taken)

    def changes(self) -> list[Order]:
        """What stores whatever changed, in the order in which it was locked."""
        changed = [
            {"row": one.id, "level": one.level, "updated_ms": one.bucket.updated_ms if one.bucket else 0}
            for one in self._all.values()
            if one.changed
        ]
        return _WRITE.each(changed)
