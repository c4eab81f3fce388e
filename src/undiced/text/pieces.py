"""Long texts to token ids, without doing more than shows whether they fit. Knows no template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

_CHUNK = 1 << 16  # characters that are encoded at once to see whether a text fits
_LETTER = r"[^\W\d_]"
_JOINS = (re.compile(rf"(?<={_LETTER})(?= {_LETTER})"), re.compile(rf"(?<={_LETTER})(?=[.,;:!?、。！，？])"))
_CUT_TOKENS = 32  # tokens that a cut through a text may add


class TooManyTokensError(Exception):
    """A text has more tokens than asked for. count: as many it has at least."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


class _Encodes(Protocol):
    def encode(self, text: str, *, special: bool, continuation: bool = ...) -> list[int]: ...


def encode_pieces(tokenizer: _Encodes, pieces: Sequence[str], most: int | None = None) -> list[int]:
    """Token ids of consecutive pieces of one text, control tokens in it included.

    A long text is first encoded in parts, as far as it takes to see that it has more than `most` tokens: so a
    hopeless one costs no more than one that fits. Raises TooManyTokensError.
    """
    if most is not None:
        _refuse_hopeless(tokenizer, pieces, most)
    ids: list[int] = []
    for at, piece in enumerate(pieces):
        ids += tokenizer.encode(piece, special=True, continuation=at > 0)
    return ids


def parts_of(text: str, size: int = _CHUNK) -> list[str]:
    """A text in parts of some `size` characters, cut where no tokenizer that we know joins tokens: between two words.

    A text without blanks is cut before a punctuation mark, one without either somewhere: that may cost a token.
    """
    parts, at = [], 0
    while len(text) - at > 2 * size:
        window = at + size, at + 2 * size
        cut = next((found.start() for join in _JOINS if (found := join.search(text, *window))), window[1])
        parts.append(text[at:cut])
        at = cut
    return [*parts, text[at:]]


def _refuse_hopeless(tokenizer: _Encodes, pieces: Sequence[str], most: int) -> None:
    if len(pieces) > most and (count := sum(map(bool, pieces))) > most:  # each has a token at least
        raise TooManyTokensError(count)
    step = min(max(most, _CHUNK // 4), _CHUNK)
    if sum(map(len, pieces)) <= step:
        return
    count = parts = 0
    for piece in pieces:
        for start in range(0, len(piece), step):
            count += len(tokenizer.encode(piece[start : start + step], special=True))
            parts += 1
            if count - parts * _CUT_TOKENS > most + most // 16:
                raise TooManyTokensError(count - parts * _CUT_TOKENS)
