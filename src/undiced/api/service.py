"""What a running server knows: the model's card, engine, tokenizer, template, bounds and whether it still takes
requests. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from undiced.api.metrics import Metrics
from undiced.api.settings import Settings
from undiced.core.errors import (
    ContextLengthError,
    InvalidRequestError,
    ModelNotFoundError,
    NoChatTemplateError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from undiced.api.ports import Conversation, Engine, TextStream, Tokenizer

State = Literal["ready", "draining", "stopped"]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The model that is served.

    Attributes:
        id: the name clients use; aliases: further names that are accepted.
        created: Unix time in seconds.
        context: positions a sequence may reach, prompt and answer together.
        digest: identifies weights and program; clients see it as `system_fingerprint`.
        license: SPDX identifier, or empty where not known.
    """

    id: str
    created: int
    context: int
    digest: str
    owned_by: str = "undiced"
    aliases: tuple[str, ...] = ()
    license: str = ""

    @property
    def fingerprint(self) -> str:
        """A short stable name for this backend configuration."""
        return "fp_" + hashlib.sha256(self.digest.encode()).hexdigest()[:12]


@dataclass(slots=True)
class Service:
    """Everything the endpoints share.

    Attributes:
        chat: None for a base model, which can't chat.
        text_stream: makes the token-to-text stream of one sequence from its stop strings and whether it continues a
            text.
        running: tasks that still answer a request; drained on shutdown.
    """

    engine: Engine
    tokenizer: Tokenizer
    chat: Conversation | None
    card: ModelCard
    text_stream: Callable[[tuple[str, ...], bool], TextStream]
    settings: Settings = field(default_factory=Settings)
    metrics: Metrics = field(default_factory=Metrics)
    state: State = "ready"
    running: set[asyncio.Task[object]] = field(default_factory=set)
    _encoding: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    def admit(self, model: str) -> None:
        """Refuse a request that this server will not answer at all.

        Raises:
            UnavailableError: draining.
            ModelNotFoundError: another model's name.
        """
        if self.state != "ready":
            raise UnavailableError("The server is shutting down.", remedy="Try again in a few seconds.")
        if model != self.card.id and model not in self.card.aliases:
            raise ModelNotFoundError(
                f"The model '{model[:200]}' is not served here.", remedy=f"Use '{self.card.id}'.", param="model"
            )

    async def encode(self, text: str) -> list[int]:
        """Token ids of a prompt text, control tokens in it included; begins as the model wants its texts to begin."""
        ids = await self._encoded(len(text), lambda: self.tokenizer.encode(text, special=True))
        bos = self.tokenizer.bos_id
        return [bos, *ids] if self.tokenizer.add_bos and bos is not None and ids[:1] != [bos] else ids

    async def encode_chat(self, messages: list[dict[str, object]]) -> list[int]:
        """Token ids of a conversation.

        Raises:
            NoChatTemplateError: a base model.
            InvalidRequestError: the template refuses the messages.
        """
        chat = self.chat
        if chat is None:
            message = f"The model '{self.card.id}' is a base model without a chat template."
            raise NoChatTemplateError(message, remedy="Use /v1/completions.", param="model")
        size = sum(len(str(message["content"])) for message in messages)
        return await self._encoded(size, lambda: chat.encode(messages))

    async def _encoded(self, size: int, encode: Callable[[], list[int]]) -> list[int]:
        """Long texts are tokenized on a thread, one at a time: they neither stop the streams nor take all cores."""
        if size <= self.settings.inline_chars:
            return encode()
        async with self._encoding:
            return await asyncio.to_thread(encode)

    def room(self, prompt: int, max_tokens: int | None, what: str) -> int:
        """Tokens the answer may have.

        Raises:
            InvalidRequestError: an empty prompt.
            ContextLengthError: prompt and answer are longer than the context.
        """
        context = self.card.context
        if not prompt:
            raise InvalidRequestError(f"The {what} is empty.", remedy="Send some text.", param=what)
        if prompt + (max_tokens or 1) <= context:
            return max_tokens or context - prompt
        asked = f" and the answer may take {max_tokens} more" if max_tokens and prompt < context else ""
        raise ContextLengthError(
            f"The request is too long: this model's maximum context length is {context} tokens, "
            f"but the {what} came to {prompt} tokens{asked}.",
            remedy="Please reduce the length of the messages" + (" or max_tokens." if asked else "."),
            param="max_tokens" if asked else what,
        )
