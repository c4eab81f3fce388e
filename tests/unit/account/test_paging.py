"""Lists in pages, on both databases: together they are the list, and each is read as a page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import event
from support.databases import OPERATOR

from undiced.account.accounts import Accounts
from undiced.account.actor import Actor
from undiced.account.records import Grant
from undiced.account.scopes import ROLES
from undiced.core.errors import InvalidRequestError

Listing = Callable[..., list]


@pytest.fixture
def many(accounts: Accounts) -> Accounts:
    """Seven of everything in acme, and as much in globex."""
    for org in ("acme", "globex", *(f"org{at}" for at in range(5))):
        accounts.organizations.create(OPERATOR, org)
    for org in ("acme", "globex"):
        for at in range(6):
            accounts.projects.create(OPERATOR, org, f"p{at * 7 % 6}")
        for at in range(7):
            accounts.members.create(OPERATOR, org, f"m{at * 3 % 7}@example.com", "member", f"p{at % 6}")
            accounts.invitations.create(OPERATOR, org, f"i{at}@example.com", "billing")
    return accounts


def listings(accounts: Accounts, actor: Actor = OPERATOR) -> dict[str, Listing]:
    return {
        "organizations": lambda **page: accounts.organizations.list(actor, **page),
        "projects": lambda **page: accounts.projects.list(actor, "acme", **page),
        "members": lambda **page: accounts.members.list(actor, "acme", **page),
        "invitations": lambda **page: accounts.invitations.list(actor, "acme", **page),
    }


def in_pages(listing: Listing, limit: int) -> list:
    found, after = [], None
    while page := listing(after=after, limit=limit):
        assert len(page) <= limit
        found += page
        after = page[-1].id
    return found


def test_pages_together_are_the_list(many: Accounts) -> None:
    for name, listing in listings(many).items():
        whole = listing()
        assert len(whole) == 7, name
        for limit in (1, 2, 3, 7, 8):
            assert in_pages(listing, limit) == whole, name


def test_a_page_is_read_as_one_however_long_the_list_is(many: Accounts) -> None:
    rows: list[str] = []

    def seen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        rows.append(statement)

    engine = many.database.engine
    event.listen(engine, "before_cursor_execute", seen)
    for name, listing in listings(many).items():
        rows.clear()
        after = listing(limit=1)[-1].id
        listing(limit=2, after=after)
        unlimited = [text for text in rows if f"FROM {name}" in text and "LIMIT" not in text and ".id =" not in text]
        assert not unlimited, name
    event.remove(engine, "before_cursor_execute", seen)


def test_who_sees_some_projects_alone_has_pages_of_these_and_of_their_members(many: Accounts) -> None:
    projects = {each.name: each.id for each in many.projects.list(OPERATOR, "acme")}
    org = many.organizations.show(OPERATOR, "acme").id
    scopes = frozenset(ROLES["project_admin"])
    grants = (Grant("project_admin", projects["p1"]), Grant("project_admin", projects["p3"]))
    admin = Actor("key:x", org_id=org, scopes=scopes, member_id="mem_x", grants=grants)
    bound = Actor("key:y", org_id=org, project_id=projects["p3"], scopes=scopes)
    for actor, names, emails in ((admin, ["p1", "p3"], ["m2", "m3"]), (bound, ["p3"], ["m2"])):
        there = listings(many, actor)
        assert [one.name for one in in_pages(there["projects"], 1)] == names
        assert [one.email.partition("@")[0] for one in in_pages(there["members"], 1)] == emails
        assert many.members.count(actor, "acme") == len(emails)


def test_a_page_follows_what_was_archived_or_has_ended_meanwhile(many: Accounts) -> None:
    for name, end in (
        ("organizations", lambda one: many.organizations.archive(OPERATOR, one.id)),
        ("projects", lambda one: many.projects.archive(OPERATOR, "acme", one.id)),
        ("members", lambda one: many.members.archive(OPERATOR, "acme", one.id)),
        ("invitations", lambda one: many.invitations.revoke(OPERATOR, "acme", one.id)),
    ):
        listing = listings(many)[name]
        whole = listing()
        end(whole[3])
        assert listing(after=whole[3].id, limit=2) == whole[4:6], name
        assert whole[3] not in listing()


def test_a_page_follows_nothing_that_is_not_in_the_list(many: Accounts) -> None:
    foreign = {
        "projects": many.projects.list(OPERATOR, "globex")[0].id,
        "members": many.members.list(OPERATOR, "globex")[0].id,
        "invitations": many.invitations.list(OPERATOR, "globex")[0].id,
    }
    for name, listing in listings(many).items():
        for after in (foreign.get(name, "org_nobody"), "", "\x00", "x" * 10_000):
            with pytest.raises(InvalidRequestError, match="Nothing in the list") as caught:
                listing(after=after)
            assert caught.value.param == "after"
