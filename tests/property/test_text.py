"""Streaming against the whole text: detokenization and stop strings, each with an obvious twin on complete input."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.serve import Delta
from undiced.text import ChatEncoder, ChatTemplate, Fold, FoldOptions, Tokenizer, load_tokenizer
from undiced.text.detokenizer import Detokenizer

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "text"))
from text_sources import Source, bpe_metadata, load, spm_metadata

BPE = load(bpe_metadata())
SPM = load(spm_metadata())
PLAIN_SPM = load(spm_metadata(space_prefix=False))
TOKENIZERS = st.sampled_from([BPE, SPM, PLAIN_SPM])
TEXTS = st.text(st.sampled_from("hello world. the  é🎉\n\t0<|im_end|>中"), max_size=40) | st.text(max_size=20)


@st.composite
def tokenizer_and_ids(draw: st.DrawFn) -> tuple[Tokenizer, list[int]]:
    """Any ids at all (invalid UTF-8, byte pieces, control tokens), or those of a text."""
    tokenizer = draw(TOKENIZERS)
    ids = st.integers(-1, tokenizer.vocab_size)
    if draw(st.booleans()):
        return tokenizer, draw(st.lists(ids, max_size=40))
    return tokenizer, tokenizer.encode(draw(TEXTS), special=draw(st.booleans()))


@given(tokenizer_and_ids(), st.booleans())
@settings(max_examples=400, deadline=None)
def test_pieces_add_up_to_the_whole_and_split_no_character(
    drawn: tuple[Tokenizer, list[int]], continuation: bool
) -> None:
    tokenizer, ids = drawn
    detokenizer = Detokenizer(tokenizer, continuation=continuation)
    pieces = [detokenizer.push(i) for i in ids]
    assert "".join(pieces) + detokenizer.flush() == tokenizer.decode(ids, continuation=continuation)
    for end in range(len(ids)):
        assert tokenizer.decode(ids, continuation=continuation).startswith("".join(pieces[:end]))


@given(TOKENIZERS, TEXTS)
@settings(max_examples=400, deadline=None)
def test_text_survives_encoding_and_users_cannot_forge_control_tokens(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert not tokenizer.control & set(ids)
    spelled = text if tokenizer is BPE else text.replace("\u2581", " ")  # SentencePiece writes a space so
    assert tokenizer.decode(ids) == spelled


@given(TOKENIZERS, TEXTS, TEXTS)
@settings(max_examples=200, deadline=None)
def test_a_continuation_adds_no_space(tokenizer: Tokenizer, first: str, second: str) -> None:
    ids = tokenizer.encode(first) + tokenizer.encode(second, continuation=bool(first))
    text = first + second
    assert tokenizer.decode(ids) == (text if tokenizer is BPE else text.replace("\u2581", " "))


CHAT = ChatEncoder(ChatTemplate("<|im_start|>{% for m in messages %}{{ m.content }}{% endfor %}<|im_end|>"), BPE)


@given(st.text(st.sampled_from("<|im_startend>x\ufdd0 "), max_size=40) | st.text(max_size=20))
@settings(max_examples=200, deadline=None)
def test_no_message_forges_a_control_token(content: str) -> None:
    for piece in (content, content.replace("x", "<|im_end|>")):
        ids = CHAT.encode([{"role": "user", "content": piece}])
        assert [i for i in ids if i in BPE.control] == [1, 2]
        assert BPE.decode(ids) == piece.replace("\ufdd0", "\ufffd")


def naive_stop(text: str, stops: tuple[str, ...], include: bool) -> tuple[str, str | None, int]:
    """Reads the whole text a character at a time. Returns text, stop string, and the characters read."""
    for end in range(1, len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            stop = max(found, key=len)
            return text[: end if include else end - len(stop)], stop, end
    return text, None, len(text)


def tokens_until(tokenizer: Tokenizer, ids: list[int], characters: int) -> int:
    """How many ids it takes until that many characters are complete."""
    for count in range(len(ids) + 1):
        detokenizer = Detokenizer(tokenizer)
        if sum(len(detokenizer.push(i)) for i in ids[:count]) >= characters:
            return count
    return len(ids)


STOPS = st.lists(st.text(st.sampled_from("helo wrdé\ufffd"), min_size=1, max_size=4), max_size=4).map(tuple)


@given(tokenizer_and_ids(), STOPS, st.booleans(), st.lists(st.integers(1, 9)))
@settings(max_examples=600, deadline=None)
def test_a_fold_equals_a_search_in_the_whole_text(
    drawn: tuple[Tokenizer, list[int]], stops: tuple[str, ...], include: bool, sizes: list[int]
) -> None:
    tokenizer, ids = drawn
    want, stop, read = naive_stop(tokenizer.decode(ids), stops, include)
    fold = Fold(tokenizer, FoldOptions(stops, include_stop=include))
    sent, at = "", 0
    while at < len(ids) and not fold.stopped:
        end = at + (sizes.pop() if sizes else 1)
        for piece in fold.push(Delta("", ids[at:end], finish_reason="length" if end >= len(ids) else None)):
            sent += piece.text
        assert want.startswith(sent)
        at = end
    assert (sent, fold.stopped) == (want if ids else "", stop is not None and bool(ids))
    assert fold.tokens == (min(len(ids), tokens_until(tokenizer, ids, read)) if fold.stopped else len(ids))
    assert fold.push(Delta("", [5])) == [] or not fold.stopped


@given(tokenizer_and_ids(), STOPS)
@settings(max_examples=300, deadline=None)
def test_only_a_possible_beginning_of_a_stop_is_held_back(
    drawn: tuple[Tokenizer, list[int]], stops: tuple[str, ...]
) -> None:
    tokenizer, ids = drawn
    fold, detokenizer = Fold(tokenizer, FoldOptions(stops)), Detokenizer(tokenizer)
    seen = sent = ""
    for i in ids:
        seen += detokenizer.push(i)
        sent += "".join(piece.text for piece in fold.push(Delta("", [i])))
        if fold.stopped:
            return
        held = seen[len(sent) :]
        assert not held or any(stop.startswith(held) and stop != held for stop in stops)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=6,
)


@given(st.data(), st.sampled_from([bpe_metadata(), spm_metadata()]))
@settings(max_examples=300, deadline=None)
def test_damaged_metadata_is_refused_or_usable(data: st.DataObject, metadata: dict[str, object]) -> None:
    """A key is replaced, or one entry of a list, or a list is cut."""
    key = data.draw(st.sampled_from(sorted(metadata)))
    value = metadata[key]
    damaged: object = data.draw(VALUES)
    if isinstance(value, list) and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(value) - 1))
        damaged = value[:at] if data.draw(st.booleans()) else [*value[:at], damaged, *value[at + 1 :]]
    try:
        tokenizer = load(metadata | {key: damaged})
    except (CheckpointError, UnsupportedError):
        return
    ids = tokenizer.encode("hello <s> world 12 <|im_end|> é", special=True)
    assert all(0 <= i < tokenizer.vocab_size for i in ids)
    assert isinstance(tokenizer.decode(ids), str)
    assert all(isinstance(tokenizer.token_text(i), str) for i in range(tokenizer.vocab_size))


@given(st.data(), st.sampled_from([BPE, SPM]))
@settings(max_examples=200, deadline=None)
def test_a_damaged_tokenizer_json_is_refused_or_usable(data: st.DataObject, tokenizer: Tokenizer) -> None:
    whole = bytearray(tokenizer._engines[0].to_str().encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1) | st.integers(0, min(1500, len(whole) - 1)))
        whole[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b"", b"{", b"]", b'"', b"0", b"null", b"-1", b","])
        )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tokenizer.json").write_bytes(whole)
        try:
            loaded = load_tokenizer(Source({}, kind="hf", path=Path(folder)))
        except (CheckpointError, UnsupportedError):
            return
    assert isinstance(loaded.decode(loaded.encode("hello <s> world 12 <|im_end|> é", special=True)), str)
