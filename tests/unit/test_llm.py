"""LLM as programs use it, with the packaged model: kinds of prompts, stops, log-probabilities, threads, mistakes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from undiced import LLM, SamplingParams
from undiced.checkpoint import CATALOG
from undiced.core.errors import ContextLengthError, EngineError, InvalidRequestError, UndicedError
from undiced.core.usual import CHAT_TOKENS, TEXT_TOKENS

pytestmark = pytest.mark.model
TEXT = "The capital of France is"


@pytest.fixture(scope="module")
def llm() -> Iterator[LLM]:
    with LLM(max_batch=4, max_context=512) as made:
        yield made


def test_texts_and_ids_mix_and_nothing_is_no_answer(llm: LLM) -> None:
    ids = llm.tokenizer.encode(TEXT)
    params = SamplingParams(max_tokens=8)
    one = llm.generate(TEXT, params)[0].outputs[0]
    both = llm.generate([TEXT, ids], params)
    assert [answer.outputs[0].token_ids for answer in both] == [one.token_ids] * 2
    assert llm.generate(ids, params)[0].outputs[0].token_ids == one.token_ids
    assert (one.finish_reason, len(one.token_ids), one.usage and one.usage.completion_tokens) == ("length", 8, 8)
    assert llm.generate([], params) == []


@pytest.mark.parametrize("prompt", [b"x", [b"x"], [True, False], [1.0]])
def test_what_is_neither_text_nor_ids_is_no_prompt(llm: LLM, prompt: object) -> None:
    with pytest.raises((InvalidRequestError, TypeError)):
        llm.generate(prompt)  # type: ignore[arg-type]


def test_a_stop_string_ends_text_and_account_even_at_the_last_token(llm: LLM) -> None:
    whole = llm.generate(TEXT, SamplingParams(max_tokens=8))[0].outputs[0]
    last = llm.tokenizer.decode(whole.token_ids[-1:], continuation=True)
    at = next(i for i in range(8) if llm.tokenizer.decode(whole.token_ids[: i + 1], continuation=True).endswith(last))
    for params in (SamplingParams(max_tokens=at + 1, stop=last), SamplingParams(max_tokens=64, stop=[last, "\x00"])):
        answer = llm.generate(TEXT, params)[0].outputs[0]
        assert (answer.finish_reason, answer.stop_reason) == ("stop", last)
        assert answer.usage is not None
        assert (answer.usage.completion_tokens, answer.usage.finish_reason) == (at + 1, "stop")
        assert answer.text == whole.text[: whole.text.index(last)]


def test_log_probabilities_come_with_their_rivals(llm: LLM) -> None:
    answer = llm.generate(TEXT, SamplingParams(max_tokens=4, logprobs=3))[0].outputs[0]
    assert answer.logprobs is not None
    assert [len(place) for place in answer.logprobs] == [3] * 4
    for token, place in zip(answer.token_ids, answer.logprobs, strict=True):
        assert next(iter(place)) == token, "the token itself comes first"
        assert [one.rank for one in place.values()] == [1, 2, 3]  # greedy takes the likeliest
        values = [one.logprob for one in place.values()]
        assert values == sorted(values, reverse=True)
        assert place[token].decoded_token == llm.tokenizer.token_text(token)
    assert answer.cumulative_logprob == pytest.approx(
        sum(place[token].logprob for token, place in zip(answer.token_ids, answer.logprobs, strict=True)), abs=1e-4
    )
    assert llm.generate(TEXT, SamplingParams(max_tokens=4))[0].outputs[0].logprobs is None


def test_the_coldest_temperature_is_greedy(llm: LLM) -> None:
    greedy = llm.generate(TEXT, SamplingParams(max_tokens=8))[0].outputs[0].token_ids
    for temperature in (1e-45, 1e-39, 1e-7, 1e-6):
        params = SamplingParams(max_tokens=8, temperature=temperature, seed=1)
        assert llm.generate(TEXT, params)[0].outputs[0].token_ids == greedy


def test_threads_share_a_model(llm: LLM) -> None:
    prompts = [f"Number {i} is" for i in range(6)]
    params = SamplingParams(max_tokens=12)
    alone = [llm.generate(prompt, params)[0].text for prompt in prompts]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda prompt: llm.generate(prompt, params)[0].text, prompts)) == alone


def test_a_stream_left_early_and_one_inside_another(llm: LLM) -> None:
    params = SamplingParams(max_tokens=100, ignore_eos=True)
    for count, (_, so_far) in enumerate(llm.stream(TEXT, params), 1):
        if count == 3:
            assert len(so_far.token_ids) == 3
            break
    outer = llm.stream(TEXT, SamplingParams(max_tokens=6))
    pieces = [next(outer)[0]]
    assert len(llm.generate("Once upon", SamplingParams(max_tokens=20, ignore_eos=True))[0].outputs[0].token_ids) == 20
    pieces += [piece for piece, _ in outer]
    assert "".join(pieces) == llm.generate(TEXT, SamplingParams(max_tokens=6))[0].text


def test_chat_answers_messages(llm: LLM) -> None:
    params = SamplingParams(max_tokens=32, temperature=0, repetition_penalty=1)
    [answer] = llm.chat([{"role": "user", "content": "What is 2+2?"}], params)
    assert "4" in answer.text
    assert answer.outputs[0].finish_reason == "stop"
    assert llm.chat("What is 2+2?", params)[0].text == answer.text
    assert len(llm.chat(["What is 2+2?", "Hi"], params)) == 2


@pytest.mark.parametrize(
    "said", [5, b"Hi", ["Hi", 5], [[]], [["Hi"]], [{"content": "Hi"}], {"role": "user", "content": "Hi"}]
)
def test_what_is_neither_a_text_nor_messages_is_no_conversation(llm: LLM, said: object) -> None:
    with pytest.raises(InvalidRequestError, match='"role": "user"'):
        llm.chat(said)  # type: ignore[arg-type]


def test_a_chat_takes_the_models_own_numbers_and_a_text_the_likeliest_token(llm: LLM) -> None:
    own = llm.chat_defaults
    assert own == {**CATALOG["smollm2-135m"].sampling, "max_tokens": CHAT_TOKENS}
    said = SamplingParams(seed=3, max_tokens=12)
    explicit = SamplingParams(seed=3, **{**own, "max_tokens": 12})  # type: ignore[arg-type]
    assert llm.chat("Hi", said)[0].text == llm.chat("Hi", explicit)[0].text
    greedy = SamplingParams(temperature=0, max_tokens=12)
    assert llm.generate(TEXT, said)[0].text == llm.generate(TEXT, greedy)[0].text


def test_the_usual_limit_fits_what_is_left_of_the_context(llm: LLM) -> None:
    usage = llm.generate("word " * 500, SamplingParams(ignore_eos=True))[0].outputs[0].usage
    assert usage is not None and usage.prompt_tokens + usage.completion_tokens == llm.context


def test_a_limit_is_what_is_said_or_usual_or_what_fits() -> None:
    assert SamplingParams().limit(room=1000, usual=TEXT_TOKENS) == TEXT_TOKENS
    assert SamplingParams(min_tokens=500).limit(room=1000, usual=TEXT_TOKENS) == 500
    assert SamplingParams().limit(room=10, usual=TEXT_TOKENS) == 10
    assert SamplingParams(max_tokens=None).limit(room=1000, usual=TEXT_TOKENS) == 1000
    assert SamplingParams(max_tokens=2000).limit(room=1000, usual=TEXT_TOKENS) == 2000


def test_a_cut_answer_is_gone_on_with(llm: LLM) -> None:
    params = SamplingParams(temperature=0, max_tokens=8)
    asked = [{"role": "user", "content": "Tell me a long story."}]
    first = llm.chat(asked, params)[0]
    told = [*asked, {"role": "assistant", "content": first.text}]
    rest = "".join(piece for piece, _ in llm.stream(told, params, resume=True))
    assert first.text + rest == llm.chat(asked, replace(params, max_tokens=16))[0].text


@pytest.mark.parametrize(
    ("prompt", "params", "error"),
    [
        ("", SamplingParams(), InvalidRequestError),
        (TEXT, SamplingParams(max_tokens=-1), InvalidRequestError),
        (TEXT, SamplingParams(max_tokens=512), ContextLengthError),
        ("word " * 600, SamplingParams(max_tokens=None), ContextLengthError),
        ([1, -1], SamplingParams(), InvalidRequestError),
        ([1, 10**9], SamplingParams(), InvalidRequestError),
        ([1, "a"], SamplingParams(), InvalidRequestError),
        (TEXT, SamplingParams(temperature=-1), InvalidRequestError),
        (TEXT, SamplingParams(temperature=float("nan")), InvalidRequestError),
        (TEXT, SamplingParams(top_p=2), InvalidRequestError),
        (TEXT, SamplingParams(top_k=-2), InvalidRequestError),
        (TEXT, SamplingParams(logprobs=-2), InvalidRequestError),
        (TEXT, SamplingParams(repetition_penalty=0), InvalidRequestError),
        (TEXT, SamplingParams(stop=""), InvalidRequestError),
        (TEXT, SamplingParams(n=0), InvalidRequestError),
        (TEXT, SamplingParams(min_tokens=9, max_tokens=8), InvalidRequestError),
        (TEXT, SamplingParams(logprobs=-1), InvalidRequestError),
        (TEXT, SamplingParams(stop_token_ids=[10**9]), InvalidRequestError),
        (TEXT, SamplingParams(logit_bias={-1: 2.0}), InvalidRequestError),
        (TEXT, SamplingParams(allowed_token_ids=[]), InvalidRequestError),
        ({"prompt": TEXT, "multi_modal_data": {}}, SamplingParams(), InvalidRequestError),
        ({"prompt_embeds": []}, SamplingParams(), InvalidRequestError),
    ],
)
def test_mistakes_are_refused_and_the_model_goes_on(
    llm: LLM, prompt: str | list[int], params: SamplingParams, error: type[UndicedError]
) -> None:
    with pytest.raises(error):
        llm.generate(prompt, params)
    assert len(llm.generate(TEXT, SamplingParams(max_tokens=2))[0].outputs[0].token_ids) == 2


@pytest.mark.parametrize("ask", ["generate", "chat", "stream"])
def test_a_text_far_beyond_the_context_is_refused_before_all_of_it_is_tokenized(llm: LLM, ask: str) -> None:
    text = "word " * 3_000_000
    messages = [{"role": "user", "content": text}]
    start = time.process_time()
    with pytest.raises(ContextLengthError, match="holds 512 tokens, but the prompt has more than"):
        llm.chat(messages) if ask == "chat" else llm.generate(text) if ask == "generate" else next(llm.stream(messages))
    assert time.process_time() - start < 3, "less than 0.1 s; to tokenize it whole takes over 10"


def test_a_closed_model_says_so() -> None:
    llm = LLM(max_batch=1, max_context=64)
    llm.close()
    llm.close()
    with pytest.raises(EngineError, match="closed"):
        llm.generate(TEXT, SamplingParams(max_tokens=2))
