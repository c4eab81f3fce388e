"""`undiced yield`: rows and figures, a model's speed on wafers with defects, and what is refused."""

import json

import pytest
from support.commands import run

from undiced.core.errors import CompileError, InvalidRequestError


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
    text = run("yield", "smollm2-135m", "--machine", "toy-24x24", "--wafers", "5", "--defect-density", "0.05")
    assert "tokens per second of one user" in text and "gathered" in text and "independent" in text


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--spares", "lots"), InvalidRequestError), (("--spares", "101"), InvalidRequestError),
        (("--spares", "nan"), InvalidRequestError), (("--defect-density", "-1"), CompileError),
        (("--wafers", "10000000"), CompileError), (("--machine", "wse9"), CompileError),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(arguments, error):
    with pytest.raises(error) as told:
        run("yield", *arguments)
    assert told.value.remedy
