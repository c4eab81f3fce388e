"""The keyring: who is let in, for how long after it changed, and what is remembered. On both databases."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from support.databases import OPERATOR

from undiced.account import keyring as module
from undiced.account.accounts import Accounts
from undiced.account.errors import ArchivedError, DatabaseAwayError
from undiced.account.keyring import OUTAGE_TRUST_S, TRUST_S, Fetched, Keyring, Read, wrong_key
from undiced.account.keys import KeyOrder
from undiced.account.secret_text import SecretText
from undiced.core.errors import KeyRefusedError

PEPPER = b"pepper" * 8


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Process:
    """Another process with the same database."""

    def __init__(self, accounts: Accounts, pepper: str) -> None:
        self.clock = Clock()
        self.ring = Keyring(accounts.database, pepper.encode(), clock=self.clock)

    def asked(self, text: SecretText, kind: str = "inference") -> str:
        """What becomes of a request."""
        if not self.ring.remembers(text.id):
            self.ring.keep(text.id, self.ring.fetch(text.id))
        try:
            self.ring.judge(text, kind)  # type: ignore[arg-type]
        except (KeyRefusedError, ArchivedError) as error:
            return str(error.status)
        return "let in"

    def look(self) -> None:
        self.ring.take(self.ring.look())


@pytest.fixture
def process(accounts: Accounts, pepper: str) -> Process:
    accounts.organizations.create(OPERATOR, "acme")
    return Process(accounts, pepper)


def made(accounts: Accounts, **given: object) -> SecretText:
    order = {"kind": "inference", "org": "acme", "project": "default"} | given
    return accounts.keys.create(OPERATOR, KeyOrder(**order))[1]  # type: ignore[arg-type]


def test_a_caller_is_told_as_the_key_was_made(accounts: Accounts, process: Process) -> None:
    text = made(accounts, models=["m"], scopes=["models"])
    process.asked(text)
    caller = process.ring.judge(text, "inference")
    project = accounts.projects.show(OPERATOR, "acme", "default")
    assert (caller.key_id, caller.org_name, caller.org_id, caller.project_id) == (
        text.id,
        "acme",
        project.org_id,
        project.id,
    )
    assert (caller.scopes, caller.models, caller.member_id, caller.grants) == ({"models"}, {"m"}, None, None)
    assert caller.actor("r").name == f"key:{text.id}"


def test_whatever_is_wrong_with_a_key_the_answer_is_one(accounts: Accounts, process: Process) -> None:
    right = made(accounts)
    revoked = made(accounts)
    accounts.keys.revoke(OPERATOR, revoked.id)
    body = right.reveal()[:16] + "x" * 43
    wrong = SecretText(right.id, body)
    answers = set()
    for text, kind in [
        (wrong, "inference"),
        (revoked, "inference"),
        (SecretText.new("uk"), "inference"),
        (right, "management"),
    ]:
        process.ring.keep(text.id, process.ring.fetch(text.id))
        with pytest.raises(KeyRefusedError) as error:
            process.ring.judge(text, kind)  # type: ignore[arg-type]
        answers.add((error.value.status, error.value.code, str(error.value)))
    assert answers == {(401, "wrong_api_key", str(wrong_key()))}
    assert process.asked(right) == "let in"


CHANGES: dict[str, tuple[Callable[[Accounts, SecretText], object], str]] = {
    "revoked": (lambda accounts, text: accounts.keys.revoke(OPERATOR, text.id), "401"),
    "rotated": (lambda accounts, text: accounts.keys.rotate(OPERATOR, text.id), "401"),
    "project archived": (lambda accounts, _: accounts.projects.archive(OPERATOR, "acme", "default"), "403"),
    "organization archived": (lambda accounts, _: accounts.organizations.archive(OPERATOR, "acme"), "403"),
    "member archived": (lambda accounts, _: accounts.members.archive(OPERATOR, "acme", "a@b.c"), "403"),
    "role withdrawn": (
        lambda accounts, _: accounts.members.withdraw(OPERATOR, "acme", "a@b.c", "member", "default"),
        "403",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_seen_with_the_next_look(accounts: Accounts, process: Process, name: str) -> None:
    accounts.members.create(OPERATOR, "acme", "a@b.c", "member", "default")
    text = made(accounts, member="a@b.c")
    process.look()
    assert process.asked(text) == "let in"
    change, answer = CHANGES[name]
    change(accounts, text)
    assert process.asked(text) == "let in"  # from memory
    process.look()
    assert not process.ring.remembers(text.id)
    assert process.asked(text) == answer


def test_without_a_look_nobody_is_let_in_after_the_time_of_trust(accounts: Accounts, process: Process) -> None:
    text = made(accounts)
    assert process.asked(text) == "let in"
    process.clock.now_s += TRUST_S
    process.ring.judge(text, "inference")
    process.clock.now_s += 0.001
    assert not process.ring.remembers(text.id)
    with pytest.raises(DatabaseAwayError, match=r"Keys can't be checked now. Try again.") as error:
        process.ring.judge(text, "inference")
    assert (error.value.status, error.value.retry_after_s) == (503, 1.0)
    process.look()
    assert process.ring.remembers(text.id)  # nothing changed: it is trusted again
    process.ring.judge(text, "inference")


def test_a_role_is_what_it_was_at_the_last_change(accounts: Accounts, process: Process) -> None:
    accounts.members.create(OPERATOR, "acme", "a@b.c", "member", "default")
    text = made(accounts, kind="management", project=None, member="a@b.c")
    process.asked(text, "management")
    assert not process.ring.judge(text, "management").actor("").may("audit:read")
    accounts.members.grant(OPERATOR, "acme", "a@b.c", "billing")
    process.look()
    process.asked(text, "management")
    assert process.ring.judge(text, "management").actor("").may("audit:read")
    accounts.members.withdraw(OPERATOR, "acme", "a@b.c", "billing")
    process.look()
    process.asked(text, "management")
    assert not process.ring.judge(text, "management").actor("").may("audit:read")


def test_keys_end_on_time_by_the_databases_clock(
    accounts: Accounts, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    with accounts.database.read() as transaction:
        now = transaction.now
    short, old = made(accounts, expires=now + 4), made(accounts)
    _, new = accounts.keys.rotate(OPERATOR, old.id, overlap_s=3)
    assert [process.asked(text) for text in (short, old, new)] == ["let in"] * 3
    monkeypatch.setattr(time, "time", lambda: 0.0)  # this machine's clock is of no account
    process.clock.now_s += 1.5
    assert [process.asked(text) for text in (short, old, new)] == ["let in"] * 3
    process.clock.now_s += 3
    assert [process.asked(text) for text in (short, old, new)] == ["401", "401", "let in"]


def test_an_unknown_key_is_asked_for_once_and_a_flood_drives_nobody_out(
    accounts: Accounts, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_UNKNOWN", 100)
    text, unknown = made(accounts), SecretText.new("uk")
    assert process.asked(text) == "let in"
    assert process.asked(unknown) == "401"
    assert process.ring.remembers(unknown.id)
    found = process.ring.fetch(unknown.id)
    for number in range(1000):
        process.ring.keep(f"{number:012}", found)
    assert not process.ring.remembers(unknown.id)
    assert process.ring.remembers(text.id)
    assert sum(process.ring.remembers(f"{number:012}") for number in range(1000)) == 100


def test_callers_are_remembered_up_to_a_number(
    accounts: Accounts, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 100)
    text = made(accounts)
    found = process.ring.fetch(text.id)
    for number in range(1000):
        process.ring.keep(f"{number:012}", found)
    assert sum(process.ring.remembers(f"{number:012}") for number in range(1000)) == 100


def test_what_was_forgotten_before_the_answer_is_no_wrong_key(accounts: Accounts, process: Process) -> None:
    """A key is fetched, somebody changes something, and the memory is empty again when the request goes on."""
    text = made(accounts)
    fetched = process.ring.fetch(text.id)
    accounts.keys.revoke(OPERATOR, made(accounts).id)
    process.look()
    process.ring.keep(text.id, fetched)
    assert not process.ring.remembers(text.id)
    with pytest.raises(DatabaseAwayError):
        process.ring.judge(text, "inference")
    assert process.asked(text) == "let in"


def test_a_database_that_was_put_back_is_believed() -> None:
    clock = Clock()
    ring = Keyring(None, PEPPER, clock=clock)  # type: ignore[arg-type]
    ring.take(Read(70, 0.0, clock()))
    ring.keep("0" * 12, Fetched(70, 0.0, clock(), None))
    clock.now_s += 1
    ring.take(Read(69, 1.0, clock() - 1))  # began before the change was known
    assert ring.remembers("0" * 12)
    ring.take(Read(7, 1.0, clock()))
    assert not ring.remembers("0" * 12)
    ring.keep("0" * 12, Fetched(7, 1.0, clock(), None))
    assert ring.remembers("0" * 12)


def test_uses_are_noted_to_the_minute_and_never_go_back(accounts: Accounts, process: Process) -> None:
    text, idle = made(accounts), made(accounts)
    process.asked(text)
    process.asked(idle, "management")  # refused: no use
    used = process.ring.used()
    assert used.keys() == {text.id}
    assert used[text.id] % 60 == 0
    assert process.ring.used() == {}
    before = facts(accounts)
    process.ring.write_used(used)
    process.ring.write_used({text.id: used[text.id] - 600, "0" * 12: used[text.id]})
    process.ring.write_used({})
    assert accounts.keys.show(OPERATOR, text.id).last_used == used[text.id]
    assert accounts.keys.show(OPERATOR, idle.id).last_used is None
    assert facts(accounts) == before  # who uses a key changes nothing for other processes


def facts(accounts: Accounts) -> int:
    return accounts.keyring.look().counter


def cpu_us(call: Callable[[], object], calls: int) -> float:
    """Processor microseconds of a call, at the best of five tries."""
    found = []
    for _ in range(5):
        began_s = time.process_time()
        for _ in range(calls):
            call()
        found.append((time.process_time() - began_s) / calls * 1e6)
    return min(found)


def test_a_check_costs_little(accounts: Accounts, process: Process) -> None:
    """Of these limits, twice those of a quiet machine, benchmarks/accounts.py finds a quarter with 100,000 keys."""
    text = made(accounts)
    revealed = text.reveal()
    process.asked(text)

    def check() -> None:
        parsed = SecretText.parse(revealed, "uk")
        assert parsed is not None
        process.ring.judge(parsed, "inference")

    assert cpu_us(check, 500) <= 40
    assert cpu_us(lambda: process.ring.fetch(text.id), 10) <= 4000


def test_where_outages_are_allowed_callers_are_believed_for_longer(accounts: Accounts) -> None:
    now = 0.0
    ring = Keyring(accounts.database, b"x" * 32, clock=lambda: now)
    ring.trust_s = OUTAGE_TRUST_S
    ring.take(ring.look())
    ring.keep("none", ring.fetch("none"))
    now = OUTAGE_TRUST_S
    assert ring.remembers("none")
    now += 1
    assert not ring.remembers("none")
