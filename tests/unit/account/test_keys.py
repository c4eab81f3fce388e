"""Keys: made, rotated, revoked and listed; what is refused, and that nobody gets more than it has."""

from __future__ import annotations

import pytest
from support.databases import OPERATOR

from undiced.account.accounts import Accounts
from undiced.account.actor import Actor
from undiced.account.errors import ArchivedError, PermissionDeniedError, UnknownNameError
from undiced.account.keys import OVERLAP_MOST_S, KeyOrder
from undiced.account.secret_text import SecretText
from undiced.core.errors import InvalidRequestError


@pytest.fixture
def acme(accounts: Accounts) -> Accounts:
    """Two organizations; in acme a project `web`, and a person of each role."""
    for org in ("acme", "globex"):
        accounts.organizations.create(OPERATOR, org)
    accounts.projects.create(OPERATOR, "acme", "web")
    for role, project in (("org_admin", None), ("billing", None), ("project_admin", "web"), ("member", "web")):
        accounts.members.create(OPERATOR, "acme", f"{role}@acme.com", role, project)
    return accounts


def actor(accounts: Accounts, text: SecretText) -> Actor:
    """Who holds a key, as a server sees it."""
    accounts.keyring.keep(text.id, accounts.keyring.fetch(text.id))
    return accounts.keyring.judge(text, "management").actor("request")


def person(accounts: Accounts, role: str, *scopes: str, project: str | None = None) -> Actor:
    """A member of acme with a key for managing."""
    order = KeyOrder("management", "acme", project, f"{role}@acme.com", scopes=scopes or None)
    return actor(accounts, accounts.keys.create(OPERATOR, order)[1])


def test_a_key_is_told_as_it_was_ordered(acme: Accounts) -> None:
    expires = 1 << 35
    order = KeyOrder("inference", "acme", "web", "member@acme.com", "ci", ["inference"], ["m", "n"], expires)
    key, text = acme.keys.create(OPERATOR, order)
    web, owner = acme.projects.show(OPERATOR, "acme", "web"), acme.members.show(OPERATOR, "acme", "member@acme.com")
    assert (key.id, key.org_id, key.project_id, key.member_id) == (text.id, web.org_id, web.id, owner.id)
    assert (key.kind, key.name, key.scopes, key.models) == ("inference", "ci", ("inference",), ("m", "n"))
    assert (key.expires, key.last_four, key.last_used) == (expires, text.reveal()[55:59], None)
    assert acme.keys.show(OPERATOR, key.id) == key


REFUSED = [
    (KeyOrder("root", "acme", "web"), "kind"),
    (KeyOrder("inference", "acme"), "project"),
    (KeyOrder("inference", None), "org"),
    (KeyOrder("management", None, "web"), "org"),
    (KeyOrder("management", None, member="member@acme.com"), "org"),
    (KeyOrder("inference", "nowhere", "web"), "org"),
    (KeyOrder("inference", "acme", "nowhere"), "project"),
    (KeyOrder("inference", "acme", "web", "nobody@acme.com"), "member"),
    (KeyOrder("inference", "acme", "web", "billing@acme.com"), "member"),
    (KeyOrder("inference", "acme", "default", "member@acme.com"), "member"),
    (KeyOrder("inference", "acme", "web", name="\x00"), "name"),
    (KeyOrder("inference", "acme", "web", scopes=["keys:write"]), "scopes"),
    (KeyOrder("management", "acme", "web", scopes=["members:write"]), "scopes"),
    (KeyOrder("inference", "acme", "web", models=["\x00"]), "models"),
    (KeyOrder("management", "acme", models=["m"]), "models"),
    (KeyOrder("inference", "acme", "web", expires=1), "expires"),
    (KeyOrder("inference", "acme", "web", expires=1 << 70), "expires"),
]


def test_what_is_no_key_is_refused_with_the_field(acme: Accounts) -> None:
    before = acme.audit.list(OPERATOR)
    for order, field in REFUSED:
        with pytest.raises(InvalidRequestError) as error:
            acme.keys.create(OPERATOR, order)
        assert (error.value.status, error.value.param) == (400, field), order
        assert error.value.remedy.endswith(".")
    assert acme.audit.list(OPERATOR) == before


