"""Lists of strings, read natively, against an obvious reader: same texts, and nothing at all of what is irregular."""

from __future__ import annotations

import struct

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


def pairs_of(found: list[bytes]) -> list[tuple[str, ...]] | None:
    parts = [tuple(part.decode("utf-8", "surrogateescape") for part in text.split(b" ")) for text in found]
    whole = texts_of(found) is not None and all(len(pair) == 2 for pair in parts)
    return parts if whole else None


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
    assert _native.read_strings(data, at, count, end) == (None if found is None else texts_of(found[0]))
    assert _native.read_pairs(data, at, count, end) == (None if found is None else pairs_of(found[0]))


def test_absurd_lengths_and_places_are_no_strings() -> None:
    most = (1 << 64) - 1
    for size in (most, most - 7, 1 << 63, 9):
        data = struct.pack("<Q", size) + b"12345678"
        for read in (_native.skip_strings, _native.read_strings, _native.read_pairs):
            assert read(data, 0, 1, most) is None
            assert read(data, most, 1, most) is None
            assert read(data, len(data), 1, len(data)) is None
