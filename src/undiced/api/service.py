"""What a running server knows: the model's card, engine, tokenizer, template, bounds and whether it still takes
requests. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from undiced.api.metrics import Metrics
from undiced.api.prompts import Prompts
from undiced.api.settings import Settings
from undiced.core.errors import ModelNotFoundError, ShuttingDownError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        text_stream: makes the token-to-text stream of one sequence from its stop strings, whether it continues a
            text, and the tokens that come before anything may stop.
        running: tasks that still answer a request; drained on shutdown.
    """

    engine: Engine
    tokenizer: Tokenizer
    chat: Conversation | None
    card: ModelCard
    text_stream: Callable[[tuple[str, ...], bool, int], TextStream]
    settings: Settings = field(default_factory=Settings)
    metrics: Metrics = field(default_factory=Metrics)
    state: State = "ready"
    running: set[asyncio.Task[object]] = field(default_factory=set)
    prompts: Prompts = field(init=False)

    def __post_init__(self) -> None:
        self.prompts = Prompts(self.tokenizer, self.chat, self.card.id, self.card.context, self.settings)

    @contextlib.contextmanager
    def preparing(self) -> Iterator[None]:
        """While it lasts, the current task counts as running: a drain waits for it, and ends it with an error.

        Raises:
            ShuttingDownError: the server could not wait any longer.
        """
        task = asyncio.current_task()
        assert task is not None
        self.running.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if self.state != "stopped":
                raise
            task.uncancel()
            raise ShuttingDownError() from None
        finally:
            self.running.discard(task)

    def admit(self, model: str) -> None:
        """Refuse a request that this server will not answer at all.

        Raises:
            ShuttingDownError: draining.
            ModelNotFoundError: another model's name.
        """
        if self.state != "ready":
            raise ShuttingDownError()
        if model != self.card.id and model not in self.card.aliases:
            raise ModelNotFoundError(
                f"The model '{model[:200]}' is not served here.", remedy=f"Use '{self.card.id}'.", param="model"
            )
