"""Commands of limits and tiers: what they set, take away, show and refuse."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from support.account_commands import Typed, rows
from support.screen import seen
from support.spending import begin, spend

from undiced.account.limits import MEASURES, TIERS
from undiced.cli.amounts import count_of, duration, factor, permille_of
from undiced.cli.limit import Capacities
from undiced.cli.tier import Tier
from undiced.core.errors import InvalidRequestError


def limits(typed: Typed, words: str = "") -> dict[tuple[str, str, str], int]:
    """Capacities by subject, model and name."""
    found = typed(f"limit list acme {words} --json").json
    return {(one["subject"], one["model"], one["name"]): one["capacity"] for one in found}


def test_options_and_words_are_those_of_the_accounts() -> None:
    assert [each.name for each in fields(Capacities)] == list(MEASURES)
    assert get_args(get_args(Tier)[0]) == tuple(TIERS)


def test_limits_are_set_changed_and_taken_away_one_by_one(acme: Typed) -> None:
    said = acme("limit set acme --rpm 300 --tpm 1.5M --concurrency 32")
    assert said.out == "acme: rpm 300, tpm 1,500,000, concurrency 32.\n"
    acme("limit set acme --tpm none --rpm 400 --utpm 30k")
    whole = ("organization", "")
    assert limits(acme) == {(*whole, "rpm"): 400, (*whole, "concurrency"): 32, (*whole, "utpm"): 30_000}
    assert acme("limit set acme --tpm none").status == 0, "there is none, as is wanted"


def test_limits_are_for_a_project_a_key_and_a_model(acme: Typed) -> None:
    acme("project create web")
    key = acme("key create --name page --project web --json").json["id"]
    assert acme("limit set --project web --model m --tpm 500k").out == "project web, m: tpm 500,000.\n"
    assert acme("limit set --key page --rpm 5").out == f"key {key} (page): rpm 5.\n"
    acme("limit set --tpd 1M")
    every = {("project", "m", "tpm"): 500_000, ("key", "", "rpm"): 5, ("organization", "", "tpd"): 1_000_000}
    assert limits(acme) == every
    assert list(limits(acme, "--project web")) == [("project", "m", "tpm")]
    assert list(limits(acme, "--key page")) == [("key", "", "rpm")]
    first = [line.split()[0] for line in acme("limit list").out.splitlines()]
    assert first == ["OF", "acme", "project", "key"]


def test_what_is_cleared_is_one_s_own(acme: Typed) -> None:
    acme("limit set --rpm 5 --tpm 10"), acme("limit set --model m --rpm 1"), acme("limit set --project default --rpm 2")
    assert acme("limit clear --model m").out == "Taken away from acme: rpm 1 of m.\n"
    assert acme("limit clear").out == "Taken away from acme: rpm 5, tpm 10.\n"
    assert list(limits(acme)) == [("project", "", "rpm")]
    assert acme("limit clear").out == "acme had no such limit.\n"
    acme("limit clear --project default")
    none = acme("limit list")
    assert (none.out, none.err) == ("", "No limit: undiced limit set acme --rpm 300 sets one.\n")
    assert [each["action"] for each in acme("audit --json --limit 4").json] == ["limit.remove"] * 4


def test_what_is_used_now_is_shown(acme: Typed, place: Path) -> None:
    key = acme("key create --json").json["id"]
    acme("limit set --rpd 10 --tpd 1000 --utpd 1000 --concurrency 4")
    spend(str(place), key, 100, 60, 50), begin(str(place), key, 7, 20)
    found = {one["name"]: one for one in acme("limit list --json").json}
    assert {name: one["capacity"] - one["left"] for name, one in found.items()} == {
        "rpd": 2, "tpd": 157, "utpd": 97, "concurrency": 1
    }  # fmt: skip
    shown = {line.split()[2]: line.split()[3:] for line in acme("limit list").out.splitlines()[1:]}
    assert shown["tpd"] == ["1,000", "157", "4", "h"] and shown["concurrency"] == ["4", "1", "-"]


def test_a_tier_is_exactly_its_limits_and_leaves_others_alone(acme: Typed) -> None:
    assert acme("tier set acme free").out.startswith("acme has the tier free: rpm 5, utpm 30,000, ")
    acme("limit set --model m --rpm 1"), acme("limit set --project default --rpm 2")
    said = acme("tier set acme developer").out
    assert "tpd taken away" in said and "2 for models, projects or keys stay" in said
    own = {
        name: most for (subject, model, name), most in limits(acme).items() if subject == "organization" and not model
    }
    assert own == TIERS["developer"]
    assert acme("tier list --json").json == {name: dict(tier) for name, tier in TIERS.items()}
    assert "utpm 5,000,000" in acme("tier list").out


REFUSED = [
    ("limit set", 2, "as --tpm 500k"),
    ("limit set --tpm 0", 2, "tpm can't be 0"),
    ("limit set --tpm 20000M", 2, "tpm can't be"),
    ("limit set --tpm=-5", 2, "no whole number"),
    ("limit set --tpm 1.5", 2, "500k or 1.5M, or none"),
    ("limit set --tpm 500m", 2, "500k or 1.5M, or none"),
    ("limit set --tpm 500,000", 2, "no whole number"),
    ("limit set --tpm lots", 2, "no whole number"),
    ("limit set --rps 3", 2, "--rp"),
    ("limit set nobody --rpm 3", 1, "undiced org list"),
    ("limit set --project web --rpm 3", 1, "undiced project list"),
    ("limit set --key ci --rpm 3", 1, "undiced key list"),
    ("limit set --key page --project default --rpm 3", 2, "Leave --project out"),
    ("limit set --model 'a b' --rpm 3", 2, "GET /v1/models"),
    ("limit set --rpm 3 --tpm 0", 2, "tpm can't be 0"),
    ("limit list nobody", 1, "undiced org list"),
    ("limit clear --project web", 1, "undiced project list"),
    ("tier set acme gold", 2, "'developer'"),
    ("tier set nobody free", 1, "undiced org list"),
]


def test_what_is_refused_says_what_to_do_and_changes_nothing(acme: Typed, place: Path) -> None:
    acme("key create --name page"), acme("limit set --rpm 7")
    before = rows(place)
    for line, status, told in REFUSED:
        said = acme(line)
        assert said.status == status and told in said.err and said.out == "", (line, said)
    assert rows(place) == before


def test_another_organization_s_key_is_unknown(acme: Typed) -> None:
    acme("org create beta")
    key = acme("key create --org beta --json").json["id"]
    said = acme(f"limit set acme --key {key} --rpm 3")
    assert said.status == 1 and "There is no key" in said.err


def test_tables_of_limits_fit_a_terminal(acme: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    long = "name-" * 12 + "end"
    acme(f"project create {long}"), acme("tier set acme enterprise")
    acme(f"limit set --project {long} --model {long * 3} --tpm 10000M --concurrency 1M")
    for line in ("limit list", "tier list"):
        shown = seen(acme(line).out.replace("\n", "\r\n"))
        assert max(map(len, shown.splitlines())) <= 80, shown
    assert "10,000,000,000" in seen(acme("limit list").out)


@pytest.mark.parametrize(
    ("text", "count"), [("300", 300), ("500k", 500_000), ("500K", 500_000), ("1.5M", 1_500_000), ("0.001k", 1)]
)
def test_counts_are_read_exactly(text: str, count: int) -> None:
    assert count_of(text, "--tpm") == count
    assert count_of("none", "--tpm") is None


@pytest.mark.parametrize(("text", "permille"), [("0.5", 500), ("1", 1000), ("0", 0), ("12.345", 12_345)])
def test_factors_are_read_and_shown_exactly(text: str, permille: int) -> None:
    assert permille_of(text, "--flex") == permille and factor(permille) == text


@pytest.mark.parametrize("text", ["", "-1", "0.1234", "1e3", "x", "1,5", ".5"])
def test_what_is_no_factor_is_refused_with_its_option(text: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"--flex: .* is no factor\. Give one as 0\.5 or 2"):
        permille_of(text, "--flex")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (119, "119 s"), (121, "3 m"), (7200, "2 h"), (7201, "3 h"), (3 * 86_400, "3 d")],
)
def test_a_wait_is_never_shown_shorter_than_it_is(seconds: float, words: str) -> None:
    assert duration(seconds) == words
