"""Requests: what is refused, and copies that share a prompt."""

from __future__ import annotations

import math

import msgspec
import pytest
from msgspec.structs import replace
from support.fake import FAKE_LIMITS

from undiced.core.errors import ContextLengthError, InvalidRequestError, UndicedError
from undiced.serve import Request, Sampling
from undiced.serve.request import check

GOOD = Request("a", (1, 2, 3), 8)


def test_a_good_request_passes() -> None:
    check(GOOD, FAKE_LIMITS)
    check(replace(GOOD, max_tokens=FAKE_LIMITS.context - 3), FAKE_LIMITS)


@pytest.mark.parametrize(
    ("request_", "error", "param", "words"),
    [
        (replace(GOOD, prompt=()), InvalidRequestError, "prompt", "empty"),
        (replace(GOOD, max_tokens=-1), InvalidRequestError, "max_tokens", "at least 0"),
        (replace(GOOD, sampling=Sampling(allowed=(5, 1000))), InvalidRequestError, "allowed_token_ids", "1000"),
        (replace(GOOD, prompt_logprobs=21), InvalidRequestError, "prompt_logprobs", "20"),
        (replace(GOOD, prompt_logprobs=-2), InvalidRequestError, "prompt_logprobs", "-2"),
        (replace(GOOD, max_tokens=4094), ContextLengthError, "max_tokens", r"4096 .*4097 \(3 in the prompt, 4094"),
        (replace(GOOD, prompt=(5, 1000)), InvalidRequestError, "prompt", "token id 1000.*1000 tokens"),
        (replace(GOOD, prompt=(-1,)), InvalidRequestError, "prompt", "token id -1"),
        (replace(GOOD, sampling=Sampling(logit_bias=((1000, 1.0),))), InvalidRequestError, "logit_bias", "1000"),
        (replace(GOOD, sampling=Sampling(seed=-1)), InvalidRequestError, "seed", "64"),
        (replace(GOOD, sampling=Sampling(seed=1 << 64)), InvalidRequestError, "seed", "64"),
        (replace(GOOD, sampling=Sampling(top_k=1 << 31)), InvalidRequestError, "top_k", "between"),
        (replace(GOOD, sampling=Sampling(logprobs=21)), InvalidRequestError, "top_logprobs", "20"),
        (replace(GOOD, sampling=Sampling(logprobs=-2)), InvalidRequestError, "top_logprobs", "-2"),
        (replace(GOOD, sampling=Sampling(temperature=-1.0)), InvalidRequestError, "temperature", "between 0 and"),
        (replace(GOOD, sampling=Sampling(temperature=math.nan)), InvalidRequestError, "temperature", "nan"),
        (replace(GOOD, sampling=Sampling(top_p=1.5)), InvalidRequestError, "top_p", "between 0 and 1"),
        (replace(GOOD, sampling=Sampling(min_p=-0.1)), InvalidRequestError, "min_p", "between 0 and 1"),
        (replace(GOOD, sampling=Sampling(repetition_penalty=0.0)), InvalidRequestError, "repetition_penalty", "0.001"),
        (replace(GOOD, sampling=Sampling(presence_penalty=math.inf)), InvalidRequestError, "presence_penalty", "inf"),
        (replace(GOOD, sampling=Sampling(logit_bias=((1, math.nan),))), InvalidRequestError, "logit_bias", "between"),
        (replace(GOOD, sampling=Sampling(logit_bias=((1, 1e7),))), InvalidRequestError, "logit_bias", "between"),
        (replace(GOOD, sampling=Sampling(logit_bias=((1, 1.0), (1, 2.0)))), InvalidRequestError, "logit_bias", "twice"),
        (replace(GOOD, sampling=Sampling(top_k=2.5)), InvalidRequestError, "top_k", "whole"),  # type: ignore[arg-type]
        (replace(GOOD, sampling=Sampling(top_k=-2)), InvalidRequestError, "top_k", "between -1 and"),
    ],
)
def test_impossible_requests_are_refused_by_name(
    request_: Request, error: type[UndicedError], param: str, words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        check(request_, FAKE_LIMITS)
    assert caught.value.param == param


def test_a_request_larger_than_the_whole_pool_is_refused_with_both_numbers() -> None:
    limits = replace(FAKE_LIMITS, pages=2)
    check(replace(GOOD, max_tokens=30), limits)  # the last token needs no place
    with pytest.raises(ContextLengthError, match=r"32 tokens in all.*33"):
        check(replace(GOOD, max_tokens=31), limits)


def test_copies_differ_in_id_and_seed_and_account_for_one_prompt() -> None:
    request = replace(GOOD, sampling=Sampling(seed=(1 << 64) - 1))
    copies = request.copies(16)
    assert len({copy.id for copy in copies}) == len({copy.sampling.seed for copy in copies}) == 16
    assert copies[0].sampling == request.sampling
    for copy in copies:
        check(copy, FAKE_LIMITS)
        assert replace(copy, id=request.id, sampling=request.sampling, prompt_shared=False) == request
    assert [copy.prompt_shared for copy in copies] == [False] + [True] * 15, "one of them accounts for the prompt"


def test_seeds_are_drawn_when_none_is_given() -> None:
    assert Sampling().seed != Sampling().seed


def test_stops_are_end_tokens_unless_ignored_and_stop_tokens_always() -> None:
    request = replace(GOOD, eos_ids=(7,), stop_token_ids=(9,))
    assert request.stops == {7, 9}
    assert replace(request, ignore_eos=True).stops == {9}


def test_requests_travel_unchanged() -> None:
    request = replace(GOOD, sampling=Sampling(seed=(1 << 64) - 1, logit_bias=((3, -1.5),), top_p=0.5), cache_salt="é")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(request), type=Request) == request
