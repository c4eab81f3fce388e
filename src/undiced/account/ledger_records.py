"""What the ledger is asked and what it answers: asks, outcomes and top-ups in, tickets out. Plain data; knows no
database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from undiced.account.money import ServiceClass
from undiced.account.secret_text import new_id

Metric = Literal["requests", "tokens", "uncached_tokens", "concurrency"]
Subject = Literal["organization", "project", "key"]
State = Literal["settled", "released", "recovered"]


def _row_id() -> str:
    return f"req_{new_id()}"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that wants to run.

    Attributes:
        id: of its row. request_id: as the client knows it. slot: of the instance's progress file.
        prompt_tokens: exact. max_tokens: the most of each of its `choices` answers.
        expected_tokens: of all answers together, what limits are charged for in advance.
        service_class: its class of service.
    """

    request_id: str
    org_id: str
    project_id: str
    key_id: str
    model: str
    prompt_tokens: int
    max_tokens: int
    choices: int = 1
    expected_tokens: int = 0
    service_class: ServiceClass = "default"
    slot: int | None = None
    id: str = field(default_factory=_row_id)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a limit stands after a request was counted: what is left of it, and seconds until it is full.

    Attributes:
        model: '' for all together.
    """

    subject: Subject
    metric: Metric
    window_s: int
    capacity: int
    left: int
    reset_s: float
    model: str = ""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request may run.

    Attributes:
        id: of its row. max_tokens: the most of each answer, lowered to what the balance covers.
        standings: of the limits that count for it; None where that is not known.
        over_budget: names of budgets that only warn and are used up.
    """

    id: str
    max_tokens: int
    standings: tuple[Standing, ...] | None = None
    over_budget: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TopUp:
    """A running answer is longer than was foreseen: so many tokens more are charged to the limits."""

    id: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request came to. `released`: it never ran, and nothing of it counts."""

    id: str
    state: State
    finish_reason: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Late:
    """An ask that was let in while the database was away, by the operator's will. `at_ms`: when, in Unix milliseconds
    of this machine's clock.
    """

    ask: Ask
    at_ms: int

    @property
    def id(self) -> str:
        """Of the request's row."""
        return self.ask.id


Work = Ask | TopUp | Outcome
Kept = Late | Outcome  # what a journal keeps until the database has it
