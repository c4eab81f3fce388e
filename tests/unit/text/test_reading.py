"""What templates read is found out, and what they leave out is refused."""

from __future__ import annotations

import json

import pytest

from undiced.core.errors import CheckpointError, InvalidRequestError
from undiced.text.reading import Reads, left_out, probe, tells_of_tools
from undiced.text.renderer import Renderer
from undiced.text.sandbox_process import Room, Scene

TEXT = "{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}"
PARTS = (
    "{% for m in messages %}[{{ m.role }}:{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}"
    "{% endfor %}]{% endfor %}"
)
EITHER = (
    "{% for m in messages %}[{{ m.role }}:{% if m.content is string %}{{ m.content }}{% else %}"
    "{{ m.content | map(attribute='text') | join('+') }}{% endif %}]{% endfor %}"
)
NO_SYSTEM = "{% for m in messages if m.role != 'system' %}[{{ m.role }}:{{ m.content }}]{% endfor %}"
STRICT = TEXT + "{% if messages[0].role == 'system' %}{{ raise_exception('No system, please.') }}{% endif %}"
CALLS = (
    "{% for m in messages %}[{{ m.role }}:{{ m.content }}{% for c in m.tool_calls or [] %}"
    "{{ c.function.name }}(ARGUMENTS){% endfor %}]{% endfor %}"
)
OBJECTS = CALLS.replace("ARGUMENTS", "{{ c.function.arguments | tojson }}")
PAIRS = CALLS.replace("ARGUMENTS", "{% for k, v in c.function.arguments | items %}{{ k }}={{ v }},{% endfor %}")
JSON_TEXT = CALLS.replace("ARGUMENTS", "{{ '<' + c.function.arguments + '>' }}")
NO_TEXT = JSON_TEXT.replace("m.tool_calls or []", "(m.tool_calls if m.content is none else [])")


def said(role: str, content: object, **more: object) -> dict[str, object]:
    return {"role": role, "content": content, **more}


def calling(arguments: str, content: object = None) -> dict[str, object]:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": arguments}}
    return said("assistant", content, tool_calls=[call])


def rendered(source: str, *messages: dict[str, object], continues: bool = False) -> str:
    return "".join(Room((source, None, {}, ["<|end|>"])).render(Scene(messages), continues).pieces)


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        (TEXT, Reads()),
        (EITHER, Reads()),
        (PARTS, Reads(parts=frozenset({"user", "system", "assistant"}))),
        (NO_SYSTEM, Reads(system=False)),
        (STRICT, Reads()),
        (OBJECTS, Reads()),
        (PAIRS, Reads()),
        (JSON_TEXT, Reads(objects=False)),
        (NO_TEXT, Reads(objects=False, nothing=None)),
    ],
)
def test_what_a_template_reads_is_found_out(source: str, reads: Reads) -> None:
    assert probe(Renderer(source, None, {})) == reads


