"""A chat template's switches do what is asked, or the request is refused."""

from __future__ import annotations

from contextlib import closing

import pytest

from undiced.core.errors import InvalidRequestError, UnsupportedError
from undiced.text import ChatEncoder, ChatTemplate, PromptOptions, Thinking
from undiced.text.renderer import Renderer
from undiced.text.thinking import EFFORTS, efforts, thinking_variables

SWITCH = """{%- for message in messages %}{{ message.role }}: {{ message.content }}
{% endfor %}{%- if add_generation_prompt %}assistant:
{%- if enable_thinking is defined and enable_thinking is false %} <think></think>{% endif %}{% endif %}"""
EFFORT = """{%- if reasoning_effort is not defined %}{% set reasoning_effort = "medium" %}{% endif %}
{{- 'effort ' ~ reasoning_effort ~ '\n' }}{% for message in messages %}{{ message.thinking }}{{ message.content }}
{% endfor %}"""
ALWAYS = "{% for message in messages %}{{ message.content }}{% endfor %}<think>"
PLAIN = "{% for message in messages %}{{ message.content }}{% endfor %}"
HI = [{"role": "user", "content": "hi"}]


class Letters:
    """A tokenizer of code points."""

    bos_id = None

    def control_texts(self) -> list[str]:
        return []

    def encode(self, text: str, *, special: bool = False, continuation: bool = False) -> list[int]:
        return [ord(char) for char in text]


def prompt(source: str, **options: object) -> str:
    with closing(ChatEncoder(ChatTemplate(source), Letters())) as encoder:  # type: ignore[arg-type]
        return "".join(encoder.pieces(HI, PromptOptions(**options)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "ends"),
    [
        (Thinking(), "assistant:"),
        (Thinking(True, None, "enable_thinking"), "assistant:"),
        (Thinking(False, None, "enable_thinking"), "assistant: <think></think>"),
        (Thinking(None, "none", "reasoning_effort"), "assistant: <think></think>"),
        (Thinking(None, "low", "reasoning_effort"), "assistant:"),
        (Thinking(None, "medium", "reasoning_effort"), "assistant:"),
    ],
)
def test_a_switch_is_switched(asked, ends):
    assert prompt(SWITCH, thinking=asked).endswith(ends)


@pytest.mark.parametrize(("effort", "written"), [(None, "medium"), ("low", "low"), ("high", "high")])
def test_an_effort_reaches_the_template(effort, written):
    assert prompt(EFFORT, thinking=Thinking(None, effort, "reasoning_effort")).startswith(f"effort {written}\n")


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        (PLAIN, Thinking(True, None, "enable_thinking")),
        (PLAIN, Thinking(None, "high", "reasoning_effort")),
        (ALWAYS, Thinking(False, None, "enable_thinking")),
        (ALWAYS, Thinking(None, "none", "reasoning_effort")),
        (EFFORT, Thinking(False, None, "thinking")),
    ],
)
def test_what_a_template_cannot_do_is_refused(source, asked):
    with pytest.raises(UnsupportedError) as refusal:
        prompt(source, thinking=asked)
    assert (refusal.value.status, refusal.value.code, refusal.value.param) == (400, "unsupported", asked.param)


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        (PLAIN, Thinking(False, None, "enable_thinking")),
        (PLAIN, Thinking(None, "none", "reasoning_effort")),
        (PLAIN, Thinking(None, "medium", "reasoning_effort")),
        (ALWAYS, Thinking(True, None, "enable_thinking")),
    ],
)
def test_what_a_model_does_anyway_is_accepted(source, asked):
    assert prompt(source, thinking=asked) == prompt(source)


def test_variables_reach_the_template_and_unread_ones_are_refused():
    assert prompt(SWITCH, variables={"enable_thinking": False}).endswith("<think></think>")
    for name in ("enable_thinkin", "messages", "add_generation_prompt", "bos_token", "tools", "raise_exception"):
        with pytest.raises(InvalidRequestError, match=f"'{name}'"):
            prompt(SWITCH, variables={name: False})


