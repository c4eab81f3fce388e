"""Deployment: one model that is served: its card, its engine, and what turns text into its tokens and back.

Knows no HTTP, no request and no other deployment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from undiced.api.encoding import encode
from undiced.api.prompts import Prompts
from undiced.api.settings import Settings
from undiced.remote.way import Texts
from undiced.text.formats import Dialect

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
        threads: of its engine. kv_tokens: positions of all sequences together that there is room for; kv_bytes: that
            room; kv_type: what is kept there, f16 or int8.
        draft: the model that guesses for it, or None; draft_bytes: what its weights take in the file.
    """

    quantization: str
    parameters: int
    weight_bytes: int
    vocabulary: int
    chat_template: str | None
    max_batch: int
    max_queue: int
    threads: int
    kv_tokens: int
    kv_bytes: int
    kv_type: str
    draft: str | None = None
    draft_bytes: int = 0


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
        efforts: how hard it can be asked to think; empty if it does not think. calls: whether it calls functions.
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
    efforts: tuple[str, ...] = ()
    calls: bool = False

    @property
    def fingerprint(self) -> str:
        """A short stable name for this backend configuration."""
        return "fp_" + hashlib.sha256(self.digest.encode()).hexdigest()[:12]


@dataclass(slots=True)
class Deployment:
    """See the file's head.

    Attributes:
        chat: None for a base model, which can't chat. dialect: how it writes thoughts and calls.
        settings: the bounds of its prompts.
        texts: of tokens, as they stand in a JSON string, for those of which that depends on nothing else.
    """

    card: ModelCard
    engine: Engine
    tokenizer: Tokenizer
    chat: Conversation | None
    settings: Settings = field(default_factory=Settings)
    dialect: Dialect = field(default_factory=Dialect)
    prompts: Prompts = field(init=False)
    texts: Texts = field(init=False)
    _marks: dict[str, tuple[int, ...]] = field(init=False)

    def __post_init__(self) -> None:
        self._marks: dict[str, tuple[int, ...]] = {}
        self.texts = Texts(partial(_text, self.tokenizer))
        self.prompts = Prompts(self.tokenizer, self.chat, self.card.id, self.card.context, self.settings)

    def marks(self, text: str) -> tuple[int, ...]:
        """Token ids of a text with marks; remembered, for there are few such texts."""
        if text not in self._marks:
            self._marks[text] = tuple(self.tokenizer.encode(text, special=True, continuation=True))
        return self._marks[text]


def _text(tokenizer: Tokenizer, token: int) -> bytes | None:
    """A token's text within a JSON string; None if it is no whole characters, or a control token."""
    if token in tokenizer.control:
        return None
    try:
        return encode(tokenizer.token_bytes(token).decode())[1:-1]
    except (UnicodeDecodeError, LookupError):
        return None
