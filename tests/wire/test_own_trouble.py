"""A model with a token that breaks it, served: who uses that token gets an error, again and again; nobody else does."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from folders import make_folder
from live import engines

from undiced import LLM, SamplingParams
from undiced.core.errors import NonFiniteLogitsError

POISON = 100
BIAS = {str(POISON): -100}


def test_a_poisoned_request_gets_its_error_and_the_engine_stays(tmp_path: Path, start) -> None:
    folder = make_folder(tmp_path / "poisoned", poison=POISON)
    with start("--max-batch", "8", model=str(folder)) as server, httpx.Client(base_url=server.v1, timeout=60) as client:

        def complete(prompt: list[int], **fields: object) -> httpx.Response:
            body = {"model": "poisoned", "prompt": prompt, "max_tokens": 24, "temperature": 0, "ignore_eos": True}
            return client.post("/completions", json={**body, "logit_bias": BIAS, **fields})

        engine = engines(server.process.pid)
        healthy = [[3 + i, 4, 5] for i in range(7)]
        alone = [complete(prompt).json()["choices"][0]["text"] for prompt in healthy]
        with ThreadPoolExecutor(8) as pool:
            for _ in range(3):  # more failures than an engine may have
                together = list(pool.map(complete, [*healthy[:3], [9, POISON, 8], *healthy[3:]]))
                bad = together.pop(3)
                assert (bad.status_code, bad.json()["error"]["code"]) == (500, "non_finite_logits")
                assert [answer.json()["choices"][0]["text"] for answer in together] == alone
        for _ in range(8):
            assert complete([POISON]).status_code == 500
        stream = complete([POISON], stream=True)
        events = [line[6:] for line in stream.text.splitlines() if line.startswith("data: {")]
        assert stream.status_code == 500 or json.loads(events[-1])["error"]["code"] == "non_finite_logits"
        assert complete([POISON], n=3).status_code == 500
        assert complete(healthy[0]).json()["choices"][0]["text"] == alone[0]
        assert engines(server.process.pid) == engine


def test_only_allowed_tokens_are_chosen_and_none_is_an_error_of_the_request(tmp_path: Path, start) -> None:
    folder = make_folder(tmp_path / "tiny")
    with start("--max-batch", "4", model=str(folder)) as server, httpx.Client(base_url=server.v1, timeout=60) as client:
        body = {"model": "tiny", "prompt": [9, 8], "max_tokens": 12, "ignore_eos": True}
        allowed = [3 + ord(letter) for letter in "abc"]
        for temperature in (0, 1.5):
            given = {"allowed_token_ids": allowed, "temperature": temperature}
            text = client.post("/completions", json={**body, **given}).json()["choices"][0]["text"]
            assert len(text) == 12 and set(text) <= set("abc")
        nothing = {"allowed_token_ids": allowed, "stop_token_ids": allowed, "min_tokens": 2}
        answer = client.post("/completions", json={**body, **nothing})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "no_token_allowed")


def test_in_a_program_the_error_is_raised_and_the_model_goes_on(tmp_path: Path) -> None:
    params = SamplingParams(max_tokens=8, ignore_eos=True)
    with LLM(make_folder(tmp_path / "poisoned", poison=POISON), threads=2) as llm:
        before = llm.generate([4, 5, 6], params)[0].outputs[0]
        for ask in (
            lambda: llm.generate([[4, 5, 6], [4, POISON]], params),
            lambda: list(llm.stream([POISON], params)),
        ):
            try:
                ask()
            except NonFiniteLogitsError as error:
                assert "infinity or NaN" in str(error)
            else:
                raise AssertionError("it must be said")
        assert llm.generate([4, 5, 6], params)[0].outputs[0].token_ids == before.token_ids