def test_a_variable_and_a_switch_must_agree():
    asked = Thinking(None, "none", "reasoning_effort")
    assert prompt(SWITCH, variables={"enable_thinking": False}, thinking=asked).endswith("<think></think>")
    with pytest.raises(InvalidRequestError, match="disagree"):
        prompt(SWITCH, variables={"enable_thinking": True}, thinking=asked)


def test_a_switch_by_another_name_is_what_it_asks():
    assert prompt(SWITCH, variables={"thinking": False}).endswith("<think></think>")
    assert prompt(PLAIN, variables={"enable_thinking": False, "thinking": False}) == prompt(PLAIN)
    with pytest.raises(UnsupportedError) as refusal:
        prompt(PLAIN, variables={"enable_thinking": True})
    assert refusal.value.param == "chat_template_kwargs.enable_thinking"
    with pytest.raises(InvalidRequestError, match="disagree"):
        prompt(SWITCH, variables={"enable_thinking": True, "thinking": False})


@pytest.mark.parametrize("value", ["false", 0, None, []])
def test_a_switch_is_true_or_false(value):
    for source in (SWITCH, PLAIN):
        with pytest.raises(InvalidRequestError, match="true or false"):
            prompt(source, variables={"enable_thinking": value})


def test_documents_are_refused_where_the_template_reads_none():
    with pytest.raises(UnsupportedError) as refusal:
        prompt(PLAIN, documents=[{"title": "a", "text": "b"}])
    assert refusal.value.param == "documents"
    source = "{% for document in documents %}{{ document.text }}{% endfor %}" + PLAIN
    assert prompt(source, documents=[{"title": "a", "text": "b"}]) == "bhi"


CHANNELS = EFFORT + "<|channel|>"
WORDS = EFFORT.replace('"medium" %}', '"medium" if false else "max" %}')  # names two words


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (PLAIN, ()),
        (ALWAYS, EFFORTS[1:]),
        (SWITCH, EFFORTS),
        (EFFORT, EFFORTS[1:]),
        (CHANNELS, ("low", "medium", "high")),
        (WORDS, ("medium", "max")),
        (WORDS + "{{ enable_thinking }}", ("none", "medium", "max")),
    ],
)
def test_the_efforts_that_a_model_takes_are_found(source, expected):
    assert efforts(Renderer(source, None, {}).variables, source) == expected


@pytest.mark.parametrize("effort", ["none", "minimal", "xhigh"])
def test_an_effort_that_a_model_does_not_take_is_refused_with_those_that_it_takes(effort):
    with pytest.raises(UnsupportedError, match="low, medium, high") as refusal:
        thinking_variables(Thinking(None, effort, "reasoning_effort"), {"reasoning_effort"}, CHANNELS)
    assert refusal.value.param == "reasoning_effort"


TALK = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b", "reasoning_content": "first"},
    {"role": "user", "content": "c"},
    {"role": "assistant", "content": "d", "reasoning_content": "second"},
]
KEEPS = (
    "{% for m in messages %}[{{ m.content }}{% if m.reasoning_content %}({{ m.reasoning_content }}){% endif %}]"
    "{% endfor %}"
)
DROPS = KEEPS.replace("if m.reasoning_content", "if m.reasoning_content and loop.last")
CHOOSES = KEEPS.replace("if m.reasoning_content", "if m.reasoning_content and (loop.last or not clear_thinking)")


@pytest.mark.parametrize(
    ("source", "usual", "kept"), [(KEEPS, True, True), (DROPS, False, None), (CHOOSES, True, True)]
)
def test_finished_thoughts_are_left_out_or_kept_as_asked(source, usual, kept):
    whole, cleared = "[a][b(first)][c][d(second)]", "[a][b][c][d(second)]"
    with closing(ChatEncoder(ChatTemplate(source), Letters())) as encoder:  # type: ignore[arg-type]

        def said(clear: bool | None) -> str:
            return "".join(encoder.pieces(TALK, PromptOptions(clear_thinking=clear)))

        assert (said(None), said(True)) == (whole if usual else cleared, cleared)
        if kept:
            assert said(False) == whole
        else:
            with pytest.raises(UnsupportedError) as refusal:
                said(False)
            assert refusal.value.param == "clear_thinking"
