"""What models write is told apart alike, however it is cut: thoughts, content and calls.

The transcripts are written after the formats' documents; see `support.transcripts`.
"""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.transcripts import TOOLS, TRANSCRIPTS, Letters, Marked, Transcript, heard

from undiced.core.errors import InvalidRequestError
from undiced.serve import Delta
from undiced.text import Fold, FoldOptions, Piece
from undiced.text.fold import Run
from undiced.text.formats import FORMATS, Dialect, TapeOptions, dialect_of
from undiced.text.formats.scan import NotJsonError, Scan

NAMES = sorted(TRANSCRIPTS)
WORDS = st.text('ab"\\\n\u00e9', max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(-1.5e-7) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


def dialect(of: Transcript) -> tuple[Dialect, Marked]:
    vocabulary = Marked(of.control)
    return dialect_of("", vocabulary, tools=of.format, thoughts=of.thoughts), vocabulary


def runs(of: Transcript, cuts: list[int] | None = None, **options: bool) -> list[Run]:
    """What is told of a transcript. cuts: places between tokens at which no tokens are joined; None: all."""
    made, vocabulary = dialect(of)
    make = made.channels(TOOLS, TapeOptions(opened=of.opened, **options))  # type: ignore[arg-type]
    assert make is not None
    reader = make()
    found: list[Run] = []
    for token, text in joined(vocabulary.tokens(of.text), cuts):
        found += reader.push(token, text)
    return found + list(reader.flush(""))


def joined(tokens: list[tuple[int, str]], cuts: list[int] | None) -> list[tuple[int, str]]:
    """Tokens of text, joined where nothing cuts; control tokens stay alone."""
    if cuts is None:
        return tokens
    alone = [at for at, (_, text) in enumerate(tokens) if not text for at in (at, at + 1)]
    ends = sorted({0, len(tokens), *cuts, *alone})
    parts = [tokens[start:end] for start, end in pairwise(ends)]
    return [(part[0][0], "".join(text for _, text in part)) for part in parts if part]


@pytest.mark.parametrize("name", NAMES)
def test_a_transcript_is_read_token_by_token_and_at_once(name: str) -> None:
    of = TRANSCRIPTS[name]
    assert heard(runs(of)) == of.heard
    assert heard(runs(of, [])) == of.heard


@pytest.mark.parametrize("name", NAMES)
def test_a_transcript_cut_in_two_anywhere_is_the_same(name: str) -> None:
    of = TRANSCRIPTS[name]
    for at in range(len(of.text)):
        assert heard(runs(of, [at])) == of.heard, at


@given(st.sampled_from(NAMES), st.lists(st.integers(0, 300), max_size=12))
@settings(max_examples=150, deadline=None)
def test_a_transcript_cut_in_any_pieces_is_the_same(name: str, cuts: list[int]) -> None:
    of = TRANSCRIPTS[name]
    assert heard(runs(of, [cut for cut in cuts if cut < len(dialect(of)[1].tokens(of.text))])) == of.heard


@given(st.sampled_from(sorted(FORMATS)), st.data(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_text_is_lost_whatever_a_model_writes(name: str, data: st.DataObject, single: bool) -> None:
    """Pieces of transcripts in any order: every word of them is told, and arguments that are complete are JSON."""
    of = Transcript(name, "", [], FORMATS[name].MARKS, "think")
    words = ['{"name": "now", "arguments": ', "{}", "}", "]", "now", "(", ")", "word", "\n", " ", "<think>", "</think>"]
    words += [*FORMATS[name].MARKS, '"', "analysis", "to=functions.now", ">", "[", '{"a": 1}']
    text = "".join(data.draw(st.lists(st.sampled_from(words), max_size=14)))
    text = text.replace("word", "wordless")
    found = heard(runs(Transcript(name, text, [], of.control, "think")))
    told = "".join(part for one in found for part in one[1:])
    if name != "harmony":  # whose headers hold words that are no text
        assert told.count("wordless") == text.count("wordless")


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("qwen-coder", "<function=<think><parameter=word", ("call", "<think", "<parameter=word")),
        ("qwen-coder", "<function=now>\n<parameter=a\nb</function>c", ("call", "now", "<parameter=a\nb")),
        ("qwen-coder", "<function=now><parameter=a>1</parameter><parameter=b", ("call", "now", '{"a": 1<parameter=b')),
        ("hermes", '<tool_call>{"name": "now", "arguments": "word', ("call", "now", ' "word')),
        ("dsml", '<\uff5cDSML\uff5ctool_calls><\uff5cDSML\uff5cinvoke name="now"><\uff5cDSML\uff5cparameter name="word',
         ("call", "now", '<\uff5cDSML\uff5cparameter name="word')),
    ],
)  # fmt: skip
@pytest.mark.parametrize("cuts", [None, []])
def test_what_was_read_of_arguments_that_break_off_is_told(
    name: str, text: str, found: tuple[str, ...], cuts: list[int] | None
) -> None:
    told = heard(runs(Transcript(name, text, [], FORMATS[name].MARKS, "think"), cuts))
    assert told[0] == found


@pytest.mark.parametrize("name", NAMES)
def test_the_arguments_of_a_whole_call_are_an_object(name: str) -> None:
    of = TRANSCRIPTS[name]
    for one in heard(runs(of)):
        if one[0] == "call" and name != "a call that is cut":
            assert isinstance(json.loads(one[2]), dict)


def test_arguments_stream_as_they_come() -> None:
    of = TRANSCRIPTS["hermes"]
    first = next(at for at, run in enumerate(runs(of)) if run.name)
    pieces = [run.text for run in runs(of)[first + 1 :] if run.channel == "tool_call" and run.text]
    assert pieces[:12] == list('{"city": "Pa')


@pytest.mark.parametrize("name", NAMES)
def test_the_first_of_several_calls_may_be_the_last(name: str) -> None:
    of = TRANSCRIPTS[name]
    calls = [at for at, one in enumerate(of.heard) if one[0] == "call"]
    expected = of.heard[: calls[0] + 1] if calls and name != "a call that is cut" else of.heard
    assert heard(runs(of, single=True)) == expected


def test_raw_thoughts_stay_in_the_content_with_their_marks() -> None:
    for name in ("hermes, thinking", "mistral, thinking", "a thought that the prompt opened"):
        of = TRANSCRIPTS[name]
        content = heard(runs(of, raw=True))[0]
        thought = of.text[: of.text.index("</think>" if "</think>" in of.text else "[/THINK]")]
        assert content[0] == "content" and content[1].startswith(thought)
        assert not any(one[0] == "reasoning" for one in heard(runs(of, raw=True)))


def test_blanks_before_a_call_stay_where_stop_strings_need_them() -> None:
    assert heard(runs(TRANSCRIPTS["hermes"], trim=False))[0] == ("content", "Let me see.\n")


def test_formats_are_found_by_template_and_tokens() -> None:
    found = {
        '<tool_call>\\n{"name": {{ x }} <think></think>': ("hermes", "think"),
        "<tool_call>{{ name }}<arg_key>": ("", None),
        "<tool_call><invoke": ("", None),
        "<tool_call><function=x><parameter=y>": ("qwen-coder", None),
        "[TOOL_CALLS] [THINK] [/THINK]": ("mistral", "bracket"),
        "<|channel|><|message|> </think>": ("harmony", None),
        f"{FORMATS['deepseek'].MARKS[0]}{FORMATS['deepseek'].MARKS[4]}</think>": ("deepseek", "think"),
        f"<{FORMATS['dsml'].MARKS[0]}invoke </think>": ("dsml", "think"),
        '<|tool_call>call:{{ name }}{<|"|>': ("gemma", None),
        '<|tool_call>call:{{ name }}{<|"|> <|channel>thought <channel|>': ("gemma", "channel"),
        '{"name": x, "parameters": y}': ("llama", None),
        "[func_name1(params_name1=1)]": ("pythonic", None),
        "{{ messages }}": ("", None),
    }
    for source, (tools, thoughts) in found.items():
        made = dialect_of(source, Marked(("<|channel|>", "<|python_tag|>")))
        assert (made.name, made.thoughts and made.thoughts.name) == (tools, thoughts), source
    assert dialect_of('<tool_call>"name', Marked(), tools="none").format is None
    with pytest.raises(InvalidRequestError, match="hermes"):
        dialect_of("", Marked(), tools="morse")


def test_a_prompt_may_open_a_thought() -> None:
    made = dialect_of("<think></think>", Marked())
    gemma = dialect_of("<channel|>", Marked())
    assert gemma.opens("<|channel>thought\n") and not gemma.opens("<|channel>thought\n<channel|>")
    assert made.opens("<|im_start|>assistant\n<think>\n") and not made.opens("<think>\n\n</think>\n\n")


@given(VALUES)
@settings(max_examples=150, deadline=None)
def test_json_is_scanned_to_its_end_and_nothing_else_is(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False)
    scan = Scan()
    out, used = scan.feed(text + " x")
    scan.finish()
    assert (out.strip(), used <= len(text)) == (text, True)
    if isinstance(value, (list, dict)):
        with pytest.raises(NotJsonError):
            Scan().feed(text[:-1] + "?")


def folded(
    of: Transcript, *, size: int = 1, stops: tuple[str, ...] = (), single: bool = False
) -> tuple[Fold, list[Piece]]:
    """The pieces of a transcript whose tokens come `size` at a time, with log-probabilities."""
    made, vocabulary = dialect(of)
    tokens = [token for token, _ in vocabulary.tokens(of.text)]
    options = TapeOptions(opened=of.opened, single=single, trim=not stops)
    make = made.channels(TOOLS, options)
    assert make is not None
    fold = Fold(Letters(vocabulary), FoldOptions(stops, logprobs=True), channels=make())
    pieces: list[Piece] = []
    for at in range(0, len(tokens), size):
        some = tokens[at : at + size]
        end = "stop" if at + size >= len(tokens) else None
        pieces += fold.push(Delta("", some, [-1.0] * len(some), finish_reason=end))  # type: ignore[arg-type]
    return fold, pieces


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("name", NAMES)
def test_the_fold_tells_the_same_and_no_row_is_lost(name: str, size: int) -> None:
    of = TRANSCRIPTS[name]
    fold, pieces = folded(of, size=size)
    assert heard(Run(piece.channel, piece.text, piece.name) for piece in pieces) == of.heard
    assert sum(len(piece.logprobs or ()) for piece in pieces) == fold.tokens
    assert fold.calls == sum(one[0] == "call" for one in of.heard)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_rows_are_where_their_tokens_are(size: int) -> None:
    """Marks count for the thought; a token that waits for what follows goes where its text goes."""
    of = Transcript("hermes", "<think>\nHm.</think>\n\n4 <b>", [], (), "think")
    fold, pieces = folded(of, size=size)
    told: dict[str, str] = {}
    for piece in pieces:
        told[piece.channel] = told.get(piece.channel, "") + "".join(row.text for row in piece.logprobs or ())
    if size == 1:
        assert told == {"reasoning": "<think>\nHm.</think>", "content": "\n\n4 <b>"}
    assert "".join(sorted("".join(told.values()))) == "".join(sorted(of.text))
    assert fold.reasoning == len("\nHm.</think>") + 1


def test_a_stop_string_is_looked_for_in_content_alone_and_with_the_blanks_that_it_has() -> None:
    of = TRANSCRIPTS["hermes, thinking"]
    fold, _ = folded(of, stops=("tag", "Paris"))
    assert not fold.stopped
    fold, pieces = folded(TRANSCRIPTS["hermes"], stops=("\n",))
    assert fold.stopped and fold.tokens == len("Let me see.\n")
    assert "".join(piece.text for piece in pieces) == "Let me see."


def test_the_only_call_ends_the_answer_at_its_last_token() -> None:
    of = TRANSCRIPTS["mistral, a list"]
    for size in (1, 1000):
        fold, pieces = folded(of, single=True, size=size)
        assert fold.stopped and fold.tokens == of.text.index(", {") - len("[TOOL_CALLS]") + 1
        assert sum(len(piece.logprobs or ()) for piece in pieces) == fold.tokens


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("hermes", '<tool_call>{"name": "a\\ud800", "arguments": "\\ud800"}', [("call", "a\ufffd", "\ufffd")]),
        ("hermes", '<tool_call>{"name": "f", "arguments": {}, "parameters": {"a": 1}}', [("call", "f", "{}")]),
        ("hermes", '<tool_call>{"name": "f", "arguments": null}', [("call", "f", "{}")]),
        ("pythonic", "[now(a='\\ud800')]", [("call", "now", '{"a": "\ufffd"}')]),
        ("pythonic", "[now(a=1e999)]", [("content", "[now(a=1e999)]")]),
        ("pythonic", "[now(" + "[" * 500 + ")]", [("content", "[now(" + "[" * 500 + ")]")]),
        ("llama", '{"name": "now", "parameters": ' + "[" * 500, [("call", "now", "[" * 500)]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_no_client_could_read_is_told_in_some_way(name: str, text: str, expected: list) -> None:
    found = heard(runs(Transcript(name, text, [])))
    assert found == expected
    json.dumps(found, ensure_ascii=False).encode()
