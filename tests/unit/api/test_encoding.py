"""Text on its way to clients: nothing in it may end a line for a reader of events."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from undiced.api.encoding import encode

LINE_ENDS = "a\u0085b\u2028c\u2029d"


@given(st.recursive(st.text() | st.integers(0, 9), lambda inner: st.dictionaries(st.text(), inner)))
def test_json_means_the_same_and_has_one_line(value):
    text = encode(value)
    assert json.loads(text) == value
    assert len(text.decode().splitlines()) == 1


def test_only_line_ends_are_escaped():
    assert encode(LINE_ENDS + "é🎉") == '"a\\u0085b\\u2028c\\u2029dé🎉"'.encode()


def test_streams_answers_and_errors_have_no_raw_line_ends(make):
    caller = make(text=LINE_ENDS + "é")
    streamed = caller.chat(stream=True, logprobs=True, top_logprobs=2)
    assert all(line.startswith("data: ") for line in streamed.body.decode().splitlines() if line)
    texts = [event["choices"][0]["delta"].get("content") or "" for event in streamed.events[:-1]]
    assert "".join(texts) == LINE_ENDS + "é"
    for reply in (
        caller.chat(logprobs=True, top_logprobs=2),
        caller.complete(echo=True, prompt=LINE_ENDS, stream=True),
        caller.complete(model=LINE_ENDS),
        caller("GET", f"/v1/models/{LINE_ENDS}"),
        caller("GET", f"/{LINE_ENDS}"),
    ):
        assert not any(end in reply.body.decode() for end in "\u0085\u2028\u2029")
