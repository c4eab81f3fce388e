"""What the files for operators and their page name exists: options, variables, metrics, and the unit's command line."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from undiced.api.metrics import Metrics
from undiced.cli.commands import all_built, built
from undiced.cli.environment import unknown_variables
from undiced.remote.client import Health
from undiced.serve import EngineStats

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
PAGES = sorted((*DEPLOY.iterdir(), ROOT / "docs" / "operations.md"))


def offered() -> set[str]:
    """Names of metrics as a server shows them."""
    text = Metrics().render({"m": (EngineStats(), Health("ready", 1.0, "", 0))}).decode()
    found: set[str] = set()
    for family in text_string_to_metric_families(text):
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        found |= {family.name + end for end in ends}
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_metrics_and_variables_that_are_named_exist(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = path.read_text()
    assert set(re.findall(r"\bundiced_[a-z_]*[a-z]\b", text)) <= offered()
    for name in re.findall(r"\bUNDICED_[A-Z_]*[A-Z]\b", text):
        monkeypatch.setenv(name, "1")
    assert unknown_variables(all_built()) == []


def test_options_that_the_page_names_are_those_of_serve() -> None:
    known = {name for option in built("serve").params for name in option.opts}
    page = re.sub(r"```sh.*?```", "", (ROOT / "docs" / "operations.md").read_text(), flags=re.DOTALL)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)) - {"--cpuset-cpus"}
    assert len(named) > 8
    assert named <= known


def test_the_units_command_line_is_one() -> None:
    unit = (DEPLOY / "undiced.service").read_text()
    [line] = re.findall(r"^ExecStart=(.*)$", unit, flags=re.MULTILINE)
    program, command, *arguments = shlex.split(line)
    assert (Path(program).name, command) == ("undiced", "serve")
    with built("serve").make_context("serve", arguments) as context:
        drain_s = context.params["drain_s"]
    [stop_s] = re.findall(r"^TimeoutStopSec=(\d+)$", unit, flags=re.MULTILINE)
    assert float(stop_s) > drain_s + 5, "a drain is not cut short"


def test_the_dashboard_is_whole() -> None:
    board = json.loads((DEPLOY / "grafana.json").read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    used = set(re.findall(r"\bundiced_[a-z_]*[a-z]\b", json.dumps(board)))
    left_out = {name for name in offered() if not name.endswith(("_sum", "_count"))} - used
    assert left_out == set(), "a figure that nobody sees"
    for panel in panels:
        for target in panel["targets"]:
            assert target["expr"].count("(") == target["expr"].count(")")
            assert target["expr"].count("{") == target["expr"].count("}")
