"""Every block of code in README and docs: it is executed and shows what the page shows, or it stands here why not."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from support.markdown import PAGES, ROOT, blocks, inline

from undiced.cli.commands import COMMANDS, built

BLOCKS = {block.name: block for page in PAGES for block in blocks(page)}
CURL = '$ curl -s localhost:8000/v1/chat/completions -d \'{"model": "smollm2-135m", "temperature": 0,'
LONG = [pytest.mark.slow, pytest.mark.model, pytest.mark.timeout(900)]

# The commands of these are typed, and what they show is compared.
SHOWN = [
    ("README.md", "$ undiced simulate llama-3.3-70b"),
    ("wafer.md", '$ undiced run smollm2-135m --machine toy-24x24 --prompt "The capital of France is" --tokens 8'),
    ("wafer.md", "$ undiced simulate llama-3.3-70b"),
    ("wafer.md", "$ undiced simulate llama-3.1-8b --weights int8"),
    ("wafer.md", "$ undiced simulate llama-3.3-70b --phase prefill"),
    ("wafer.md", "$ undiced simulate llama-3.3-70b --draft llama-3.2-1b"),
    ("wafer.md", "$ undiced simulate llama-3.1-8b --machine wse2 --mapping waferllm --region 420x420 --groups 20 "
     "--context 4200 --layers 32"),
    ("wafer.md", "$ undiced frontier llama-3.1-8b --wafers 2 --lockstep 1,4 -o frontier.svg"),
    ("wafer.md", "$ undiced map llama-3.3-70b -o wafer.html"),
    ("wafer.md", "$ undiced trace llama-3.1-8b -o trace.json"),
    ("wafer.md", "$ undiced sweep llama-3.1-8b --wafers 1,2,4 --context 1k,4k,32k"),
    ("wafer.md", '$ undiced run smollm2-135m --machine toy-24x24 --prompt "The capital of France is" --tokens 24'),
    ("wafer.md", "$ undiced diff graph host --model smollm2-135m --tokens 6 --tolerance 0.02"),
    ("yield.md", "$ undiced simulate llama-3.1-8b --defects 7"),
    ("yield.md", '$ undiced run smollm2-135m --machine toy-24x24 --defects 4 --defect-density 0.2 '
     '-p "The capital of France is" -n 12'),
    ("yield.md", "$ undiced yield --defect-density 0.001"),
    ("yield.md", '$ undiced run smollm2-135m --machine toy-24x24 -p "The capital of France is" -n 8 --fail 5,7@3'),
    ("yield.md", "$ undiced yield llama-3.1-8b --wafers 100 --defect-density 0.001"),
]  # fmt: skip
PYTHON = [("README.md", "from undiced import LLM, SamplingParams"), ("wafer.md", "import undiced")]
# These are executed elsewhere: by the test here or by the file that is named.
LOG = next(name for name in BLOCKS if name[0] == "operations.md" and " INFO undiced.request: " in name[1])
ELSEWHERE = {
    ("README.md", CURL): "test_the_answer_of_the_first_request_is_the_one_that_is_shown",
    ("README.md", "make serve   # sets everything up and serves the embedded model at http://127.0.0.1:8000"):
        "tests/newcomers/developer.txt",
    ("operations.md", "$ UNDICED_PORT=8121 UNDICED_API_KEY=k undiced serve --max-context 1024"):
        "test_the_server_greets_as_it_is_shown",
    ("operations.md", "max-context = 4096              # of each"): "tests/unit/cli/test_model_options.py",
    ("accounts.md", "$ undiced org create acme"): "tests/unit/cli/test_accounts.py",
    ("accounts.md", "$ undiced tier set acme developer"): "tests/unit/cli/test_bills.py",
    ("accounts.md", '$ curl -s localhost:8000/v1/chat/completions -H "Authorization: Bearer $KEY" \\'):
        "tests/newcomers/team.txt",
    ("accounts.md", "$ undiced usage acme --by key --by model"): "tests/unit/cli/test_bills.py",
    **{("accounts.md", begin): "tests/wire/test_front_door.py" for begin in (
        "$ KEY=$(undiced key create --name ci)", "$ curl -s localhost:8000/v1/models",
        "$ M=http://127.0.0.1:8001/management/v1",
    )},
    ("api.md", '$ curl -s http://127.0.0.1:8000/v1/limits -H "Authorization: Bearer $KEY"'):
        "tests/unit/api/test_own_limits.py",
    ("api.md", 'model = "MODEL"'): "tests/wire/test_codex.py",
    ("wafer.md", "$ undiced fabric layer smollm2-135m --machine toy-24x24 --context 64"):
        "tests/unit/cli/test_fabric_layer.py",
    ("api.md", "curl -s localhost:8000/v1/chat/completions -d '{\"messages\": [{\"role\": \"user\", \"content\": "
     "\"Say: one two three four\"}],"): "tests/wire/test_prediction.py",
    ("api.md", "import anthropic"): "tests/wire/test_anthropic_client.py",
    ("api.md", "export ANTHROPIC_BASE_URL=http://127.0.0.1:8000 ANTHROPIC_AUTH_TOKEN=KEY  # the server's, or a word"):
        "tests/wire/test_claude_code.py",
    ("clients.md", "from langchain_cerebras import ChatCerebras"): "tests/wire/test_langchain.py",
    ("clients.md", "- model_id: undiced"): "tests/wire/test_llm.py",
    ("clients.md", "from llm_cerebras.cerebras import CerebrasModel"): "tests/wire/test_llm.py",
    ("clients.md", "import litellm"): "tests/wire/test_litellm.py",
    **{block.name: "tests/wire/test_load_generators.py" for block in BLOCKS.values()
       if block.page == "clients.md" and block.language == "sh"},
    **{block.name: "tests/unit/cli/test_fabric_page.py" for block in BLOCKS.values() if block.page == "fabric.md"},
    **{block.name: "tests/unit/cli/test_power.py" for block in BLOCKS.values() if block.page == "power.md"},
    **{block.name: "tests/unit/cli/test_compare.py" for block in BLOCKS.values() if block.page == "compare.md"},
    LOG: "test_a_line_of_the_log_looks_as_it_is_shown",
    **{block.name: "tests/unit/test_vllm_scripts.py" for block in BLOCKS.values() if block.page == "llm.md"},
}  # fmt: skip
# These are not executed.
REASONS = {
    ("wafer.md", "$ undiced fabric layer llama-3.1-8b --loads loads.npz"):
        "minutes; tests/unit/cli/test_fabric_layer.py does the same with a small model",
    ("yield.md", "$ undiced simulate llama-3.1-8b --defects 7 --clusters"):
        "ends with an error; tests/unit/cli/test_defects.py has such ones",
    ("models.md", "$ undiced serve org/name:Q4_K_M --max-context 4096"):
        "needs the hub; tests/wire/test_hub.py and tests/unit/cli/test_hub_models.py do the same with a stand-in of it",
    ("operations.md", "python3 -m venv /opt/undiced && /opt/undiced/bin/pip install undiced-0.1.0-*.whl   "
     "# a wheel of `make wheel`"): "needs systemd and its administrator; tests/unit/cli/test_deploy.py reads the unit",
    ("operations.md", "docker build -f deploy/Dockerfile -t undiced ."):
        "needs docker; tests/unit/cli/test_deploy.py reads the Dockerfile and the options",
    ("wafer.md", "$ undiced fabric layer llama-3.1-8b --machine wse2 --mapping waferllm --phase prefill --region "
     "480x480"):
        "a day; tests/unit/cli/test_fabric_layer.py does the same on 4 x 4 cores",
    ("wafer.md", "$ undiced compile llama-3.1-8b -o program"):
        "takes minutes and 2 GiB; tests/unit/sim/fabric/test_lower_layers.py does the same on small wafers",
}  # fmt: skip
# What differs from time to time and from machine to machine: speeds, durations, times of day, ids, colons of a prompt.
VOLATILE = re.compile(r"\d+(\.\d+)?(?= s\b| tokens/s)|(?<=after )[\d.]+|\b(fp|req)_[0-9a-f]+|\d{4}-\d\d-\d\dT[\d:.]+Z")


def test_every_block_is_executed_or_has_a_reason() -> None:
    assert set(BLOCKS) == {*SHOWN, *PYTHON, *ELSEWHERE, *REASONS}
    assert len(BLOCKS) == sum(len(blocks(page)) for page in PAGES), "two blocks begin alike"
    here = Path(__file__).read_text()
    for named in ELSEWHERE.values():
        assert f"def {named}(" in here or (ROOT / named).exists(), named


PLACES = {"A": "graph", "B": "host", "FILE": str(ROOT / "deploy" / "undiced.toml")}  # where not all names do


def said(page: Path) -> Iterator[str]:
    """Commands of ours that a page names, outside and inside of blocks; variables before them left out."""
    for code in (*inline(page), *(command for block in blocks(page) for command, _ in block.commands())):
        words = shlex.split(code.replace("\\|", "|").split(" | ")[0]) if "undiced " in code else []
        while words and re.match(r"[A-Z_]+=", words[0]):
            del words[0]
        if words[:1] == ["undiced"] and named(words[1:]) and "..." not in words:
            yield shlex.join(words[1:])


def named(words: list[str]) -> str:
    """The command that words begin with, of one word or two; empty if they begin with none."""
    return next((name for name in (" ".join(words[:2]), words[0]) if name in COMMANDS), "")


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "LOG.md"], ids=lambda page: page.name)
def test_commands_that_a_page_names_are_taken_by_the_parser(page: Path) -> None:
    for line in dict.fromkeys(said(page)):
        words = [PLACES.get(word, word.strip("[]")) for word in shlex.split(line)]
        name = named(words)
        try:
            built(name).make_context(name, words[len(name.split()) :]).close()
        except Exception as error:  # the parser's own classes have no public name
            assert type(error).__name__ == "MissingParameter", line  # pages leave out what is not the matter


def typed(command: str, folder: Path) -> str:
    """What a command shows in a pipe; a list on two lines is one command."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0 or "diff" in command, done.stderr
    return done.stdout + done.stderr


