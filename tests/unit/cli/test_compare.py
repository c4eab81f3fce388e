"""`undiced compare`: as words within 80 columns, as JSON and as a picture; what is refused."""

import json

import pytest
from support.commands import run

from undiced.core.errors import UndicedError

SMALL = ("compare", "smollm2-135m", "--machine", "toy-24x24", "--context", "64", "--samples", "1", "--region", "24x24")


def test_people_read_a_table_of_eighty_columns(tmp_path):
    out = tmp_path / "compare.svg"
    told = run(*SMALL, "--gpus", "h100", "-o", str(out))
    assert max(map(len, told.splitlines())) <= 80 or str(out) in told.splitlines()[-1]
    for words in ("x toy-24x24, undiced", "8 x h100", "assumed", "first", "further points", "GHz"):
        assert words in told
    assert out.read_text().startswith("<svg")


def test_everything_is_printed_where_all_is_asked_for():
    told = run(*SMALL, "--gpus", "h100", "--counts", "8", "--batch", "1,4", "--all", "--clock", "1")
    assert "bandwidth_share 0.7" in told and "further points" not in told and "simulated at 1 GHz" in told
    assert max(map(len, told.splitlines())) <= 80


def test_scripts_read_json():
    found = json.loads(run(*SMALL, "--gpus", "h100", "--counts", "1", "--json"))
    assert {point["side"] for point in found["points"]} == {"wafers", "gpus"}


@pytest.mark.parametrize(
    "options",
    [("--gpus", "h1"), ("--gpus", ","), ("--counts", "5"), ("--counts", "x"), ("--batch", "-1"), ("--batch", "99999"),
     ("--clock", "0"), ("-o", "compare.pdf"), ("--wafers", "0")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(options):
    with pytest.raises(UndicedError) as refused:
        run(*SMALL, *options)
    assert refused.value.remedy
