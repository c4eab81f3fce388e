"""A server as a team runs it: with a key, TLS, its own names, settings from the environment, a log for machines."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
import pytest
from folders import make_folder
from live import Server, running

KEY = "sk-of-the-team"
WHOLE = {"ignore_eos": True}


@contextmanager
def team_server(
    folder: Path, certificate: tuple[Path, Path], log: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    cert, key = certificate
    monkeypatch.setenv("UNDICED_API_KEY", KEY)
    monkeypatch.setenv("UNDICED_TLS_CERT", str(cert))
    monkeypatch.setenv("UNDICED_TLS_KEY", str(key))
    monkeypatch.setenv("UNDICED_SERVED_MODEL_NAME", "team-model gpt-4o")
    options = ("--log-format", "json", "--max-batch", "2")
    with log.open("w") as stderr, running(*options, model=str(make_folder(folder)), stderr=stderr) as server:
        yield server


def test_a_team_gets_key_tls_names_and_a_log(
    tmp_path: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    trust = ssl.create_default_context(cafile=certificate[0])
    with team_server(tmp_path / "tiny", certificate, log, monkeypatch) as server:
        assert server.url.startswith("https://")
        assert server.model == "team-model"
        threads = Path(f"/proc/{server.process.pid}/task").glob("*/children")
        children = [child for thread in threads for child in thread.read_text().split()]
        assert len(children) > 1, "the engine, and the process for templates"
        assert not any(KEY.encode() in Path(f"/proc/{child}/environ").read_bytes() for child in children)
        with httpx.Client(verify=trust, base_url=server.url) as plain:
            assert plain.get("/health").json() == {"status": "ok", "model": "team-model"}
            assert plain.get("/v1/models").status_code == 401
            big = plain.post("/v1/completions", content=b"x" * 5_000_000)
            assert big.status_code == 401
        with pytest.raises(httpx.TransportError):
            httpx.get(server.url.replace("https", "http") + "/health")
        client = openai.OpenAI(base_url=server.v1, api_key=KEY, http_client=openai.DefaultHttpxClient(verify=trust))
        with client:
            stream = client.completions.create(
                model="GPT-4o", prompt="abc", max_tokens=6, stream=True, extra_body=WHOLE
            )
            assert {chunk.model for chunk in stream} == {"team-model"}
            with pytest.raises(openai.AuthenticationError):
                client.with_options(api_key="wrong", max_retries=0).models.list()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    ready, *requests, draining = (line for line in lines if line["logger"] != "undiced.engine")
    assert (ready["message"], ready["model"], ready["key"]) == ("ready", "team-model", True)
    assert {"version", "url", "context", "max_batch", "max_queue", "threads"} < ready.keys()
    assert [line["status"] for line in requests] == [401, 401, 200, 401]
    assert requests[2].items() >= {"path": "/v1/completions", "finish_reason": "length", "completion_tokens": 6}.items()
    assert draining["message"] == "draining"
    assert KEY not in log.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tls-cert", "CERT"], "--tls-key is missing"),
        (["--tls-key", "KEY"], "--tls-cert is missing"),
        (["--tls-cert", "CERT", "--tls-key", "none.pem"], "none.pem can't be read"),
        (["--tls-cert", "KEY", "--tls-key", "KEY"], "are no certificate with its key"),
        (["--api-key", "two words"], "visible ASCII"),
    ],
)
def test_what_cannot_work_is_said_before_a_model_is_loaded(
    certificate: tuple[Path, Path],
    options: list[str],
    message: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from undiced.cli.app import run
    from undiced.core.exits import Exit

    named = {"CERT": str(certificate[0]), "KEY": str(certificate[1])}
    monkeypatch.setattr("sys.argv", ["undiced", "serve", "--port", "0", *(named.get(word, word) for word in options)])
    assert run() == Exit.USAGE
    assert message in capfd.readouterr().err