@pytest.mark.parametrize(
    ("source", "content", "text"),
    [
        (TEXT, "hi", "[user:hi]"),
        (TEXT, [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "[user:a\nb]"),
        (PARTS, "hi", "[user:hi]"),
        (PARTS, [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "[user:ab]"),
    ],
)
def test_content_is_handed_over_as_the_template_reads_it(source: str, content: object, text: str) -> None:
    assert rendered(source, said("user", content)) == text


def test_a_system_message_that_is_not_read_begins_the_first_users_message() -> None:
    messages = [said("system", "S"), said("user", "U"), said("assistant", "A"), said("user", "V")]
    assert rendered(NO_SYSTEM, *messages) == "[user:S\n\nU][assistant:A][user:V]"
    with pytest.raises(InvalidRequestError, match="reads no system message"):
        rendered(NO_SYSTEM, said("system", "S"))
    with pytest.raises(InvalidRequestError, match=r"No system, please\."):
        rendered(STRICT, *messages)


FIRST = "[{{ messages[0].content }}]{% for m in messages[1:] if m.role != 'system' %}[{{ m.content }}]{% endfor %}"
AT_THE_BEGINNING = (
    "{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('Only first.') }}"
    "{% endif %}[{{ m.content }}]{% endfor %}"
)


@pytest.mark.parametrize("source", [FIRST, AT_THE_BEGINNING])
def test_later_system_messages_that_are_not_read_are_told_by_users(source: str) -> None:
    assert probe(Renderer(source, None, {})) == Reads(later=False)
    system, user, answer, later = said("system", "S"), said("user", "U"), said("assistant", "A"), said("system", "L")
    parts = [{"type": "text", "text": "U"}]
    assert rendered(source, system, user, later, answer) == "[S][U\nL][A]"
    assert rendered(source, system, said("user", parts), later, later, answer) == "[S][U\nL\nL][A]"
    assert rendered(source, system, user, answer, later, later, user, user) == "[S][U][A][L\nL\nU][U]"
    assert rendered(source, system, user, answer, later) == "[S][U][A][L]"
    assert rendered(TEXT, user, later) == "[user:U][system:L]"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (OBJECTS, '[assistant:look({"a": {"b": [1, null]}, "c": "é"})]'),
        (PAIRS, "[assistant:look(a={'b': [1, None]},c=é,)]"),
        (JSON_TEXT, '[assistant:look(<{"a": {"b": [1, null]}, "c": "é"}>)]'),
        (NO_TEXT, '[assistant:Nonelook(<{"a": {"b": [1, null]}, "c": "é"}>)]'),
    ],
)
def test_arguments_of_calls_are_objects_where_the_template_reads_objects(source: str, text: str) -> None:
    arguments = '{"a": {"b": [1, null]}, "c": "é"}'
    assert rendered(source, said("user", "x"), calling(arguments)) == "[user:x]" + text
    spaced = rendered(OBJECTS, said("user", "x"), calling(' {"a":1}\n'))
    assert spaced.endswith('look({"a": 1})]')


@pytest.mark.parametrize("arguments", ["", " ", "{}"])
def test_no_arguments_are_an_empty_object(arguments: str) -> None:
    assert rendered(OBJECTS, said("user", "x"), calling(arguments)).endswith("look({})]")


@pytest.mark.parametrize("arguments", ["not json", "[1]", '"x"', '{"a":', "1e999", "[" * 100_000])
def test_arguments_that_are_no_json_object_stay_text(arguments: str) -> None:
    assert rendered(OBJECTS, said("user", "x"), calling(arguments)).endswith(f"look({json.dumps(arguments)})]")
    with pytest.raises(InvalidRequestError, match="cannot render"):
        rendered(PAIRS, said("user", "x"), calling(arguments))


DROPS = {
    "all that users say": ("{% for m in messages %}[{{ m.role }}]{% endfor %}", None),
    "all but the last message": ("[{{ messages[-1].content }}]", "messages[0].content"),
    "all but the first message": ("[{{ messages[0].content }}]", "messages[1].content"),
    "the end of a text": ("{% for m in messages %}[{{ m.content[:20] }}]{% endfor %}", "messages[2].content"),
    "results of tools": (OBJECTS.replace(" in messages", " in messages if m.role != 'tool'"), "messages[5].content"),
    "calls of tools": (TEXT, "messages[4].tool_calls[0]"),
}


@pytest.mark.parametrize("name", sorted(DROPS))
def test_a_template_that_leaves_something_out_is_refused_with_the_place(name: str) -> None:
    source, place = DROPS[name]
    messages = [
        said("system", "Be brief."),
        said("user", "My name is Bob."),
        said("assistant", "Nice to meet you, Bob."),
    ]
    messages += [said("system", "Now be long."), calling("{}"), said("tool", "42 degrees"), said("user", "Thanks!")]
    if place is None:
        with pytest.raises(CheckpointError, match="leaves out what users say"):
            rendered(source, *messages)
        return
    with pytest.raises(InvalidRequestError, match="leaves out") as caught:
        rendered(source, *messages)
    assert caught.value.param == place


CALLS_ALONE = OBJECTS.replace("{{ m.content }}", "{{ m.content if not m.tool_calls }}")


