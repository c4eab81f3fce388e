"""Lists of strings, read natively, against an obvious reader: same texts, and nothing at all of what is irregular."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from undiced import _native


def packed(texts: list[bytes]) -> bytes:
    return b"".join(struct.pack("<Q", len(text)) + text for text in texts)


def obvious(data: bytes, at: int, count: int, end: int) -> tuple[list[bytes], int] | None:
    """The strings' bytes and where they end; None if they reach beyond `end` or the data."""
    found, end = [], min(end, len(data))
    for _ in range(count):
        if at + 8 > end:
            return None
        size = int.from_bytes(data[at : at + 8], "little")
        at += 8
        if at + size > end:
            return None
        found.append(data[at : at + size])
        at += size
    return found, at


def texts_of(found: list[bytes]) -> list[str] | None:
    try:
        return [text.decode("utf-8") for text in found]
    except UnicodeDecodeError:
        return None


def pairs_of(texts: list[str]) -> list[tuple[str, ...]] | None:
    parts = [tuple(text.split(" ")) for text in texts]
    return parts if all(len(pair) == 2 for pair in parts) else None


@given(
    st.lists(
        st.text(st.sampled_from("ab \u0120\U0001f600"), max_size=6).map(str.encode) | st.binary(max_size=4), max_size=6
    ),
    st.binary(max_size=3),
    st.integers(0, 8),
    st.integers(0, 90),
)
@example([b"a b"], b"", 1, 11)
@example([b"a b c", b"a b"], b"", 2, 90)
def test_strings_are_read_as_by_the_obvious_reader(texts: list[bytes], head: bytes, count: int, end: int) -> None:
    data, at = head + packed(texts), len(head)
    found = obvious(data, at, count, end)
    assert _native.skip_strings(data, at, count, end) == (None if found is None else found[1])
    strings, texts = _native.Strings.read(data, at, count, end), None if found is None else texts_of(found[0])
    if strings is None or texts is None:
        assert strings is texts is None
        return
    assert strings.texts() == _native.Strings(texts).texts() == texts
    assert [strings[i] for i in range(-len(texts), len(texts))] == [*texts, *texts]
    assert strings.pairs() == pairs_of(texts)
    for names in ([], [""], ["a", "b"], ["ab", "", " "]):
        assert strings.places(names) == [(text, i) for i, text in enumerate(texts) if text in names]


@given(st.binary(max_size=5) | st.text(max_size=3).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"\xed\x9f\xbf")
@example(b"\xee\x80\x80")
@example(b"\xe0\x9f\xbf")
@example(b"\xf0\x8f\xbf\xbf")
@example(b"\xf4\x8f\xbf\xbf")
@example(b"\xf4\x90\x80\x80")
@example(b"\xc1\xbf")
@example(b"\xc3")
def test_what_is_utf_8_is_so_to_python(text: bytes) -> None:
    strings = _native.Strings.read(packed([text]), 0, 1, 90)
    assert (None if strings is None else strings.texts()) == texts_of([text])


def test_every_first_pair_of_bytes_is_judged_as_python_does() -> None:
    for first in range(256):
        for second in range(256):
            for rest in (b"", b"\x80", b"\x80\x80"):
                text = bytes((first, second)) + rest
                assert (_native.Strings.read(packed([text]), 0, 1, 90) is None) == (texts_of([text]) is None), text


def test_a_place_outside_and_what_is_no_text_are_refused() -> None:
    strings = _native.Strings(["a", "b"])
    assert len(strings) == 2 and list(strings) == ["a", "b"]
    for place in (2, -3):
        with pytest.raises(IndexError):
            _ = strings[place]
    for wrong in ([1], ["a", None], ["\ud800"], [b"a"]):
        with pytest.raises(ValueError, match="something else"):
            _native.Strings(wrong)  # type: ignore[arg-type]


def test_absurd_lengths_and_places_are_no_strings() -> None:
    most = (1 << 64) - 1
    for size in (most, most - 7, 1 << 63, 9):
        data = struct.pack("<Q", size) + b"12345678"
        for read in (_native.skip_strings, _native.Strings.read):
            assert read(data, 0, 1, most) is None
            assert read(data, most, 1, most) is None
            assert read(data, len(data), 1, len(data)) is None
