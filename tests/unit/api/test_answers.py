"""What a good request gets: the same answer streamed and whole, in the shapes clients read, counted once."""

from __future__ import annotations

import asyncio
import json
from threading import get_ident

import pytest
from scripted import BOS, EOS, ByteTokenizer

from undiced.api.settings import Settings
from undiced.core.errors import EngineError
from undiced.core.usual import CHAT, CHAT_TOKENS

SCRIPT = "Hello there, wörld 🎉!"
FIVE = ("id", "created", "model", "object", "system_fingerprint")


def text_of(events, index=0):
    return "".join(
        choice.get("delta", choice).get("content", choice.get("text", "")) or ""
        for event in events[:-1]
        for choice in event["choices"]
        if choice["index"] == index
    )


def finish_of(events, index=0):
    found = [
        choice["finish_reason"]
        for event in events[:-1]
        for choice in event["choices"]
        if choice["index"] == index and choice["finish_reason"]
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("per_delta", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"stop": "wör"},
        {"max_tokens": 7},
        {"n": 3},
        {"stop": ["absent", "🎉"]},
        {"logprobs": True, "top_logprobs": 2},
    ],
)
def test_the_whole_answer_is_the_fold_of_the_stream(make, per_delta, fields):
    whole = make(per_delta=per_delta).chat(**fields).json
    events = make(per_delta=per_delta).chat(stream=True, **fields).events
    assert events[-1] == "[DONE]"
    for choice in whole["choices"]:
        index = choice["index"]
        assert choice["message"] == {"role": "assistant", "content": text_of(events, index)}
        assert choice["finish_reason"] == finish_of(events, index)
        if choice["logprobs"]:
            rows = [
                row
                for event in events[:-1]
                for c in event["choices"]
                if c["index"] == index and c["logprobs"]
                for row in c["logprobs"]["content"]
            ]
            assert choice["logprobs"]["content"] == rows
    assert whole["usage"] == events[-2]["usage"]
    assert (
        whole["time_info"].keys()
        == events[-2]["time_info"].keys()
        == {"queue_time", "prompt_time", "completion_time", "total_time", "created"}
    )


def test_every_chunk_carries_what_the_cerebras_client_needs(caller):
    for reply in (
        caller.chat(stream=True, n=2),
        caller.complete(stream=True),
        caller.chat(stream=True, stream_options={"include_usage": True}),
    ):
        events = reply.events[:-1]
        assert reply.headers["content-type"].startswith("text/event-stream")
        for event in events:
            assert all(event[key] is not None for key in FIVE)
            assert isinstance(event["created"], int)
        assert len({tuple(event[key] for key in FIVE) for event in events}) == 1


def test_the_role_comes_first_and_once_a_choice(caller):
    events = caller.chat(stream=True, n=2).events[:-1]
    for index in (0, 1):
        deltas = [choice["delta"] for event in events for choice in event["choices"] if choice["index"] == index]
        assert deltas[0] == {"role": "assistant", "content": ""}
        assert not any("role" in delta for delta in deltas[1:])


def test_usage_is_said_once_in_the_finish_chunk_unless_asked_for_apart(caller):
    plain = caller.chat(stream=True).events
    assert [event["usage"]["completion_tokens"] for event in plain[:-1] if event.get("usage")] == [26]
    assert plain[-2]["choices"][0]["finish_reason"] == "stop"
    asked = caller.chat(stream=True, stream_options={"include_usage": True}).events
    assert asked[-2]["choices"] == []
    assert [event["usage"] for event in asked[:-2]] == [None] * (len(asked) - 2)
    assert asked[-2]["usage"] == plain[-2]["usage"]
    assert "time_info" in asked[-3]


def test_continuous_usage_counts_tokens_as_they_come(make):
    events = (
        make(per_delta=5)
        .chat(stream=True, max_tokens=20, stream_options={"include_usage": True, "continuous_usage_stats": True})
        .events
    )
    counts = [event["usage"]["completion_tokens"] for event in events[1:-3]]
    assert counts == [5, 10, 15, 20]
    assert all(event["usage"]["prompt_tokens"] == 20 for event in events[1:-3])


def test_a_stop_string_ends_text_and_account_at_its_token(make):
    for per_delta in (1, 4, 100):
        caller = make(per_delta=per_delta)
        answer = caller.chat(stop="there").json
        assert answer["choices"][0]["message"]["content"] == "Hello "
        assert answer["choices"][0]["finish_reason"] == "stop"
        assert answer["usage"]["completion_tokens"] == len("Hello there")
        assert list(caller.engine.cuts.values()) == [(len("Hello there"), "stop")]


