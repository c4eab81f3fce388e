"""A model whose tokens are words, and which answers with as many as it may."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace

from undiced import SamplingParams
from undiced.core.errors import ContextLengthError
from undiced.outputs import Completion

Messages = Sequence[Mapping[str, str]]


class WordModel:
    """Says "so" again and again; asked to tell slowly, word by word until nobody listens."""

    context = 20
    chat_defaults: Mapping[str, float] = {"temperature": 0.2, "repetition_penalty": 1.1, "max_tokens": 1024}
    config = SimpleNamespace(context=100)

    def __init__(self) -> None:
        self.told: list[list[str]] = []

    def chat_ids(self, messages: Messages, *, resume: bool = False) -> list[int]:
        ids = [0 for message in messages for _ in message["content"].split()]
        if len(ids) > self.context:
            raise ContextLengthError("Too long.")
        return ids

    def stream(
        self, messages: Messages, params: SamplingParams, *, resume: bool = False
    ) -> Iterator[tuple[str, Completion]]:
        self.told.append([message["content"] for message in messages])
        count = params.max_tokens
        assert isinstance(count, int)
        usage = SimpleNamespace(prompt_tokens=len(self.chat_ids(messages)), completion_tokens=count)
        usage.completion_s = usage.queue_s = usage.prompt_s = 1.0
        text = " more" * count if resume else " ".join(["so"] * count)
        answer = Completion(text=text, token_ids=[0] * count, finish_reason="length", usage=usage)  # type: ignore[arg-type]
        for word in ["so "] * (count if messages[-1]["content"] == "slowly" else 0):
            time.sleep(0.05)
            yield word, answer
        yield answer.text, answer
