"""Rows in short: failures and open rows first, one line for rows of a kind, a summary that says what was judged."""

import json

import pytest
from typer.testing import CliRunner

from undiced.cli.app import app
from undiced.core.errors import InvalidRequestError
from undiced.validation import outcome
from undiced.validation.brief import sections, summary
from undiced.validation.calibration_rows import calibration_rows
from undiced.validation.open_rows import open_rows
from undiced.validation.outcome import Outcome


def outcomes(**off):
    """Every row as published, but for those whose id is named with another ratio."""
    rows = calibration_rows() + open_rows()
    return [Outcome(row, (row.published or 5.0) * off.get(row.id, 1.01)) for row in rows]


def test_failures_come_first_and_rows_of_a_kind_are_one_line():
    found = outcomes(V16=1.2, V02=1.3, V10=1.7)
    titles = [section.title for section in sections(found)]
    assert titles[0] == "Outside their aim" and titles[-1].startswith("Calibration rows that can't fail")
    failed, *_ = sections(found)
    assert {row[0] for row in failed.rows} == {"V16", "V02"} and "+30.0%" in failed.rows[0]
    multicasts = [row for section in sections(found) for row in section.rows if "multicast" in row[1]]
    assert len(multicasts) <= 5 and any("20 rows, the worst of them" in row[1] for row in multicasts)
    reported = next(section for section in sections(found) if "reported" in section.title)
    assert reported.rows[0][0] == "V10", "the largest error comes first"


def test_every_row_is_counted_once_by_the_summary():
    found = outcomes(V16=1.2)
    bound, fitted, judged, reported = summary(found)
    count = [int(line.split(":")[1].split()[0]) for line in (bound, fitted, judged, reported)]
    assert sum(count) == len(found) and sum(count[:2]) == len(calibration_rows())
    assert f"{len(found) - count[0]} can fail" in bound and count[1] == 11, "ten multicasts, and K3 that checks K2"
    assert f"{count[2] - 1} of {count[2]} within aim, errors +1.0% to +20.0%, half within 1.0%" in judged


def test_what_can_t_fail_has_no_aim_however_far_off_it_is():
    off = {outcome.row.id: outcome for outcome in outcomes(S29=2.0, K2=2.0, V16=2.0)}
    assert (off["S29"].passed, off["K2"].passed, off["V16"].passed) == (None, None, False)
    assert [off[name].as_dict()["can_fail"] for name in ("S29", "K2", "K3", "V01", "V16")] == [
        False,
        False,
        *[True] * 3,
    ]


@pytest.mark.parametrize(("off", "status"), [({}, 0), ({"V16": 1.2}, 1)])
def test_the_exit_status_tells_whether_a_judged_row_failed(off, status, monkeypatch):
    monkeypatch.setattr(outcome, "validate", lambda progress, only: outcomes(**off))
    done = CliRunner().invoke(app, ["validate"])
    assert done.exit_code == status
    assert max(map(len, map(str.rstrip, done.stdout.splitlines()))) <= 100
    assert "device logs" not in done.stdout and "Open and judged" in done.stdout
    long = CliRunner().invoke(app, ["validate", "--verbose"])
    assert "device logs" in long.stdout and "median mode" in long.stdout and long.exit_code == status
    rows = CliRunner().invoke(app, ["validate", "--json"])
    assert len(json.loads(rows.stdout)) == len(outcomes()) and rows.exit_code == status


def test_verbose_rows_are_for_people():
    done = CliRunner().invoke(app, ["validate", "--verbose", "--json"])
    assert isinstance(done.exception, InvalidRequestError)