def test_a_stop_string_at_the_last_token_is_a_stop(make):
    answer = make(per_delta=3).chat(stop="Hello", max_tokens=5).json
    assert (answer["choices"][0]["finish_reason"], answer["choices"][0]["message"]["content"]) == ("stop", "")


def test_text_that_might_begin_a_stop_string_is_given_back_at_the_end(caller):
    assert caller.chat(stop="!?").json["choices"][0]["message"]["content"] == SCRIPT


def test_characters_are_never_split(caller):
    pieces = [event["choices"][0]["delta"].get("content", "") for event in caller.chat(stream=True).events[:-1]]
    assert "".join(pieces) == SCRIPT
    assert "�" not in "".join(pieces)


def test_a_cut_character_becomes_one_replacement(make):
    answer = make(text="aé").chat(max_tokens=2).json
    assert answer["choices"][0]["message"]["content"] == "a�"


def test_tokens_that_come_together_leave_in_one_write(make):
    reply = make(per_delta=5).chat(stream=True, max_tokens=20)
    assert len(reply.writes) == 4 + 2  # four of text, the finish, the end
    assert len(make(per_delta=1).chat(stream=True, max_tokens=20).writes) > 15


def test_choices_have_ids_seeds_and_indexes_of_their_own(caller):
    answer = caller.chat(n=3, seed=7).json
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    sent = caller.engine.submitted
    assert len({request.id for request in sent}) == 3
    assert len({request.sampling.seed for request in sent}) == 3
    assert sent[0].sampling.seed == 7
    assert answer["usage"]["prompt_tokens"] == 20
    assert answer["usage"]["completion_tokens"] == 3 * 26


def test_seedless_requests_differ(caller):
    caller.chat()
    caller.chat()
    first, second = (request.sampling.seed for request in caller.engine.submitted)
    assert first != second


def test_several_prompts_answer_in_order(caller):
    answer = caller.complete(prompt=["ab", "cde"], n=2, echo=True).json
    assert [choice["text"] for choice in answer["choices"]] == [
        prompt + SCRIPT for prompt in ("ab", "ab", "cde", "cde")
    ]
    assert answer["usage"]["prompt_tokens"] == 5
    by_id = {request.id.split(".", 1)[1]: bytes(request.prompt) for request in caller.engine.submitted}
    assert by_id == {"0.0": b"ab", "0.1": b"ab", "1.0": b"cde", "1.1": b"cde"}


def test_token_id_prompts_are_taken_as_they_are(caller):
    answer = caller.complete(prompt=[104, 105], echo=True).json
    assert answer["choices"][0]["text"] == "hi" + SCRIPT
    assert caller.engine.submitted[0].prompt == (104, 105)


def test_a_beginning_token_is_put_before_text_prompts_once(caller):
    caller.deployment.tokenizer.add_bos = True
    caller.complete(prompt="hi")
    caller.complete(prompt=[104])
    caller.chat()
    assert [request.prompt[0] for request in caller.engine.submitted] == [257, 104, ord("u")]


def test_completion_logprobs_line_up_with_the_text(caller):
    rows = caller.complete(logprobs=2, max_tokens=5).json["choices"][0]["logprobs"]
    assert rows["tokens"] == list("Hello")
    assert rows["text_offset"] == [0, 1, 2, 3, 4]
    assert rows["token_logprobs"] == [-0.5] * 5
    assert rows["top_logprobs"][0] == {"H": -0.5, "A": -9999.0}


@pytest.mark.parametrize("streamed", [False, True])
def test_offsets_of_parts_of_characters_are_those_of_the_character(make, streamed):
    text = "wö 🎉!"
    reply = make(text=text, per_delta=3).complete(logprobs=1, stream=streamed)
    choices = [event["choices"][0] for event in (reply.events[:-1] if streamed else [reply.json])]
    found = [choice["logprobs"] for choice in choices if choice["logprobs"]]
    offsets = [offset for part in found for offset in part["text_offset"]]
    tokens = [token for part in found for token in part["tokens"]]
    assert offsets == [0, 1, 1, 2, 3, 3, 3, 3, 4]
    assert tokens[:2] == ["w", "bytes:\\xc3"] and tokens[-1] == "!"
    assert all(text[offset] == token for token, offset in zip(tokens, offsets, strict=True) if len(token) == 1)
    assert len({*tokens[4:8]}) == 4, "different bytes have different names"


