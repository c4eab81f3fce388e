"""`undiced sweep`: lists in, rows out; what is there is kept when nobody waits for the rest."""

import csv
import io
import json
import tomllib
from xml.etree import ElementTree

import pytest
from support.commands import run
from typer.testing import CliRunner

from undiced.cli.app import app
from undiced.cli.plot import lines
from undiced.core.errors import InvalidRequestError, UndicedError
from undiced.core.exits import Exit
from undiced.draw.chart import Chart, Series
from undiced.model import preset
from undiced.study import rows as study
from undiced.study.chart import chart as chart_of

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


def test_memory_that_narrow_weights_leave_is_filled_or_left_in_all_points(monkeypatch):
    asked = []

    def placed(point):
        asked.append(point)
        return point

    monkeypatch.setattr(study, "_placed", placed)
    narrow = ("sweep", *TOY, "--context", "50", "--weights", "int8,fp8", "--json")
    for option, fill in (((), None), (("--fill",), True), (("--no-fill",), False)):
        asked.clear()
        assert [row["fill"] for row in json.loads(run(*narrow, *option))] == [fill, fill]
        assert [(point.weights, point.fill) for point in asked] == [("int8", fill), ("fp8", fill)]


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
        (("--weights", "int8,fp16", "--no-fill"), "Memory is filled that narrow weights leave"),
        (("-o", "rows.txt"), "no .csv file"),
        (("-o", "/absent/rows.csv"), "Cannot write"),
        (("--context", ",".join(map(str, range(1, 11000)))), "10,999 points"),
        (("--plot", "--json"), "--plot rows.svg"),
        (("--plot", "a.svg", "b.png"), "Name one .svg or .png file"),
        (("rows.svg",), "rows.svg is no model"),
        (("--context", "200", "--plot"), "nothing to draw"),
        (("--plot", "/absent/rows.svg"), "Cannot write /absent/rows.svg"),
    ],
)
def test_what_is_no_sweep_is_refused(arguments, message):
    with pytest.raises(UndicedError) as caught:
        run("sweep", *TOY, *arguments)
    assert message in str(caught.value) and caught.value.remedy


def test_a_plot_in_the_terminal_has_axes_units_and_a_legend():
    text = run("sweep", *TOY, "--context", "25,50,100", "--weights", "fp16,int8", "--plot")
    plotted = text.split("--csv: all columns\n")[1]
    assert "tokens/s of one user, simulated at 1.1 GHz" in plotted and "context, tokens" in plotted
    assert "● fp16" in plotted and "■ int8" in plotted and "40,000" in plotted
    axis = next(line for line in plotted.splitlines() if line.split() == ["25", "50", "100"])
    assert axis and "\x1b" not in plotted
    assert max(map(len, plotted.splitlines())) <= 120


@pytest.mark.parametrize("columns", [30, 47, 80, 120])
@pytest.mark.parametrize("plain", [False, True])
def test_a_plot_is_as_wide_as_the_terminal(columns, plain):
    series = (
        Series("fp16", ((1024, 4041.0), (4096, 3590.0), (32768, 1200.0))),
        Series("a rather long name of a choice", ((1024, 100.0),)),
    )
    for chart in (
        Chart("a model on a machine", ("1 of 4 points does not fit.",), "context, tokens", "tokens/s", series),
        Chart("two", (), "weights", "tokens/s", (Series("", ((0.0, 3.0), (1.0, 2.0))),), ("fp16, undiced", "int8")),
    ):
        told = ["".join(text for text, _ in line).rstrip() for line in lines(chart, columns, plain=plain)]
        assert max(map(len, told)) <= columns
        assert not plain or all(line.isascii() for line in told)
        marks = sum(
            number >= 0 and text in "●■*+" for line in lines(chart, columns, plain=plain) for text, number in line
        )
        assert marks >= sum(len(each.points) for each in chart.series)


def test_a_plot_in_a_file(tmp_path):
    file = tmp_path / "rows.svg"
    text = run("sweep", *TOY, "--context", "25,50,200", "--weights", "fp16,int8", "--plot", str(file))
    assert text.splitlines()[-1] == str(file)
    root = ElementTree.parse(file).getroot()
    words = list(root.itertext())
    for expected in ("fp16", "int8", "context, tokens", "tokens/s of one user, simulated at 1.1 GHz"):
        assert expected in words
    assert "2 of 6 points do not fit: not drawn." in words
    shapes = [child for child in root.iter() if child.tag.endswith("circle")]
    assert len(shapes) == 4 and shapes[0][0].text == "fp16: 40,000"
    rows = json.loads(run("sweep", *TOY, "--context", "25,50", "--plot", str(tmp_path / "rows.SVG"), "--json"))
    assert len(rows) == 2 and (tmp_path / "rows.SVG").exists()


def test_choices_without_numbers_stand_side_by_side():
    found = json.loads(run("sweep", *TOY, "--context", "50", "--weights", "fp16,int8", "--json"))
    drawn = chart_of(found)
    assert drawn.categories == ("fp16", "int8") and drawn.x == "weights" and drawn.notes == ()
    [told] = chart_of([found[0], found[1] | {"fits": False}]).notes
    assert told == "1 of 2 points does not fit: timed as published."
    assert [point for each in drawn.series for point in each.points] == [(0.0, 20000.0), (1.0, 20000.0)]


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
