"""`undiced power`: every figure an interval, as words, as JSON and as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.commands import run
from support.mesh_models import tiny

from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError, InvalidRequestError
from undiced.machine import find_machine
from undiced.program import Bounds


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph, _ = tiny("llama")
    made = compile_graph(graph, find_machine("toy-14x5:22K"), Options(bounds=Bounds(2, 64), region=(7, 5)))
    file = tmp_path_factory.mktemp("programs") / "tiny.wafer"
    made.save(file)
    return file


def test_scripts_read_intervals_and_what_they_stand_on(program: Path, tmp_path: Path) -> None:
    out = tmp_path / "power.svg"
    found = json.loads(run("power", str(program), "-o", str(out), "--json"))
    for name in ("work_j_per_token", "idle_w_per_wafer", "current_step_a"):
        assert 0 < found[name]["low"] < found[name]["median"] < found[name]["high"]
    assert found["one_stream"]["streams"] == 1 and found["all_streams"]["streams"] == 2
    assert found["constants"]["sram_byte_j"]["provenance"] == "assumed"
    assert found["densest_cm2"]["w_while_a_token_is_there"]["median"] > found["densest_cm2"]["w_on_average"]["median"]
    assert len(found["map_w_per_cm2"]) == found["wafers"] == 1
    words = " ".join(ElementTree.parse(out).getroot().itertext())
    assert "energies are assumed" in words and "all operators" in words and found["file"] == str(out)


def test_people_read_the_same(program: Path) -> None:
    told = run("power", str(program), "--sources")
    for words in ("energies assumed", "joules a token, at the wall", "densest square centimeter", "K (", "SGEMM"):
        assert words in told
    assert "nobody" not in told and "sram_byte_j" in told


def test_a_file_that_is_no_picture_is_refused_before_anything_long() -> None:
    with pytest.raises(InvalidRequestError, match=r"neither \.svg nor \.png"):
        run("power", "llama-3.1-8b", "-o", "power.pdf")


def test_more_positions_than_a_program_holds_are_refused(program: Path) -> None:
    with pytest.raises(CompileError, match="holds 64 positions"):
        run("power", str(program), "--context", "65")
