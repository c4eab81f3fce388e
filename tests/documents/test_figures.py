"""The pictures in docs are what the map draws of the model that they name, to the letter."""

import pytest
from support.commands import run
from support.markdown import ROOT

from undiced.study.claims.every import CLAIMS

COMPARED, FRONTIER = "compare-llama-3.3-70b.svg", "frontier-llama-3.1-8b.svg"
DRAWN = {"layers": "wafer-llama-3.3-70b.svg", "time": "wafer-llama-3.3-70b-time.svg"}


@pytest.mark.slow
def test_pictures_are_drawn_as_they_stand_there(tmp_path):
    program, file = tmp_path / "program", tmp_path / "wafer.svg"
    run("compile", "llama-3.3-70b", "-o", str(program))
    for show, name in DRAWN.items():
        run("map", str(program), "-o", str(file), "--show", show)
        assert file.read_text() == (ROOT / "docs" / name).read_text(), (
            f"undiced map program -o docs/{name} --show {show}"
        )


@pytest.mark.slow
def test_the_picture_of_a_comparison_is_drawn_as_it_stands_there(tmp_path):
    file = tmp_path / COMPARED
    run("compare", "llama-3.3-70b", "-o", str(file))
    assert file.read_text() == (ROOT / "docs" / COMPARED).read_text(), (
        f"undiced compare llama-3.3-70b -o docs/{COMPARED}"
    )


@pytest.mark.slow
def test_the_frontier_is_drawn_as_it_stands_there(tmp_path):
    file = tmp_path / "frontier.svg"
    run("frontier", "llama-3.1-8b", "--wafers", "2", "--lockstep", "1,4", "-o", str(file))
    assert file.read_text() == (ROOT / "docs" / FRONTIER).read_text()


def test_every_picture_has_its_test():
    elsewhere = {"yield.svg"}  # samples: tests/unit/cli/test_yields.py draws its like
    measured = {"peers.svg"}  # there once a run is kept: test_readme.py
    beside = {f"{claim.figure}.svg" for claim in CLAIMS.values() if claim.figure}  # test_claims_page.py
    found = {file.name for file in (ROOT / "docs").glob("*.svg")} - measured
    assert found == {*DRAWN.values(), COMPARED, FRONTIER, *elsewhere, *beside}
