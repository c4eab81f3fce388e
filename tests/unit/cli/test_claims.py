"""`undiced claims`: one claim or several, listed, as JSON, and as a page; what is refused."""

import json

import pytest
from support.claim_bench import SaidBench, timings
from support.commands import run

from undiced.core.errors import UndicedError
from undiced.study.claims.every import CLAIMS, judge, named
from undiced.study.claims.page import page


@pytest.fixture
def said(monkeypatch):
    """Speeds that are said, so that nothing is placed."""
    speeds = {"llama-3.3-70b": timings(920, 1050, 1190), "llama-3.2-1b": timings(7000, 8000, 9000)}
    monkeypatch.setattr("undiced.study.claims.bench.Bench", lambda samples, clock: SaidBench(speeds))


def test_claims_are_listed_with_their_rules():
    told = run("claims", "--list")
    assert all(f"{name}: " in told for name in CLAIMS) and "holds only if" in told
    rows = json.loads(run("claims", "--list", "--json"))
    assert [row["command"] for row in rows] == [f"undiced claims {name}" for name in CLAIMS]


def test_a_claim_is_computed_by_its_command(said):
    told = run("claims", "sram", "first-token")
    assert "=> holds only if a core's code and system take 1,832 bytes at most." in told
    assert "=> reproduced: " in told and "not reproduced" not in told
    assert max(map(len, told.splitlines())) <= 100


def test_scripts_read_findings_and_verdicts(said):
    found = json.loads(run("claims", "70x", "--json"))["claims"][0]
    assert found["verdict"]["kind"] == "holds only if" and found["rule"] == CLAIMS["70x"].rule
    assert found["waterfall"]["steps"][0]["start"] == 32 and {"what", "value", "unit"} <= set(found["findings"][0])


def test_a_claim_s_figure_is_drawn(said, tmp_path):
    out = tmp_path / "fall.svg"
    run("claims", "70x", "-o", str(out))
    assert "what 72 times are made of" in out.read_text()


def test_the_page_has_every_figure_from_its_computation():
    bench = SaidBench({"llama-3.3-70b": timings(920, 1050, 1190), "llama-3.2-1b": timings(7000, 8000, 9000)})
    found = list(judge(named(["2314", "cores"]), bench, lambda share, what: None))
    text = page(found, bench)
    assert "| one user on 8 wafers, without speculation | 1,050 (933 to 1,176) tokens/s | computed |" in text
    assert "| [cores](#cores): It has 900,000 cores. | reproduced: 98.2% of them are usable |" in text
    other = SaidBench({"llama-3.3-70b": timings(2300, 2400, 2500), "llama-3.2-1b": timings(7000, 8000, 9000)})
    changed = page(list(judge(named(["2314"]), other, lambda share, what: None)), other)
    assert "reproduced: 2,400 tokens/s" in changed and "reproduced: 2,400" not in text


@pytest.mark.parametrize(
    "options",
    [("nothing",), ("--clock", "0"), ("sram", "-o", "a.svg"), ("-o", "a.svg"), ("70x", "-o", "a.pdf"),
     ("--write", "claims.txt"), ("sram", "--write", "claims.md"), ("--write", "/nowhere/claims.md")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_before_anything_is_computed(options):
    with pytest.raises(UndicedError) as refused:
        run("claims", *options)
    assert refused.value.remedy
