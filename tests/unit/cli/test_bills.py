"""Commands of money: prices, credit, budgets, usage and invoices; exact, with names, and refused with a remedy."""

from __future__ import annotations

import csv
import re
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.account_commands import Typed, rows, typing
from support.markdown import ROOT, Block, blocks
from support.screen import seen
from support.spending import begin, spend

NANOS = 10**9
DRAWN = re.compile(
    r"\d{4}-\d\d(-\d\d)?( \d\d:\d\d)?|\b(org_|crd_)?(?=\w*[A-Z0-9])[0-9A-Za-z]{12}\b"
)  # dates, and ids, which differ each time
KEPT = re.compile(r"KEY=\$\((.*)\)")
NOVEMBER = int(datetime(2026, 11, 5, 12, tzinfo=UTC).timestamp())


@pytest.fixture
def key(acme: Typed) -> str:
    """A key of acme/web, while a million tokens cost 0.35, 0.10 cached, and 0.75 of an answer."""
    acme("project create web")
    acme("price set m --input 0.35 --cached-input 0.10 --output 0.75")
    return acme("key create --name page --project web --json").json["id"]


def test_the_page_s_session_shows_what_the_page_says(acme: Typed, place: Path) -> None:
    acme("project create web")
    setting, _, reading = blocks_of("## Limits, prices and bills")
    shown_as_told(acme, setting)
    (key,) = acme("key list --json").json
    spend(str(place), key["id"], 35, 0, 22, model="smollm2-135m")
    shown_as_told(acme, reading)


def blocks_of(section: str) -> list[Block]:
    """The blocks of a section of the accounts' page."""
    page = (ROOT / "docs" / "accounts.md").read_text().split(section, 1)[1].split("\n## ", 1)[0]
    return [block for block in blocks(ROOT / "docs" / "accounts.md") if block.text in page]


def shown_as_told(typed: Typed, block: Block) -> None:
    """Each command of a block shows what stands below it, but for dates, ids and secrets."""
    for command, shown in block.commands():
        kept = KEPT.fullmatch(command)
        said = typed(
            (kept[1] if kept else command).removeprefix("undiced ").replace("2026-11", month(int(time.time())))
        )
        assert said.status == 0, said.err
        assert plain(said.err if kept else said.out + said.err) == plain(shown), command


def plain(text: str) -> list[str]:
    """Lines without what differs each time."""
    return [DRAWN.sub("#", line.rstrip()) for line in text.splitlines() if line.strip()]


