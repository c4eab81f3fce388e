"""Chat templates against transformers' renderer (jinja2): some in the styles of common models, and the packaged one."""

from __future__ import annotations

import itertools
import json

import pytest

from undiced.checkpoint import DEFAULT_MODEL, open_checkpoint
from undiced.core.errors import InvalidRequestError
from undiced.text import load_chat_template
from undiced.text.renderer import Renderer, Scene

pytestmark = pytest.mark.oracle
TOKENS: dict[str, object] = {"bos_token": "<bos>", "eos_token": "<eos>"}
Messages = list[dict[str, object]]

CHATML = """\
{%- if messages and messages[0]['role'] != 'system' %}
{{- '<|im_start|>system\\nBe helpful.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages -%}
    {{- '<|im_start|>' ~ message.role ~ '\\n' ~ (message.content or '') | trim ~ '<|im_end|>' ~ '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' -}}
{% endif %}
"""

HEADERS = """\
{{- bos_token }}
{%- if not date_string is defined %}{% set date_string = strftime_now("%d %b %Y")[:7] %}{% endif %}
{%- set system = '' %}
{%- if messages and messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'].strip() %}
    {%- set messages = messages[1:] %}
{%- endif %}
<|header|>system<|end_header|>

Today: {{ date_string }}
{% if tools is not none %}
Tools, as {"name": ..., "parameters": ...}:
{% for tool in tools %}
{{ tool | tojson(indent=4) }}
{% endfor %}
{% endif %}
{{ system }}<|eot|>
{%- for m in messages %}
    {%- if 'tool_calls' in m and m.tool_calls %}
        {%- if m.tool_calls | length != 1 %}{{ raise_exception("One call at a time.") }}{% endif %}
        {%- set call = m.tool_calls[0].function %}
        {{- '<|header|>assistant<|end_header|>\\n\\n{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments if call.arguments is string else call.arguments | tojson }}
        {{- '}<|eot|>' }}
    {%- elif m.role == 'tool' or m.role == 'ipython' %}
        {{- '<|header|>ipython<|end_header|>\\n\\n' }}
        {%- if m.content is mapping or m.content is iterable and m.content is not string %}
            {{- m.content | tojson }}
        {%- else %}
            {{- m.content }}
        {%- endif %}
        {{- '<|eot|>' }}
    {%- else %}
        {{- '<|header|>' + m['role'] + '<|end_header|>\\n\\n' + m['content'] | trim + '<|eot|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|header|>assistant<|end_header|>\\n\\n' }}{% endif %}
"""