def compare(shown: str, found: str) -> None:
    """Every line that the page shows is there, in its order.

    Three dots stand for any lines, and volatile figures for others.
    """
    lines = iter([VOLATILE.sub("#", line.rstrip()) for line in found.splitlines()])
    for line in shown.splitlines():
        wanted = VOLATILE.sub("#", line.rstrip())
        if wanted.strip() != "...":
            assert any(wanted == line for line in lines), f"{line!r} is not in its place in:\n{found}"


@pytest.mark.parametrize("name", [pytest.param(name, marks=LONG, id=f"{name[0]}: {name[1][:60]}") for name in SHOWN])
def test_commands_show_what_the_page_shows(name: tuple[str, str], tmp_path: Path) -> None:
    for command, shown in BLOCKS[name].commands():
        compare(shown, typed(command, tmp_path))


@pytest.mark.parametrize("name", [pytest.param(name, marks=LONG, id=name[0]) for name in PYTHON])
def test_programs_run(name: tuple[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS[name].text], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "Traceback" not in done.stderr


@contextmanager
def serving(folder: Path, **environment: str) -> Iterator[tuple[str, str, Path]]:
    """A server as users start it; its address, what it said, its log."""
    said, log = folder / "said", folder / "log"
    with said.open("w") as out, log.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "undiced", "serve", "--port", "0", "--max-context", "1024"],
            stdout=out, stderr=err, env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    try:
        while "Ctrl-C" not in said.read_text():
            assert process.poll() is None, log.read_text()
        yield re.search(r"http://[\d.:]+", said.read_text())[0], said.read_text(), log  # type: ignore[index]
    finally:
        process.terminate()
        process.wait(30)


