"""Members, their roles, and the invitations by which they come."""

from __future__ import annotations

import pytest
from support.databases import OPERATOR

from undiced.account.accounts import Accounts
from undiced.account.actor import Actor
from undiced.account.errors import ArchivedError, NameTakenError, PermissionDeniedError, UnknownNameError
from undiced.account.invitations import MOST_S
from undiced.account.keys import KeyOrder
from undiced.account.records import Grant
from undiced.account.scopes import ROLES
from undiced.account.secret_text import SecretText
from undiced.core.errors import InvalidRequestError


@pytest.fixture
def acme(accounts: Accounts) -> Accounts:
    accounts.organizations.create(OPERATOR, "acme")
    accounts.projects.create(OPERATOR, "acme", "web")
    return accounts


def holder(accounts: Accounts, **given: object) -> Actor:
    """Somebody with a key of acme."""
    _, text = accounts.keys.create(OPERATOR, KeyOrder("management", "acme", **given))  # type: ignore[arg-type]
    accounts.keyring.keep(text.id, accounts.keyring.fetch(text.id))
    return accounts.keyring.judge(text, "management").actor("request")


def test_a_member_has_roles_and_is_found_by_address_or_id(acme: Accounts) -> None:
    made = acme.members.create(OPERATOR, "acme", "Ada@Example.com", "member", "web")
    web = acme.projects.show(OPERATOR, "acme", "web").id
    assert (made.email, made.grants) == ("ada@example.com", (Grant("member", web),))
    assert (
        acme.members.show(OPERATOR, "acme", "ADA@example.COM") == acme.members.show(OPERATOR, "acme", made.id) == made
    )
    more = acme.members.grant(OPERATOR, "acme", made.id, "billing")
    assert more == acme.members.grant(OPERATOR, "acme", made.id, "billing")  # again changes nothing
    assert set(more.grants) == {Grant("member", web), Grant("billing")}
    assert acme.members.withdraw(OPERATOR, "acme", made.id, "billing") == made
    assert acme.members.withdraw(OPERATOR, "acme", made.id, "billing") == made
    assert acme.members.list(OPERATOR, "acme") == [made]


def test_who_left_may_come_back_as_another_member(acme: Accounts) -> None:
    first = acme.members.create(OPERATOR, "acme", "ada@example.com", "member", "web")
    with pytest.raises(NameTakenError, match=r"already. Give that member the role"):
        acme.members.create(OPERATOR, "acme", "ADA@example.com", "billing")
    key, _ = acme.keys.create(OPERATOR, KeyOrder("inference", "acme", "web", "ada@example.com"))
    assert acme.members.archive(OPERATOR, "acme", "ada@example.com") == acme.members.archive(OPERATOR, "acme", first.id)
    with pytest.raises(ArchivedError, match=r"ada@example.com"):
        acme.members.grant(OPERATOR, "acme", "ada@example.com", "billing")
    again = acme.members.create(OPERATOR, "acme", "ada@example.com", "member", "web")
    assert again.id != first.id
    assert acme.members.show(OPERATOR, "acme", "ada@example.com") == again
    assert acme.members.show(OPERATOR, "acme", first.id).archived is not None
    assert acme.members.list(OPERATOR, "acme") == [again]
    assert len(acme.members.list(OPERATOR, "acme", archived=True)) == 2
    entry = acme.keyring.fetch(key.id).entry
    assert entry is not None
    assert entry.barred == "The member of this key is archived."  # what it had does not come back


def test_a_role_in_an_archived_project_can_be_taken_and_not_given(acme: Accounts) -> None:
    acme.members.create(OPERATOR, "acme", "ada@example.com", "member", "web")
    acme.projects.archive(OPERATOR, "acme", "web")
    with pytest.raises(ArchivedError):
        acme.members.grant(OPERATOR, "acme", "ada@example.com", "project_admin", "web")
    assert acme.members.withdraw(OPERATOR, "acme", "ada@example.com", "member", "web").grants == ()


def test_a_role_gives_no_more_than_its_giver_has(acme: Accounts) -> None:
    acme.members.create(OPERATOR, "acme", "ada@example.com", "member", "web")
    insider = holder(acme, scopes=[*ROLES["billing"], "members:read", "members:write"])
    acme.members.grant(insider, "acme", "ada@example.com", "billing")
    acme.members.withdraw(insider, "acme", "ada@example.com", "billing")
    for give in (
        lambda: acme.members.grant(insider, "acme", "ada@example.com", "org_admin"),
        lambda: acme.members.withdraw(insider, "acme", "ada@example.com", "member", "web"),
        lambda: acme.members.create(insider, "acme", "eve@example.com", "org_admin"),
        lambda: acme.invitations.create(insider, "acme", "eve@example.com", "org_admin"),
    ):
        with pytest.raises(
            PermissionDeniedError, match=r"The role '\w+' includes '\w+:\w+', which the key does not have"
        ):
            give()


