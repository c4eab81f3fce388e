"""What every builder hands to the Tokenizer: the engine object and the few facts about it that it cannot tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    import tokenizers


class Pieces(Protocol):
    """Texts by id."""

    def __len__(self) -> int: ...
    def __getitem__(self, i: int, /) -> str | None: ...


class Parts(Struct, frozen=True):
    """A built tokenizer.

    Attributes:
        engine: makes the complete `tokenizers` object, which parses special tokens in text by their exact names. It is
            called once.
        pieces: the token of each id as the vocabulary spells it; None for an id without a token.
        byte_level: tokens are spelled in the byte alphabet; otherwise U+2581 means space and <0xNN> a byte.
        space_prefix: encoding puts a space before the text, decoding takes one away.
        control: ids that text never produces and that decode to nothing.
        unknown_id: what text without a spelling becomes, or None; the one control token that a text can lead to.
        literal: ids whose token text is its own spelling (added tokens), whatever the alphabet.
    """

    engine: Callable[[], tokenizers.Tokenizer]
    pieces: Pieces
    byte_level: bool
    space_prefix: bool
    control: frozenset[int]
    literal: frozenset[int]
    bos_id: int | None
    unknown_id: int | None
    eos_ids: frozenset[int]
    add_bos: bool
