"""docs/billing.md: every test that it names is there."""

from __future__ import annotations

import re

from support.markdown import ROOT

NAMED = re.compile(r"`(test_\w+)`")
DEFINED = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)


def test_the_tests_that_hold_off_each_failure_are_there() -> None:
    page = (ROOT / "docs" / "billing.md").read_text()
    section = page.split("\n## How others lost money, and what holds here\n")[1].split("\n## ")[0]
    there = {name for path in (ROOT / "tests").rglob("test_*.py") for name in DEFINED.findall(path.read_text())}
    failures = section.split("\n- ")[1:]
    assert len(failures) > 20
    for failure in failures:
        named = set(NAMED.findall(failure))
        assert named, f"nothing holds it off: {failure}"
        assert named <= there, named - there
