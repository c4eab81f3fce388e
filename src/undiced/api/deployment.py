"""Deployment: one model that is served: its card, its engine, and what turns text into its tokens and back.

Knows no HTTP, no request and no other deployment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undiced.api.prompts import Prompts
from undiced.api.settings import Settings

if TYPE_CHECKING:
    from undiced.api.ports import Conversation, Engine, Tokenizer


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model is, for those who operate it.

    Attributes:
        quantization: the format that most bytes of its weights have.
        parameters: numbers in its weights; weight_bytes: what those take in the file. vocabulary: tokens.
        chat_template: as its publisher wrote it; None for a base model.
        max_batch: sequences that run together; max_queue: more that may wait.
    """

    quantization: str
    parameters: int
    weight_bytes: int
    vocabulary: int
    chat_template: str | None
    max_batch: int
    max_queue: int


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model as clients see it.

    Attributes:
        id: the name clients use; aliases: further names that are accepted.
        created: Unix time in seconds.
        context: positions a sequence may reach, prompt and answer together.
        digest: identifies weights and program; clients see it as `system_fingerprint`.
        license: SPDX identifier, or empty where not known.
        facts: further ones, where they are known.
        sampling: the numbers that the model brings for chats; empty if it brings none.
    """

    id: str
    created: int
    context: int
    digest: str
    owned_by: str = "undiced"
    aliases: tuple[str, ...] = ()
    license: str = ""
    facts: ModelFacts | None = None
    sampling: Mapping[str, float] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """A short stable name for this backend configuration."""
        return "fp_" + hashlib.sha256(self.digest.encode()).hexdigest()[:12]


@dataclass(slots=True)
class Deployment:
    """See the file's head.

    Attributes:
        chat: None for a base model, which can't chat.
        settings: the bounds of its prompts.
    """

    card: ModelCard
    engine: Engine
    tokenizer: Tokenizer
    chat: Conversation | None
    settings: Settings = field(default_factory=Settings)
    prompts: Prompts = field(init=False)

    def __post_init__(self) -> None:
        self.prompts = Prompts(self.tokenizer, self.chat, self.card.id, self.card.context, self.settings)