def test_a_rotated_key_goes_on_for_the_overlap(acme: Accounts) -> None:
    old, text = acme.keys.create(OPERATOR, KeyOrder("inference", "acme", "web", name="ci", models=["m"]))
    new, fresh = acme.keys.rotate(OPERATOR, old.id, overlap_s=100)
    assert fresh.reveal() != text.reveal()
    assert (new.name, new.scopes, new.models, new.project_id) == (old.name, old.scopes, old.models, old.project_id)
    gone = acme.keys.show(OPERATOR, old.id)
    assert gone.replaced_by == new.id
    assert gone.overlap_until is not None
    assert 95 <= gone.overlap_until - new.created <= 105
    assert {key.id for key in acme.keys.list(OPERATOR, "acme")} == {old.id, new.id}
    last, _ = acme.keys.rotate(OPERATOR, new.id, expires=1 << 35)
    assert last.expires == 1 << 35
    assert {key.id for key in acme.keys.list(OPERATOR, "acme")} == {old.id, last.id}  # the one in between ended at once
    for again in (old.id, new.id):
        with pytest.raises(InvalidRequestError, match=r"rotated before. Rotate \w{12}\."):
            acme.keys.rotate(OPERATOR, again)
    for overlap_s in (-1, OVERLAP_MOST_S + 1):
        with pytest.raises(InvalidRequestError, match="0 to 2592000 seconds"):
            acme.keys.rotate(OPERATOR, last.id, overlap_s=overlap_s)


def test_what_has_ended_or_is_archived_is_not_rotated(acme: Accounts) -> None:
    key, _ = acme.keys.create(OPERATOR, KeyOrder("inference", "acme", "web"))
    acme.keys.revoke(OPERATOR, key.id)
    with pytest.raises(InvalidRequestError, match=r"is revoked. Make a new one"):
        acme.keys.rotate(OPERATOR, key.id)
    own, _ = acme.keys.create(OPERATOR, KeyOrder("inference", "acme", "web", "member@acme.com"))
    acme.members.withdraw(OPERATOR, "acme", "member@acme.com", "member", "web")
    with pytest.raises(InvalidRequestError, match="no role in that project"):
        acme.keys.rotate(OPERATOR, own.id)
    acme.members.archive(OPERATOR, "acme", "member@acme.com")
    with pytest.raises(ArchivedError, match="member@acme"):
        acme.keys.rotate(OPERATOR, own.id)
    key, _ = acme.keys.create(OPERATOR, KeyOrder("inference", "acme", "web"))
    acme.projects.archive(OPERATOR, "acme", "web")
    with pytest.raises(ArchivedError, match="web"):
        acme.keys.rotate(OPERATOR, key.id)
    assert acme.keys.revoke(OPERATOR, key.id).revoked is not None  # ending it is always possible


def test_pages_hold_every_key_once_and_in_order(acme: Accounts) -> None:
    made = [acme.keys.create(OPERATOR, KeyOrder("inference", "acme", "web", name=f"k{n}"))[0] for n in range(7)]
    acme.keys.create(OPERATOR, KeyOrder("inference", "globex", "default"))
    whole = acme.keys.list(OPERATOR, "acme")
    assert [(key.created, key.id) for key in whole] == sorted((key.created, key.id) for key in made)
    pages, after = [], None
    while page := acme.keys.list(OPERATOR, "acme", after=after, limit=3):
        pages.append(page)
        after = page[-1].id
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [key for page in pages for key in page] == whole
    assert len(acme.keys.list(OPERATOR, "acme", limit=-5)) == 1
    assert acme.keys.list(OPERATOR, "acme", project="default") == []
    assert acme.keys.list(OPERATOR, "acme", name="\x00") == []
    assert [key.name for key in acme.keys.list(OPERATOR, "acme", name="k3")] == ["k3"]


def test_a_page_does_not_begin_after_a_key_of_another_organization(acme: Accounts) -> None:
    foreign, _ = acme.keys.create(OPERATOR, KeyOrder("inference", "globex", "default"))
    admin = person(acme, "org_admin")
    for ref in (foreign.id, "0" * 12):
        with pytest.raises(InvalidRequestError, match=f"Nothing in the list has the id '{ref}'"):
            acme.keys.list(admin, "acme", after=ref)