def test_offsets_go_on_where_bytes_are_no_characters_at_all(make):
    class Broken(ByteTokenizer):
        def token_bytes(self, token):
            return b"\xff" if token == ord("b") else super().token_bytes(token)

    caller = make(text="abbc")
    caller.deployment.tokenizer = Broken()
    choice = caller.complete(logprobs=1).json["choices"][0]
    assert choice["text"] == "a\ufffd\ufffdc" and choice["logprobs"]["text_offset"] == [0, 1, 2, 3]
    assert choice["logprobs"]["tokens"] == ["a", "bytes:\\xff", "bytes:\\xff", "c"]


def test_chat_logprobs_carry_bytes_and_rivals_and_finite_numbers(caller):
    rows = caller.chat(logprobs=True, top_logprobs=2, max_tokens=16).json["choices"][0]["logprobs"]["content"]
    assert b"".join(bytes(row["bytes"]) for row in rows) == SCRIPT.encode()[:16]
    assert rows[0]["top_logprobs"] == [
        {"token": "H", "logprob": -0.5, "bytes": [72]},
        {"token": "A", "logprob": -9999.0, "bytes": [65]},
    ]


def test_the_end_token_is_counted_but_is_not_text(caller):
    answer = caller.chat(logprobs=True).json
    assert len(answer["choices"][0]["logprobs"]["content"]) == answer["usage"]["completion_tokens"] - 1


def test_nulls_and_standard_fields_are_accepted(caller):
    nulls = dict.fromkeys(
        (
            "max_tokens",
            "seed",
            "stop",
            "temperature",
            "tools",
            "tool_choice",
            "response_format",
            "stream",
            "n",
            "logit_bias",
            "logprobs",
        )
    )
    nulls |= dict.fromkeys(
        ("stream_options", "top_logprobs", "user", "top_p", "max_completion_tokens", "functions", "modalities")
    )
    assert caller.chat(**nulls).status == 200


def test_extras_of_other_servers_reach_the_sampler(caller):
    fields = {
        "top_k": 5,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "min_tokens": 2,
        "stop_token_ids": [3],
        "ignore_eos": True,
    }
    caller.chat(**fields, logit_bias={"7": -100})
    request = caller.engine.submitted[0]
    drawn = request.sampling
    assert (drawn.top_k, drawn.min_p, drawn.repetition_penalty, drawn.min_tokens) == (5, 0.1, 1.1, 2)
    assert (drawn.logit_bias, request.stop_token_ids, request.ignore_eos) == (((7, -100.0),), (3,), True)


def test_a_chat_takes_the_numbers_that_the_request_leaves_open_from_the_model(make):
    caller = make(sampling={"temperature": 0.4, "top_p": 0.9, "repetition_penalty": 1.1})
    caller.chat(temperature=0.5, top_p=None)
    caller.complete()
    chat, text = (request.sampling for request in caller.engine.submitted)
    assert (chat.temperature, chat.top_p, chat.repetition_penalty, chat.top_k) == (0.5, 0.9, 1.1, 0)
    assert (text.temperature, text.top_p, text.repetition_penalty) == (1, 1, 1), "raw text is the model's own"


@pytest.mark.parametrize(
    ("own", "told"), [({"temperature": 0.4, "top_k": 5}, {"temperature": 0.4, "top_k": 5}), ({}, CHAT)]
)
def test_a_model_tells_what_the_page_asks_for_but_without_numbers_of_its_own_the_api_is_openais(make, own, told):
    caller = make(sampling=own)
    assert caller("GET", "/v1/models/m").json["chat_defaults"] == {**told, "max_tokens": CHAT_TOKENS}
    caller.chat()
    assert caller.engine.submitted[0].sampling.temperature == own.get("temperature", 1)
    assert caller.engine.submitted[0].max_tokens > 900, "a program's answer takes what fits"


