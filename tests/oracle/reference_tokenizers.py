"""Tokenizers written from the descriptions of their algorithms, slow and obvious: the twins of `undiced.text`.

Byte-level BPE: split with regular expressions (`regex` package), then join the best ranked pair until none is left;
bytes that the vocabulary lacks (SmolLM2 has no token for some control characters) are dropped, as everywhere.
SentencePiece BPE: join the pair with the best score, leftmost first, until none is left; spell the rest in bytes.
"""

from __future__ import annotations

import heapq
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import regex

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CONTRACTIONS = r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + REST
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + REST
WORD_UP = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
WORD_LOW = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
REST_SLASH = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT4O = rf"{WORD_LOW}(?:{CONTRACTIONS})?|{WORD_UP}(?:{CONTRACTIONS})?|\p{{N}}{{1,3}}{REST_SLASH}"
TEKKEN = rf"{WORD_LOW}|{WORD_UP}|\p{{N}}{REST_SLASH}"
DEEPSEEK3 = (
    r"\p{N}{1,3}",
    r"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    r"[!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
)
DEEPSEEK_CODER = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", r"\p{N}")
DIGITS_GPT2 = (r"\p{N}", GPT2)

# name: (splits, NFC, whole pieces that are tokens need no merges)
GROUPS: dict[str, tuple[tuple[str, ...], bool, bool]] = {
    "gpt-2 phi-2 gigachat a.x-4.0 mellum exaone4 modern-bert mpt olmo jais trillion granite-docling": (
        (GPT2,),
        False,
        False,
    ),
    "smollm starcoder refact codeshell exaone minerva-7b mellum2": (DIGITS_GPT2, False, False),
    "command-r": (DIGITS_GPT2, True, False),
    "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2": ((LLAMA3,), False, True),
    "smaug-bpe dbrx glm4 chatglm-bpe": ((LLAMA3,), False, False),
    "qwen2 deepseek-r1-qwen kormo megrez": ((QWEN2,), True, False),
    "stablelm2 hunyuan solar-open grok-2": ((QWEN2,), False, False),
    "gpt-4o llama4 kanana2 talkie minimax-m2": ((GPT4O,), False, False),
    "tekken": ((TEKKEN,), False, True),
    "deepseek-v3 hunyuan-dense joyai-llm": (DEEPSEEK3, False, False),
    "deepseek-coder": (DEEPSEEK_CODER, False, False),
}
PATTERNS = {name: pattern for names, pattern in GROUPS.items() for name in names.split()}


class ReferenceTokenizer:
    """Parses tokens of kinds 2, 3 (only if special) and 4 (always) from the text and encodes what lies between."""

    def __init__(self, metadata: Mapping[str, object]) -> None:
        self.tokens: Sequence[str] = metadata["tokenizer.ggml.tokens"]  # type: ignore[assignment]
        self.kinds: Sequence[int] = metadata["tokenizer.ggml.token_type"]  # type: ignore[assignment]
        self.metadata = metadata
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        self._parsers = {special: self._parser({2, 3, 4} if special else {4}) for special in (False, True)}

    def _parser(self, kinds: set[int]) -> regex.Pattern[str] | None:
        names = sorted((t for t, kind in zip(self.tokens, self.kinds, strict=True) if kind in kinds), key=len)
        return regex.compile("|".join(map(regex.escape, reversed(names)))) if names else None

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        parser = self._parsers[special]
        ids: list[int] = []
        start = 0
        for match in parser.finditer(text) if parser else ():
            ids += self.plain(text[start : match.start()])
            ids.append(self.ids[match[0]])
            start = match.end()
        return ids + self.plain(text[start:])

    def plain(self, text: str) -> list[int]:
        raise NotImplementedError


class ReferenceBpe(ReferenceTokenizer):
    def __init__(self, metadata: Mapping[str, object]) -> None:
        super().__init__(metadata)
        patterns, self.nfc, self.whole = PATTERNS[str(metadata["tokenizer.ggml.pre"])]
        self.patterns = [regex.compile(pattern) for pattern in patterns]
        merges: Sequence[str] = metadata["tokenizer.ggml.merges"]  # type: ignore[assignment]
        self.ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(merges)}
        printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
        self.letter = {b: chr(b) for b in printable}
        self.letter |= {b: chr(256 + n) for n, b in enumerate(sorted(set(range(256)) - set(printable)))}
        self.word = lru_cache(100_000)(self._word)

    def plain(self, text: str) -> list[int]:
        pieces = [unicodedata.normalize("NFC", text) if self.nfc else text]
        for pattern in self.patterns:
            pieces = [part for piece in pieces for part in _isolate(pattern, piece)]
        return [i for piece in pieces for i in self.word(piece)]

    def _word(self, piece: str) -> list[int]:
        letters = "".join(self.letter[b] for b in piece.encode())
        if self.whole and letters in self.ids:
            return [self.ids[letters]]
        symbols = list(letters)
        while len(symbols) > 1:
            rank, at = min((self.ranks.get((a, b), 1 << 60), i) for i, (a, b) in enumerate(pairwise(symbols)))
            if rank == 1 << 60:
                break
            symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
        return [self.ids[s] for s in symbols if s in self.ids]


class ReferenceSpm(ReferenceTokenizer):
    def __init__(self, metadata: Mapping[str, object]) -> None:
        super().__init__(metadata)
        scores: Sequence[float] = metadata["tokenizer.ggml.scores"]  # type: ignore[assignment]
        usable = ((t, i) for t, i in self.ids.items() if self.kinds[i] not in (2, 3, 6))
        self.score = {t.replace(" ", "\u2581"): 0.0 if self.kinds[i] == 4 else scores[i] for t, i in usable}
        self.ids = {t.replace(" ", "\u2581"): i for t, i in self.ids.items()} | self.ids
        self.prefix = bool(metadata.get("tokenizer.ggml.add_space_prefix", True))

    def plain(self, text: str) -> list[int]:
        if not text:
            return []
        text = (" " + text if self.prefix else text).replace(" ", "\u2581")
        pieces: list[str | None] = list(text)
        after = list(range(1, len(text) + 1))
        before = list(range(-1, len(text) - 1))
        queue: list[tuple[float, int, int, str]] = []

        def offer(left: int, right: int) -> None:
            if left >= 0 and right < len(pieces):
                joined = f"{pieces[left]}{pieces[right]}"
                if joined in self.score:
                    heapq.heappush(queue, (-self.score[joined], left, right, joined))

        for i in range(len(text) - 1):
            offer(i, i + 1)
        while queue:
            _, left, right, joined = heapq.heappop(queue)
            if pieces[left] is None or pieces[right] is None or f"{pieces[left]}{pieces[right]}" != joined:
                continue
            pieces[left], pieces[right] = joined, None
            after[left] = after[right]
            if after[left] < len(pieces):
                before[after[left]] = left
            offer(before[left], left)
            offer(left, after[left])
        return [i for piece in pieces if piece is not None for i in self._spell(piece)]

    def _spell(self, piece: str) -> list[int]:
        if piece in self.score:
            return [self.ids[piece]]
        return [self.ids[f"<0x{b:02X}>"] for b in piece.encode()]


def _isolate(pattern: regex.Pattern[str], text: str) -> Iterator[str]:
    """Matches and what lies between them, in order."""
    start = 0
    for match in pattern.finditer(text):
        if match.start() > start:
            yield text[start : match.start()]
        if match.end() > match.start():
            yield match[0]
        start = match.end()
    if start < len(text):
        yield text[start:]
