"""A tokenizer whose library panics on some texts, served: who sends such a text gets an error; nobody else notices.

The panic is a real one: a pattern of tokenizer.json that backtracks without end on one text and on no other. What it
raises is no `Exception`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from folders import make_folder
from live import running

ENDLESS = {"type": "Split", "pattern": {"Regex": "^(?:(a|aa)+)+$"}, "behavior": "Isolated", "invert": False}
PANICS = "a" * 60 + "c"
LONG = PANICS + " " * 2048  # encoded on a thread, without the interpreter lock


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = make_folder(tmp_path_factory.mktemp("panics") / "tiny")
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text())
    document["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [ENDLESS, document["pre_tokenizer"]]}
    path.write_text(json.dumps(document))
    patch = pytest.MonkeyPatch()
    patch.setenv("RUST_BACKTRACE", "0")
    with running("--max-batch", "4", model=str(folder)) as server:
        patch.undo()
        with httpx.Client(base_url=server.url, timeout=60) as client:
            yield client


def complete(client: httpx.Client, prompt: str, **fields: object) -> httpx.Response:
    body = {"model": "tiny", "prompt": prompt, "max_tokens": 24, "temperature": 0, "ignore_eos": True, **fields}
    return client.post("/v1/completions", json=body, headers={"x-request-id": "mine"})


def chat(client: httpx.Client, content: str, **fields: object) -> httpx.Response:
    body = {"model": "tiny", "messages": [{"role": "user", "content": content}], "max_tokens": 24, **fields}
    return client.post("/v1/chat/completions", json=body, headers={"x-request-id": "mine"})


def counted(client: httpx.Client, path: str) -> float:
    name = f'undiced_requests_total{{code="500",path="{path}"}} '
    lines = client.get("/metrics").text.splitlines()
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("text", [PANICS, LONG], ids=["short", "long"])
@pytest.mark.parametrize(("ask", "path"), [(complete, "/v1/completions"), (chat, "/v1/chat/completions")])
def test_a_text_that_the_library_panics_on_gets_a_counted_error(client, ask, path, text, stream) -> None:
    before = counted(client, path)
    answer = ask(client, text, stream=stream)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "tokenizer_failure"), answer.text
    assert "tokenizer failed on the text" in answer.json()["error"]["message"]
    assert answer.headers["x-request-id"] == answer.json()["error"]["id"] == "mine"
    assert answer.headers.get("connection") != "close"
    assert counted(client, path) == before + 1
    assert ask(client, "abc").status_code == 200


def test_other_answers_go_on_and_are_the_same_while_texts_panic(client) -> None:
    alone = complete(client, "aab").json()["choices"][0]["text"]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            asked = list(pool.map(lambda text: complete(client, text), ["aab", PANICS, "aab", LONG] * 2))
            assert [answer.status_code for answer in asked] == [200, 500, 200, 500] * 2
            assert {answer.json()["choices"][0]["text"] for answer in asked[::2]} == {alone}


def test_of_several_prompts_one_that_panics_fails_the_request(client) -> None:
    answer = client.post("/v1/completions", json={"model": "tiny", "prompt": ["abc", PANICS], "max_tokens": 2})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "tokenizer_failure")
