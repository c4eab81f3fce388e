"""Window: which turns of a conversation the model is still told once they outgrow the context. Knows no tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Message = dict[str, str]


def first_kept(messages: Sequence[Message], start: int, fits: Callable[[Sequence[Message]], bool]) -> int:
    """Where the kept messages begin: at `start`, or at a later user's message. The newest turn is always kept."""
    turns = [at for at, message in enumerate(messages) if at >= start and message["role"] == "user"]
    return next((at for at in turns if fits(messages[at:])), turns[-1])
