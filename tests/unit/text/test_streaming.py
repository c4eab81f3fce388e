"""Examples of streamed text; the general laws are in tests/property/test_text.py."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.byte_alphabet import CHAR_OF
from text_sources import bpe_metadata, load, spm_metadata

from undiced.core.errors import InvalidRequestError
from undiced.serve import Delta
from undiced.text import Fold, FoldOptions, Piece
from undiced.text.bytelevel import BYTE_OF
from undiced.text.detokenizer import Detokenizer
from undiced.text.fold import Run
from undiced.text.stop import StopMatcher

BPE = load(bpe_metadata())
USUAL = FoldOptions()


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


def fold(ids: list[int], options: FoldOptions = USUAL, **last: object) -> tuple[list[str], Fold]:
    """Texts of the pieces, one token at a time; `last`: of the delta with the last token."""
    made = Fold(BPE, options)
    ends = [{}] * (len(ids) - 1) + [{"finish_reason": "length", **last}]
    pieces = [made.push(Delta("", [i], **end)) for i, end in zip(ids, ends, strict=True)]  # type: ignore[arg-type]
    return ["".join(piece.text for piece in some) for some in pieces], made


def stream(text: str, *stops: str, **options: object) -> tuple[list[str], Fold]:
    return fold(BPE.encode(text), FoldOptions(stops, **options))  # type: ignore[arg-type]


def test_text_is_cut_before_the_stop_and_the_token_is_told() -> None:
    pieces, made = stream("abcdef", "cd")
    assert (pieces, made.stopped, made.tokens) == (["a", "b", "", "", "", ""], True, 4)


def test_a_false_beginning_is_sent_when_it_is_known_to_be_false() -> None:
    assert stream("aabaac", "aac")[0] == ["", "", "aab", "", "", ""]
    assert stream("aab", "aac")[0] == ["", "", "aab"]


def test_a_beginning_at_the_end_comes_with_the_last_token() -> None:
    assert stream("ab", "bc")[0] == ["a", "b"]


def test_the_stop_string_can_be_included() -> None:
    assert "".join(stream("abcdef", "cd", include_stop=True)[0]) == "abcd"


def test_nothing_stops_or_begins_to_in_the_first_tokens() -> None:
    for least, expected in ((0, ("", 2)), (1, ("abx", 5)), (2, ("abx", 5)), (4, ("abxabx", 6))):
        pieces, made = stream("abxabx", "ab", min_tokens=least)
        assert ("".join(pieces), made.tokens) == expected


def test_of_two_stops_the_one_completed_first_wins_and_of_equals_the_longest() -> None:
    assert "".join(stream("abcdef", "bcde", "cd")[0]) == "ab"
    assert "".join(stream("abcdef", "d", "bcd", "cd")[0]) == "a"


def test_without_stops_everything_passes() -> None:
    assert stream("abc")[0] == ["a", "b", "c"]


def test_an_empty_stop_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        Fold(BPE, FoldOptions(("",)))


def test_a_hostile_stop_costs_linear_time() -> None:
    matcher = StopMatcher(("a" * 50_000 + "b",))
    for _ in range(60_000):
        matcher.feed("a")
    assert len(matcher.flush()) == 50_000


def test_the_text_before_an_answer_comes_with_its_first_piece() -> None:
    assert stream("ab", echo="said ")[0] == ["said a", "b"]


def test_an_end_without_tokens_brings_what_was_held_back() -> None:
    made = Fold(BPE, FoldOptions(("abc",), echo="x"))
    assert made.push(Delta("", [])) == [Piece(0, "content", "x", None, 0)]
    assert made.push(Delta("", [])) == []
    made.push(Delta("", BPE.encode("ab")))
    assert made.push(Delta("", [], finish_reason="length")) == [Piece(0, "content", "ab", None, 2)]


def test_a_stop_token_counts_and_is_text_only_where_the_stop_shall_be() -> None:
    (end,) = BPE.encode("c")
    for include, expected in ((False, "ab"), (True, "abc")):
        ids = BPE.encode("abc")
        pieces, made = fold(ids, FoldOptions(include_stop=include, logprobs=False), stop_token=end)
        assert ("".join(pieces), made.tokens) == (expected, 3)


def test_control_tokens_have_no_text_or_show_their_names() -> None:
    (control,) = [token for token in BPE.control if BPE.token_text(token) == "<|im_end|>"]
    ids = [*BPE.encode("a"), control, *BPE.encode("b")]
    assert "".join(fold(ids)[0]) == "ab"
    assert "".join(fold(ids, FoldOptions(skip_special=False))[0]) == "a<|im_end|>b"
    assert "".join(fold(ids, FoldOptions(("|im_",), skip_special=False))[0]) == "a<"
    shown = Fold(BPE, FoldOptions(skip_special=False, logprobs=True))
    pieces = shown.push(Delta("", ids, [-1.0] * 3, finish_reason="length"))
    assert [(row.text, row.spelled, row.offset) for row in pieces[0].logprobs or ()] == [
        ("a", b"a", 0),
        ("<|im_end|>", b"<|im_end|>", 1),
        ("b", b"b", 11),
    ]


def test_log_probabilities_end_with_the_stop_and_begin_behind_the_echo() -> None:
    made = Fold(BPE, FoldOptions(("cd",), logprobs=True, echo="12"))
    ids = BPE.encode("abcdef")
    (piece,) = made.push(Delta("", ids, [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0], [[(ids[1], float("-inf"))]] * 6))
    assert (piece.text, [(row.text, row.logprob, row.offset) for row in piece.logprobs or ()]) == (
        "12ab",
        [("a", -1.0, 2), ("b", -2.0, 3), ("c", -3.0, 4), ("d", -4.0, 5)],
    )
    assert piece.logprobs is not None
    assert [(rival.text, rival.logprob) for rival in piece.logprobs[0].rivals] == [("b", -9999.0)]


class Marked:
    """Two channels: `(` opens reasoning, `)` closes it, and a control token opens a tool call that goes on to the end.
    What follows a `-` is held back until it is known not to be `->`, which is dropped.
    """

    def __init__(self, opening: int) -> None:
        self.opening, self.channel, self.held = opening, "content", ""
        self.ended = False

    @property
    def thinking(self) -> bool:
        return self.channel == "reasoning"

    def push(self, token: int, text: str) -> list[Run]:
        if token == self.opening:
            self.channel = "tool_call"
        runs: list[Run] = []
        for char in text:
            if char in "()":
                self.channel = "reasoning" if char == "(" else "content"
            elif char == "-":
                self.held = "-"
            else:
                runs.append(Run(self.channel, "" if self.held + char == "->" else self.held + char))  # type: ignore[arg-type]
                self.held = ""
        return runs

    def flush(self, text: str) -> list[Run]:
        return [Run(self.channel, self.held + text)]  # type: ignore[arg-type]


def channels(text: str, sizes: int, *stops: str, call: str = "") -> tuple[list[tuple[str, str]], Fold]:
    """The stretches of each channel in order, of tokens that come `sizes` at a time."""
    (opening,) = [token for token in BPE.control if BPE.token_text(token) == "<|im_end|>"]
    made = Fold(BPE, FoldOptions(stops, logprobs=True), channels=Marked(opening), index=3)
    ids = BPE.encode(text) + ([opening, *BPE.encode(call)] if call else [])
    found: list[tuple[str, str]] = []
    rows = 0
    for at in range(0, len(ids), sizes):
        some = ids[at : at + sizes]
        end = "length" if at + sizes >= len(ids) else None
        for piece in made.push(Delta("", some, [-1.0] * len(some), finish_reason=end)):
            assert (piece.index, piece.tokens) == (3, made.tokens)
            rows += len(piece.logprobs or ())
            if found and found[-1][0] == piece.channel:
                found[-1] = (piece.channel, found[-1][1] + piece.text)
            elif piece.text:
                found.append((piece.channel, piece.text))
    assert rows == made.tokens
    return found, made


@pytest.mark.parametrize("sizes", [1, 2, 3, 100])
def test_a_parser_sends_text_to_its_channel_whatever_tokens_come_together(sizes: int) -> None:
    found, _ = channels("(so -> é) he-llo-", sizes, call="{f}")
    assert found == [("reasoning", "so  é"), ("content", " he-llo"), ("tool_call", "-{f}")]
    assert channels("(a", sizes)[0] == [("reasoning", "a")]
    assert channels("a-", sizes)[0] == [("content", "a-")]


@pytest.mark.parametrize("sizes", [1, 2, 3, 100])
def test_stop_strings_end_the_content_and_no_other_channel(sizes: int) -> None:
    found, made = channels("(abab) xab", sizes, "ab")
    assert (found, made.tokens, made.stopped) == ([("reasoning", "abab"), ("content", " x")], 10, True)
    found, made = channels("a(x)b", sizes, "ab")
    assert (found, made.stopped) == ([("content", "a"), ("reasoning", "x"), ("content", "b")], False)


def test_the_byte_alphabet_is_one_to_one() -> None:
    assert [BYTE_OF[c] for c in CHAR_OF] == list(range(256))
    assert (CHAR_OF[ord(" ")], CHAR_OF[ord("\n")], CHAR_OF[ord("a")], CHAR_OF[0xAD]) == ("Ġ", "Ċ", "a", "Ń")


def test_importing_the_package_is_light() -> None:
    heavy = "{'tokenizers', 'jinja2', 'numpy', 'transformers'}"
    code = f"import sys, undiced.text.prompt, undiced.text.fold; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("ids", "stop", "text", "stopped"),
    [
        (["a", "<|end|>", "user", "b"], "<|end|>user", "a", True),
        (["a", "<|end|>", "assistant", "b"], "<|end|>user", "aassistantb", False),
        (["a\n", "<|end|>", "\nb"], "\n<|end|>\n", "a", True),
        (["a", "<", "|end", "|>", "user"], "<|end|>user", "a", True),
        (["a", "<|end|>", "<|end|>", "x"], "<|end|><|end|>", "a", True),
    ],
)
def test_a_stop_string_may_hold_a_control_tokens_name(ids, stop, text, stopped) -> None:
    end = next(token for token in BPE.control)
    tokens = [token for part in ids for token in ([end] if part == "<|end|>" else BPE.encode(part))]
    for include in (False, True):
        options = FoldOptions((stop,), stop_names={end: "<|end|>"}, include_stop=include)
        pieces, made = fold(tokens, options)
        shown = stop.replace("<|end|>", "") if "<|end|>" in ids else stop
        assert ("".join(pieces), made.stopped) == (text + (shown if include and stopped else ""), stopped)
