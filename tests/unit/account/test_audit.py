"""The audit: who changed what, from what to what. And the processes that say that they live."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from support.databases import OPERATOR

from undiced.account.accounts import Accounts
from undiced.account.actor import Actor
from undiced.account.errors import PermissionDeniedError, UnknownNameError
from undiced.account.keys import KeyOrder
from undiced.account.tables import INSTANCES


def test_every_change_is_written_down_with_both_states(accounts: Accounts) -> None:
    who = Actor.operator("ada", "req_1")
    accounts.organizations.create(who, "acme")
    key, _ = accounts.keys.create(who, KeyOrder("inference", "acme", "default", name="ci"))
    accounts.keys.revoke(who, key.id)
    accounts.keys.revoke(who, key.id)  # again changes nothing
    revoked, created, *_ = entries = accounts.audit.list(OPERATOR, "acme")
    assert [entry.action for entry in entries] == ["key.revoke", "key.create", "project.create", "org.create"]
    assert {(entry.actor, entry.request_id) for entry in entries} == {("operator:ada", "req_1")}
    assert (created.before, revoked.before) == (None, created.after)
    assert created.after is not None
    assert revoked.after is not None
    assert (created.after["revoked"], created.after["name"], created.target) == (None, "ci", key.id)
    assert isinstance(revoked.after["revoked"], int)
    assert "digest" not in created.after


def test_pages_go_back_in_time(accounts: Accounts) -> None:
    for number in range(5):
        accounts.organizations.create(OPERATOR, f"o{number}")
    whole = accounts.audit.list(OPERATOR)
    assert [entry.seq for entry in whole] == list(range(10, 0, -1))
    assert accounts.audit.list(OPERATOR, before=8, limit=3) == whole[3:6]
    assert accounts.audit.list(OPERATOR, before=1) == []
    assert accounts.audit.list(OPERATOR, before=-(1 << 80)) == []
    assert accounts.audit.list(OPERATOR, before=1 << 80) == whole
    assert len(accounts.audit.list(OPERATOR, limit=0)) == 1


def test_an_organization_reads_its_own_alone(accounts: Accounts) -> None:
    for org in ("acme", "globex"):
        accounts.organizations.create(OPERATOR, org)
    _, text = accounts.keys.create(OPERATOR, KeyOrder("management", "acme", scopes=["audit:read"]))
    accounts.keyring.keep(text.id, accounts.keyring.fetch(text.id))
    insider = accounts.keyring.judge(text, "management").actor("")
    assert accounts.audit.list(insider) == accounts.audit.list(OPERATOR, "acme") == accounts.audit.list(insider, "acme")
    for other in ("globex", "nowhere"):
        with pytest.raises(UnknownNameError, match=f"There is no organization '{other}'"):
            accounts.audit.list(insider, other)
    with pytest.raises(PermissionDeniedError, match="audit:read"):
        accounts.audit.list(Actor("key:x", insider.org_id, scopes=frozenset(["orgs:read"])))


def test_words_from_outside_are_kept_short_and_plain(accounts: Accounts) -> None:
    accounts.organizations.create(Actor.operator("a\x00\ud800" + "b" * 1000, "\x1b[31m\x00" + "r" * 1000), "acme")
    entry = accounts.audit.list(OPERATOR)[0]
    assert entry.actor.startswith("operator:a\\x00\\ud800bbb")
    assert entry.request_id.startswith("\\x1b[31m\\x00rrr")
    assert len(entry.actor) == len(entry.request_id) == 200


def test_processes_that_fell_silent_are_dead_and_forgotten_after_a_week(accounts: Accounts) -> None:
    instances = accounts.instances
    living, silent, stopped, ancient = (instances.start() for _ in range(4))
    instances.stop(stopped)
    for instance, age_s in ((silent, 60), (ancient, 8 * 86_400)):
        with accounts.database.write() as transaction:
            here = update(INSTANCES).where(INSTANCES.c.id == instance.id)
            transaction.connection.execute(here.values(heartbeat=transaction.now - age_s))
    assert [instance.id for instance in instances.living()] == [living.id]
    instances.beat(silent)
    assert {instance.id for instance in instances.living()} == {living.id, silent.id}
    fresh = instances.start()
    with accounts.database.read() as transaction:
        kept = set(transaction.connection.execute(INSTANCES.select()).scalars())
    assert kept == {living.id, silent.id, stopped.id, fresh.id}
