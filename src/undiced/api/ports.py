"""What the edge needs from the rest: an engine, a tokenizer, a chat encoder. Structural types, so that
tests can put scripted ones in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from undiced.text.logprobs import Spelling

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from undiced.remote.client import Health
    from undiced.serve import Delta, EngineStats, FinishReason, Request
    from undiced.text import PromptOptions


class Engine(Protocol):
    """Runs sequences of token ids; `undiced.remote.client.EngineClient` is one."""

    @property
    def health(self) -> Health:
        """Whether requests are taken."""

    def submit(self, request: Request) -> AsyncIterator[Delta]:
        """Queue a sequence and iterate over its deltas.

        The last one carries the account and no tokens; the one with the last tokens already has the finish reason.

        Raises:
            QueueFullError: the queue is full.
            UnavailableError: draining, or the engine is restarting.
            EngineError: the engine failed while the sequence ran.
        """

    def finish(self, request_id: str, *, at_token: int, reason: FinishReason) -> None:
        """End a sequence as if it had stopped after `at_token` generated tokens: later ones are neither handed out nor
        counted. Counts until the account was read.
        """

    def cancel(self, request_id: str, *, at_token: int) -> None:
        """End a sequence because nobody reads it any more; it counts `at_token` tokens. No error if it is gone."""

    def end_thought(self, request_id: str) -> None:
        """End a sequence's thought with its next token; no error if it is gone."""

    def stats(self) -> EngineStats:
        """The latest figures of the engine."""


class Tokenizer(Spelling, Protocol):
    """Text to token ids and back."""

    vocab_size: int
    bos_id: int | None
    eos_ids: frozenset[int]
    add_bos: bool

    def encode(self, text: str, *, special: bool = False, continuation: bool = False) -> list[int]:
        """Token ids of a text; with `special`, control tokens written in the text become single ids.

        continuation: the text follows another.
        """

    def decode(self, ids: Iterable[int]) -> str:
        """Text of token ids."""

    def id_of(self, name: str) -> int | None:
        """The id of a token by its exact name."""


class Conversation(Protocol):
    """Messages to a prompt; `undiced.text.ChatEncoder` is one."""

    def pieces(self, messages: Sequence[Mapping[str, object]], options: PromptOptions = ...) -> list[str]:
        """The prompt's text in pieces, each to be encoded alone, control tokens in it included.

        Raises InvalidRequestError where the template refuses.
        """
