"""What `--help` promises, and how output behaves where it is no plain terminal."""

from __future__ import annotations

import inspect
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.pseudo_terminal import PseudoTerminal
from typer.testing import CliRunner

from undiced.cli.app import app
from undiced.cli.commands import COMMANDS, GROUPS, built
from undiced.cli.manual import EXAMPLES

# A llama of two layers; the manual simulates a long prompt on 3,600 cores with it.
CONFIGURATION = {
    "model_type": "llama",
    "hidden_size": 120,
    "intermediate_size": 240,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "max_position_embeddings": 1024,
    "rms_norm_eps": 1e-5,
}
UNDICED = [sys.executable, "-m", "undiced"]
LINES = [(name, line) for name, lines in EXAMPLES.items() for line in lines]


# A server does not end, and the wire tests serve; what the user has shall stay; tests/newcomers waits for all rows.
ELSEWHERE = ("serve", "rm", "validate")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*UNDICED, *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
    )


def words(line: str) -> list[str]:
    """What a shell would hand over: neither redirections nor their files."""
    given = shlex.split(line)
    return given[: next((at for at, word in enumerate(given) if word in "<>"), len(given))]


def test_every_command_has_examples_and_no_other() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize(("name", "line"), LINES)
def test_examples_are_taken_by_their_command(name: str, line: str) -> None:
    size, given = len(name.split()), words(line)
    assert given[:size] == name.split()
    rest = given[size:]
    with built(name).make_context(name, rest):
        pass


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_shows_the_first_sentence_that_a_command_says_of_itself(name: str) -> None:
    said = inspect.cleandoc(built(name).help or "").split("\n\n")[0].replace("\n", " ")
    summary = COMMANDS[name].summary
    assert summary.endswith(".") and f"{said} ".startswith(f"{summary} ")


def test_commands_of_two_words_begin_with_a_group_that_is_listed() -> None:
    assert {name.split()[0] for name in COMMANDS if " " in name} == set(GROUPS)
    assert not set(GROUPS) & set(COMMANDS)
    listed = run("--help").stdout
    for group, summary in GROUPS.items():
        assert f"  {group} " in listed and summary in listed, "on one line, not cut"
        verbs = run(group, "--help").stdout
        for name, entry in COMMANDS.items():
            if name.startswith(f"{group} "):
                assert f"  {name.split()[1]} " in verbs and entry.summary in verbs


def test_only_the_command_that_is_meant_is_imported() -> None:
    script = "import sys; from undiced.cli.app import run; run(); print(*sys.modules, file=sys.stderr)"
    expectations = (
        (["--help"], set()),
        (["help", "pull"], {"about", "models"}),
        (["key", "--help"], set()),
        (["help", "key"], {"about"}),
        (["key", "rotate", "--help"], {"key"}),
    )
    for arguments, expected in expectations:
        found = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
        loaded = set(found.stderr.split())
        assert not loaded & {"sqlalchemy", "alembic", "numpy", "undiced.account.accounts"}
        assert loaded & {entry.home for entry in COMMANDS.values()} == {f"undiced.cli.{home}" for home in expected}


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(1500)
def test_examples_work_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "question.txt").write_text("Why is the sky blue?")
    (tmp_path / "cat.json").write_text('{"type": "object", "properties": {"name": {"type": "string"}}}')
    (tmp_path / "config.json").write_text(json.dumps(CONFIGURATION))
    shutil.copy(Path(__file__).parents[3] / "examples" / "fabric" / "chain.py", tmp_path)
    for name, line in LINES:
        if name not in ELSEWHERE and "org/name" not in line:  # tests need no network
            command = f"{shlex.join(UNDICED)} {line}"
            found = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, input="")
            assert found.returncode == 0, f"{line}: {found.stderr}"


def test_help_shows_examples_and_values_in_plain_words() -> None:
    for name in COMMANDS:
        command = built(name)
        shown = command.get_help(command.make_context(name, [], resilient_parsing=True))
        assert not any(jargon in shown for jargon in ("range>", "<str>", "<int>", "list[", "<float>")), name
    shown = run("help", "simulate").stdout
    assert "--phase <decode|prefill>" in shown and "--wafers N" in shown
    assert "\n    undiced simulate llama-3.1-8b --weights int8\n" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("compile", "x", "--weights", "fp6"),
        ("compile", "x", "--mapping", "mine"),
        ("simulate", "x", "--phase", "sleep"),
        ("simulate", "x", "--objective", "luck"),
        ("run", "--numbers", "roman"),
        ("diff", "graph", "paper"),
    ],
)
def test_a_wrong_choice_is_refused_before_anything_is_opened(arguments: tuple[str, ...]) -> None:
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 2 and "is not one of" in found.output


def test_the_usual_ways_to_ask_for_help_and_version_work() -> None:
    assert run("-V").stdout.startswith("undiced ") and run("version").stdout == run("-V").stdout
    found = run("help", "simulat")
    assert found.returncode == 2 and "Did you mean 'simulate'?" in found.stderr
    assert run("help", "key", "rotate").stdout == run("key", "rotate", "--help").stdout != ""
    for typed in (["help", "key", "rotat"], ["key", "rotat", "ci"]):
        found = run(*typed)
        assert found.returncode == 2 and "Did you mean 'rotate'?" in found.stderr
    found = run("kye", "list")
    assert found.returncode == 2 and "Did you mean 'key'?" in found.stderr


def test_shells_complete_choices_and_models() -> None:
    def completed(line: str) -> list[str]:
        environment = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
        return run(**environment, _UNDICED_COMPLETE="complete_bash").stdout.split()

    assert completed("undiced si") == ["simulate"]
    assert completed("undiced key ro") == ["rotate"]
    assert completed("undiced member grant x --role bi") == ["billing"]
    assert completed("undiced key create --scope embed") == ["embeddings"]
    assert completed("undiced simulate x --phase ") == ["decode", "prefill"]
    assert "smollm2-135m" in completed("undiced chat sm")


@pytest.mark.parametrize(
    ("environment", "colored"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colors_are_shown_to_those_who_want_them(environment: dict[str, str], colored: bool) -> None:
    with PseudoTerminal("-m", "undiced", "pull", "no-such-model", **environment) as terminal:
        assert terminal.end() == 1
    assert "error: There is no model" in terminal.shown
    assert ("\x1b[31m" in terminal.shown) is colored


def test_a_full_disk_is_one_line_of_error_also_for_scripts() -> None:
    with open("/dev/full", "w") as full:
        found = subprocess.run([*UNDICED, "models", "--json"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert found.returncode == 1
    assert found.stderr.startswith("error: ") and found.stderr.count("\n") == 1


def test_a_reader_that_has_gone_is_told_by_the_status_alone() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    found = subprocess.run([*UNDICED, "machines"], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (found.returncode, found.stderr) == (141, "")


def test_several_words_that_are_no_model_are_a_question() -> None:
    from undiced.cli.options import DEFAULT_MODEL, asked

    assert asked("What is 2+2?", None) == (DEFAULT_MODEL, "What is 2+2?")
    assert asked("smollm2-135m", "Why?") == ("smollm2-135m", "Why?")
    assert asked("no-such-model", None) == ("no-such-model", None)
