"""Responses: any mixture of items is answered or refused by name, any answer is a stream in order, whatever its cut;
and the input of a custom tool is the same however its arguments are cut.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.message_streams import events_of
from support.response_streams import response_of

from undiced.api.responses.input_text import InputText
from undiced.text.formats import dialect_of

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "api"))
from scripted import ByteTokenizer, build_caller

DIALECT = dialect_of('<tool_call>"name" <think></think>', ByteTokenizer())
QUIET = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TOOLS = [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]
PARTS = st.sampled_from(["input_text", "output_text", "refusal", "input_image", "x"]).flatmap(
    lambda kind: st.fixed_dictionaries({"type": st.just(kind), "text": st.sampled_from(["a", "", "b c"])})
)
TEXTS = st.one_of(st.text(max_size=5), st.lists(PARTS, max_size=2))
IDS = st.sampled_from(["1", "2", ""])
ITEMS = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "developer", "assistant"]), "content": TEXTS}),
    st.fixed_dictionaries({"type": st.just("function_call"), "call_id": IDS, "name": st.sampled_from(["f", "g", "h"])}),
    st.fixed_dictionaries({"type": st.just("custom_tool_call"), "call_id": IDS, "name": st.just("g")}),
    st.fixed_dictionaries({"type": st.just("function_call_output"), "call_id": IDS, "output": TEXTS}),
    st.fixed_dictionaries({"type": st.just("reasoning"), "summary": st.lists(PARTS, max_size=2)}),
    st.fixed_dictionaries({"type": st.just("additional_tools"), "tools": st.lists(st.sampled_from(TOOLS), max_size=1)}),
    st.fixed_dictionaries({"type": st.sampled_from(["item_reference", "mystery"])}),
)
SAID = st.lists(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "a",
            " b\n",
            '<tool_call>{"name": "f", "arguments": {"a": [1]}}</tool_call>',
            '<tool_call>{"name": "g", "arguments": {"input": "x\\ny"}}</tool_call>',
            '<tool_call>{"name": "g", "arguments": {"other": 1',
            '<tool_call>{"name"',
            "é🎉",
        ]
    ),
    max_size=6,
)


@QUIET
@given(st.lists(ITEMS, max_size=5))
def test_any_mixture_of_items_is_answered_or_refused_by_name(items):
    reply = build_caller(text="ok", dialect=DIALECT).post("/v1/responses", {"input": items, "tools": TOOLS})
    if reply.status != 200:
        error = reply.json["error"]
        assert reply.status == 400 and error["param"].partition("[")[0] in ("input", "tools"), error
        assert "messages[" not in error["message"]


@QUIET
@given(SAID, st.integers(1, 9), st.integers(0, 60))
def test_any_answer_is_a_stream_in_order_and_the_same_as_a_whole(said, per_delta, most):
    caller = build_caller(text="".join(said), dialect=DIALECT, per_delta=per_delta)
    ask = {"input": "hi", "tools": TOOLS, "max_output_tokens": most}
    streamed = response_of(events_of(caller.post("/v1/responses", ask | {"stream": True}).body))
    whole = caller.post("/v1/responses", ask).json
    changing = {"id", "call_id"}
    assert [{k: v for k, v in item.items() if k not in changing} for item in streamed["output"]] == [
        {k: v for k, v in item.items() if k not in changing} for item in whole["output"]
    ]
    assert (streamed["status"], streamed["usage"]) == (whole["status"], whole["usage"])


@QUIET
@given(st.text(max_size=20), st.booleans(), st.data())
def test_the_input_of_a_custom_tool_does_not_depend_on_cuts(text, ascii_, data):
    arguments = json.dumps({"input": text}, ensure_ascii=ascii_)
    reader, told = InputText(), ""
    while arguments:
        size = data.draw(st.integers(1, len(arguments)))
        told += reader.push(arguments[:size])
        arguments = arguments[size:]
    assert told + reader.flush() == text
