"""`undiced fabric run`: what it prints of a kernel, what it says of files that make none, how it is stopped."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from support.fabric_examples import FOLDER
from support.pseudo_terminal import PseudoTerminal
from typer.testing import CliRunner

from undiced.cli import app as command_line

CHAIN = str(FOLDER / "chain.py")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["undiced", "fabric", "run", *arguments])
    return command_line.run()


def test_a_run_tells_cycles_at_a_clock_and_what_moved(monkeypatch, capsys):
    assert run(monkeypatch, CHAIN, "--clock", "0.85", "--link-rate", "1", "--setup", "0") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "chain on 16 x 1 cores of wse3, 1 wavelets per cycle and link" in told
    assert "cycles 154 (simulated: 0.181 us at 0.85 GHz)" in told
    assert "wavelet-hops 960; busiest link 64 wavelets" in told
    assert "M active PE-cycles per second" in told and "check passed" in told


def test_parameters_and_machine_are_the_callers(monkeypatch, capsys):
    arguments = ["--set", "cores=5", "--set", "wavelets=6", "--machine", "wse2", "--json", "--setup", "0"]
    assert run(monkeypatch, CHAIN, *arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["cycles"], found["columns"], found["rows"], found["machine"]) == (30, 5, 1, "wse2")
    assert (found["check"], found["wavelet_hops"], found["link_wavelets_per_cycle"]) == ("passed", 24, 1.0)
    assert found["seconds"] == pytest.approx(30 / 1.1e9) and found["steps"] == [{"name": "main", "start": 0, "end": 30}]


def test_skew_jitter_and_seed_change_cycles_and_nothing_else(monkeypatch, capsys):
    def cycles(*arguments: str) -> int:
        assert run(monkeypatch, CHAIN, "--json", *arguments) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["check"] == "passed"
        return int(found["cycles"])

    plain, late = cycles(), cycles("--skew", "500", "--seed", "3")
    assert plain < late == cycles("--skew", "500", "--seed", "3", "--threads", "2")
    assert late != cycles("--skew", "500", "--seed", "4")
    assert plain < cycles("--jitter", "200")


def test_steps_are_told_by_their_names(monkeypatch, capsys):
    assert run(monkeypatch, str(FOLDER / "stencil.py"), "--set", "steps=8") == 0
    told = capsys.readouterr().out
    assert "    edges 0 " in told and "    tile 5 " in told and "and 4 steps more; --json has all" in told


PLAIN = "from undiced.fabric import Kernel\ndef kernel(): return Kernel(3)\n"
FILES = {
    "no kernel": ("x = 1", "has no function kernel"),
    "other": ("def kernel(): return 3", "returned int"),
    "syntax": ("def kernel(:", "line 1: invalid syntax"),
    "fails": ("def kernel():\n    return 1 / 0", "line 2: ZeroDivisionError: division by zero"),
    "fails at once": ("import nothing_of_that_name", "line 1: ModuleNotFoundError"),
    "exits": ("raise SystemExit(0)", "line 1: SystemExit: 0"),
    "refused": (
        "from undiced.fabric import Kernel\ndef kernel(): return Kernel(3)[4]",
        "Column 4 lies off a mesh of 3 x 1 cores. Columns are 0 to 2",
    ),
    "unhappy": (
        PLAIN + "def check(result): assert 1 == 2, 'one is two'",
        "is not content: one is two",
    ),
    "false": (
        PLAIN + "def check(result): return False",
        "is not content.",
    ),
    "check fails": (
        PLAIN + "def check(result):\n    return result.nothing",
        "line 4: AttributeError",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_wrong_is_told_by_its_line(name, tmp_path, monkeypatch, capsys):
    source, said = FILES[name]
    path = tmp_path / "k.py"
    path.write_text(source)
    assert run(monkeypatch, str(path)) == 1
    [error] = [line for line in capsys.readouterr().err.splitlines() if line]
    assert error.startswith("error: ") and said in error
    assert run(monkeypatch, str(path), "--json") == 1
    assert json.loads(capsys.readouterr().out)["error"]["remedy"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["no.py"], 1, "There is no file no.py"),
        ([str(FOLDER)], 1, "There is no file"),
        ([str(Path(__file__).parents[3] / "README.md")], 1, "is no Python file"),
        ([CHAIN, "--set", "size=3"], 2, "its parameters: cores, wavelets"),
        ([CHAIN, "--set", "cores"], 2, "Give NAME=VALUE"),
        ([CHAIN, "--set", "cores=0"], 1, "A mesh of 0 x 1 cores."),
        ([CHAIN, "--set", "cores=some"], 1, "TypeError"),
        ([CHAIN, "--machine", "wse9"], 1, "There is no machine called 'wse9'"),
        ([CHAIN, "--machine", "toy-4x4"], 1, "chain takes 16 x 1 cores, and toy-4x4 has 4 x 4."),
        ([CHAIN, "--link-rate", "0"], 2, "0.015625<=x<=1"),
        ([CHAIN, "--limit", "9"], 1, "Not at its end after 9 cycles"),
        ([CHAIN, "--threads", "0"], 2, "1<=x<=256"),
    ],
)
def test_what_can_not_be_run_is_refused_in_a_line(arguments, status, said, monkeypatch, capsys):
    assert run(monkeypatch, *arguments) == status
    found = capsys.readouterr()
    assert said in found.err and "Traceback" not in found.err and not found.out


def test_help_says_that_the_file_is_code():
    found = CliRunner().invoke(command_line.app, ["fabric", "run", "--help"])
    assert found.exit_code == 0 and "It is code, and runs with your rights." in " ".join(found.output.split())


def test_a_file_finds_its_neighbors_and_the_standard_library_before_them(tmp_path, monkeypatch, capsys):
    (tmp_path / "sizes_of_mine.py").write_text("CORES = 7")
    (tmp_path / "json.py").write_text("raise RuntimeError")
    (tmp_path / "k.py").write_text(
        "import json\nfrom undiced.fabric import Kernel\nfrom sizes_of_mine import CORES\n"
        "def kernel(): return Kernel(CORES)"
    )
    assert run(monkeypatch, str(tmp_path / "k.py")) == 0
    assert "7 x 1 cores" in capsys.readouterr().out


def test_what_takes_long_tells_how_far_it_is_and_ends_at_ctrl_c():
    kernel = ["--set", "cores=100", "--set", "words=20000", "--machine", "toy-1x100"]
    with PseudoTerminal("-m", "undiced", "fabric", "run", str(FOLDER / "gather.py"), *kernel) as terminal:
        terminal.wait_for("Simulating gather: cycle ")
        began = time.monotonic()
        terminal.type("\x03")
        assert terminal.end() == 130 and time.monotonic() - began < 5
    assert "Traceback" not in terminal.shown
