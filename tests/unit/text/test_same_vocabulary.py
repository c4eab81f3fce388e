"""Whether two models have the same tokens, and in which they differ first."""

from __future__ import annotations

from dataclasses import replace

from text_sources import Source, bpe_metadata

from undiced.text.same_vocabulary import difference

TOKENS = "tokenizer.ggml.tokens"
ONE = Source(bpe_metadata(), name="one", digest="1" * 64)


def other(tokens: list[str]) -> Source:
    kinds = [*ONE.metadata["tokenizer.ggml.token_type"], *[1] * 9][: len(tokens)]  # type: ignore[misc]
    metadata = {**ONE.metadata, TOKENS: tokens, "tokenizer.ggml.token_type": kinds}
    return Source(metadata, name="other", digest="2" * 64)


def own() -> list[str]:
    return list(ONE.metadata[TOKENS])  # type: ignore[call-overload]


def test_the_same_file_and_the_same_tokens_are_the_same() -> None:
    assert difference(ONE, ONE) == ""
    assert difference(ONE, replace(ONE, digest="3" * 64)) == ""


def test_ids_that_are_padding_do_not_count() -> None:
    size = len(own())
    padded = other([*own(), f"[PAD{size}]", f"[PAD{size + 1}]"])
    assert difference(ONE, padded) == difference(padded, ONE) == ""


def test_another_token_is_named_with_both_texts() -> None:
    tokens = own()
    tokens[9] = "xyz"
    told = difference(ONE, other(tokens))
    assert told.startswith("token 9 is ") and "of one and 'xyz' of other" in told
    tokens = own()
    tokens[2] = "<|end|>"  # control tokens add nothing to a text: they differ by their names
    assert difference(ONE, other(tokens)) == "token 2 is '<|im_end|>' of one and '<|end|>' of other"


def test_more_tokens_are_told_with_both_numbers() -> None:
    size = len(own())
    assert difference(ONE, other([*own(), "more"])) == f"one has {size:,} tokens and other {size + 1:,}"
