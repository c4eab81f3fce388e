"""Names of tokens in the logprobs of text completions: unique in their object and never empty."""

from undiced.api.completions import _top
from undiced.text.logprobs import TokenLogprob


def row(text: str, spelled: bytes, logprob: float | None, *rivals: TokenLogprob) -> TokenLogprob:
    return TokenLogprob(text, spelled, logprob, rivals)


def test_tokens_that_share_a_text_are_told_apart() -> None:
    same = (row("a", b"a", -1.0), row("a", b"a", -2.0), row("a", b"a", -3.0), row("b", b"b", -4.0))
    assert _top(row("a", b"a", -2.0, *same)) == {"a": -2.0, "a #2": -1.0, "a #3": -3.0, "b": -4.0}


def test_a_token_that_is_also_the_likeliest_is_named_once() -> None:
    assert _top(row("a", b"a", -1.0, row("a", b"a", -1.0), row("<s>", b"", -2.0))) == {"a": -1.0, "<s>": -2.0}


def test_parts_of_characters_and_first_tokens() -> None:
    assert _top(row("\ufffd", b"\xe2", -1.0, row("\ufffd", b"\xe3", -2.0))) == {
        "bytes:\\xe2": -1.0,
        "bytes:\\xe3": -2.0,
    }
    assert _top(row("a", b"a", None)) is None
