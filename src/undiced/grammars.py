"""From a model to the grammars over its vocabulary. A composition root: it may import everything.

The engine process calls `open_grammars` by name, when the first request comes that needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.core.errors import UnsupportedError

if TYPE_CHECKING:
    from undiced.engine.load import BackendOptions
    from undiced.grammar import LlGrammars
    from undiced.text import Tokenizer


def open_grammars(options: BackendOptions, vocab: int) -> LlGrammars:
    """The grammars of an engine's checkpoint, whose logits have `vocab` rows. Takes half a second.

    Raises:
        UndicedError: its tokenizer cannot be used.
    """
    from undiced.checkpoint import open_checkpoint
    from undiced.text import load_tokenizer

    return grammars_of(load_tokenizer(open_checkpoint(options.checkpoint)), vocab)


def grammars_of(tokenizer: Tokenizer, vocab: int) -> LlGrammars:
    """The grammars over a tokenizer's vocabulary.

    Raises:
        UnsupportedError: no token ends an answer, so that nothing could say that it is complete.
    """
    from undiced.grammar import LlGrammars, Vocabulary

    ends = sorted(token for token in tokenizer.eos_ids if token < vocab)
    if not ends:
        raise UnsupportedError(
            "This model has no token that ends an answer, so answers cannot be held to a form.",
            remedy="Use another model, or leave schemas and grammars out.",
        )
    control = tokenizer.control
    tokens = [
        tokenizer.token_text(token).encode() if token in control else tokenizer.token_bytes(token)
        for token in range(min(vocab, tokenizer.vocab_size))
    ]

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text, continuation=True)

    return LlGrammars(Vocabulary(tokens, sorted(token for token in control if token < vocab), ends, encode, vocab))
