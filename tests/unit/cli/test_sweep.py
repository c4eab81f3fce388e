"""`undiced sweep`: lists in, rows out; what is there is kept when nobody waits for the rest."""

import csv
import io
import json
import tomllib

import pytest
from support.commands import run
from typer.testing import CliRunner

from undiced.cli.app import app
from undiced.core.errors import CannotWriteError, InvalidRequestError
from undiced.core.exits import Exit
from undiced.model import preset
from undiced.study import rows as study

TOY = ("smollm2-135m", "--machine", "toy-64x64", "--region", "64x64", "--layers", "1")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Placing is not what is tried here: everything up to 100 positions fits."""

    def placed(point):
        if point.positions <= 100:
            return point
        return study.CompileError("It does not fit.", remedy="What fits: context=100.")

    def answer(placed, point):
        figures = dict.fromkeys(study._FIGURES, 1.0) | {"fits": True, "clock_hz": 1.1e9, "wafers": 2}
        return {**figures, "tokens_per_second": 1e6 / point.positions, "breakdown": {"kind": {"compute": 3.0}}}

    monkeypatch.setattr(study, "_placed", placed)
    monkeypatch.setattr(study, "answer", answer)


def test_every_combination_is_a_row():
    found = json.loads(run("sweep", *TOY, "--wafers", "2,4", "--context", "64,1k", "--json"))
    assert [(row["wafers_given"], row["context"], row["fits"]) for row in found] == [
        (2, 64, True), (2, 1024, False), (4, 64, True), (4, 1024, False),
    ]  # fmt: skip
    assert found[0]["compute_cycles"] == 3.0 and "context=100" in found[1]["error"]


def test_csv_on_the_output_and_in_a_file(tmp_path):
    file = tmp_path / "rows.csv"
    text = run("sweep", *TOY, "--context", "50,100", "--csv", "-o", str(file))
    assert file.read_text() == text
    assert [row["tokens_per_second"] for row in csv.DictReader(io.StringIO(text))] == ["20000.0", "10000.0"]


def test_people_see_what_differs_and_what_would_fit():
    text = run("sweep", *TOY, "--wafers", "2,4", "--context", "50,200")
    head, *lines = text.splitlines()
    assert head.split()[:3] == ["wafers", "context", "tokens/s"] and "mapping" not in head
    assert "2 of 4" in lines[2] and lines[1].rstrip().endswith("--context 100.")
    assert "simulated at 1.1 GHz" in lines[-1]


def test_an_interruption_keeps_the_rows_that_are_there(monkeypatch, tmp_path):
    file, asked = tmp_path / "rows.csv", []
    placed = study._placed

    def interrupted(point):
        asked.append(point)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return placed(point)

    monkeypatch.setattr(study, "_placed", interrupted)
    done = CliRunner().invoke(app, ("sweep", *TOY, "--context", "10,20,30,40", "--json", "-o", str(file)))
    assert [row["context"] for row in json.loads(done.stdout)] == [10, 20]
    assert done.exit_code == Exit.INTERRUPTED
    assert "2 rows of 4" in done.stderr and len(file.read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--context", "1,,2"), "'1,,2' is no list"),
        (("--context", "1x"), "--context can't be '1x'"),
        (("--clock", "fast"), "--clock can't be 'fast'"),
        (("--csv", "--json"), "Two outputs"),
        (("-o", "rows.txt"), "no .csv file"),
        (("-o", "/absent/rows.csv"), "Cannot write"),
        (("--context", ",".join(map(str, range(1, 11000)))), "10,999 points"),
    ],
)
def test_what_is_no_sweep_is_refused(arguments, message):
    with pytest.raises((InvalidRequestError, CannotWriteError)) as caught:
        run("sweep", *TOY, *arguments)
    assert message in str(caught.value) and caught.value.remedy


def test_machines_are_listed_and_printed():
    assert [each["name"] for each in json.loads(run("machines", "--json"))] == ["wse1", "wse2", "wse3"]
    assert "755 x 1170" in run("machines")
    found = json.loads(run("machines", "wse3", "--json"))["constants"]
    assert len(found) > 70 and all(each["meaning"] and each["unit"] and each["source"] for each in found.values())
    assert found["link.hop_cycles"]["value"] == 1 and found["link.hop_cycles"]["provenance"] == "measured"
    text = run("machines", "toy-8x8:48K", "--sources")
    assert "straight_setup_cycles" in text and "assumed, 26 to 35" in text and "K3" in text
    assert tomllib.loads(run("machines", "wse2", "--toml"))["mesh"]["width"]["value"] == 750
    with pytest.raises(InvalidRequestError, match="A list has no figures"):
        run("machines", "--toml")


def test_configurations_are_listed_with_their_sizes(monkeypatch):
    few = ("llama-3.1-8b", "mixtral-8x7b", "r1-distill-llama-70b", "llama-4-scout")
    monkeypatch.setattr("undiced.model.PRESETS", {name: preset(name) for name in few})
    found = {each["name"]: each for each in json.loads(run("models", "--configurations", "--json"))}
    assert found["llama-3.1-8b"]["parameters"] == 8_030_261_248 and found["mixtral-8x7b"]["experts_per_token"] == 2
    assert all(len(line) <= 110 for line in run("models", "--configurations").splitlines() if line.rstrip())
