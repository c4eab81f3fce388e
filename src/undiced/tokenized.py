"""Tokenized: what an `LLM` is asked, as token ids, and the output that its answers make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from undiced.outputs import RequestOutput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.answer import Answer
    from undiced.talk import Talk


class Tokenized(Struct, frozen=True):
    """A prompt that was tokenized.

    Attributes:
        text: None if it came as token ids.
        talk: the chat that it is of; None for a text that is continued. said: of an answer that is gone on with.
    """

    text: str | None
    ids: list[int]
    talk: Talk | None = None
    said: str = ""


def output_of(prompt: Tokenized, answers: Sequence[Answer]) -> RequestOutput:
    """A prompt with all of its answers, of which there is at least one."""
    first = answers[0]
    scored = first.request.prompt_logprobs >= 0
    return RequestOutput(
        request_id=first.request.id.rpartition(".")[0],
        prompt=prompt.text,
        prompt_token_ids=prompt.ids,
        outputs=[answer.completion for answer in answers],
        prompt_logprobs=[None, *first.prompt_places] if scored else None,
    )
