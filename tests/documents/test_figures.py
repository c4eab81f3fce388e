"""The pictures in docs are what the map draws of the model that they name, to the letter."""

import pytest
from support.commands import run
from support.markdown import ROOT

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


def test_every_picture_has_its_test():
    elsewhere = {"yield.svg"}  # samples: tests/unit/cli/test_yields.py draws its like
    assert {file.name for file in (ROOT / "docs").glob("*.svg")} == set(DRAWN.values()) | elsewhere
