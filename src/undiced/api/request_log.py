"""The log of requests: one record each, when its answer has ended, with what it took. Knows how nothing is written: a
record's figures are its attribute `fields`, and whoever set up logging makes lines of them.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undiced.account.secret_text import masked
from undiced.api.errors import ClientClosedError
from undiced.api.page import is_page

if TYPE_CHECKING:
    from starlette.types import Scope

    from undiced.api.answer import Answer

Fields = dict[str, str | int | float]
_ROUTINE = frozenset(("/metrics", "/v1/tcp_warming"))  # asked for all day, and always alike
_PATH_SHOWN = 200
_LEFT = ClientClosedError.code
_log = logging.getLogger("undiced.request")


@dataclass(slots=True)
class Entry:
    """One request, from its head to the end of its answer.

    Attributes:
        path: as it was sent, without the secrets of keys, and without the query, which may hold anything.
        status: of the answer; 0 while there is none.
        error: the code of what went wrong, if something did.
        key: the id of the key that it came with, if that is known.
        answer: the sequences, if it came to that. took: the model and its tokens, where there is no answer.
    """

    request_id: str
    method: str
    path: str
    client: str = ""
    status: int = 0
    error: str = ""
    key: str = ""
    answer: Answer | None = None
    took: Fields = field(default_factory=dict)
    began_s: float = field(default_factory=time.perf_counter)
    _written: bool = False

    @property
    def model(self) -> str:
        """Whose it is; empty where that is not known."""
        return str(self.took.get("model", "")) if self.answer is None else self.answer.deployment.card.id

    def write(self) -> None:
        """Log it, once: as a warning what failed by our fault, for debugging alone what is routine."""
        if self._written:
            return
        self._written = True
        level = logging.DEBUG if self._is_routine() else logging.WARNING if self._is_broken() else logging.INFO
        if _log.isEnabledFor(level):
            _log.log(level, "request", extra={"fields": self.fields()})

    def _is_routine(self) -> bool:
        fine = self.status < 400
        return self.path == "/health" or (fine and (self.path in _ROUTINE or is_page(self.path)))

    def _is_broken(self) -> bool:
        return self.status >= 500 or (self.status < 400 and self.error not in ("", _LEFT))

    def fields(self) -> Fields:
        """What the record says, in order; what is not known is left out."""
        fields: Fields = {"id": self.request_id, "method": self.method[:20], "path": self.path[:_PATH_SHOWN]}
        fields["status"] = self.status
        fields |= self.took if self.answer is None else _account(self.answer)
        fields["total_s"] = round(time.perf_counter() - self.began_s, 4)
        if self.answer is not None:
            fields["finish_reason"] = _reason(self.answer, self.error)
        if self.error:
            fields["error"] = self.error
        return fields | {name: value for name, value in (("key", self.key), ("client", self.client)) if value}


def _account(answer: Answer) -> Fields:
    tally, choices = answer.tally, answer.choices
    fields: Fields = {
        "model": answer.deployment.card.id,
        "prompt_tokens": sum(len(one.request.prompt) for one in choices if not one.request.prompt_shared),
        "cached_tokens": tally.cached_tokens,
        "completion_tokens": sum(choice.fold.tokens for choice in choices),
    }
    if tally.events:
        fields |= {"queue_s": round(tally.queue_s, 4), "first_token_s": round(tally.queue_s + tally.prompt_s, 4)}
    return fields


def _reason(answer: Answer, error: str) -> str:
    """Why the answer ended; of several choices every reason once."""
    if error:
        return "cancelled" if error == _LEFT else "error"
    return ",".join(sorted({event.finish_reason for event in answer.tally.events})) or "cancelled"


def entry_of(scope: Scope, request_id: str) -> Entry:
    """The entry of a request that begins now."""
    raw: bytes = scope["raw_path"]
    client = scope.get("client")
    return Entry(request_id, scope["method"], masked(raw.decode("latin-1")), str(client[0]) if client else "")
