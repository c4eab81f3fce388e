"""The text of a key: what is one, what is a typo of one, what it shows of itself."""

from __future__ import annotations

import copy
import string
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undiced.account.secret_text import SecretText, new_id

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
KNOWN = "uk-0123456789AB-" + "abc-_" * 8 + "xyz"


def checksum(body: str) -> str:
    """The obvious way to write a CRC-32 in six base62 digits."""
    number, drawn = zlib.crc32(body.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        drawn = BASE62[digit] + drawn
    return drawn.rjust(6, "0")


@given(st.text(string.ascii_letters + string.digits + "-_", min_size=43, max_size=43))
def test_a_text_is_parsed_by_lengths_whatever_its_secret_holds(secret: str) -> None:
    body = f"uk-0123456789AB-{secret}"
    text = SecretText.parse(f"{body}-{checksum(body)}", "uk")
    assert text is not None
    assert (text.id, text.last_four, text.reveal()) == ("0123456789AB", secret[-4:], f"{body}-{checksum(body)}")


def test_the_checksum_is_what_scanners_compute() -> None:
    assert checksum(KNOWN) == SecretText("0123456789AB", KNOWN).checksum == "0iU6cH"


@pytest.mark.parametrize("prefix", ["uk", "ui"])
def test_a_new_text_is_read_back_and_is_of_one_kind(prefix: str) -> None:
    text = SecretText.new(prefix)  # type: ignore[arg-type]
    other = "ui" if prefix == "uk" else "uk"
    assert SecretText.parse(text.reveal(), prefix) == text  # type: ignore[arg-type]
    assert SecretText.parse(text.reveal(), other) is None  # type: ignore[arg-type]
    assert len(text.reveal()) == 66


def test_every_typo_is_noticed_without_a_database() -> None:
    right = SecretText.new("uk").reveal()
    for place in range(len(right)):
        for wrong in {"A", "b", "7", "-", "_", " ", "\n", "é"} - {right[place]}:
            assert SecretText.parse(right[:place] + wrong + right[place + 1 :], "uk") is None
        assert SecretText.parse(right[:place] + right[place + 1 :], "uk") is None
        assert SecretText.parse(right[:place] + "x" + right[place:], "uk") is None
    for swapped in range(3, len(right) - 1):
        typo = right[:swapped] + right[swapped + 1] + right[swapped] + right[swapped + 2 :]
        assert typo == right or SecretText.parse(typo, "uk") is None


@given(st.text() | st.text("uik-_0aZ", min_size=60, max_size=70))
def test_other_texts_are_none(text: str) -> None:
    assert SecretText.parse(text, "uk") is None


def test_what_it_shows_of_itself_has_no_secret() -> None:
    text = SecretText.new("uk")
    secret = text.reveal()[16:59]
    for shown in (repr(text), str(text), f"{text}", f"{[text]!r}", f"{copy.deepcopy(text)!r}", "%s" % text):  # noqa: UP031
        assert secret not in shown
        assert text.id in shown


def test_ids_and_secrets_are_not_given_twice() -> None:
    made = [SecretText.new("uk") for _ in range(2000)]
    assert len({text.id for text in made}) == len({text.reveal()[16:59] for text in made}) == 2000
    assert all(set(new_id()) <= set(BASE62) for _ in range(100))


def test_digests_need_the_pepper_and_the_whole_body() -> None:
    text = SecretText.new("uk")
    again = SecretText.parse(text.reveal(), "uk")
    assert again is not None
    assert text.digest(b"a" * 32) == again.digest(b"a" * 32) != text.digest(b"b" * 32)
    other_id = SecretText.parse(_renamed(text.reveal()), "uk")
    assert other_id is not None
    assert other_id.digest(b"a" * 32) != text.digest(
        b"a" * 32
    )  # the id is part of it: secrets do not move between keys
    assert len(text.digest(b"a" * 32)) == 32


def _renamed(text: str) -> str:
    body = "uk-000000000000" + text[15:59]
    return f"{body}-{checksum(body)}"
