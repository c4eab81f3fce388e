"""docs/claims.md is what `undiced claims --write` writes: parts of it, and all of it where there is time."""

import re

import pytest
from support.commands import run
from support.markdown import ROOT

from undiced.study.claims.bench import Bench
from undiced.study.claims.every import CLAIMS, judge, named
from undiced.study.claims.page import section

PAGE = (ROOT / "docs" / "claims.md").read_text()
QUICK = ("transistors", "sram-of-h100", "32")  # nothing is placed for them


@pytest.mark.parametrize("name", QUICK)
def test_sections_are_what_is_computed(name):
    (found,) = judge(named([name]), Bench(), lambda share, what: None)
    assert "\n".join(section(found)) in PAGE, f"undiced claims --write docs/claims.md ({name})"


def test_every_claim_has_its_section_rule_and_verdict():
    assert re.findall(r"^## (\S+)$", PAGE, re.MULTILINE) == list(CLAIMS)
    flat = " ".join(PAGE.split())
    for name, claim in CLAIMS.items():
        (told,) = re.findall(rf"^\| \[{name}\]\(#{name}\): .* \| (.*) \|$", PAGE, re.MULTILINE)
        assert f"**Verdict**: {told}." in flat and f"Rule: {claim.rule}" in flat and f"`{claim.command}`" in flat
        assert not claim.figure or f"({claim.figure}.svg)" in flat


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_page_and_its_pictures_are_what_the_command_writes(tmp_path):
    run("claims", "--write", str(tmp_path / "claims.md"))
    for name in ("claims.md", *(f"{claim.figure}.svg" for claim in CLAIMS.values() if claim.figure)):
        assert (tmp_path / name).read_text() == (ROOT / "docs" / name).read_text(), (
            "undiced claims --write docs/claims.md"
        )
