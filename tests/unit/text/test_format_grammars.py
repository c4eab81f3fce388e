"""The grammars of the formats accept what the transcripts say, and nothing that is no call where there must be one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper
from support.transcripts import DSML, TOOLS, TRANSCRIPTS, Marked

from undiced.api.guides import held_form
from undiced.api.tools import Toolbox
from undiced.grammar import Form, schema_form
from undiced.text.formats import FORMATS, Tool, dialect_of

ALL = tuple(TOOLS.values())
CALL = '{"name": "weather", "%s": {"city": "Paris", "days": 2}}'
ARGUMENTS = '{"city": "Paris", "days": 2}'
CODER = TRANSCRIPTS["qwen-coder"].text.removeprefix("Yes.\n")
ONE = CODER[: CODER.index("\n<tool_call>")]
DEEP = TRANSCRIPTS["deepseek v3.1"].text.removeprefix("Hm.</think>")
D = FORMATS["dsml"].MARKS[0]
DSML_HEAD = DSML[: DSML.index("\n", DSML.index("weather")) + 1]
DSML_TAIL = f"</{D}invoke>\n</{D}function_calls>"
PART = f'<{D}parameter name="{{}}" string="false">{{}}</{D}parameter>\n'
ONE_DSML = DSML[: DSML.index(f"</{D}invoke>")] + DSML_TAIL
HARMONY = f"<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{ARGUMENTS}"
CALLS = {  # format: control tokens, one call, several (or None)
    "hermes": ((), f"<tool_call>\n{CALL % 'arguments'}\n</tool_call>", None),
    "qwen-coder": ((), ONE, CODER),
    "llama": (("<|python_tag|>",), CALL % "parameters", None),
    "pythonic": ((), '[weather(city="Paris", days=2)]', '[weather(city="Paris"), now()]'),
    "mistral": (
        ("[TOOL_CALLS]", "[ARGS]"),
        f"[TOOL_CALLS]weather[ARGS]{ARGUMENTS}",
        f"[TOOL_CALLS]now[ARGS]{{}}[TOOL_CALLS]weather[ARGS]{ARGUMENTS}",
    ),
    "deepseek": (FORMATS["deepseek"].MARKS, DEEP.replace(DEEP[DEEP.index("2}") + 2 : DEEP.rindex("{}") + 2], ""), DEEP),
    "dsml": (FORMATS["dsml"].MARKS, ONE_DSML, DSML),
    "gemma": (
        FORMATS["gemma"].MARKS,
        '<|tool_call>call:weather{city:<|"|>Paris<|"|>,days:2}<tool_call|>',
        '<|tool_call>call:weather{city:<|"|>Paris<|"|>}<tool_call|>\n<|tool_call>call:now{}<tool_call|>',
    ),
    "harmony": (FORMATS["harmony"].MARKS, HARMONY, None),
}


class Bytes:
    """Tokens for llguidance: the bytes, marks, and an end."""

    bos_token_id = None

    def __init__(self, marks: Marked) -> None:
        self.tokens = [bytes([byte]) for byte in range(256)] + [name.encode() for name in marks.ids] + [b"<end>"]
        self.eos_token_id = len(self.tokens) - 1
        self.special_token_ids = list(range(256, len(self.tokens)))

    def __call__(self, text: str | bytes) -> list[int]:
        return list(text if isinstance(text, bytes) else text.encode())


def accepts(
    name: str,
    text: str,
    *,
    forced: bool,
    many: bool = True,
    content: Form | None = None,
    tools: tuple[Tool, ...] = ALL,
) -> bool:
    """Whether an answer may be this text."""
    marks = Marked(CALLS[name][0])
    marks.ids = {mark: 256 + at for at, mark in enumerate(marks.ids)}
    marks.control = frozenset(marks.ids.values())
    form = held_form(Toolbox(tools, tools, forced, many), dialect_of("", marks, tools=name), content)
    assert form is not None
    tokenizer = LLTokenizer(TokenizerWrapper(Bytes(marks)))
    matcher = LLMatcher(tokenizer, form.grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    ids = [one for token, part in marks.tokens(text) for one in ([token] if not part else part.encode())]
    return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_must_be_made_is_the_only_thing_that_may_be_said(name: str) -> None:
    _, one, several = CALLS[name]
    assert accepts(name, one, forced=True)
    assert not accepts(name, "Hi", forced=True)
    assert not accepts(name, one.replace("weather", "whether"), forced=True)
    assert not accepts(name, one.replace("2", '"two"'), forced=True)
    if several is not None:
        assert accepts(name, several, forced=True)
        assert not accepts(name, several, forced=True, many=False)


@pytest.mark.parametrize("name", CALLS)
def test_what_a_schema_defines_at_its_root_holds_in_its_parts(name: str) -> None:
    day = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    schema = {
        "type": "object",
        "properties": {"day": {"$ref": "#/$defs/day"}},
        "required": ["day"],
        "additionalProperties": False,
        "$defs": {"day": day},
    }
    tools = (Tool("plan", "", schema),)
    one = {
        "hermes": '<tool_call>\n{"name": "plan", "arguments": {"day": {"n": 1}}}\n</tool_call>',
        "qwen-coder": f"<tool_call>\n<function=plan>\n<parameter=day>\n{DAY}\n</parameter>\n</function>\n</tool_call>",
        "llama": '{"name": "plan", "parameters": {"day": {"n": 1}}}',
        "pythonic": '[plan(day={"n": 1})]',
        "mistral": '[TOOL_CALLS]plan[ARGS]{"day": {"n": 1}}',
        "deepseek": DEEP[: DEEP.index("weather")] + "plan" + FORMATS["deepseek"].MARKS[4] + '{"day": {"n": 1}}'
        + DEEP[DEEP.rindex("{}") + 2 :],
        "dsml": DSML_HEAD.replace("weather", "plan") + PART.format("day", '{"n": 1}') + DSML_TAIL,
        "gemma": "<|tool_call>call:plan{day:{n:1}}<tool_call|>",
        "harmony": '<|channel|>commentary to=functions.plan <|constrain|>json<|message|>{"day": {"n": 1}}',
    }[name]  # fmt: skip
    assert accepts(name, one, forced=True, tools=tools)
    other = one.replace('"n"', '"m"').replace("{n:", "{m:")
    assert other != one and not accepts(name, other, forced=True, tools=tools)


DAY = '{"n": 1}'
ANSWER = schema_form({"type": "object", "properties": {"n": {"type": "integer"}}}, strict=True, place="x")


@pytest.mark.parametrize("name", CALLS)
def test_a_document_or_a_call_may_be_said_where_both_are_asked_for(name: str) -> None:
    head = "<|channel|>final<|message|>" if name == "harmony" else ""
    assert accepts(name, head + '{"n": 4}', forced=False, content=ANSWER)
    assert accepts(name, CALLS[name][1], forced=False, content=ANSWER)
    assert not accepts(name, head + "four", forced=False, content=ANSWER)


def test_a_call_may_follow_text_where_it_may_be_made() -> None:
    preamble = "<|channel|>commentary<|message|>One moment.<|end|><|start|>assistant"
    strict = tuple(replace(tool, strict=True) for tool in ALL)
    for name, (_, one, _) in CALLS.items():
        before = {"harmony": preamble, "llama": "", "pythonic": ""}.get(name, "One moment.\n")
        assert accepts(name, before + one, forced=False, tools=strict), name
        assert not accepts(name, before + one.replace("weather", "whether"), forced=False, tools=strict), name
        said = "<|channel|>final<|message|>Hi <b>." if name == "harmony" else "Hi <b>."
        assert accepts(name, said, forced=False, tools=strict), name


def test_what_a_grammar_holds_is_what_a_reader_hears() -> None:
    """The arguments of each call above are those that a reader finds in it."""
    from support.transcripts import Transcript, heard
    from test_formats import runs

    for name, (control, one, _) in CALLS.items():
        [(kind, function, arguments)] = heard(runs(Transcript(name, one, [], control)))
        assert (kind, function, json.loads(arguments)) == ("call", "weather", {"city": "Paris", "days": 2}), name