def test_whole_numbers_may_be_written_with_a_point_and_two_names_may_agree(caller):
    fields = {"max_tokens": 8.0, "max_completion_tokens": 8, "n": 2.0, "seed": 5.0, "top_k": 3.0, "min_tokens": 1.0}
    assert caller.chat(**fields).status == 200
    assert caller.chat(logprobs=True, top_logprobs=2.0).status == 200
    assert caller.complete(logprobs=1.0, best_of=1.0, max_tokens=None, max_completion_tokens=8.0).status == 200
    first, last = caller.engine.submitted[0], caller.engine.submitted[-1]
    drawn = first.sampling
    assert (first.max_tokens, drawn.seed, drawn.top_k, drawn.min_tokens, last.max_tokens) == (8, 5, 3, 1, 8)
    assert all(type(value) is int for value in (first.max_tokens, drawn.seed, drawn.top_k, last.sampling.logprobs))


@pytest.mark.parametrize("said", [{"refusal": "I won't."}, {"content": [{"type": "refusal", "refusal": "I won't."}]}])
def test_an_earlier_refusal_is_in_the_prompt(caller, said):
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", **said}, {"role": "user", "content": "why"}]
    caller.chat(messages=messages)
    assert bytes(caller.engine.submitted[0].prompt) == b"user: hi\nassistant: I won't.\nuser: why\nassistant: "


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ask", ["chat", "complete"])
def test_a_stop_string_and_control_tokens_are_in_the_text_if_asked(make, ask, stream):
    def text(**fields: object) -> str:
        reply = getattr(make(text="Hello there"), ask)(**fields, stream=stream)
        found = reply.events[:-1] if stream else [reply.json]
        choices = [choice for part in found for choice in part["choices"]]
        return "".join(
            c.get("text") or (c.get("delta") or c.get("message") or {}).get("content") or "" for c in choices
        )

    assert text(stop=" there") == "Hello"
    assert text(stop=" there", include_stop_str_in_output=True) == "Hello there"
    assert text(skip_special_tokens=False) == "Hello there"
    assert text(skip_special_tokens=False, include_stop_str_in_output=True) == "Hello there<eos>"


def test_the_seed_minus_one_is_a_fresh_one(caller):
    for _ in range(2):
        assert caller.chat(seed=-1).status == 200
    first, second = (request.sampling.seed for request in caller.engine.submitted)
    assert first != second and 2**64 - 1 not in (first, second)


def test_a_control_tokens_name_as_a_stop_string_is_a_stop_token(caller):
    for fields, wanted in (
        ({"stop": "<bos>"}, (BOS,)),
        ({"stop": ["<bos>", "x", "<eos>"], "stop_token_ids": [65]}, (65, BOS, EOS)),
        ({"stop": ["<bos>x", "bos", "a <eos>"]}, ()),
    ):
        caller.engine.submitted.clear()
        assert caller.chat(**fields).status == caller.complete(**fields).status == 200
        assert [request.stop_token_ids for request in caller.engine.submitted] == [wanted, wanted]


def test_a_text_completion_takes_16_tokens_unless_told(make):
    caller = make(context=100)
    bare = {"model": "m", "prompt": "hi"}
    for fields in (
        {},
        {"max_tokens": None},
        {"max_tokens": -1},
        {"min_tokens": 20},
        {"prompt": "x" * 90},
        {"max_tokens": 0},
    ):
        assert caller.post("/v1/completions", bare | fields).status == 200
    assert [request.max_tokens for request in caller.engine.submitted] == [16, 16, 98, 20, 10, 0]


def test_log_probabilities_of_no_tokens_are_empty_lists(caller):
    (choice,) = caller.complete(max_tokens=0, logprobs=0).json["choices"]
    assert choice["logprobs"] == {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
    for choice in caller.chat(max_tokens=0, logprobs=True, n=2).json["choices"]:
        assert choice["logprobs"] == {"content": [], "refusal": None}
    assert caller.complete(max_tokens=0).json["choices"][0]["logprobs"] is None


def test_unknown_fields_are_ignored_and_reported(caller):
    reply = caller.chat(**{"maxTokens": 3, "zz": 1, "bad\r\nname": 1, "ünicode": 2})
    assert reply.status == 200
    assert reply.headers["x-undiced-ignored-fields"] == "bad%0D%0Aname,maxTokens,zz,%C3%BCnicode"


@pytest.mark.parametrize(
    "fields",
    [{"tool_choice": "none", "tools": [{"type": "function"}]}, {"tools": []}, {"response_format": {"type": "text"}}],
)
def test_what_needs_no_support_is_accepted(caller, fields):
    assert caller.chat(**fields).status == 200


def test_lengths_default_to_the_room_left(make):
    caller = make(context=100)
    caller.chat()
    caller.chat(max_tokens=-1)
    caller.chat(max_completion_tokens=4)
    assert [request.max_tokens for request in caller.engine.submitted] == [80, 80, 4]


def test_messages_reach_the_template_as_it_expects_them(caller):
    messages = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "ann"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "4", "tool_call_id": "1"},
        {"role": "assistant", "content": "x", "reasoning": "because"},
    ]
    caller.chat(messages=messages)
    assert (
        bytes(caller.engine.submitted[0].prompt).decode()
        == "system: be brief\nuser: a\nb\nassistant: \ntool: 4\nassistant: x\nassistant: "
    )


