"""What every builder hands to the Tokenizer: the engine object and the few facts about it that it cannot tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tokenizers


@dataclass(frozen=True, slots=True)
class Parts:
    """A built tokenizer.

    Attributes:
        engine: complete `tokenizers` object; it parses special tokens in text.
        byte_level: tokens are spelled in the byte alphabet; otherwise U+2581 means space and <0xNN> a byte.
        space_prefix: encoding puts a space before the text, decoding takes one away.
        vocab_size: ids are below it (ids without a token may be among them).
        control: ids that text never produces and that decode to nothing.
        literal: ids whose token text is its own spelling (added tokens), whatever the alphabet.
    """

    engine: tokenizers.Tokenizer
    byte_level: bool
    space_prefix: bool
    vocab_size: int
    control: frozenset[int]
    literal: frozenset[int]
    bos_id: int | None
    eos_ids: frozenset[int]
    add_bos: bool
