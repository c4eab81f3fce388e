"""Small stand-ins for checkpoints: vocabularies of a few hundred tokens that the tests of this folder share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.byte_alphabet import CHAR_OF

from undiced.text import Tokenizer, load_tokenizer

SPACE = "\u2581"


@dataclass(frozen=True)
class Source:
    """Satisfies `undiced.text.source.TextSource`."""

    metadata: Mapping[str, object]
    kind: str = "gguf"
    name: str = "test"
    path: Path = field(default_factory=Path)
    digest: str = "d" * 64


def load(metadata: Mapping[str, object]) -> Tokenizer:
    """The tokenizer of a GGUF file with this metadata; nothing is cached."""
    return load_tokenizer(Source(metadata), Path(os.devnull))


def bpe_metadata(pre: str = "smollm", words: str = "Ġthe hello Ġworld") -> dict[str, object]:
    """256 bytes, merges that spell each of `words` left to right, and four special tokens at the front."""
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", *CHAR_OF]
    merges: list[str] = []
    for word in words.split():
        for end in range(2, len(word) + 1):
            if word[:end] not in tokens:
                tokens.append(word[:end])
                merges.append(f"{word[: end - 1]} {word[end - 1]}")
    return {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3, 3, 3, 4] + [1] * (len(tokens) - 4),
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_bos_token": False,
    }


def spm_metadata(space_prefix: bool = True) -> dict[str, object]:
    """<unk>, <s>, </s>, 256 byte pieces, letters, and a few words with falling scores."""
    letters = [SPACE, *"helowrdant.é"]
    words = [SPACE + "h", "he", "ll", SPACE + "he", "hell", SPACE + "hell", SPACE + "hello", "lo", "an", SPACE + "an"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), *letters, *words, "  "]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * (len(letters) + len(words)) + [4],
        "tokenizer.ggml.scores": [0.0] * 259 + [-1e9] * len(letters) + [-float(i) for i in range(len(words))] + [-1e3],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_space_prefix": space_prefix,
    }