def test_long_texts_are_tokenized_off_the_loop(make):
    caller = make(settings=Settings(inline_chars=10), context=5000)
    caller.chat(messages=[{"role": "user", "content": "y" * 3000}])
    assert len(caller.engine.submitted[0].prompt) == 3018


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "", "reasoning": "y" * 3000},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": json.dumps({"a": "y" * 3000})}}],
        },
    ],
    ids=["reasoning", "arguments"],
)
def test_every_text_of_a_message_counts_as_long(make, message):
    caller = make(settings=Settings(long_chars=1000, max_long_prompts=0), context=5000)
    user = {"role": "user", "content": "x"}
    results = [{"role": "tool", "tool_call_id": "1", "content": "4"}] if "tool_calls" in message else []
    talks = ([message, *results, user], [user], [user] * 20)
    statuses = [caller.chat(messages=messages).status for messages in talks]
    assert statuses == [429, 200, 429], "many messages are long too"


def test_conversations_are_encoded_off_the_loop(make, monkeypatch):
    caller, threads = make(), []
    pieces = caller.deployment.chat.pieces
    monkeypatch.setattr(caller.deployment.chat, "pieces", lambda *a: threads.append(get_ident()) or pieces(*a))
    assert caller.chat().status == 200
    assert threads != [get_ident()]


def test_many_short_prompts_let_the_streams_go_on(make):
    caller = make(context=5000)
    turns, longest = [0, 0], []

    async def scenario():
        async def tick():
            while True:
                turns[0] += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        encode = caller.deployment.tokenizer.encode

        def counted(text, **how):
            longest.append(turns[0] - turns[1])
            turns[1] = turns[0]
            return encode(text, **how)

        caller.deployment.tokenizer.encode = counted
        await caller.call("POST", "/v1/completions", {"model": "m", "prompt": ["hi"] * 20})
        ticking.cancel()

    asyncio.run(scenario())
    assert len(longest) == 20
    assert min(longest[1:]) >= 1, "the event loop was held up from one prompt to the next"


def test_engine_failure_in_a_stream_is_an_error_chunk(make):
    for n in (1, 2):
        caller = make(error=EngineError("It broke.", remedy="Try again."), fail_at=5)
        reply = caller.chat(stream=True, n=n)
        assert reply.status == 200
        last = reply.events[-1]
        assert last["status_code"] == 500
        assert last["error"] == {
            "message": "It broke. Try again.",
            "type": "server_error",
            "param": None,
            "code": "engine_failure",
            "id": reply.headers["x-request-id"],
        }
        assert (
            'undiced_stream_errors_total{code="engine_failure",model="m"} 1.0'
            in caller("GET", "/metrics").body.decode()
        )


def test_a_departed_client_cancels_its_sequences(make):
    for stream, after in ((True, 3), (False, 0)):
        caller = make(hang_at=9)
        reply = caller.post(
            "/v1/chat/completions",
            {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream, "n": 2},
            leave_after=after,
        )
        assert sorted(caller.engine.cancelled) == sorted({request.id for request in caller.engine.submitted})
        assert [event.finish_reason for event in caller.engine.ended] == ["cancelled"] * 2
        assert 'undiced_sequences_total{model="m",reason="cancelled"} 2.0' in caller("GET", "/metrics").body.decode()
        assert reply.status == (200 if stream else 499)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_left_before_the_answer_began_leaves_nothing_running(make, n, stream):
    caller = make(hang_at=0)
    running = set()
    submit = caller.engine.submit

    def noted(request, take):  # a sequence runs from the moment it is submitted
        running.add(request.id)
        return submit(request, take)

    caller.engine.submit = noted
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream, "n": n}
    caller.post("/v1/chat/completions", body, leave_after=0)
    assert sorted(caller.engine.cancelled) == sorted(running) and len(running) == n