def month(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m")


def test_prices_are_set_exactly_and_the_one_before_ends(typed: Typed) -> None:
    said = typed("price set m --input 0.000000001 --output 123456.789 --batch 0.4 --priority 2")
    assert said.out == "m costs 0.000000001 USD per million tokens of prompts, 0.000000001 of cached ones, " \
        "123456.789 of answers, from now on.\n"  # fmt: skip
    (first,) = typed("price list --json").json
    assert first["rates"] == {
        "input": 1, "cached_input": 1, "output": 123_456_789_000_000,
        "batch_permille": 400, "flex_permille": 500, "priority_permille": 2000,
    }  # fmt: skip
    later = typed("price set m --input 1 --output 2 --from 30d --json").json
    assert later["valid_from"] - time.time() == pytest.approx(30 * 86_400, abs=60)
    ends = [(one["valid_from"], one["valid_until"]) for one in typed("price list --json").json]
    assert ends == [(first["valid_from"], later["valid_from"]), (later["valid_from"], None)]
    assert typed("price list").out.count("m  ") == 2 and "0.4 0.5 2" in typed("price list").out


def test_a_price_that_has_not_begun_is_taken_back_and_the_one_before_goes_on(typed: Typed) -> None:
    typed("price set m --input 1 --output 2"), typed("price set m --input 9 --output 9 --from 1d")
    assert "Took back the price of m" in typed("price cancel m").out
    (only,) = typed("price list --json").json
    assert only["rates"]["input"] == NANOS and only["valid_until"] is None
    again = typed("price cancel m")
    assert again.status == 2 and "A price that has begun stays" in again.err
    assert typed("price cancel never-priced").status == 2
    assert typed("audit --json").json[0]["action"] == "price.cancel"


def test_there_is_one_currency_for_everything_and_it_need_not_be_repeated(acme: Typed) -> None:
    acme("price set m --input 1 --output 2 --currency EUR")
    assert acme("credit terms --postpaid --json").json["currency"] == "EUR"
    assert "5.00 EUR" in acme("credit add acme 5").out
    acme("price set n --input 1 --output 2")
    assert {one["currency"] for one in acme("price list --json").json} == {"EUR"}
    for line in ("price set o --input 1 --output 2 --currency USD", "credit add acme 5 --currency USD"):
        said = acme(line)
        assert said.status == 2 and "are in EUR. Use EUR." in said.err


def test_credit_makes_a_prepaid_balance_and_says_so(acme: Typed) -> None:
    none = acme("credit balance")
    assert (none.status, none.out) == (0, "") and "undiced credit add acme AMOUNT" in none.err
    assert acme("credit balance --json").json is None and "adds some" in acme("credit list").err
    first = acme("credit add acme 25.000000001 --expires 1y --note 'welcome gift'")
    assert "Its balance is 25.000000001 USD." in first.out and "prepaid from now on" in first.out
    assert "nothing is charged: undiced price set" in first.err
    assert "prepaid from now on" not in acme("credit add acme 5").out
    more, gift = sorted(acme("credit list --json").json, key=lambda one: one["amount"])
    assert gift["amount"] == 25 * NANOS + 1 and gift["note"] == "welcome gift" and more["expires"] is None
    assert gift["expires"] - gift["created"] in range(365 * 86_400 - 2, 365 * 86_400 + 2)
    assert "welcome gift" in acme("credit list").out and "25.000000001" in acme("credit list").out
    assert "balance        30.000000001 USD" in acme("credit balance").out


def test_credit_that_has_ended_is_not_shown_as_if_it_were_there(acme: Typed, place: Path) -> None:
    acme("credit add acme 5 --expires 1h"), acme("credit add acme 1")
    with closing(sqlite3.connect(place)) as database:
        database.execute("UPDATE credits SET expires = 1 WHERE expires IS NOT NULL")
        database.commit()
    assert {one["amount"]: one["remaining"] for one in acme("credit list --json").json} == {5 * NANOS: 0, NANOS: NANOS}
    assert acme("credit balance --json").json["balance"] == NANOS


def test_who_owes_something_can_not_be_prepaid(acme: Typed, place: Path, key: str) -> None:
    assert "postpaid: it may owe" in acme("credit terms --postpaid").out
    spend(str(place), key, 1_000_000, 0, 0)
    assert "balance        -0.35 USD" in acme("credit balance").out
    said = acme("credit terms --prepaid")
    assert said.status == 2 and "Add what it owes as credit first." in said.err
    acme("credit add acme 0.35")
    assert "prepaid: nothing runs" in acme("credit terms --prepaid").out


def test_budgets_are_shown_with_what_was_spent_and_what_runs(acme: Typed, place: Path, key: str) -> None:
    assert acme("budget set acme 100").out == "acme: 100.00 USD per month; what would go beyond is refused.\n"
    assert "what goes beyond is told, and runs" in acme("budget set acme 20 --project web --warn").out
    assert acme("budget set acme 0.5 --key page").out.startswith(f"key {key} (page): 0.50 USD per month")
    spend(str(place), key, 1_000_000, 0, 0), begin(str(place), key, 100_000, 0)
    found = {one["subject"]: one for one in acme("budget list --json").json}
    assert {name: (one["amount"], one["spent"], one["stops"]) for name, one in found.items()} == {
        "organization": (100 * NANOS, 385_000_000, True),
        "project": (20 * NANOS, 385_000_000, False),
        "key": (NANOS // 2, 385_000_000, True),
    }
    shown = [line.split()[-4:] for line in acme("budget list").out.splitlines()[1:]]
    assert sorted(shown) == [
        ["0.50", "0.385", "0.115", "refused"], ["100.00", "0.385", "99.615", "refused"],
        ["20.00", "0.385", "19.615", "told"],
    ]  # fmt: skip
    acme("budget remove --project web"), acme("budget remove --key page"), acme("budget remove")
    none = acme("budget list")
    assert (none.out, none.err) == ("", "No budget: undiced budget set acme AMOUNT sets one.\n")


def test_usage_has_names_and_sums(acme: Typed, place: Path, key: str) -> None:
    other = acme("key create --json").json["id"]
    (
        spend(str(place), key, 1200, 300, 4500),
        spend(str(place), key, 1, 0, 0),
        spend(str(place), other, 10, 0, 1, model="n"),
    )
    said = acme("usage acme --by project --by key")
    assert [line.split() for line in said.out.splitlines()] == [
        ["PROJECT", "KEY", "REQUESTS", "INPUT", "CACHED", "OUTPUT", "USD"],
        ["default", other, "1", "10", "0", "1", "0.00000000"],
        ["web", key, "(page)", "2", "1,201", "300", "4,500", "0.00372035"],
        ["total", "3", "1,211", "300", "4,501", "0.00372035"],
    ]
    by_org = acme("usage").out.splitlines()
    assert by_org[0].startswith("ORGANIZATION") and by_org[1].startswith("acme ")
    assert [line.split()[0] for line in acme("usage acme").out.splitlines()] == ["MODEL", "m", "n", "total"]
    report = acme("usage acme --by key --json").json
    assert report["total"] == {
        "requests": 3, "prompt_tokens": 1211, "cached_tokens": 300, "completion_tokens": 4501, "reasoning_tokens": 0,
        "charge": 3_720_350,
    }  # fmt: skip
    assert {row["names"].get("key"): row["charge"] for row in report["rows"]} == {None: 0, "page": 3_720_350}
    assert acme("usage acme --key page --json").json["total"]["requests"] == 2
    assert acme("usage acme --project default --json").json["total"]["requests"] == 1


def test_days_of_usage_are_those_that_are_asked_for(acme: Typed, place: Path, key: str) -> None:
    for day in (0, 1, 2, 30):
        spend(str(place), key, 1, 0, 0, at=NOVEMBER + day * 86_400)

    def days(words: str) -> list[str]:
        return [line.split()[0] for line in acme(f"usage acme --by day {words}").out.splitlines()[1:-1]]

    assert days("--month 2026-11") == ["2026-11-05", "2026-11-06", "2026-11-07"]
    assert days("--since 2026-11-06 --until 2026-11-06") == ["2026-11-06"]
    assert days("--since 2026-11-06 --until 2026-12-31") == ["2026-11-06", "2026-11-07", "2026-12-05"]
    none = acme("usage acme --month 2026-10")
    assert (none.out, none.err) == ("", "Nothing was used from 2026-10-01 to 2026-10-31.\n")
    assert acme("usage acme --month 2026-10 --json").json["rows"] == []


def test_what_a_spreadsheet_would_compute_is_a_word(acme: Typed, place: Path, key: str) -> None:
    evil = acme("key create --name '=HYPERLINK(\"http://x\",1)' --json").json["id"]
    spend(str(place), evil, 1_000_000, 0, 0), spend(str(place), key, 5, 0, 0, model='-m,"x')
    head, *found = csv.reader(acme("usage acme --by key --by model --since 1d --csv").out.splitlines())
    cells = {row[head.index("key_id")]: dict(zip(head, row, strict=True)) for row in found}
    assert cells[evil]["key"] == '\'=HYPERLINK("http://x",1)' and cells[key]["model"] == "'-m,\"x"
    assert (cells[evil]["charge"], cells[evil]["currency"], cells[evil]["prompt_tokens"]) == ("0.35", "USD", "1000000")
    assert cells[evil]["since"] == cells[evil]["until"] == datetime.now(UTC).strftime("%Y-%m-%d")


def test_an_invoice_adds_up_and_fits_a_page(acme: Typed, place: Path, key: str) -> None:
    acme("credit add acme 25")
    spend(str(place), key, 1200, 300, 4500), spend(str(place), key, 10, 0, 0, model="long/" * 30)
    now = month(int(time.time()))
    text = acme(f"invoice acme {now}").out
    assert max(map(len, text.splitlines())) <= 80
    assert [line.split("  ")[0] for line in text.splitlines()[-5:]] == [
        "Charged", f"Balance before {now}-01", "Credit paid in", "Taken from the balance", "Left now"
    ]  # fmt: skip
    assert [line.split()[-2] for line in text.splitlines()[-5:]] == [
        "0.00372", "0.00000", "25.00000", "-0.00372", "24.99628"
    ]  # fmt: skip
    assert "the month has not ended" in text and "web      m " in text
    found = acme(f"invoice acme {now} --json").json
    assert found["closing"] == found["opening"] + found["paid"] - found["expired"] - found["taken"] == 24_996_280_000
    assert found["charge"] == found["taken"] == sum(line["charge"] for line in found["lines"])
    _, *lines = csv.reader(acme(f"invoice acme {now} --csv").out.splitlines())
    assert {line[2] for line in lines} == {"web"} and len(lines) == 2


def test_an_invoice_of_who_has_no_balance_says_what_is_to_pay(acme: Typed, place: Path, key: str) -> None:
    spend(str(place), key, 1_000_000, 0, 0)
    text = acme(f"invoice acme {month(int(time.time()))}").out
    assert text.endswith(f"{'To pay':<72}0.35 USD\n")


def test_an_invoice_says_what_is_owed(acme: Typed, place: Path, key: str) -> None:
    acme("credit terms --postpaid")
    spend(str(place), key, 1_000_000, 0, 0)
    text = acme(f"invoice acme {month(int(time.time()))}").out
    assert text.endswith(f"{'Owed now':<72}0.35 USD\n")


def test_a_request_over_the_turn_of_the_month_is_told(acme: Typed, place: Path, key: str) -> None:
    acme("credit terms --postpaid")
    turn = int(datetime(2026, 12, 31, 23, 59, tzinfo=UTC).timestamp())
    spend(str(place), key, 1_000_000, 0, 0, at=turn, end=120)
    first, second = (acme(f"invoice acme {name} --json").json for name in ("2026-12", "2027-01"))
    assert (first["charge"], first["taken"], first["closing"]) == (350_000_000, 0, 0)
    assert (second["charge"], second["taken"]) == (0, 350_000_000)
    assert (second["opening"], second["closing"]) == (0, -350_000_000)
    assert "when it ends" in " ".join(acme("invoice acme 2026-12").out.split())
    assert "when it ends" not in acme("invoice acme 2026-10").out


REFUSED = [
    ("price set m --input -1 --output 1", 2, "--input: '-1' is no amount"),
    ("price set m --input 1e3 --output 1", 2, "is no amount"),
    ("price set m --input 0.0000000001 --output 1", 2, "nine decimals"),
    ("price set m --input 0.1", 2, "--output"),
    ("price set m --input 1000001 --output 1", 2, "from 0 to a million"),
    ("price set m --input 1 --output 1 --flex 101", 2, "from 0 to 100"),
    ("price set m --input 1 --output 1 --batch half", 2, "no factor"),
    ("price set m --input 1 --output 1 --currency EUR", 2, "Use USD"),
    ("price set n --input 1 --output 1 --currency euro", 2, "Use three capital letters"),
    ("price set m --input 1 --output 1 --from 2020-01-01", 2, "has passed"),
    ("price set m --input 1 --output 1 --from 1h", 2, "Give a later time"),
    ("price set '' --input 1 --output 1", 2, "GET /v1/models"),
    ("price cancel n", 2, "set another one"),
    ("credit add acme 0", 2, "more than 0"),
    ("credit add acme -- -5", 2, "is no amount"),
    ("credit add acme 1,000", 2, "is no amount"),
    ("credit add acme 5 --expires 2020-01-01", 2, "has passed"),
    ("credit add nobody 5", 1, "undiced org list"),
    ("credit add acme", 2, "AMOUNT"),
    ("credit terms", 2, "--prepaid"),
    ("credit balance nobody", 1, "undiced org list"),
    ("budget set acme 0", 2, "more than 0"),
    ("budget set acme 5 --project nothing", 1, "undiced project list"),
    ("budget set acme 5 --project web --key page", 2, "Leave --project out"),
    ("budget remove", 2, "undiced budget list"),
    ("usage nobody", 1, "undiced org list"),
    ("usage --project web", 2, "Name the organization first"),
    ("usage --by color", 2, "Use some of organization, project, key, model, day, each once"),
    ("usage --by day --by day", 2, "'day' is named twice"),
    ("usage --since yesterday", 2, "Give one as 2026-11-01, or 7d"),
    ("usage --since 36h", 2, "is no day"),
    ("usage --since 2026-11-02 --until 2026-11-01", 2, "an earlier --since"),
    ("usage --month 2026-13", 2, "Write it as 2026-11"),
    ("usage --month 2026-11 --since 7d", 2, "Leave --month out"),
    ("usage --csv --json", 2, "Leave one of them out"),
    ("invoice acme november", 2, "Write it as 2026-11"),
    ("invoice acme 9999-12", 2, "Write it as 2026-11"),
    ("invoice nobody 2026-11", 1, "undiced org list"),
]


def test_what_is_refused_says_what_to_do_and_changes_nothing(acme: Typed, place: Path, key: str) -> None:
    acme("price set m --input 1 --output 1 --from 2h")
    before = rows(place)
    for line, status, told in REFUSED:
        said = acme(line)
        assert said.status == status and told in said.err + said.out, (line, said)
        assert "Traceback" not in said.err
    assert rows(place) == before
    assert acme("org archive acme --yes").status == 0
    assert acme("credit add acme 5").status == 1, "an archived organization gets no credit"


def test_what_reads_neither_waits_for_a_server_s_lock_nor_changes_anything(acme: Typed, place: Path, key: str) -> None:
    acme("credit add acme 5"), acme("budget set acme 5"), acme("limit set acme --rpm 5")
    before = rows(place)
    with closing(sqlite3.connect(place, isolation_level=None)) as server:
        server.execute("BEGIN IMMEDIATE")
        for line in ("limit list", "price list", "credit list", "credit balance", "budget list", "usage",
                     f"invoice acme {month(NOVEMBER)}"):  # fmt: skip
            assert acme(line).status == 0, line
    assert rows(place) == before


def test_tables_of_money_fit_a_terminal(acme: Typed, place: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    long = "name-" * 12 + "end"
    acme(f"project create {long}"), acme(f"price set {long} --input 999999.123456789 --output 1 --from 1d")
    whose = acme(f"key create --project {long} --name {long} --json").json["id"]
    acme("credit terms --postpaid")
    acme(f"credit add acme 123456.123456789 --expires 1y --note '{long}'"), acme("budget set acme 0.000000001 --warn")
    acme(f"budget set acme 123456 --key {whose}")
    spend(str(place), whose, 123_456_789, 12_345_678, 98_765_432, model=long), spend(str(place), key, 1, 0, 1)
    for line in ("price list", "credit list", "credit balance", "budget list", "usage", "usage acme --by project,key",
                 "usage acme --by key,model", f"invoice acme {month(int(time.time()))}"):  # fmt: skip
        shown = seen(acme(line).out.replace("\n", "\r\n"))
        assert max(map(len, shown.splitlines())) <= 80, shown


def test_the_environment_names_the_organization(acme: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    acme("org create beta")
    said = acme("credit list")
    assert said.status == 2 and "acme, beta. Name one as the first word." in said.err
    monkeypatch.setenv("UNDICED_ORG", "beta")
    acme("limit set --rpm 5")
    assert acme("limit list --json").json and acme("limit list acme --json").json == []
    assert "credit add beta" in acme("credit balance").err
    assert acme("usage").status == 0


SETTING = [
    "org create acme",
    "price set m --input 0.35 --output 0.75",
    "price set m --input 1 --output 1 --from 1d",
    "price cancel m",
    "credit add acme 5",
    "budget set acme 1",
    "tier set acme free",
    "limit set --model m --tpd 1M",
]
READING = {
    "limit list": "acme",
    "price list": "0.35",
    "credit list": "4.9989",
    "credit balance": "4.9989 USD",
    "budget list": "0.9989",
    "usage acme --by day,key": "0.0011",
    "invoice acme MONTH": "4.9989 USD",
    "limit clear": "tpd 1,000,000 of m",
}


@pytest.mark.usefixtures("pepper")
def test_commands_of_money_work_on_both_databases(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = typing(monkeypatch, capsys, url)
    for line in SETTING:
        assert typed(line).status == 0, line
    spend(url, typed("key create --json").json["id"], 1_000, 0, 1_000)
    for line, shown in READING.items():
        said = typed(line.replace("MONTH", month(int(time.time()))))
        assert said.status == 0 and shown in said.out, (line, said)
    assert typed("limit list --json").json == []
