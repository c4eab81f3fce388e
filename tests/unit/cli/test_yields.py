"""`undiced yield`: rows and figures, a model's speed on wafers with defects, and what is refused."""

import json

import pytest
from support.commands import run

from undiced.core.errors import CompileError, InvalidRequestError, UndicedError

MODEL = ("smollm2-135m", "--machine", "toy-24x24", "--wafers", "5", "--defect-density", "0.05")


def test_rows_for_densities_and_spares_with_a_figure(tmp_path):
    picture = tmp_path / "yield.svg"
    few = ("--wafers", "20", "--defect-density", "0.001", "--defect-density", "0.01")
    told = json.loads(run("yield", *few, "--spares", "1,8", "--plot", str(picture), "--json"))
    assert [(row["density_per_mm2"], row["spare_columns"]) for row in told["rows"]] == [
        (0.001, 8), (0.001, 60), (0.01, 8), (0.01, 60),
    ]  # fmt: skip
    assert all(row["good_share_low"] <= row["good_share"] <= row["good_share_high"] for row in told["rows"])
    assert "8.0 % spare columns" not in picture.read_text() and "7.9 % spare columns" in picture.read_text()


def test_a_models_speed_on_wafers_with_defects():
    text = run("yield", *MODEL, "--mtbf", "1e8", "--spare-wafers", "2")
    assert "tokens per second of one user" in text and "gathered" in text and "independent" in text
    assert "roll call" in text and "h between failures" in text and "1e+08             2" in text


def test_a_year_has_a_row_for_each_pair_of_upkeeps():
    more = ("--mtbf", "1e6", "--mtbf", "1e7", "--spare-wafers", "0", "--spare-wafers", "2", "--replace-hours", "10")
    found = json.loads(run("yield", *MODEL, *more, "--json"))["core_failure"]
    years = found["years"]
    pairs = [(year["mtbf_hours"], year["spare_wafers"]) for year in years]
    assert pairs == [(1e6, 0), (1e6, 2), (1e7, 0), (1e7, 2)]
    assert all(year["replace_hours"] == 10 and 0 < year["availability"] < 1 for year in years)
    assert years[0]["availability"] < years[1]["availability"] < years[3]["availability"]
    assert years[0]["core_failures"] == pytest.approx(10 * years[2]["core_failures"])
    assert found["cores"] == 576 and found["lost"]["roll_call_cycles"] > 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--spares", "lots"), InvalidRequestError), (("--spares", "101"), InvalidRequestError),
        (("--spares", "nan"), InvalidRequestError), (("--defect-density", "-1"), CompileError),
        (("--wafers", "10000000"), CompileError), (("--machine", "wse9"), CompileError),
        (("--defect-density", "11"), CompileError), (("--defect-density", "nan"), CompileError),
        (("--plot", "yield.txt"), InvalidRequestError), (("no-such-model",), UndicedError),
        (("--mtbf", "1e9"), InvalidRequestError), (("--spare-wafers", "1"), InvalidRequestError),
        ((*MODEL[:1], "--mtbf", "-1"), InvalidRequestError), ((*MODEL[:1], "--mtbf", "nan"), InvalidRequestError),
        ((*MODEL[:1], "--spare-wafers", "-1"), InvalidRequestError),
        ((*MODEL[:1], "--replace-hours", "-1"), InvalidRequestError),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(arguments, error):
    with pytest.raises(error) as told:
        run("yield", *arguments)
    assert told.value.remedy
