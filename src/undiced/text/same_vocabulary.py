"""Whether two models have the same tokens: what one of them draws must mean the same to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.text.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from undiced.text.source import TextSource
    from undiced.text.tokenizer import Tokenizer

_GGUF = ("tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.token_type")


def difference(one: TextSource, other: TextSource) -> str:
    """In which token two vocabularies differ first, in words; empty if they are the same.

    Ids without a token at the end of either don't count: models of one family are padded to different sizes.
    """
    if one.digest == other.digest:
        return ""
    if one.kind == other.kind == "gguf" and all(one.metadata.get(key) == other.metadata.get(key) for key in _GGUF):
        return ""
    mine, own = load_tokenizer(one), load_tokenizer(other)
    sizes = _tokens(mine), _tokens(own)
    for token in range(min(sizes)):
        if (here := mine.piece(token)) != (there := own.piece(token)):
            return f"token {token:,} is {_quoted(here)} of {one.name} and {_quoted(there)} of {other.name}"
    if sizes[0] != sizes[1]:
        return f"{one.name} has {sizes[0]:,} tokens and {other.name} {sizes[1]:,}"
    return ""


def _tokens(tokenizer: Tokenizer) -> int:
    """Ids up to the last one that has a token."""
    count = tokenizer.vocab_size
    while count and tokenizer.is_padding(count - 1):
        count -= 1
    return count


def _quoted(piece: bytes) -> str:
    return repr(piece.decode("utf-8", "backslashreplace"))
