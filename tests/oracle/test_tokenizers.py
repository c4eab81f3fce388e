"""Tokenizers against independent implementations and against transformers, on varied strings.

Run as a script it rewrites the golden ids of the default model that the default suite compares with:
python tests/oracle/test_tokenizers.py
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from undiced.checkpoint import DEFAULT_MODEL, open_checkpoint
from undiced.text import Tokenizer, load_tokenizer
from undiced.text.presplit import PRESPLITS

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "text"))
from reference_tokenizers import GROUPS, PATTERNS, ReferenceBpe, ReferenceSpm, ReferenceTokenizer
from text_samples import varied_strings
from text_sources import Source

GOLDEN = Path(__file__).parents[1] / "unit" / "text" / "golden_tokens.json"
STRINGS = 10_000
GEMMA = "gemma3-270m"
FOLDER = "UNDICED_REFERENCE_TOKENIZERS"

pytestmark = [pytest.mark.oracle, pytest.mark.model]


def differences(ours: Tokenizer, reference: ReferenceTokenizer, texts: list[str]) -> list[str]:
    """Texts that the two encode differently."""
    found = []
    for text in texts:
        for special in (False, True):
            ids = ours.encode(text, special=special)
            if ids != reference.encode(text, special=special):
                found.append(text)
    return found


def names(reference: ReferenceTokenizer) -> list[str]:
    """Names of special tokens, the first thousand of them."""
    return [t for t, kind in zip(reference.tokens, reference.kinds, strict=True) if kind in (2, 3, 4)][:1000]


def test_the_default_model() -> None:
    checkpoint = open_checkpoint(DEFAULT_MODEL)
    reference = ReferenceBpe(checkpoint.metadata)
    assert differences(load_tokenizer(checkpoint), reference, varied_strings(STRINGS, names(reference))) == []


def test_gemma() -> None:
    checkpoint = open_checkpoint(GEMMA)
    reference = ReferenceSpm(checkpoint.metadata)
    assert differences(load_tokenizer(checkpoint), reference, varied_strings(STRINGS, names(reference))) == []


def test_every_pre_tokenizer_has_a_reference() -> None:
    assert set(PATTERNS) == set(PRESPLITS)


@pytest.mark.parametrize("name", [names.split()[0] for names in GROUPS])
def test_pre_tokenizers_on_the_vocabulary_of_the_default_model(name: str) -> None:
    metadata = dict(open_checkpoint(DEFAULT_MODEL).metadata) | {"tokenizer.ggml.pre": name}
    reference = ReferenceBpe(metadata)
    texts = varied_strings(2000, names(reference), seed=11)
    assert differences(load_tokenizer(Source(metadata)), reference, texts) == []


def test_transformers_on_the_default_model() -> None:
    """transformers' conversion of the file knows no digit splitting, so it gets SmolLM2's published pre-tokenizer."""
    from tokenizers import pre_tokenizers as pre
    from transformers import AutoTokenizer

    checkpoint = open_checkpoint(DEFAULT_MODEL)
    reference = AutoTokenizer.from_pretrained(checkpoint.path.parent, gguf_file=checkpoint.path.name)
    reference.backend_tokenizer.pre_tokenizer = pre.Sequence([pre.Digits(True), pre.ByteLevel(add_prefix_space=False)])
    compare_with_transformers(load_tokenizer(checkpoint), reference)


@pytest.mark.skipif(FOLDER not in os.environ, reason=f"{FOLDER} names no folder of published tokenizer.json files")
def test_published_files() -> None:
    """<folder>/<pre-tokenizer name>/tokenizer.json: ours of the same vocabulary encodes and decodes as theirs."""
    from tokenizers import Tokenizer as Engine

    paths = sorted(Path(os.environ[FOLDER]).glob("*/tokenizer.json"))
    assert paths
    for path in paths:
        engine = Engine.from_file(str(path))
        ours = load_tokenizer(Source(gguf_metadata(json.loads(path.read_text("utf-8")), path.parent.name)))
        for text in varied_strings(STRINGS, [token.content for token in engine.get_added_tokens_decoder().values()]):
            ids = engine.encode(text, add_special_tokens=False).ids
            assert ours.encode(text, special=True) == ids, (path, text)
            assert ours.decode(ids) == engine.decode(ids), (path, text)


def gguf_metadata(published: dict[str, Any], pre: str) -> dict[str, object]:
    """A byte-level tokenizer.json as a converter would store it."""
    kinds = {token["id"]: 3 if token["special"] else 4 for token in published["added_tokens"]}
    ids = published["model"]["vocab"] | {token["content"]: token["id"] for token in published["added_tokens"]}
    tokens = [f"[PAD{i}]" for i in range(max(ids.values()) + 1)]
    for token, i in ids.items():
        tokens[i] = token
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [kinds.get(i, 1) for i in range(len(tokens))],
        "tokenizer.ggml.merges": [m if isinstance(m, str) else " ".join(m) for m in published["model"]["merges"]],
    }


def compare_with_transformers(ours: Tokenizer, reference) -> None:  # type: ignore[no-untyped-def]
    for text in varied_strings(STRINGS, sorted(reference.get_added_vocab())[:1000]):
        ids = reference.encode(text, add_special_tokens=False)
        assert ours.encode(text, special=True) == ids, text
        assert ours.decode(ids) == reference.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def write_golden() -> None:
    """[text, ids, ids with control tokens parsed if they differ] from the independent implementation."""
    reference = ReferenceBpe(open_checkpoint(DEFAULT_MODEL).metadata)
    cases: list[list[object]] = []
    for text in varied_strings(400, names(reference), seed=3):
        plain, special = reference.encode(text), reference.encode(text, special=True)
        cases.append([text, plain] if plain == special else [text, plain, special])
    GOLDEN.write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n", "ascii")


if __name__ == "__main__":
    write_golden()
