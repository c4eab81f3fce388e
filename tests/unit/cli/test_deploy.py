"""What the files for operators and their page name exists: options, variables, metrics, and the unit's command line."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from undiced.api.metrics import Metrics
from undiced.cli.commands import all_built, built
from undiced.cli.environment import unknown_variables
from undiced.cli.serving.front import Front
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
    named = re.findall(r"\bUNDICED_[A-Z_]*[A-Z]\b", text)
    for name in named:
        monkeypatch.setenv(name, "1")
    assert not unknown_variables(all_built()).keys() & set(named)


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


def instructions() -> list[tuple[str, str]]:
    """Those of the container file: name and argument, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def test_the_container_file_is_made_of_instructions_and_its_stages_exist() -> None:
    known = {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENV", "VOLUME", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL"}
    found = instructions()
    assert {name for name, _ in found} == known | {"ENTRYPOINT", "CMD"}
    stages = [rest.rpartition(" AS ")[2] for name, rest in found if name == "FROM" and " AS " in rest]
    assert set(re.findall(r"--from=(\S+)", "\n".join(rest for _, rest in found))) <= set(stages)
    assert found[0][0] == "FROM" and [name for name, _ in found].index("USER") > max(
        at for at, (name, _) in enumerate(found) if name == "RUN"
    ), "what needs rights comes first"
    for name, rest in found:
        if name == "RUN":  # the shell takes every line of it
            subprocess.run(["sh", "-n", "-c", rest], check=True)


def test_what_the_container_starts_wants_a_key_and_tells_its_health(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = dict(instructions())
    for text in shlex.split(found["ENV"]):
        name, _, value = text.partition("=")
        if name.startswith("UNDICED_"):
            monkeypatch.setenv(name, value)
    [program], [command, *arguments] = json.loads(found["ENTRYPOINT"]), json.loads(found["CMD"])
    assert (program, command) == ("undiced", "serve")
    with built(command).make_context(command, arguments) as context:
        front = Front(**{name: context.params[name] for name in Front.__dataclass_fields__})
    assert found["EXPOSE"] == str(front.port) and f":{front.port}/health" in found["HEALTHCHECK"]
    assert front.host == "0.0.0.0" and not (front.open or front.guarded), "an image that anybody starts is not open"
    probe = json.loads(found["HEALTHCHECK"].partition("CMD ")[2])
    compile(probe[-1], "HEALTHCHECK", "exec")


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