def test_a_silent_stream_gets_comments(make):
    caller = make(settings=Settings(keepalive_s=0.05), delay_s=0.12, per_delta=13)
    reply = caller.chat(stream=True)
    assert reply.body.count(b": ping\n\n") >= 2
    assert text_of(reply.events) == SCRIPT


def test_request_ids_are_ours_or_the_clients(caller):
    assert caller.chat(headers=None).headers["x-request-id"].startswith("req_")
    ids = {caller("GET", "/health").headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5
    assert caller("GET", "/health", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert caller("GET", "/health", headers={"x-request-id": "a b"}).headers["x-request-id"].startswith("req_")


def test_small_endpoints(caller):
    assert caller("GET", "/v1/tcp_warming").status == 200
    assert caller("GET", "/health").json == {"status": "ok", "model": "m"}
    models = caller("GET", "/v1/models").json
    assert models["object"] == "list"
    assert (
        models["data"][0] | {"id": "m", "object": "model", "created": 1_700_000_000, "owned_by": "undiced"}
        == models["data"][0]
    )
    assert caller("GET", "/v1/models/org/m").json["id"] == "m"
    assert caller("GET", "/v1/models/other").json["error"]["code"] == "model_not_found"
    assert caller.chat(model="org/m").json["model"] == "m"


def test_metrics_count_from_usage_events(caller):
    caller.chat()
    caller.chat(stream=True, n=2)
    caller.chat(n=0)
    text = caller("GET", "/metrics").body.decode()
    assert 'undiced_requests_total{code="200",path="/v1/chat/completions"} 2.0' in text
    assert 'undiced_requests_total{code="400",path="/v1/chat/completions"} 1.0' in text
    assert 'undiced_completion_tokens_total{model="m"} 78.0' in text
    assert 'undiced_sequences_total{model="m",reason="stop"} 3.0' in text
    assert 'undiced_time_to_first_token_seconds_count{model="m"} 2.0' in text
    assert 'undiced_queue_seconds_count{model="m"} 3.0' in text
    assert 'undiced_sequences_waiting{model="m"} 2.0' in text
    assert 'undiced_kv_pages{model="m",use="free"} 5.0' in text
    assert "_created" not in text


def test_the_page_allows_nothing_from_elsewhere(caller):
    page = caller("GET", "/")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert b"<script src=" in page.body
    for path, kind in (
        ("/static/app.js", "text/javascript"),
        ("/static/style.css", "text/css"),
        ("/static/icon.svg", "image/svg+xml"),
    ):
        reply = caller("GET", path)
        assert reply.status == 200
        assert reply.headers["content-type"].startswith(kind)
        assert reply.headers["x-content-type-options"] == "nosniff"
        again = caller("GET", path, headers={"if-none-match": reply.headers["etag"]})
        assert (again.status, again.body) == (304, b"")
    assert caller("GET", "/static/../app.py").status == 404


def test_metrics_count_a_prompt_as_usage_does(caller):
    usages = [caller.chat(n=3).json["usage"], caller.complete(prompt=["one", "two"], n=2).json["usage"]]
    text = caller("GET", "/metrics").body.decode()
    assert usages[1]["prompt_tokens"] == 6
    for name in ("prompt_tokens", "completion_tokens"):
        assert f'undiced_{name}_total{{model="m"}} {float(sum(usage[name] for usage in usages))}' in text
    assert f'undiced_cached_prompt_tokens_total{{model="m"}} {3.0 * 3}' in text


@pytest.mark.parametrize(
    ("fields", "salt"), [({}, ""), ({"cache_salt": None}, ""), ({"cache_salt": "tenant"}, "tenant")]
)
def test_the_salt_reaches_the_engine(caller, fields, salt):
    caller.chat(n=2, **fields)
    caller.complete(prompt=["a", "b"], **fields)
    assert [request.cache_salt for request in caller.engine.submitted] == [salt] * 4


@pytest.mark.parametrize(("least", "text", "tokens"), [(0, "Hell", 5), (4, "Hell", 5), (5, SCRIPT, 26)])
def test_nothing_stops_before_min_tokens(caller, least, text, tokens):
    answer = caller.complete(stop="o", min_tokens=least).json
    assert answer["choices"][0]["text"] == text and answer["usage"]["completion_tokens"] == tokens
