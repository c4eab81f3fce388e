"""Organizations and projects: made, seen, archived; by whom."""

from __future__ import annotations

import pytest
from support.databases import OPERATOR

from undiced.account.accounts import Accounts
from undiced.account.errors import ArchivedError, NameTakenError, PermissionDeniedError, UnknownNameError
from undiced.account.keys import KeyOrder
from undiced.core.errors import InvalidRequestError

STRANGE = [
    "nobody",
    "",
    "\x00",
    "a\x00b",
    "\ud800",
    "ü" * 300,
    "org_",
    "%",
    "'; drop table keys; --",
    "\u202e",
    "x" * 9999,
]


def test_a_new_organization_has_one_project(accounts: Accounts) -> None:
    made = accounts.organizations.create(OPERATOR, "acme")
    assert accounts.organizations.list(OPERATOR) == [made]
    assert [project.name for project in accounts.projects.list(OPERATOR, "acme")] == ["default"]
    assert accounts.organizations.show(OPERATOR, "acme") == accounts.organizations.show(OPERATOR, made.id) == made


def test_a_name_is_given_once(accounts: Accounts) -> None:
    accounts.organizations.create(OPERATOR, "acme")
    with pytest.raises(NameTakenError, match="acme") as error:
        accounts.organizations.create(OPERATOR, "acme")
    assert (error.value.status, error.value.param) == (400, "name")
    accounts.organizations.create(OPERATOR, "globex")
    accounts.projects.create(OPERATOR, "acme", "web")
    accounts.projects.create(OPERATOR, "globex", "web")  # names of projects are an organization's own
    with pytest.raises(NameTakenError, match="web") as error:
        accounts.projects.create(OPERATOR, "acme", "web")
    assert (error.value.status, error.value.param) == (400, "name")


def test_a_refused_creation_leaves_nothing(accounts: Accounts) -> None:
    accounts.organizations.create(OPERATOR, "acme")
    before = accounts.audit.list(OPERATOR)
    with pytest.raises(NameTakenError):
        accounts.organizations.create(OPERATOR, "acme")
    assert accounts.audit.list(OPERATOR) == before


def test_strange_names_name_nothing_and_can_not_be_given(accounts: Accounts) -> None:
    accounts.organizations.create(OPERATOR, "acme")
    for strange in STRANGE:
        see_strange(accounts, strange)


def see_strange(accounts: Accounts, strange: str) -> None:
    for look in (
        lambda: accounts.organizations.show(OPERATOR, strange),
        lambda: accounts.organizations.archive(OPERATOR, strange),
        lambda: accounts.projects.show(OPERATOR, "acme", strange),
        lambda: accounts.members.show(OPERATOR, "acme", strange),
        lambda: accounts.keys.show(OPERATOR, strange),
        lambda: accounts.invitations.revoke(OPERATOR, "acme", strange),
    ):
        with pytest.raises(UnknownNameError) as error:
            look()
        assert error.value.status == 400
        error.value.message.encode()
    for listing in (accounts.keys.list, accounts.projects.list, accounts.members.list, accounts.invitations.list):
        with pytest.raises(InvalidRequestError) as error:
            listing(OPERATOR, "acme", after=strange)
        error.value.message.encode()
    if strange != "nobody":
        with pytest.raises(InvalidRequestError):
            accounts.organizations.create(OPERATOR, strange)
        with pytest.raises(InvalidRequestError):
            accounts.projects.create(OPERATOR, "acme", strange)


def test_what_is_archived_is_listed_only_on_request_and_takes_nothing_new(accounts: Accounts) -> None:
    accounts.organizations.create(OPERATOR, "acme")
    accounts.projects.create(OPERATOR, "acme", "web")
    web = accounts.projects.archive(OPERATOR, "acme", "web")
    assert web.archived is not None
    assert accounts.projects.archive(OPERATOR, "acme", "web") == web  # again changes nothing
    assert [project.name for project in accounts.projects.list(OPERATOR, "acme")] == ["default"]
    assert web in accounts.projects.list(OPERATOR, "acme", archived=True)
    with pytest.raises(ArchivedError, match="web"):
        accounts.keys.create(OPERATOR, KeyOrder("inference", "acme", "web"))
    acme = accounts.organizations.archive(OPERATOR, "acme")
    assert accounts.organizations.archive(OPERATOR, "acme") == acme
    assert accounts.organizations.list(OPERATOR) == []
    assert accounts.organizations.list(OPERATOR, archived=True) == [acme]
    for make in (
        lambda: accounts.projects.create(OPERATOR, "acme", "more"),
        lambda: accounts.members.create(OPERATOR, "acme", "a@b.c", "billing"),
        lambda: accounts.invitations.create(OPERATOR, "acme", "a@b.c", "billing"),
        lambda: accounts.keys.create(OPERATOR, KeyOrder("management", "acme")),
    ):
        with pytest.raises(ArchivedError, match="acme") as error:
            make()
        assert (error.value.status, error.value.code) == (403, "permission_denied")


def test_only_the_operator_makes_organizations(accounts: Accounts) -> None:
    made = accounts.organizations.create(OPERATOR, "acme")
    _, text = accounts.keys.create(OPERATOR, KeyOrder("management", "acme"))
    accounts.keyring.keep(text.id, accounts.keyring.fetch(text.id))
    insider = accounts.keyring.judge(text, "management").actor("r")
    with pytest.raises(PermissionDeniedError):
        accounts.organizations.create(insider, "globex")
    assert accounts.organizations.archive(insider, "acme").id == made.id  # its own it may end