def members(value: object) -> object:
    """The shape of an answer: members, without what differs each time."""
    if isinstance(value, dict):
        return {key: members(below) for key, below in value.items() if key != "time_info"} | (
            {"time_info": sorted(value["time_info"])} if "time_info" in value else {}
        )
    return [members(below) for below in value] if isinstance(value, list) else value


@pytest.mark.slow
@pytest.mark.model
def test_the_answer_of_the_first_request_is_the_one_that_is_shown(tmp_path: Path) -> None:
    [(command, shown)] = BLOCKS["README.md", CURL].commands()
    with serving(tmp_path) as (url, _, _):
        found = json.loads(typed(command.replace("localhost:8000", url), tmp_path))
    wanted = json.loads(shown.replace("\n", " "))
    for answer in (found, wanted):
        del answer["id"], answer["created"], answer["system_fingerprint"]
    assert members(found) == members(wanted)


@pytest.mark.slow
@pytest.mark.model
def test_the_server_greets_as_it_is_shown(tmp_path: Path) -> None:
    name = ("operations.md", "$ UNDICED_PORT=8121 UNDICED_API_KEY=k undiced serve --max-context 1024")
    [(_, shown)] = BLOCKS[name].commands()
    with serving(tmp_path, UNDICED_API_KEY="k") as (url, said, _):
        own = said.replace(url, "http://127.0.0.1:8121")
    threads = re.compile(r"\d+ threads")
    compare(threads.sub("#", shown), threads.sub("#", own))


@pytest.mark.slow
@pytest.mark.model
def test_a_line_of_the_log_looks_as_it_is_shown(tmp_path: Path) -> None:
    question = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
    with serving(tmp_path) as (url, _, log):
        httpx.post(f"{url}/v1/chat/completions", json=question, timeout=60)
    [found] = [line for line in log.read_text().splitlines() if "undiced.request" in line]
    figures = re.compile(r"(?<==)[\d.]+$|(?<==)[\d.]+(?= )")
    plain = [figures.sub("#", VOLATILE.sub("#", line)) for line in (LOG[1], found)]
    assert plain[0] == plain[1]
