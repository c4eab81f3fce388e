"""What a model is asked for where nobody says it: the one rule of sampling defaults, and how long an answer may get.

A number is what the request or the user says; else, in a chat, the model's own (its files' or its catalog entry's, all
of them together); else what suits the place: CHAT for people, the model's bare distribution over HTTP, LIKELIEST for
raw text in a program or a terminal. Who says temperature 0 gets the likeliest token: no penalty that nobody asked for.
Knows no model and no request. `benchmarks/answers.py` measured the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from undiced.core.sampling import Parameters

Numbers = Mapping[str, float]  # by the names of `Parameters`

CHAT: Numbers = MappingProxyType({"temperature": 0.2, "top_p": 0.95, "repetition_penalty": 1.1})
LIKELIEST: Numbers = MappingProxyType({"temperature": 0.0})
CHAT_TOKENS = 1024  # most tokens of an answer to a person
TEXT_TOKENS = 256  # most tokens that a raw text is continued by
_OFF = Parameters()


def chat_numbers(own: Numbers) -> Numbers:
    """What people's chats are answered with: the model's own numbers, or the usual ones if it has none."""
    return own or CHAT


def chat_defaults(own: Numbers) -> dict[str, float]:
    """The same with `max_tokens`, as clients are told."""
    return {**chat_numbers(own), "max_tokens": CHAT_TOKENS}


def settled(said: object, usual: Numbers) -> Callable[[str], float]:
    """The value of each parameter by its name: what `said` has as an attribute, unless None, else the usual one."""
    greedy = getattr(said, "temperature", None) == 0

    def value(name: str) -> float:
        number: float | None = getattr(said, name)
        if number is not None:
            return number
        off: float = getattr(_OFF, name)
        return off if greedy else usual.get(name, off)

    return value


def reserved(limit: int, context: int) -> int:
    """Tokens that a conversation leaves for the answer when its oldest turns are dropped to make room."""
    return min(limit, context // 2)
