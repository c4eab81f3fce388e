"""Claude Code against the real HTTP server with scripted tokens: it writes a file with its tool and hears the result.

It is fetched from npm once, knows no account and reaches no other machine. No model said what the script says.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fetched import alone, ended, npm_program
from live import scripted
from scripted_families import AGENT
from support.markdown import ROOT, blocks

pytestmark = [pytest.mark.wire, pytest.mark.slow, pytest.mark.timeout(1800)]
PAGE = ROOT / "docs" / "api.md"


@pytest.fixture(scope="module")
def claude() -> Path:
    """The program; fetched once."""
    return npm_program("@anthropic-ai/claude-code", "claude")


class Desk:
    """A folder in which it works, with the page's commands."""

    def __init__(self, program: Path, folder: Path, url: str) -> None:
        self.home, self.work = folder / "home", folder / "work"
        self.home.mkdir()
        self.work.mkdir()
        [block] = [block for block in blocks(PAGE) if "ANTHROPIC_BASE_URL" in block.text]
        names = {"http://127.0.0.1:8000": url, "MODEL=MODEL": f"MODEL={AGENT}", "TOKEN=KEY": "TOKEN=word"}
        names |= {"Write hello.txt": f"Write two into {self.work}/note.txt", "claude -p": f"'{program}' -p"}
        self.commands = block.text.rstrip()
        for old, new in names.items():
            assert old in self.commands, old
            self.commands = self.commands.replace(old, new)

    def run(self, *options: str) -> str:
        """Ask once; returns what it prints."""
        process = subprocess.Popen(
            ["sh", "-euc", " ".join((self.commands, *options))], cwd=self.work, env=alone(self.home), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        with ended(process):
            said, beside = process.communicate(timeout=120)
        assert process.returncode == 0, (said + beside)[-2000:]
        return said


@pytest.fixture
def desk(claude: Path, tmp_path: Path) -> Iterator[Desk]:
    with scripted() as server:
        yield Desk(claude, tmp_path, server.url)


def test_claude_code_writes_a_file_as_the_page_says(desk: Desk) -> None:
    assert desk.run().strip() == "Done: written"
    assert (desk.work / "note.txt").read_text() == "two\n"


def test_claude_code_hears_thoughts_calls_and_counts(desk: Desk) -> None:
    said = desk.run("--output-format", "stream-json", "--verbose")
    events = [json.loads(line) for line in said.splitlines()]
    told = [one for event in events if event["type"] == "assistant" for one in event["message"]["content"]]
    assert [block["type"] for block in told] == ["thinking", "text", "tool_use", "text"], events
    assert told[0]["signature"] and told[1]["text"] == "I write it."
    assert told[2]["name"] == "Write" and told[2]["input"]["content"] == "two\n"
    [result] = [event["message"]["content"][0] for event in events if event["type"] == "user"]
    assert result["tool_use_id"] == told[2]["id"] and not result.get("is_error")
    [end] = [event for event in events if event["type"] == "result"]
    assert (end["result"], end["is_error"], end["num_turns"]) == ("Done: written", False, 2)
    assert end["usage"]["output_tokens_details"]["thinking_tokens"] > 0 < end["usage"]["input_tokens"]
    assert (desk.work / "note.txt").read_text() == "two\n"