def test_what_an_assistant_says_beside_a_call_is_not_left_out_in_silence() -> None:
    user, call = said("user", "Will it rain?"), calling("{}", "Let me see.")
    assert "Let me see.look(" in rendered(OBJECTS, user, call)
    with pytest.raises(
        InvalidRequestError, match=r"leaves out messages\[1\]\.content\. .*message of its own"
    ) as caught:
        rendered(CALLS_ALONE, user, call)
    assert caught.value.param == "messages[1].content"
    assert "Let me see." in rendered(CALLS_ALONE, user, said("assistant", "Let me see."), calling("{}"))


@pytest.mark.parametrize(
    "content", [None, "", " \n", "<think>I should look.</think>\n", "<tool_call>{}</tool_call>", []]
)
def test_reasoning_and_calls_spelled_as_text_may_be_left_out_beside_a_call(content: object) -> None:
    assert "look({})" in rendered(CALLS_ALONE, said("user", "Will it rain?"), calling("{}", content))


def test_the_same_text_must_be_there_as_often_as_it_was_said() -> None:
    twice = [said("user", "Again!"), said("assistant", "No."), said("user", "Again!")]
    assert left_out(twice, "[Again!][No.][Again!]", "") is None
    assert left_out(twice, "[No.][Again!]", "") == "messages[2].content"
    assert left_out(twice[::2], "[Again!]", "") == "messages[1].content"


@pytest.mark.parametrize(
    ("message", "prompt"),
    [
        (said("user", "  spaces \n"), "[spaces]"),
        (said("user", 'a "quoted"\nline'), '["a \\"quoted\\"\\nline"]'),
        (said("user", "it's\nso"), "['it\\'s\\nso']".replace("\\'", "'")),
        (said("user", ""), "[]"),
        (said("user", None), "[]"),
        (said("assistant", "<think>\nlong\nthought\n</think>\n\nYes."), "[Yes.]"),
        (said("assistant", "[THINK]\nthought[/THINK]"), "[]"),
        (said("assistant", "<think>thought</think>"), "[]"),
        (said("assistant", "", reasoning_content="thought"), "[]"),
        (said("system", "Be nice. /no_think"), "[Be nice.]"),
        (said("system", "Be  nice.\n\nAlways."), "[Be nice. Always.]"),
    ],
)
def test_what_templates_trim_quote_or_act_on_is_not_missed(message: dict[str, object], prompt: str) -> None:
    assert left_out([message], prompt, "content.replace('/no_think', '')") is None


def test_a_message_continues_in_any_form() -> None:
    talk = [said("user", "x"), said("assistant", "So far, so")]
    assert rendered(TEXT, *talk, continues=True) == "[user:x][assistant:So far, so"
    assert rendered(PARTS, *talk, continues=True) == "[user:x][assistant:So far, so"


THOUGHTS = (
    "{% for m in messages %}{{ m.role }}:{{ m.content or '' }}{% for c in m.tool_calls or [] %}{{ c.function.name }}"
    "{{ c.function.arguments | tojson }}{% endfor %}{% if m.KEY is defined %}({{ m.KEY }}){% endif %}{% endfor %}"
)
ONE_OF_BOTH = THOUGHTS.replace(
    "{% if", "{% if m.content and m.tool_calls and m.KEY %}{{ raise_exception('not both') }}{% endif %}{% if", 1
)


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_thinking_goes_where_the_template_reads_it(key):
    template = THOUGHTS.replace("KEY", key)
    call = calling('{"x": 1}') | {"reasoning_content": "Hm"}
    assert "(Hm)" in rendered(template, said("user", "a"), call, said("tool", "4"))


def test_thinking_and_content_beside_a_call_are_one_text_where_a_template_refuses_both():
    template = ONE_OF_BOTH.replace("KEY", "thinking")
    call = calling('{"x": 1}', "One moment.") | {"reasoning_content": "Hm"}
    assert "(Hm\n\nOne moment.)" in rendered(template, said("user", "a"), call, said("tool", "4"))


def test_whether_a_template_tells_of_tools_is_tried():
    tells = "{% macro show(tools) %}{% for t in tools %}{{ t.function.name }}{% endfor %}{% endmacro %}"
    for template, expected in ((tells + "{{ show(tools or []) }}" + THOUGHTS, True), (THOUGHTS, False)):
        renderer = Renderer(template, None, {})
        assert tells_of_tools(renderer, probe(renderer)) is expected