def test_a_member_has_its_own_keys_alone(acme: Accounts) -> None:
    scopes = ("keys:read", "keys:write", "projects:read")
    member = person(acme, "member", *scopes, project="web")
    mine, _ = acme.keys.create(member, KeyOrder("inference", "acme", "web"))
    assert mine.member_id == member.member_id
    foreign, _ = acme.keys.create(OPERATOR, KeyOrder("inference", "acme", "web"))
    assert foreign.id not in {key.id for key in acme.keys.list(member, "acme")}
    for refused in (
        lambda: acme.keys.show(member, foreign.id),
        lambda: acme.keys.rotate(member, foreign.id),
        lambda: acme.keys.revoke(member, foreign.id),
    ):
        with pytest.raises(UnknownNameError):
            refused()
    answers = set()
    for other in ("org_admin@acme.com", "nobody@acme.com"):  # it is not told who is a member
        with pytest.raises(PermissionDeniedError) as error:
            acme.keys.create(member, KeyOrder("inference", "acme", "web", other))
        answers.add(str(error.value))
    assert len(answers) == 1
    assert acme.keys.rotate(member, mine.id)[0].member_id == member.member_id


def test_metrics_are_the_operators_to_give(acme: Accounts) -> None:
    order = KeyOrder("inference", "acme", "web", scopes=["inference", "metrics"])
    key, _ = acme.keys.create(OPERATOR, order)
    for insider in (person(acme, "org_admin"), person(acme, "project_admin", "keys:read", "keys:write", project="web")):
        for attempt in (
            lambda who=insider: acme.keys.create(who, order),
            lambda who=insider: acme.keys.rotate(who, key.id),
        ):
            with pytest.raises(PermissionDeniedError, match="'metrics' is given by the operator alone"):
                attempt()
    assert acme.keys.rotate(OPERATOR, key.id)[0].scopes == ("inference", "metrics")


def test_nobody_takes_over_another_members_key(acme: Accounts) -> None:
    """A project's admin sees the key of an organization's admin there, may end it, and not renew it for itself."""
    scopes = ("orgs:read", "projects:read", "keys:read", "keys:write")
    admins, _ = acme.keys.create(OPERATOR, KeyOrder("management", "acme", "web", "org_admin@acme.com", scopes=scopes))
    insider = person(acme, "project_admin", *scopes, project="web")
    assert acme.keys.show(insider, admins.id) == admins
    with pytest.raises(PermissionDeniedError, match="members:write"):
        acme.keys.rotate(insider, admins.id)
    with pytest.raises(PermissionDeniedError, match="members:write"):
        acme.keys.create(insider, KeyOrder("console", "acme", "web", "member@acme.com", scopes=["keys:read"]))
    assert acme.keys.revoke(insider, admins.id).revoked is not None


def test_a_key_gives_no_more_than_its_maker_has(acme: Accounts) -> None:
    insider = person(acme, "org_admin", "keys:read", "keys:write", "projects:read")
    with pytest.raises(PermissionDeniedError, match="'orgs:read'"):
        acme.keys.create(insider, KeyOrder("management", "acme"))
    made, _ = acme.keys.create(insider, KeyOrder("management", "acme", scopes=["keys:read"]))
    strong, _ = acme.keys.create(OPERATOR, KeyOrder("management", "acme"))
    with pytest.raises(PermissionDeniedError, match="'orgs:read'"):
        acme.keys.rotate(insider, strong.id)
    acme.keys.rotate(insider, made.id)
    with pytest.raises(PermissionDeniedError, match="operator"):
        acme.keys.create(insider, KeyOrder("management", None))
    with pytest.raises(PermissionDeniedError, match="operator"):
        acme.keys.list(insider, None)


def test_an_operators_key_is_good_for_all_organizations_within_its_scopes(acme: Accounts) -> None:
    _, text = acme.keys.create(OPERATOR, KeyOrder("management", None, scopes=["orgs:read", "keys:read"]))
    operator = actor(acme, text)
    assert [org.name for org in acme.organizations.list(operator)] == ["acme", "globex"]
    assert [key.id for key in acme.keys.list(operator, None)] == [text.id]
    with pytest.raises(PermissionDeniedError, match="keys:write"):
        acme.keys.create(operator, KeyOrder("inference", "acme", "web"))


def test_a_project_s_admin_sets_the_budgets_of_its_keys_and_not_the_one_that_holds_itself(acme: Accounts) -> None:
    whole, insider = person(acme, "org_admin"), person(acme, "project_admin", project="web")
    key, _ = acme.keys.create(OPERATOR, KeyOrder("inference", "acme", "web"))
    acme.budgets.set(whole, "acme", 100, project="web")
    acme.budgets.set(insider, "acme", 50, key=key.id)
    for act in (acme.budgets.set, acme.budgets.remove):
        with pytest.raises(PermissionDeniedError, match="projects:write"):
            act(insider, "acme", *([1_000] if act == acme.budgets.set else []), project="web")
    assert {(one.subject, one.amount) for one in acme.budgets.list(OPERATOR, "acme")} == {("project", 100), ("key", 50)}
