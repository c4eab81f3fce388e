"""`undiced serve --draft`: a smaller model guesses for the one that is served. Answers are the same, guesses are told,
and what can't guess is refused before anything is served.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from folders import deepened, make_folder
from live import Server, running

pytestmark = pytest.mark.wire
ASKED = (
    {"prompt": "Once upon", "temperature": 0},
    {"prompt": "A fox", "temperature": 0.8, "seed": 7},
    {"prompt": [70, 71, 72], "temperature": 1.0, "seed": 8, "top_p": 0.9, "n": 2},
)


def said(server: Server, asked: dict[str, object]) -> list[str]:
    """All that it answers, streamed."""
    body = {"model": server.model, "max_tokens": 90, "ignore_eos": True, "stream": True, **asked}
    texts = [""] * int(str(asked.get("n", 1)))
    with httpx.stream("POST", f"{server.v1}/completions", json=body, timeout=60) as answer:
        assert answer.status_code == 200, answer.read()
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                for choice in json.loads(line[6:]).get("choices", ()):
                    texts[choice["index"]] += choice["text"]
    return texts


def guessed(server: Server) -> tuple[int, int]:
    """Tokens that the draft model guessed, and how many of them were right."""
    metrics = httpx.get(f"{server.url}/metrics").text
    found = [
        re.findall(rf'^undiced_{name}_tokens_total\{{.*source="draft".*\}} ([0-9.e+]+)$', metrics, re.MULTILINE)
        for name in ("drafted", "accepted_draft")
    ]
    return int(float(found[0][0])), int(float(found[1][0]))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model, and one that says the same with a sixteenth of its layers."""
    folder = tmp_path_factory.mktemp("pair")
    draft = make_folder(folder / "draft")
    return deepened(draft, folder / "target", 48), draft


def test_a_draft_model_guesses_and_answers_stay_the_same(pair: tuple[Path, Path]) -> None:
    target, draft = map(str, pair)
    with running(model=target) as server:
        alone = [said(server, asked) for asked in ASKED]
        assert guessed(server) == (0, 0)
    with running("--draft", draft, model=target) as server:
        for _ in range(30):  # whether it guesses depends on what it takes, which another process may disturb
            assert [said(server, asked) for asked in ASKED] == alone
            tokens, right = guessed(server)
            if right:
                break
        assert 0 < right <= tokens


@pytest.mark.parametrize(
    ("swapped", "options", "words"),
    [
        (True, (), "MB for a token, more than"),
        (False, ("--no-speculate",), "--draft guesses, and --no-speculate forbids it"),
    ],
)
def test_what_can_not_guess_is_refused_before_anything_is_served(
    pair: tuple[Path, Path], swapped: bool, options: tuple[str, ...], words: str
) -> None:
    target, draft = map(str, pair[::-1] if swapped else pair)
    command = [sys.executable, "-m", "undiced", "serve", target, "--port", "0", "--draft", draft, "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert words in done.stdout + done.stderr
