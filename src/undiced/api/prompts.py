"""Prompts to token ids, and whether they fit: the only place where the length of untrusted text costs time.

Conversations and all but short texts are encoded on threads, without the interpreter lock; long ones one at a time, and
only as far as it takes to see that they can't fit. So they neither stop the streams nor keep a core from the engine
for longer than a prompt that fits would.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from undiced.core.errors import ContextLengthError, InvalidRequestError, NoChatTemplateError, QueueFullError
from undiced.text import PromptOptions
from undiced.text.pieces import TooManyTokensError, encode_pieces, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from undiced.api.ports import Conversation, Tokenizer
    from undiced.api.settings import Settings

_MESSAGE_CHARS = 60  # what a template writes around a message costs like that many
_RETRY_S = 2.0
_END_CHARS = 64  # of a prompt, enough to see how an answer to it begins
_USUAL = PromptOptions()


class Prompts:
    """Encodes prompts for one model.

    Args:
        chat: None for a base model.
        context: positions a sequence may reach, prompt and answer together.
    """

    def __init__(self, tokenizer: Tokenizer, chat: Conversation | None, name: str, context: int, settings: Settings):
        self.tokenizer = tokenizer
        self.chat = chat
        self.name = name
        self.context = context
        self.settings = settings
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0

    async def text(self, text: str, what: str = "prompt") -> list[int]:
        """Token ids of a text, control tokens in it included; begins as the model wants its texts to begin.

        what: the member that it came in.

        Raises:
            ContextLengthError: it can't fit. QueueFullError: too many long texts wait to be tokenized.
        """
        if len(text) <= self.settings.inline_chars:
            ids = self.tokenizer.encode(text, special=True)
        else:
            ids = await self._apart(len(text), partial(self._encoded, what, lambda: [text]))
        return self._begun(ids)

    async def expected(self, text: str) -> list[int]:
        """Token ids of a text that an answer is expected to be like.

        Raises:
            ContextLengthError, QueueFullError: as `text`.
        """
        if not text:
            return []
        ids = await self._apart(len(text), partial(self._encoded, "prediction", lambda: [text]))
        if len(ids) > self.context:
            raise self._too_long("prediction", str(len(ids)), None)
        return ids

    async def whole(self, text: str) -> list[int]:
        """As `text`, however long it is: it is not for the engine. Others get their turn between its parts.

        Raises:
            QueueFullError: too many long texts wait to be tokenized.
        """
        ids: list[int] = []
        for at, part in enumerate(parts_of(text)):
            encode = partial(self.tokenizer.encode, part, special=True, continuation=at > 0)
            ids += await self._apart(len(part), encode) if len(part) > self.settings.inline_chars else encode()
        return self._begun(ids)

    def _begun(self, ids: list[int]) -> list[int]:
        bos = self.tokenizer.bos_id
        return [bos, *ids] if self.tokenizer.add_bos and bos is not None and ids[:1] != [bos] else ids

    async def conversation(
        self, messages: list[dict[str, object]], options: PromptOptions = _USUAL
    ) -> tuple[list[int], str]:
        """Token ids of a conversation, by default up to where the assistant speaks, and the end of its text.

        Raises:
            NoChatTemplateError: a base model. InvalidRequestError: the template refuses the messages.
            ContextLengthError, QueueFullError: as `text`.
        """
        chat = self.chat
        if chat is None:
            message = f"The model '{self.name}' is a base model without a chat template."
            raise NoChatTemplateError(message, remedy="Use /v1/completions.", param="model")
        chars = sum(_MESSAGE_CHARS + _chars(message) for message in [*messages, *options.tools])
        end = ""

        def pieces() -> list[str]:
            nonlocal end
            found = chat.pieces(messages, options)
            end = "".join(found[-_END_CHARS:])[-_END_CHARS:]
            return found

        ids = await self._apart(chars, partial(self._encoded, "messages", pieces))
        return ids, end

    async def _apart(self, chars: int, encode: Callable[[], list[int]]) -> list[int]:
        """Encode on a thread; long texts one at a time. `chars`: about as many as there are to read."""
        if chars <= self.settings.long_chars:
            return await asyncio.to_thread(encode)
        if self._waiting >= self.settings.max_long_prompts:
            message = "Too many long prompts wait to be tokenized."
            raise QueueFullError(message, retry_after_s=_RETRY_S, remedy="Try again in a few seconds.")
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(encode)
        finally:
            self._waiting -= 1

    def _encoded(self, what: str, pieces: Callable[[], list[str]]) -> list[int]:
        try:
            return encode_pieces(self.tokenizer, pieces(), self.context)
        except TooManyTokensError as error:
            raise self._too_long(what, f"more than {error.count}", None) from None

    def room(self, prompt: int, max_tokens: int | None, what: str) -> int:
        """Tokens the answer may have, for a prompt of so many.

        Raises:
            InvalidRequestError: an empty prompt.
            ContextLengthError: prompt and answer are longer than the context.
        """
        if not prompt:
            raise InvalidRequestError(f"The {what} is empty.", remedy="Send some text.", param=what)
        if prompt + (1 if max_tokens is None else max_tokens) <= self.context:
            return self.context - prompt if max_tokens is None else max_tokens
        raise self._too_long(what, str(prompt), max_tokens if prompt < self.context else None)

    def _too_long(self, what: str, count: str, max_tokens: int | None) -> ContextLengthError:
        """Worded so that clients that search the message for known phrases find them."""
        asked = f" and the answer may take {max_tokens} more" if max_tokens else ""
        return ContextLengthError(
            f"The request is too long: this model's maximum context length is {self.context} tokens, "
            f"but the {what} came to {count} tokens{asked}.",
            remedy="Please reduce the length of the messages"
            + (" or max_tokens; without max_tokens the answer takes what fits." if asked else "."),
            param="max_tokens" if asked else what,
        )


def _chars(value: object) -> int:
    """Characters in all strings of a message, tool calls and reasoning included."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_chars, value.values()))
    return sum(map(_chars, value)) if isinstance(value, list) else 0
