"""What the edge needs from the rest: an engine, a tokenizer, a chat encoder. Structural types, so that
tests can put scripted ones in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from undiced.text.logprobs import Spelling

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from undiced.remote.client import Health
    from undiced.remote.stream import Take
    from undiced.remote.way import Meter, Way
    from undiced.serve import EngineStats, FinishReason, Request
    from undiced.text import PromptOptions


class Running(Protocol):
    """A sequence that an engine runs; `undiced.remote.stream.Stream` is one."""

    @property
    def said_s(self) -> float:
        """When a token has last taken a short way, on `time.monotonic`; 0 if none did."""

    def express(self, way: Way, text: bytes, meter: Meter | None = None) -> bool:
        """Write `text`, which was handed out just now, and let the tokens that follow take this way while they are
        plain, instead of being handed out. False, and nothing written, if there is no such way now.
        """

    def settle(self) -> None:
        """Close that way, and count what took it."""

    def pause(self) -> None:
        """Hand out nothing for now: the reader is behind."""

    def resume(self) -> None:
        """Hand out what came meanwhile, as one delta, and what comes; some of it in this call."""

    def finish(self, at_token: int, reason: FinishReason = ...) -> None:
        """End it as if it had stopped after `at_token` generated tokens: later ones are neither handed out nor counted.
        Counts until the account was handed out.
        """

    def cancel(self, at_token: int) -> None:
        """End it because nobody reads it any more; it counts `at_token` tokens, and only its end is handed out."""

    def end_thought(self) -> None:
        """End its thought with its next token."""


class Engine(Protocol):
    """Runs sequences of token ids; `undiced.remote.client.EngineClient` is one."""

    @property
    def health(self) -> Health:
        """Whether requests are taken."""

    def submit(self, request: Request, take: Take) -> Running:
        """Queue a sequence. What becomes of it goes to `take`, which raises nothing, from the event loop and never from
        within this call: deltas as they come. The last one carries the account and no tokens; the one with the last
        tokens already has the finish reason. Of a sequence that fails, an error is the last.

        Raises:
            QueueFullError: the queue is full. UnavailableError: draining, or the engine is restarting.
        """

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