def test_people_see_those_whom_they_work_with(acme: Accounts) -> None:
    for role, project in (("org_admin", None), ("billing", None), ("project_admin", "web"), ("member", "web")):
        acme.members.create(OPERATOR, "acme", f"{role}@acme.com", role, project)
    acme.members.grant(OPERATOR, "acme", "member@acme.com", "member", "default")
    seen = {
        "org_admin": {"org_admin", "billing", "project_admin", "member"},
        "project_admin": {"project_admin", "member"},
        "member": set(),
        "billing": set(),
    }
    for role, expected in seen.items():
        who = holder(acme, member=f"{role}@acme.com")
        mine = acme.members.show(who, "acme", f"{role}@acme.com")  # oneself one always sees
        assert mine.id == who.member_id
        if not expected:
            with pytest.raises(PermissionDeniedError):
                acme.members.list(who, "acme")
            continue
        people = acme.members.list(who, "acme")
        assert {person.email.partition("@")[0] for person in people} == expected
        roles = next(person.grants for person in people if person.email == "member@acme.com")
        assert len(roles) == (2 if role == "org_admin" else 1)  # of other projects one is not told
        if role == "project_admin":
            for other in ("billing@acme.com", "nobody@acme.com"):
                with pytest.raises(UnknownNameError, match=f"There is no member '{other}'"):
                    acme.members.show(who, "acme", other)


def test_an_invitation_makes_a_member_once(acme: Accounts) -> None:
    made, text = acme.invitations.create(OPERATOR, "acme", "Ada@example.com", "member", "web")
    assert acme.invitations.list(OPERATOR, "acme") == [made]
    member = acme.invitations.accept(f" {text.reveal()}\n", "request")
    assert (member.email, member.grants[0].role) == ("ada@example.com", "member")
    assert acme.invitations.list(OPERATOR, "acme") == []
    assert [one.accepted is not None for one in acme.invitations.list(OPERATOR, "acme", ended=True)] == [True]
    assert [entry.actor for entry in acme.audit.list(OPERATOR, "acme", limit=2)] == [f"invitation:{made.id}"] * 2
    with pytest.raises(InvalidRequestError, match=r"was accepted. Archive the member"):
        acme.invitations.revoke(OPERATOR, "acme", made.id)


def test_whatever_is_wrong_with_an_invitation_the_answer_is_one(
    acme: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted, revoked, expired = (
        acme.invitations.create(OPERATOR, "acme", f"{name}@example.com", "billing", expires_s=100)
        for name in ("a", "b", "c")
    )
    acme.invitations.accept(accepted[1].reveal())
    assert acme.invitations.revoke(OPERATOR, "acme", revoked[0].id) == acme.invitations.revoke(
        OPERATOR, "acme", revoked[0].id
    )
    clock = type(acme.database)._begun
    ahead = 0

    def later(self: object, *given: object, **named: object) -> object:
        from dataclasses import replace

        found = clock(self, *given, **named)  # type: ignore[arg-type]
        return replace(found, now_ms=found.now_ms + ahead)

    monkeypatch.setattr(type(acme.database), "_begun", later)
    ahead = 200_000
    _, key = acme.keys.create(OPERATOR, KeyOrder("inference", "acme", "web"))
    for text in (
        accepted[1].reveal(), revoked[1].reveal(), expired[1].reveal(), SecretText.new("ui").reveal(),
        expired[1].reveal()[:-1], key.reveal(), "", "\x00", "ü" * 70,
    ):  # fmt: skip
        with pytest.raises(InvalidRequestError) as error:
            acme.invitations.accept(text)
        assert str(error.value) == "This invitation is not valid. Ask for another one."
        assert (error.value.status, error.value.param) == (400, "invitation")


def test_strangers_with_no_invitation_never_write(acme: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acme.database, "write", lambda: pytest.fail("a stranger waits for the lock of who writes"))
    for text in ("nonsense", SecretText.new("ui").reveal()):
        with pytest.raises(InvalidRequestError, match="is not valid"):
            acme.invitations.accept(text)


def test_invitations_to_what_is_archived_or_to_members_are_refused(acme: Accounts) -> None:
    _, to_project = acme.invitations.create(OPERATOR, "acme", "ada@example.com", "member", "web")
    _, to_org = acme.invitations.create(OPERATOR, "acme", "bob@example.com", "billing")
    _, to_member = acme.invitations.create(OPERATOR, "acme", "eve@example.com", "billing")
    acme.members.create(OPERATOR, "acme", "eve@example.com", "billing")
    with pytest.raises(NameTakenError, match="is a member's already"):
        acme.invitations.accept(to_member.reveal())
    acme.projects.archive(OPERATOR, "acme", "web")
    with pytest.raises(ArchivedError, match="web"):
        acme.invitations.accept(to_project.reveal())
    acme.organizations.archive(OPERATOR, "acme")
    with pytest.raises(ArchivedError, match="acme"):
        acme.invitations.accept(to_org.reveal())


def test_what_is_no_invitation_is_refused(acme: Accounts) -> None:
    for expires_s in (0, -1, MOST_S + 1, 1 << 70):
        with pytest.raises(InvalidRequestError, match="seconds") as error:
            acme.invitations.create(OPERATOR, "acme", "a@b.c", "billing", expires_s=expires_s)
        assert error.value.param == "expires_s"
    with pytest.raises(InvalidRequestError, match="no e-mail"):
        acme.invitations.create(OPERATOR, "acme", "ada", "billing")
    insider = holder(acme, scopes=["members:read"])
    with pytest.raises(PermissionDeniedError, match="members:write"):
        acme.invitations.create(insider, "acme", "a@b.c", "billing")
