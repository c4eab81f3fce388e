"""Chat templates: where they are found, what they render, refuse and survive. The oracle tests compare more."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from text_sources import Source, bpe_metadata, spm_metadata

from undiced.core.errors import CheckpointError, InvalidRequestError
from undiced.text import ChatTemplate, load_chat_template
from undiced.text.renderer import Renderer, Scene

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
HELLO = [{"role": "user", "content": "Hello <b>&</b>"}]


def render(source: str, *, tokens: dict[str, object] | None = None, tool_source: str | None = None, **scene) -> str:
    return Renderer(source, tool_source, tokens or {}).render(Scene(HELLO, **scene))


def test_renders_without_escaping() -> None:
    want = "<|im_start|>user\nHello <b>&</b><|im_end|>\n"
    assert render(CHATML, add_generation_prompt=False) == want
    assert render(CHATML) == want + "<|im_start|>assistant\n"


def test_blocks_are_trimmed_as_transformers_does() -> None:
    source = "{% for m in messages %}\n  {% if m.role %}\n{{ m.content }}\n  {% endif %}\n{% endfor %}\n"
    assert render(source) == "Hello <b>&</b>\n"


def test_token_variables_and_options() -> None:
    source = "{{ bos_token }}{{ enable_thinking is defined }}{{ reasoning_effort }}{{ tools is none }}"
    tokens: dict[str, object] = {"bos_token": "<s>"}
    assert render(source, tokens=tokens) == "<s>FalseTrue"
    variables = {"enable_thinking": False, "reasoning_effort": "low"}
    assert render(source, tokens=tokens, variables=variables) == "<s>TruelowTrue"


def test_json_is_not_escaped_and_keeps_order() -> None:
    source = "{{ tools | tojson }}|{{ tools[0] | tojson(indent=1) }}|{{ {'é': true} | tojson(ensure_ascii=true) }}"
    want = '[{"b": "<é>", "a": null}]|{\n "b": "<é>",\n "a": null\n}|{"\\u00e9": true}'
    assert render(source, tools=[{"b": "<é>", "a": None}]) == want


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ [true, none, 'a', 1.0, {'b': [1e30]}] }}", "[True, None, 'a', 1.0, {'b': [1e+30]}]"),
        ("{{ true ~ none ~ missing ~ 'x' }}", "TrueNonex"),
        ("{{ none | string }}{{ {'a': none} | string }}", "None{'a': None}"),
        ("{{ [1, none, 'a'] | join('-') }}", "1-None-a"),
        ("{{ ['it\\'s'] }}", '["it\'s"]'),
        ("{{ 7 // 2 }}{{ 7 / 2 }}{{ 2 ** 3 }}{{ -7 % 3 }}", "33.582"),
        ("{{ 'a,b,'.split(',') }}{{ 'xaxbx'.strip('x') }}", "['a', 'b', '']axb"),
        ("{{ [3, 1, 2][::-1] }}{{ 'hello'[-3:] }}", "[2, 1, 3]llo"),
        ("{{ '%s is %d' % ('x', 3) }}{{ '{} {a}'.format(1, a=2) }}", "x is 31 2"),
        ("{% for i in [1, 2, 3, 4] %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "12"),
        ("{% set ns = namespace(a=1) %}{% for i in [1] %}{% set ns.a = 2 %}{% endfor %}{{ ns.a }}", "2"),
        ("{% for k, v in {'b': 1, 'a': 2} | dictsort %}{{ k }}{{ v }}{{ loop.last }}{% endfor %}", "a2Falseb1True"),
    ],
)
def test_values_print_as_python_prints_them(source: str, text: str) -> None:
    assert render(source) == text


def test_none_is_not_iterable() -> None:
    source = "{{ tools is iterable }}{{ 'a' is iterable }}{{ messages is iterable }}{{ 1 is iterable }}"
    assert render(source) == "FalseTrueTrueFalse"


def test_the_clock_is_given() -> None:
    assert render("{{ strftime_now('%d %b %Y') }}", now=datetime(2026, 3, 4)) == "04 Mar 2026"


def test_generation_tags_of_training_tools_are_harmless() -> None:
    assert render("a {%- generation -%} b {% endgeneration %}") == "ab "


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_every_line_end_of_a_template_is_a_line_feed(end: str) -> None:
    source = "|{{ messages[0].role }}|.|{{ 'a|b' }}||x|".replace("|", end)
    assert render(source) == "\nuser\n.\na\nb\n\nx"


def test_a_template_that_refuses_gives_its_own_words() -> None:
    with pytest.raises(InvalidRequestError, match="roles must alternate") as caught:
        render("{{ raise_exception('roles must alternate') }}")
    assert (caught.value.status, caught.value.param) == (400, "messages")


@pytest.mark.parametrize(
    "source",
    [
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for i in range(9999999999) %}{% endfor %}",
        "{{ messages.missing.missing }}",
        "{{ 1 / 0 }}",
        "{{ messages + 1 }}",
        "{% include 'other' %}",
        "{{ unknown_function() }}",
        "{{ strftime_now(1) }}",
        "{{ messages.append(1) }}",
        "{{ messages.__class__.__mro__ }}",
        "{{ raise_exception.__globals__['x'] }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ '%c' | format }}",
    ],
)
def test_a_template_that_fails_is_one_clear_error(source: str) -> None:
    with pytest.raises(InvalidRequestError, match="cannot render these messages"):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ strftime_now.__self__.__class__ }}{{ raise_exception.__globals__ }}{{ lipsum.__globals__ }}",
        "{{ '{0.__class__}'.format(1) }}{{ ['{0.__class__}'.format][0](1) }}{{ ''.join.__call__ }}",
        "{{ messages | attr('__class__') }}{{ messages[0]['__class__'] }}{{ self.__init__ }}{{ range.__doc__ }}",
        "{{ (messages | map('upper')).gi_frame }}{{ self._TemplateReference__context }}{{ loop }}",
    ],
)
def test_no_way_from_a_template_into_python(source: str) -> None:
    assert render(source) == ""


def test_rendering_leaves_the_messages_alone() -> None:
    render("{% set messages = messages + [1] %}{% set m = messages[0] %}")
    assert HELLO == [{"role": "user", "content": "Hello <b>&</b>"}]


@pytest.mark.parametrize("source", ["{% if %}", "{{", "{% endfor %}", "{% unknown %}", "{{ .Prompt }}"])
def test_wrong_syntax_is_refused_when_compiled(source: str) -> None:
    with pytest.raises(CheckpointError, match="chat template has wrong syntax"):
        Renderer(source, None, {})


def test_variables_are_those_that_a_request_may_set() -> None:
    source = """{% if not date is defined %}{% set date = 'x' %}{% endif %}{% set own = 1 %}{{ own }}{{ bos_token }}
    {% for m in messages %}{{ loop.index }}{{ m }}{% endfor %}{% macro f(a) %}{{ a }}{% endmacro %}{{ f(tools) }}
    {{ range(1) }}{{ enable_thinking }}{% set effort = effort | default('low') %}"""
    assert Renderer(source, None, {"bos_token": "<s>"}).variables == {"date", "enable_thinking", "effort"}


def gguf(**templates: object) -> ChatTemplate | None:
    return load_chat_template(Source(bpe_metadata() | templates))


def test_from_gguf_metadata() -> None:
    assert gguf() is None
    assert gguf(**{"tokenizer.chat_template": " \n"}) is None
    found = gguf(**{"tokenizer.chat_template": "a", "tokenizer.chat_template.tool_use": "b"})
    assert found is not None
    assert (found.source, found.tool_source, found.problem) == ("a", "b", "")
    assert found.tokens == {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
    assert gguf(**{"tokenizer.chat_template.default": "a"}) == ChatTemplate("a", None, found.tokens)
    named = gguf(**{"tokenizer.chat_template.rag": "a"})
    assert named is not None and "no default among the chat templates (rag)" in named.problem


@pytest.mark.parametrize(
    ("files", "source", "tool_source"),
    [
        ({}, None, None),
        ({"tokenizer_config.json": {"chat_template": "1"}}, "1", None),
        ({"tokenizer_config.json": {"chat_template": {"default": "1", "tool_use": "2"}}}, "1", "2"),
        (
            {
                "tokenizer_config.json": {
                    "chat_template": [
                        {"name": "default", "template": "1"},
                        {"name": "tool_use", "template": "2"},
                        {"name": "rag", "template": "3"},
                    ]
                }
            },
            "1",
            "2",
        ),
        ({"chat_template.json": {"chat_template": "1"}}, "1", None),
        ({"processor_config.json": {"chat_template": "1"}}, "1", None),
        ({"chat_template.jinja": "1", "tokenizer_config.json": {"chat_template": "2"}}, "1", None),
        ({"chat_template.jinja": "1", "additional_chat_templates/tool_use.jinja": "2"}, "1", "2"),
        ({"tokenizer_config.json": {"chat_template": "1"}, "chat_template.json": {"chat_template": "2"}}, "1", None),
        ({"tokenizer_config.json": {"chat_template": None}, "chat_template.json": {"chat_template": "2"}}, "2", None),
    ],
)
def test_from_every_place_of_a_folder(
    tmp_path: Path, files: dict[str, object], source: str | None, tool_source: str | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    found = load_chat_template(Source({}, kind="hf", path=tmp_path))
    assert (found and found.source, found and found.tool_source) == (source, tool_source)


def test_tokens_of_a_folder_come_from_both_files(tmp_path: Path) -> None:
    told: dict[str, object] = {"bos_token": {"content": "<s>"}, "eos_token": None, "add_bos_token": True}
    told |= {"chat_template": "x", "boi_token": "<image>", "extra_special_tokens": {"audio_token": "<audio>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(told))
    told["additional_special_tokens"] = ["<a>", {"content": "<b>"}, {}]
    mapped = {"bos_token": "<other>", "eos_token": {"content": "</s>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(told))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(mapped))
    found = load_chat_template(Source({}, kind="hf", path=tmp_path))
    assert found is not None
    assert found.tokens == {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "boi_token": "<image>",
        "audio_token": "<audio>",
        "additional_special_tokens": ["<a>", "<b>"],
    }


def test_a_template_of_absurd_length_is_a_problem_of_chats_alone() -> None:
    found = gguf(**{"tokenizer.chat_template": "x" * (2 << 20)})
    assert found is not None and "2097152 characters" in found.problem


def test_a_template_reads_the_default_tokens_of_a_file_without_ids() -> None:
    """`{{ eos_token }}` after each answer, in a SentencePiece file that leaves its ids to the reader."""
    metadata = {key: value for key, value in spm_metadata().items() if not key.endswith("_token_id")}
    found = load_chat_template(Source(metadata | {"tokenizer.chat_template": "{{ bos_token }}a{{ eos_token }}"}))
    assert found is not None
    spelled = metadata["tokenizer.ggml.tokens"]
    assert (found.tokens["bos_token"], found.tokens["eos_token"]) == (spelled[1], spelled[2])  # type: ignore[index]
