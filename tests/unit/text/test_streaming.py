"""Examples of streamed text; the general laws are in tests/property/test_text.py."""

from __future__ import annotations

import subprocess
import sys

import pytest
from text_sources import bpe_metadata, load, spm_metadata

from undiced.core.errors import InvalidRequestError
from undiced.text import Detokenizer, StopMatcher
from undiced.text.bytelevel import BYTE_OF, CHAR_OF

BPE = load(bpe_metadata())


def test_a_character_of_several_tokens_comes_whole() -> None:
    detokenizer = Detokenizer(BPE)
    assert [detokenizer.push(i) for i in BPE.encode("🎉a")] == ["", "", "", "🎉", "a"]


def test_an_unfinished_character_is_flushed_as_a_replacement() -> None:
    detokenizer = Detokenizer(BPE)
    assert detokenizer.push(BPE.encode("🎉")[0]) == ""
    assert (detokenizer.flush(), detokenizer.flush()) == ("\ufffd", "")


def test_the_leading_space_of_a_text_goes_and_that_of_a_continuation_stays() -> None:
    spm = load(spm_metadata())
    ids = spm.encode("hello hell")
    texts = ["".join(map(Detokenizer(spm, continuation=c).push, ids)) for c in (False, True)]
    assert texts == ["hello hell", " hello hell"]


def stream(text: str, *stops: str, include: bool = False) -> tuple[list[str], StopMatcher]:
    matcher = StopMatcher(stops, Detokenizer(BPE), include=include)
    pieces = [matcher.push(i)[0] for i in BPE.encode(text)]
    return [*pieces, matcher.flush()], matcher


def test_text_is_cut_before_the_stop_and_the_token_is_told() -> None:
    pieces, matcher = stream("abcdef", "cd")
    assert (pieces, matcher.stop, matcher.tokens) == (["a", "b", "", "", "", "", ""], "cd", 4)


def test_a_false_beginning_is_sent_when_it_is_known_to_be_false() -> None:
    assert stream("aabaac", "aac")[0] == ["", "", "aab", "", "", "", ""]
    assert stream("aab", "aac")[0] == ["", "", "aab", ""]


def test_a_beginning_at_the_end_is_flushed() -> None:
    assert stream("ab", "bc")[0] == ["a", "", "b"]


def test_the_stop_string_can_be_included() -> None:
    assert "".join(stream("abcdef", "cd", include=True)[0]) == "abcd"


def test_nothing_stops_or_begins_to_in_the_first_tokens() -> None:
    for after, expected in ((0, ("", 2)), (1, ("abx", 5)), (2, ("abx", 5)), (4, ("abxabx", 6))):
        matcher = StopMatcher(("ab",), Detokenizer(BPE), after=after)
        text = "".join(matcher.push(i)[0] for i in BPE.encode("abxabx")) + matcher.flush()
        assert (text, matcher.tokens) == expected


def test_of_two_stops_the_one_completed_first_wins_and_of_equals_the_longest() -> None:
    assert stream("abcdef", "bcde", "cd")[1].stop == "cd"
    assert stream("abcdef", "d", "bcd", "cd")[1].stop == "bcd"


def test_without_stops_everything_passes() -> None:
    assert stream("abc")[0] == ["a", "b", "c", ""]


def test_an_empty_stop_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        StopMatcher(("",), Detokenizer(BPE))


def test_a_hostile_stop_costs_linear_time() -> None:
    matcher = StopMatcher(("a" * 50_000 + "b",), Detokenizer(BPE))
    (a,) = BPE.encode("a")
    for _ in range(60_000):
        matcher.push(a)
    assert len(matcher.flush()) == 50_000


def test_the_byte_alphabet_is_one_to_one() -> None:
    assert [BYTE_OF[c] for c in CHAR_OF] == list(range(256))
    assert (CHAR_OF[ord(" ")], CHAR_OF[ord("\n")], CHAR_OF[ord("a")], CHAR_OF[0xAD]) == ("Ġ", "Ċ", "a", "Ń")


def test_importing_the_package_is_light() -> None:
    heavy = "{'tokenizers', 'minijinja', 'numpy', 'transformers'}"
    code = f"import sys, undiced.text; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