REASONING = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- '# Functions\\n<tools>' }}
    {%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
    {{- '\\n</tools><|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(last=messages | length - 1, searching=true) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages | length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == 'user' and message.content is string
        and not (message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is defined and message.reasoning_content is not none %}
            {%- set reasoning = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant' }}
        {%- if loop.index0 > ns.last and (loop.last or reasoning) %}
            {{- '\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '\\n' + content }}
        {%- endif %}
        {%- for call in message.tool_calls or [] %}
            {%- if (loop.first and content) or not loop.first %}{{- '\\n' }}{%- endif %}
            {%- set call = call.function if call.function else call %}
            {{- '<tool_call>\\n{"name": "' ~ call.name ~ '", "arguments": ' }}
            {%- if call.arguments is string %}{{- call.arguments }}{%- else %}{{- call.arguments | tojson }}{%- endif %}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' + content + '\\n</tool_response>' }}
        {%- if loop.last or loop.nextitem.role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}"""

TURNS = """\
{{ bos_token }}
{%- macro turn(role, text) -%}
<start_of_turn>{{ role }}
{{ text | trim }}<end_of_turn>
{% endmacro -%}
{%- if messages[0]['role'] == 'system' -%}
    {%- set prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set prefix = '' -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Roles must alternate user/assistant/user/assistant.") }}
    {%- endif -%}
    {%- set text = (prefix if loop.first else '') + message.content -%}
    {{ turn('model' if message.role == 'assistant' else message.role, text) }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}
"""

INSTRUCT = """\
{{ bos_token }}{% for m in messages if m.role != 'system' %}
{% if loop.previtem is defined and loop.previtem.role == m.role %}{{ raise_exception('Twice ' ~ m.role) }}{% endif %}
{% if m.role == 'user' %}
[INST] {% if tools %}{{ tools | map(attribute='function.name') | join(', ') }} {% endif %}{{ m.content }} [/INST]
{%- else %}
 {{ m.content }}{{ eos_token }}
{%- endif %}{% generation %}{{ '' }}{% endgeneration %}
{% endfor %}
"""

TEMPLATES = {"chatml": CHATML, "headers": HEADERS, "reasoning": REASONING, "turns": TURNS, "instruct": INSTRUCT}

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": 'The "weather" in <a> city & é',
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 0.5}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    },
    {"type": "function", "function": {"name": "now", "parameters": {}}},
]
CALL: dict[str, object] = {"id": "call_1", "type": "function"}
ARGUMENTS: dict[str, object] = {"city": "Zürich <b>", "days": 3, "ok": True, "none": None, "x": 1.5}
VARIANTS: list[Messages] = [
    [{"role": "system", "content": " Be <brief> & 'kind'.\n"}],
    [{"role": "user", "content": "Hi"}],
    [{"role": "user", "content": "  spaces\n\n"}],
    [{"role": "assistant", "content": "Hello!"}],
    [{"role": "assistant", "content": "<think>\nhm\n</think>\n\nYes."}],
    [{"role": "assistant", "content": "So.", "reasoning_content": "Because.\n"}],
    [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [CALL | {"function": {"name": "weather", "arguments": ARGUMENTS}}],
        }
    ],
    [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [CALL | {"function": {"name": "weather", "arguments": json.dumps(ARGUMENTS)}}] * 2,
        }
    ],
    [{"role": "tool", "content": '{"t": 3}', "tool_call_id": "call_1"}, {"role": "user", "content": "Thanks"}],
    [{"role": "user", "content": "<tool_response>x</tool_response>"}],
]


def conversations() -> list[Messages]:
    """Every sequence of up to three variants, and none at all."""
    chosen = itertools.chain.from_iterable(itertools.product(VARIANTS, repeat=n) for n in range(4))
    return [list(itertools.chain.from_iterable(variants)) for variants in chosen]


def assert_equal_rendering(renderer: Renderer, messages: Messages, tools: list[dict[str, object]] | None) -> bool:
    """Compares one rendering; returns whether there is a text (otherwise both refuse)."""
    from jinja2.exceptions import TemplateError
    from transformers.utils.chat_template_utils import _compile_jinja_template

    reference = _compile_jinja_template(renderer.sources)
    for options in ({}, {"enable_thinking": False}, {"add_generation_prompt": False}):
        context = {"add_generation_prompt": True, "documents": None} | options | TOKENS
        variables = {name: value for name, value in options.items() if name != "add_generation_prompt"}
        scene = Scene(messages, tools or (), (), options.get("add_generation_prompt", True), variables)
        try:
            want = reference.render(messages=messages, tools=tools, **context)
        except (TemplateError, TypeError):
            with pytest.raises(InvalidRequestError):
                renderer.render(scene)
            return False
        assert renderer.render(scene) == want, messages
    return True


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_renders_as_transformers_does(name: str) -> None:
    renderer = Renderer(TEMPLATES[name], None, TOKENS)
    texts = sum(assert_equal_rendering(renderer, m, t) for m in conversations() for t in (None, TOOLS))
    assert texts > 100


@pytest.mark.model
def test_the_packaged_template() -> None:
    template = load_chat_template(open_checkpoint(DEFAULT_MODEL))
    assert template is not None
    renderer = Renderer(template.source, None, TOKENS)
    assert sum(assert_equal_rendering(renderer, messages, None) for messages in conversations()) > 100
