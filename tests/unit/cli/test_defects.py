"""Defects from the command line and from Python: programs around them, their report, and what is refused."""

import json

import pytest
from support.commands import run

import undiced
from undiced.core.errors import CompileError, InvalidRequestError

TOY = ("--machine", "toy-24x24", "--context", "64", "--region", "24x24", "--layers", "2")
SEED = ("--defects", "4", "--defect-density", "0.2")


def test_a_program_around_defects_says_so_and_stays_so_in_its_file(tmp_path):
    file = tmp_path / "program"
    found = json.loads(run("compile", "smollm2-135m", *TOY, *SEED, "-o", str(file), "--json"))
    told = found["defects"]
    assert told["maps"][0]["map"] == "seed 4, wafer 0" and told["maps"][0]["dead_cores"] > 5
    assert 0 < told["cycles_per_token"] < found["cycles_per_token"] / 20
    again = json.loads(run("simulate", str(file), "--json"))
    assert again["defects"] == told and again["digest"] == found["digest"]
    text = run("simulate", str(file))
    assert f"cycles around defects         {told['cycles_per_token']:,.0f} of a token's" in text
    with pytest.raises(InvalidRequestError, match="was decided"):
        run("simulate", str(file), "--defects", "5")


def test_a_file_of_defects_is_one_a_wafer(tmp_path):
    file = tmp_path / "first.csv"
    file.write_text("x,y,what\n3,4,core\n")
    made = undiced.compile("smollm2-135m", "toy-24x24", context=64, layers=2, region=(24, 24), defects=str(file))
    assert [one.map for one in made.individuals] == ["first.csv"]
    with pytest.raises(CompileError, match="takes 2 wafers, and 1 map is given"):
        undiced.compile("smollm2-135m", "toy-24x24:160K", context=64, layers=4, defects=str(file))


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("--clusters",), InvalidRequestError, "drawn with a seed"),
        (("--defect-density", "0.001"), InvalidRequestError, "--defects 1"),
        (("--defects", "a.csv", "--clusters"), InvalidRequestError, "drawn with a seed"),
        (("--defects", "1", "--defect-density", "-1"), CompileError, "out of range"),
        (("--defects", "1", "--defect-density", "nan"), CompileError, "out of range"),
        (("--defects", "none.csv"), CompileError, "No such file"),
        (("--defects", ","), InvalidRequestError, "No map of defects"),
        (("--defects", "-3"), InvalidRequestError, "-3 is no seed"),
        (("--defects", "1.5"), InvalidRequestError, "1.5 is no seed"),
        (("--defects", "off.csv"), CompileError, "off the wafer"),
        (("--defects", "small.xml"), CompileError, "is of 3 x 3 devices"),
        (("--defects", "99999999999999999999"), CompileError, "A seed can't be"),
        (("--defects", "4", "--defect-density", "5"), CompileError, "can't be repaired: row 0"),
    ],
)
def test_defects_that_cannot_be_had_are_refused_with_a_remedy(arguments, error, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "off.csv").write_text("x,y,what\n900,3,core\n")
    device = '<Device Rows="3" Columns="3" NullBin="."><Data><Row>111</Row><Row>1X1</Row><Row>111</Row></Data></Device>'
    (tmp_path / "small.xml").write_text(f"<Map>{device}</Map>")
    from undiced.core.option import as_command_options

    with pytest.raises(error) as told:
        run("compile", "smollm2-135m", *TOY, *arguments)
    assert says in as_command_options(str(told.value)) and told.value.remedy


def test_a_host_has_no_defects():
    with pytest.raises(InvalidRequestError, match="no effect on a host program"):
        run("compile", "smollm2-135m", "--machine", "host", "--defects", "1")
