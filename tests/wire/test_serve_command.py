"""`undiced serve` from its first line to its last: folders, refusals, and signals while it loads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import openai
import pytest
from folders import CONTEXT, make_folder
from live import engines

COMMAND = [sys.executable, "-c", "from undiced.cli import main; main()", "serve"]


def environment(tmp_path: Path) -> dict[str, str]:
    """Temporary files in a folder of the test's own, to see what is left of them."""
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return {**os.environ, "TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"}


def left_behind(tmp_path: Path) -> list[str]:
    return sorted(entry.name for entry in (tmp_path / "scratch").iterdir())


def refused(tmp_path: Path, *arguments: str, status: int = 1) -> str:
    """The one line that the command says instead of serving."""
    found = subprocess.run(
        [*COMMAND, *arguments, "--port", "0"], capture_output=True, text=True, timeout=60, env=environment(tmp_path)
    )
    assert found.returncode == status
    assert found.stdout == ""
    assert left_behind(tmp_path) == []
    (line,) = found.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_a_folder_with_shards_is_served(tmp_path: Path, start) -> None:
    folder = make_folder(tmp_path / "tiny-llama")
    with (
        start("--max-batch", "2", model=str(folder)) as server,
        openai.OpenAI(base_url=server.v1, api_key="none", max_retries=0) as client,
    ):
        assert (server.model, server.context) == ("tiny-llama", CONTEXT)
        fields = {"model": "tiny-llama", "max_tokens": 20, "temperature": 0, "extra_body": {"ignore_eos": True}}
        messages = [{"role": "user", "content": "hi ö"}]
        whole = client.chat.completions.create(messages=messages, **fields)
        assert whole.usage is not None
        rendered = "<|im_start|>user\nhi ö<|im_end|>\n<|im_start|>"
        assert whole.usage.prompt_tokens == len(rendered.encode()) - len("<|im_start|>") * 2 - len("<|im_end|>") + 3
        assert whole.usage.completion_tokens == 20
        stream = client.chat.completions.create(messages=messages, stream=True, **fields)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == whole.choices[0].message.content
        text = client.completions.create(prompt=[3 + ord("a")], **fields)
        assert text.choices[0].finish_reason == "length"
        # the tokenizer's end token is banned, the answer goes on
        least = {"ignore_eos": False, "min_tokens": 20}
        assert client.completions.create(prompt="a", **{**fields, "extra_body": least}).usage.completion_tokens == 20


def test_keys_and_values_in_int8_are_served_in_half_the_room_and_answers_repeat(tmp_path: Path, start) -> None:
    folder, room, said = make_folder(tmp_path / "narrow"), {}, {}
    for kv_type in ("f16", "int8"):
        with (
            start("--max-batch", "2", "--kv-type", kv_type, model=str(folder)) as server,
            openai.OpenAI(base_url=server.v1, api_key="none", max_retries=0) as client,
        ):
            room[kv_type] = server.announced["kv_bytes"]
            assert server.announced["kv_type"] == kv_type
            fields = {"model": "narrow", "max_tokens": 20, "temperature": 0, "extra_body": {"ignore_eos": True}}
            answers = [client.completions.create(prompt="hi " * 20, logprobs=1, **fields) for _ in range(2)]
            first, again = (answer.choices[0] for answer in answers)  # the second one finds its prefix cached
            assert (first.text, first.logprobs.token_logprobs) == (again.text, again.logprobs.token_logprobs)
            assert answers[1].usage.completion_tokens == 20
            said[kv_type] = first.logprobs.token_logprobs
    assert 0.5 < room["int8"] / room["f16"] < 0.65  # heads of 8 columns: scales take more than with real ones
    assert said["int8"] != said["f16"] and max(map(abs, said["int8"])) < 20


def test_an_unknown_kv_type_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    line = refused(tmp_path, str(make_folder(tmp_path / "odd")), "--kv-type", "int4", status=2)
    assert "There is no KV cache of type 'int4'. Choose f16, or int8" in line


def test_a_folder_without_a_tokenizer_is_one_clear_error(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mute", tokenizer=False)
    assert "There is no tokenizer.json in" in refused(tmp_path, str(folder))


def test_more_context_than_the_model_has_is_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "short")
    line = refused(tmp_path, str(folder), "--max-context", str(CONTEXT + 1))
    assert f"{CONTEXT} positions; {CONTEXT + 1} was asked for. Use --max-context {CONTEXT} or less." in line


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_it_loads_ends_it_and_leaves_nothing(tmp_path: Path, number: int, status: int) -> None:
    folder = make_folder(tmp_path / "tiny")
    process = subprocess.Popen(
        [*COMMAND, str(folder), "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
        process_group=0,
    )
    deadline = time.monotonic() + 60
    while not engines(process.pid):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, number)  # as a terminal does: to all of the foreground
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (status, "")
    assert [json.loads(line)["event"] for line in out.splitlines()] in ([], ["ready"])
    assert left_behind(tmp_path) == []


def test_a_template_that_does_not_compile_leaves_completions(tmp_path: Path, start) -> None:
    folder = make_folder(tmp_path / "tiny-llama")
    (folder / "chat_template.jinja").write_text("{{ if .System }}{{ .System }}{{ end }}")
    with (
        start("--max-batch", "2", model=str(folder)) as server,
        openai.OpenAI(base_url=server.v1, api_key="none", max_retries=0) as client,
    ):
        assert client.completions.create(model="tiny-llama", prompt="hi", max_tokens=2).choices[0].text is not None
        with pytest.raises(openai.BadRequestError, match="wrong syntax") as caught:
            client.chat.completions.create(model="tiny-llama", messages=[{"role": "user", "content": "hi"}])
        assert caught.value.code == "no_chat_template"
