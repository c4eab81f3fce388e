"""`guidellm` and `aiperf`, unchanged, each in an environment of its own: what they report is what the server counted.

The model has random weights. The commands are those of the page.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fetched import alone, ended, oracle_torch, python_programs
from folders import make_folder
from live import Server, running
from support.clients_page import PAGE
from support.markdown import blocks

pytestmark = [pytest.mark.wire, pytest.mark.slow, pytest.mark.timeout(1800)]
REQUESTS, TOKENS = 12, 24
COUNTED = re.compile(r"^undiced_(requests|prompt_tokens|completion_tokens)_total\{(.*)\} (\d+)", re.MULTILINE)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server, and the folder of its model."""
    folder = make_folder(tmp_path_factory.mktemp("noise") / "model", context=2048)
    with running("--threads", "1", "--max-batch", "8", model=str(folder)) as server:
        yield server, folder


def counted(server: Server) -> dict[str, int]:
    """What the server has counted of chats that succeeded."""
    text = httpx.get(f"{server.url}/metrics").text
    found = [one for one in COUNTED.findall(text) if "path=" not in one[1] or 'code="200",path="/v1/chat' in one[1]]
    return {name: int(count) for name, _, count in found}


def report(noise: tuple[Server, Path], home: Path, programs: Path, *further: str) -> tuple[dict[str, int], Path]:
    """Run the page's command of that program; returns what the server counted meanwhile, and where the report is."""
    server, folder = noise
    [command] = [block.text for block in blocks(PAGE) if block.text.startswith(f"{programs.name} ")]
    for name, value in {"http://127.0.0.1:8000": server.url, "TOKENIZER": str(folder), "MODEL": server.model}.items():
        command = command.replace(name, value)
    before = counted(server)
    words = [str(programs), *shlex.split(command.replace("\\\n", ""))[1:], *further]
    process = subprocess.Popen(
        words, cwd=home, env=alone(home), text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    with ended(process):
        said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said[-3000:]
    after = counted(server)
    return {name: after[name] - before.get(name, 0) for name in after}, home


def test_guidellm_reports_what_the_server_counted(noise: tuple[Server, Path], tmp_path: Path) -> None:
    programs = python_programs("guidellm", oracle_torch())
    ours, home = report(noise, tmp_path, programs / "guidellm", "--disable-progress")
    [benchmark] = json.loads((home / "guidellm.json").read_text())["benchmarks"]
    metrics = benchmark["metrics"]
    assert metrics["request_totals"] == {"successful": REQUESTS, "errored": 0, "incomplete": 0, "total": REQUESTS}
    sums = {name: metrics[f"{name}_token_count"]["successful"]["total_sum"] for name in ("prompt", "output")}
    assert ours == {"requests": REQUESTS, "prompt_tokens": sums["prompt"], "completion_tokens": sums["output"]}
    assert sums["output"] == REQUESTS * TOKENS
    assert all(0 < one["time_to_first_token_ms"] < 60_000 for one in benchmark["requests"]["successful"])


def test_aiperf_reports_what_the_server_counted(noise: tuple[Server, Path], tmp_path: Path) -> None:
    programs = python_programs("aiperf")
    ours, home = report(noise, tmp_path, programs / "aiperf", "--ui", "none")
    found = json.loads((home / "aiperf" / "profile_export_aiperf.json").read_text())
    assert found["request_count"]["avg"] == REQUESTS and not found["error_summary"]
    sums = {name: found[f"total_usage_{name}_tokens"]["avg"] for name in ("prompt", "completion")}
    assert ours == {"requests": REQUESTS, "prompt_tokens": sums["prompt"], "completion_tokens": sums["completion"]}
    assert sums["completion"] == found["total_osl"]["avg"] == REQUESTS * TOKENS
    assert found["time_to_first_token"]["min"] > 0
    scraped = json.loads((home / "aiperf" / "server_metrics_export.json").read_text())["metrics"]
    [series] = scraped["undiced_completion_tokens"]["series"]
    assert series["stats"]["total"] == REQUESTS * TOKENS
