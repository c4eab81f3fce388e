"""Chat templates: what they render, refuse and survive. tests/oracle/test_templates.py compares with transformers."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from text_sources import Source, bpe_metadata

from undiced.core.errors import CheckpointError, InvalidRequestError
from undiced.text import ChatTemplate, load_chat_template

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
HELLO = [{"role": "user", "content": "Hello <b>&</b>"}]


def test_renders_without_escaping() -> None:
    want = "<|im_start|>user\nHello <b>&</b><|im_end|>\n"
    assert ChatTemplate(CHATML).render(HELLO, add_generation_prompt=False) == want
    assert ChatTemplate(CHATML).render(HELLO) == want + "<|im_start|>assistant\n"


def test_blocks_are_trimmed_as_transformers_does() -> None:
    source = "{% for m in messages %}\n  {% if m.role %}\n{{ m.content }}\n  {% endif %}\n{% endfor %}\n"
    assert ChatTemplate(source).render(HELLO) == "Hello <b>&</b>\n"


def test_token_variables_and_options() -> None:
    source = "{{ bos_token }}{{ enable_thinking is defined }}{{ reasoning_effort }}{{ tools is none }}"
    template = ChatTemplate(source, {"bos_token": "<s>"})
    assert template.render(HELLO) == "<s>FalseTrue"
    assert template.render(HELLO, variables={"enable_thinking": False, "reasoning_effort": "low"}) == "<s>TruelowTrue"


def test_json_is_not_escaped_and_keeps_order() -> None:
    template = ChatTemplate(
        "{{ tools | tojson }}|{{ tools[0] | tojson(indent=1) }}|{{ {'é': true} | tojson(ensure_ascii=true) }}"
    )
    want = '[{"b": "<é>", "a": null}]|{\n "b": "<é>",\n "a": null\n}|{"\\u00e9": true}'
    assert template.render(HELLO, tools=[{"b": "<é>", "a": None}]) == want


def test_none_is_not_iterable() -> None:
    template = ChatTemplate("{{ tools is iterable }}{{ 'a' is iterable }}{{ messages is iterable }}{{ 1 is iterable }}")
    assert template.render(HELLO) == "FalseTrueTrueFalse"


def test_the_clock_is_given() -> None:
    template = ChatTemplate("{{ strftime_now('%d %b %Y') }}", now=lambda: datetime(2026, 3, 4))
    assert template.render(HELLO) == "04 Mar 2026"


def test_generation_tags_of_training_tools_are_harmless() -> None:
    assert ChatTemplate("a {%- generation -%} b {% endgeneration %}").render(HELLO) == "ab "


def test_a_template_that_refuses_gives_its_own_words() -> None:
    template = ChatTemplate("{{ raise_exception('roles must alternate') }}")
    with pytest.raises(InvalidRequestError, match="roles must alternate") as caught:
        template.render(HELLO)
    assert (caught.value.status, caught.value.param) == (400, "messages")


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ ('a' * 9999999999) | length }}",
        "{{ 'a' | indent(9999999999) }}",
        "{% for i in range(99) %}{% set x = messages | list %}{{ range(9999999999) }}{% endfor %}",
        "{{ messages.missing.missing }}",
        "{{ 1 / 0 }}",
        "{{ messages + 1 }}",
        "{% include 'other' %}",
        "{{ unknown_function() }}",
        "{{ strftime_now(1) }}",
        "{{ messages | tojson(indent=999999999) }}",
        "{{ messages | tojson(separators=('x' * 99999, ':')) }}",
    ],
)
def test_a_template_that_fails_or_never_ends_is_one_clear_error(source: str) -> None:
    with pytest.raises(InvalidRequestError):
        ChatTemplate(source).render(HELLO)


def test_no_way_from_a_template_into_python() -> None:
    source = (
        "{{ messages.__class__ }}{{ raise_exception.__globals__ }}{{ messages[0].__init__ }}{{ strftime_now.__code__ }}"
    )
    assert ChatTemplate(source).render(HELLO) == ""


def test_rendering_leaves_the_messages_alone() -> None:
    messages = [{"role": "user", "content": "x"}]
    ChatTemplate("{% set messages = messages + [1] %}{% set m = messages[0] %}").render(messages)
    assert messages == [{"role": "user", "content": "x"}]


@pytest.mark.parametrize("source", ["{% if %}", "{{", "{% endfor %}", "{% unknown %}", "x" * (2 << 20)])
def test_wrong_syntax_is_refused_when_loaded(source: str) -> None:
    with pytest.raises(CheckpointError, match="chat template"):
        ChatTemplate(source)


def test_from_gguf_metadata() -> None:
    assert load_chat_template(Source(bpe_metadata())) is None
    metadata = bpe_metadata() | {"tokenizer.chat_template": "{{ bos_token }}{{ eos_token }}"}
    metadata["tokenizer.chat_template.tool_use"] = "tools"
    template = load_chat_template(Source(metadata))
    assert template is not None
    assert template.render(HELLO) == "<|im_start|><|im_end|>"
    assert template.render(HELLO, tools=[{"name": "f"}]) == "tools"


def test_from_a_folder(tmp_path: Path) -> None:
    source = Source({}, kind="hf", path=tmp_path)
    assert load_chat_template(source) is None
    config: dict[str, object] = {
        "bos_token": {"content": "<s>"},
        "eos_token": "</s>",
        "chat_template": "{{ bos_token }}1",
    }
    rendered = []
    for value in ("{{ bos_token }}1", [{"name": "default", "template": "{{ eos_token }}2"}]):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": value}))
        rendered.append(load_chat_template(source))
    (tmp_path / "chat_template.jinja").write_text("{{ bos_token }}3")
    rendered.append(load_chat_template(source))
    assert [t.render(HELLO) for t in rendered if t] == ["<s>1", "</s>2", "<s>3"]
