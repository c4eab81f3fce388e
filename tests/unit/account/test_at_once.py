"""Two who change one thing at the same moment: one is first, and the other sees what it did. On both databases."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import select
from support.at_once import at_once
from support.databases import OPERATOR
from support.ledgers import RATES

from undiced.account import credits, prices
from undiced.account.accounts import Accounts
from undiced.account.audit import note
from undiced.account.errors import ArchivedError, DatabaseAwayError, NameTakenError
from undiced.account.keys import KeyOrder
from undiced.account.ledger_tables import PRICES, WALLETS
from undiced.account.money import NANOS
from undiced.account.records import AuditEntry, Member
from undiced.core.errors import InvalidRequestError, UndicedError

THREADS = 3
ROUNDS = 2  # calls meet in most of them


def actions(accounts: Accounts) -> list[AuditEntry]:
    """The audit, oldest first."""
    return accounts.audit.list(OPERATOR, limit=1000)[::-1]


@pytest.mark.parametrize("order", [KeyOrder("inference", "acme", "default"), KeyOrder("management", None)])
def test_a_key_is_rotated_once(accounts: Accounts, order: KeyOrder) -> None:
    accounts.organizations.create(OPERATOR, "acme")
    for _ in range(ROUNDS):
        key, _text = accounts.keys.create(OPERATOR, order)
        answers = at_once([partial(accounts.keys.rotate, OPERATOR, key.id, overlap_s=60)] * THREADS)
        made = [answer for answer in answers if isinstance(answer, tuple)]
        assert len(made) == 1, answers
        assert all("rotated before" in str(answer) for answer in answers if answer is not made[0])
        assert accounts.keys.show(OPERATOR, key.id).replaced_by == made[0][0].id
    assert len(accounts.keys.list(OPERATOR, order.org)) == 2 * ROUNDS


def test_a_key_is_either_rotated_or_revoked_first(accounts: Accounts) -> None:
    accounts.organizations.create(OPERATOR, "acme")
    for _ in range(ROUNDS):
        key, _text = accounts.keys.create(OPERATOR, KeyOrder("inference", "acme", "default"))
        answers = at_once(
            [partial(accounts.keys.rotate, OPERATOR, key.id), partial(accounts.keys.revoke, OPERATOR, key.id)] * 2
        )
        assert not any(isinstance(answer, DatabaseAwayError) for answer in answers)
        mine = [entry.action for entry in actions(accounts) if entry.target == key.id]
        assert mine.count("key.revoke") == 1
        assert mine in (["key.create", "key.revoke"], ["key.create", "key.rotate", "key.revoke"])
        shown = accounts.keys.show(OPERATOR, key.id)
        assert shown.revoked is not None
        assert (shown.replaced_by is not None) == ("key.rotate" in mine)


def test_an_invitation_is_accepted_once(accounts: Accounts) -> None:
    accounts.organizations.create(OPERATOR, "acme")
    for number in range(ROUNDS):
        _, text = accounts.invitations.create(OPERATOR, "acme", f"a{number}@example.com", "billing")
        answers = at_once([partial(accounts.invitations.accept, text.reveal())] * THREADS)
        assert sum(isinstance(answer, Member) for answer in answers) == 1
        assert sum("not valid" in str(answer) for answer in answers) == THREADS - 1
    assert len(accounts.members.list(OPERATOR, "acme")) == ROUNDS


def test_an_invitation_is_accepted_or_revoked(accounts: Accounts) -> None:
    accounts.organizations.create(OPERATOR, "acme")
    for number in range(ROUNDS):
        made, text = accounts.invitations.create(OPERATOR, "acme", f"a{number}@example.com", "billing")
        accept, revoke = at_once(
            [
                partial(accounts.invitations.accept, text.reveal()),
                partial(accounts.invitations.revoke, OPERATOR, "acme", made.id),
            ]
        )
        assert isinstance(accept, Member) != (not isinstance(revoke, UndicedError))


def test_an_address_is_one_members(accounts: Accounts) -> None:
    accounts.organizations.create(OPERATOR, "acme")
    for number in range(ROUNDS):
        create = partial(accounts.members.create, OPERATOR, "acme", f"a{number}@example.com", "billing")
        answers = at_once([create] * THREADS)
        assert sum(isinstance(answer, Member) for answer in answers) == 1
        assert sum(isinstance(answer, NameTakenError) for answer in answers) == THREADS - 1


@pytest.mark.parametrize("verb", ["grant", "withdraw"])
def test_a_role_is_given_and_taken_once(accounts: Accounts, verb: str) -> None:
    accounts.organizations.create(OPERATOR, "acme")
    for number in range(ROUNDS):
        person = accounts.members.create(OPERATOR, "acme", f"a{number}@example.com", "billing")
        if verb == "withdraw":
            accounts.members.grant(OPERATOR, "acme", person.id, "org_admin")
        act: Callable[[], object] = partial(getattr(accounts.members, verb), OPERATOR, "acme", person.id, "org_admin")
        answers = at_once([act] * THREADS)
        assert all(isinstance(answer, Member) for answer in answers), answers
        assert [entry.target for entry in actions(accounts) if entry.action == f"member.{verb}"].count(person.id) == 1


def test_nothing_is_made_in_an_organization_after_its_end(accounts: Accounts) -> None:
    for number in range(ROUNDS):
        made = accounts.organizations.create(OPERATOR, name := f"acme{number}")
        _, text = accounts.invitations.create(OPERATOR, name, "b@example.com", "billing")
        key, _text = accounts.keys.create(OPERATOR, KeyOrder("management", name))
        answers = at_once(
            [
                partial(accounts.organizations.archive, OPERATOR, name),
                partial(accounts.projects.create, OPERATOR, name, "web"),
                partial(accounts.keys.create, OPERATOR, KeyOrder("inference", name, "default")),
                partial(accounts.members.create, OPERATOR, name, "a@example.com", "billing"),
                partial(accounts.invitations.accept, text.reveal()),
                partial(accounts.keys.rotate, OPERATOR, key.id),
            ]
        )
        told = [entry.action for entry in actions(accounts) if entry.org_id == made.id]
        assert told[-1] == "org.archive", told
        late = [answer for answer in answers if isinstance(answer, UndicedError)]
        assert all(isinstance(answer, ArchivedError) for answer in late), late
        assert len(told) + len(late) >= 9  # what was not refused was written down


def test_many_at_once_never_hold_each_other_forever(accounts: Accounts) -> None:
    """Deadlocks would come out as databases that do not answer."""
    names = ["acme", "globex"]
    keys = []
    for name in names:
        accounts.organizations.create(OPERATOR, name)
        accounts.members.create(OPERATOR, name, "a@example.com", "billing")
        keys += [accounts.keys.create(OPERATOR, KeyOrder("inference", name, "default"))[0].id for _ in range(3)]
    keys += [accounts.keys.create(OPERATOR, KeyOrder("management", None))[0].id]

    def work(seed: int) -> None:
        drawn = random.Random(seed)
        for step in range(6):
            org, key = drawn.choice(names), drawn.choice(keys)
            try:
                drawn.choice(
                    [
                        lambda: accounts.keys.rotate(OPERATOR, key, overlap_s=60),  # noqa: B023
                        lambda: accounts.keys.revoke(OPERATOR, key),  # noqa: B023
                        lambda: accounts.members.grant(OPERATOR, org, "a@example.com", "org_admin"),  # noqa: B023
                        lambda: accounts.members.withdraw(OPERATOR, org, "a@example.com", "org_admin"),  # noqa: B023
                        lambda: accounts.projects.create(OPERATOR, org, f"p{seed}-{step}"),  # noqa: B023
                        lambda: accounts.keyring.write_used(dict.fromkeys(drawn.sample(keys, len(keys)), step)),  # noqa: B023
                        lambda: accounts.keyring.fetch(key),  # noqa: B023
                    ]
                )()
            except InvalidRequestError:
                continue

    assert at_once([partial(work, seed) for seed in range(4)]) == [None] * 4


@pytest.mark.parametrize("other", ["price", "credit", "balance"])
def test_prices_and_balances_are_in_one_currency_whoever_is_first(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """Both see that there is none yet, if they can."""
    accounts.organizations.create(OPERATOR, "acme")
    both = threading.Barrier(2)

    def noted(*given: object, **named: object) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.1)
        note(*given, **named)  # type: ignore[arg-type]

    for module in (prices, credits):
        monkeypatch.setattr(module, "note", noted)
    second = {
        "price": partial(accounts.prices.set, OPERATOR, "n", RATES, currency="USD"),
        "credit": partial(accounts.credits.add, OPERATOR, "acme", NANOS, currency="USD"),
        "balance": partial(accounts.credits.set_prepaid, OPERATOR, "acme", True),
    }
    answers = at_once([partial(accounts.prices.set, OPERATOR, "m", RATES, currency="EUR"), second[other]])
    refused = [answer for answer in answers if isinstance(answer, Exception)]
    assert all(
        isinstance(answer, InvalidRequestError) and "Prices and balances here" in str(answer) for answer in refused
    )
    with accounts.database.read() as transaction:
        found = [set(transaction.connection.execute(select(table.c.currency)).scalars()) for table in (PRICES, WALLETS)]
    assert len(set.union(*found)) == 1
    assert len(refused) == 1 or (other, found) == ("balance", [{"EUR"}, {"EUR"}])
