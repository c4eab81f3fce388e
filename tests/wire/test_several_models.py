"""`undiced serve A B`: two models behind one address, each with an engine of its own, asked by the official clients."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import openai
import pytest
from cerebras.cloud.sdk import Cerebras
from folders import make_folder
from live import Server, engines

Start = Callable[..., AbstractContextManager[Server]]
WHOLE = {"ignore_eos": True}
_BACK_S = 30.0


def until(server: Server, status: str, model: str) -> httpx.Response:
    """What /health says of a model, once that is its state."""
    end = time.monotonic() + _BACK_S
    while time.monotonic() < end:
        reply = httpx.get(f"{server.url}/health", params={"model": model})
        if reply.json()["status"] == status:
            return reply
        time.sleep(0.02)
    raise AssertionError(f"{model} did not become {status}: {reply.text}")


def ask(client: openai.OpenAI, model: str) -> int:
    """Tokens of a short answer."""
    reply = client.completions.create(model=model, prompt=[5], max_tokens=8, extra_body=WHOLE)
    assert reply.model == model and reply.usage is not None
    return reply.usage.completion_tokens


def test_the_clients_get_answers_of_both_and_an_engine_that_dies_leaves_the_other_alone(
    tmp_path: Path, start: Start
) -> None:
    """The second engine dies, comes back, and is lost at last; the first never notices."""
    steady, frail = make_folder(tmp_path / "steady", context=4096), make_folder(tmp_path / "frail")
    log = tmp_path / "log"
    options = (str(frail), "--served-model-name", f"weak={frail}", "--max-batch", "2")
    with (
        log.open("w") as stderr,
        start(*options, model=str(steady), stderr=stderr) as server,
        openai.OpenAI(base_url=server.v1, api_key="none", max_retries=0) as client,
        Cerebras(base_url=server.url, api_key="none", max_retries=0) as other,
    ):
        both_answer(client, other)
        one_dies_while_the_other_streams(server, client)
        until(server, "ok", "weak")
        assert ask(client, "weak") == 8
        metrics = httpx.get(f"{server.url}/metrics").text
        for model, restarts in (("steady", 0), ("weak", 1)):
            assert f'undiced_engine_up{{model="{model}"}} 1.0' in metrics
            assert f'undiced_engine_restarts_total{{model="{model}"}} {float(restarts)}' in metrics
        (frail / "config.json").write_text((frail / "config.json").read_text() + "\n")  # it can't be started again
        one_is_lost_for_good(server, client)
        assert server.stop() == 0
    said = log.read_text()
    assert "The engine of weak (process" in said
    assert "The engine of weak has failed for good" in said and "The other models are served on" in said


def both_answer(client: openai.OpenAI, other: Cerebras) -> None:
    assert [model.id for model in client.models.list()] == ["steady", "weak"]
    with ThreadPoolExecutor(1) as pool:
        ours = pool.submit(ask, client, "weak")
        theirs = other.completions.create(model="steady", prompt=[5], max_tokens=8, extra_body=WHOLE)
        assert (ours.result(), theirs.model, theirs.usage.completion_tokens) == (8, "steady", 8)
    with pytest.raises(openai.NotFoundError, match="'steady' or 'weak'"):
        ask(client, "absent")


def one_dies_while_the_other_streams(server: Server, client: openai.OpenAI) -> None:
    usage = {"include_usage": True}
    stream = client.completions.create(
        model="steady", prompt=[5], max_tokens=3000, stream=True, stream_options=usage, extra_body=WHOLE
    )
    next(iter(stream))
    os.kill(engines(server.process.pid)[1], signal.SIGKILL)
    with pytest.raises(openai.InternalServerError) as refused:
        for _ in range(100):  # until the server has heard of the death
            ask(client, "weak")
    assert refused.value.status_code in (500, 503)
    assert httpx.get(f"{server.url}/health").status_code == 503
    assert httpx.get(f"{server.url}/health?model=steady").json() == {"status": "ok", "model": "steady"}
    assert list(stream)[-1].usage.completion_tokens == 3000


def one_is_lost_for_good(server: Server, client: openai.OpenAI) -> None:
    os.kill(engines(server.process.pid)[1], signal.SIGKILL)
    assert until(server, "failed", "weak").status_code == 503
    whole = httpx.get(f"{server.url}/health")
    assert (whole.status_code, whole.json()["model"]) == (503, "weak")
    assert whole.json()["models"] == {"steady": "ready", "weak": "failed"}
    with pytest.raises(openai.InternalServerError, match="The engine of weak has failed for good") as refused:
        ask(client, "weak")
    assert refused.value.status_code == 503
    assert server.process.stdout is not None
    told = json.loads(server.process.stdout.readline())
    assert (told["event"], told["model"], told["error"]["code"]) == ("engine_lost", "weak", "bad_checkpoint")
    assert ask(client, "steady") == 8
    assert 'undiced_engine_up{model="weak"} 0.0' in httpx.get(f"{server.url}/metrics").text
