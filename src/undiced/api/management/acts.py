"""What can be done over the management API: a line per act, and what the accounts are asked to do for it.

Nothing is deleted: what has ended is archived or revoked, so that what the audit names is still there.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from undiced.account.keys import KeyOrder
from undiced.account.records import AuditEntry, Invitation, Key, Member, Organization, Project
from undiced.api.management.act import Act
from undiced.api.management.asked import Page
from undiced.api.management.bodies import (
    Acceptance,
    NewInvitation,
    NewKey,
    NewMember,
    NewOrganization,
    NewProject,
    RoleOf,
    Rotation,
)
from undiced.api.management.money_acts import MONEY_ACTS
from undiced.api.management.openai_acts import OPENAI_ACTS
from undiced.api.management.shapes import shown
from undiced.api.ways import OPEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Struct

    from undiced.account.secret_text import SecretText
    from undiced.api.management.act import Answer
    from undiced.api.management.asked import Asked
    from undiced.api.management.shapes import Record

    Do = Callable[[Asked], Answer]
    Shown = dict[str, object]

ROOT = "/management/v1"
_ORGS, _ORG = f"{ROOT}/orgs", f"{ROOT}/orgs/{{org}}"
_PROJECTS, _PROJECT = f"{_ORG}/projects", f"{_ORG}/projects/{{project}}"
_MEMBERS, _MEMBER = f"{_ORG}/members", f"{_ORG}/members/{{member}}"
_INVITES, _INVITE = f"{_ORG}/invitations", f"{_ORG}/invitations/{{invitation}}"
_SEQ_MOST = 1 << 62


def _list_orgs(asked: Asked) -> Page:
    return asked.page(partial(asked.accounts.organizations.list, asked.actor, archived=asked.flag("archived")))


def _create_org(asked: Asked) -> Shown:
    return shown(asked.accounts.organizations.create(asked.actor, asked.sent(NewOrganization).name))


def _show_org(asked: Asked) -> Shown:
    return shown(asked.accounts.organizations.show(asked.actor, asked.path["org"]))


def _archive_org(asked: Asked) -> Shown:
    return shown(asked.accounts.organizations.archive(asked.actor, asked.path["org"]))


def _list_projects(asked: Asked) -> Page:
    org, archived = asked.path["org"], asked.flag("archived")
    return asked.page(partial(asked.accounts.projects.list, asked.actor, org, archived=archived))


def _create_project(asked: Asked) -> Shown:
    return shown(asked.accounts.projects.create(asked.actor, asked.path["org"], asked.sent(NewProject).name))


def _show_project(asked: Asked) -> Shown:
    return shown(asked.accounts.projects.show(asked.actor, asked.path["org"], asked.path["project"]))


def _archive_project(asked: Asked) -> Shown:
    return shown(asked.accounts.projects.archive(asked.actor, asked.path["org"], asked.path["project"]))


def _list_members(asked: Asked) -> Page:
    org, archived = asked.path["org"], asked.flag("archived")
    return asked.page(partial(asked.accounts.members.list, asked.actor, org, archived=archived))


def _create_member(asked: Asked) -> Shown:
    new = asked.sent(NewMember)
    return shown(asked.accounts.members.create(asked.actor, asked.path["org"], new.email, new.role, new.project))


def _show_member(asked: Asked) -> Shown:
    return shown(asked.accounts.members.show(asked.actor, asked.path["org"], asked.path["member"]))


def _archive_member(asked: Asked) -> Shown:
    return shown(asked.accounts.members.archive(asked.actor, asked.path["org"], asked.path["member"]))


def _grant(asked: Asked) -> Shown:
    role, place = asked.sent(RoleOf), (asked.path["org"], asked.path["member"])
    return shown(asked.accounts.members.grant(asked.actor, *place, role.role, role.project))


def _withdraw(asked: Asked) -> Shown:
    role, place = asked.sent(RoleOf), (asked.path["org"], asked.path["member"])
    return shown(asked.accounts.members.withdraw(asked.actor, *place, role.role, role.project))


def _list_invites(asked: Asked) -> Page:
    org, ended = asked.path["org"], asked.flag("ended")
    return asked.page(partial(asked.accounts.invitations.list, asked.actor, org, ended=ended))


def _create_invite(asked: Asked) -> Shown:
    new = asked.sent(NewInvitation)
    words = (asked.path["org"], new.email, new.role, new.project)
    return _fresh(*asked.accounts.invitations.create(asked.actor, *words, expires_s=new.expires_s))


def _revoke_invite(asked: Asked) -> Shown:
    return shown(asked.accounts.invitations.revoke(asked.actor, asked.path["org"], asked.path["invitation"]))


def _accept(asked: Asked) -> Shown:
    return shown(asked.accounts.invitations.accept(asked.sent(Acceptance).invitation, asked.actor.request_id))


def _list_keys(asked: Asked) -> Page:
    org, project, ended = asked.path.get("org"), asked.query.get("project"), asked.flag("ended")
    return asked.page(partial(asked.accounts.keys.list, asked.actor, org, project=project, ended=ended))


def _create_key(asked: Asked) -> Shown:
    new = asked.sent(NewKey)
    order = KeyOrder(
        kind=new.kind,
        org=asked.path.get("org"),
        project=new.project,
        member=new.member,
        name=new.name,
        scopes=new.scopes,
        models=new.models,
        expires=new.expires,
    )
    return _fresh(*asked.accounts.keys.create(asked.actor, order))


def _key(asked: Asked) -> Key:
    """The key that is meant; where the path names an organization, one of that."""
    return asked.accounts.keys.show(asked.actor, asked.path["key"], asked.path.get("org"))


def _show_key(asked: Asked) -> Shown:
    return shown(_key(asked))


def _rotate_key(asked: Asked) -> Shown:
    how = asked.sent(Rotation)
    return _fresh(
        *asked.accounts.keys.rotate(asked.actor, _key(asked).id, overlap_s=how.overlap_s, expires=how.expires)
    )


def _revoke_key(asked: Asked) -> Shown:
    return shown(asked.accounts.keys.revoke(asked.actor, _key(asked).id))


def _list_audit(asked: Asked) -> Page:
    limit = asked.limit
    before = asked.number("after", _SEQ_MOST, _SEQ_MOST)
    found = asked.accounts.audit.list(asked.actor, asked.path.get("org"), before=before, limit=limit + 1)
    return Page([shown(each) for each in found[:limit]], len(found) > limit)


def _fresh(record: Key | Invitation, text: SecretText) -> Shown:
    return shown(record, text.reveal())


def _lists(name: str, path: str, of: str, summary: str, do: Do, makes: type[Record], *query: str) -> Act:
    return Act("GET", path, f"{of}:read", name, summary, do, makes, query=("limit", "after", *query), many=True)


def _shows(name: str, path: str, of: str, summary: str, do: Do, makes: type[Record]) -> Act:
    return Act("GET", path, f"{of}:read", name, summary, do, makes)


def _makes(name: str, path: str, of: str, summary: str, do: Do, makes: type[Record], body: type[Struct]) -> Act:
    secret = makes in (Key, Invitation)
    return Act("POST", path, f"{of}:write", name, summary, do, makes, body, status=201, secret=secret)


def _changes(
    name: str, path: str, of: str, summary: str, do: Do, makes: type[Record], body: type[Struct] | None = None
) -> Act:
    return Act("POST", path, f"{of}:write", name, summary, do, makes, body)


def _key_acts(place: str, name: str, of: str, *query: str) -> tuple[Act, ...]:
    """Acts on keys, and reading the audit, at a path: those of an organization and of the operator are alike."""
    keys, key, audit = f"{place}/keys", f"{place}/keys/{{key}}", f"{place}/audit"
    old, new = f"What was changed of {of}, newest first.", f"Makes a key of {of}."
    return (
        _lists(f"list{name}Keys", keys, "keys", f"Keys of {of}, oldest first.", _list_keys, Key, "ended", *query),
        _makes(f"create{name}Key", keys, "keys", new, _create_key, Key, NewKey),
        _shows(f"show{name}Key", key, "keys", f"One key of {of}.", _show_key, Key),
        _makes(f"rotate{name}Key", f"{key}:rotate", "keys", "Replaces a key by a new one.", _rotate_key, Key, Rotation),
        _changes(f"revoke{name}Key", f"{key}:revoke", "keys", "Ends a key.", _revoke_key, Key),
        _lists(f"list{name}Audit", audit, "audit", old, _list_audit, AuditEntry),
    )


_INVITED = "Makes the holder of an invitation's text a member; needs no key."
ACTS = (
    _lists("listOrgs", _ORGS, "orgs", "Organizations, by name.", _list_orgs, Organization, "archived"),
    _makes("createOrg", _ORGS, "orgs", "Makes an organization.", _create_org, Organization, NewOrganization),
    _shows("showOrg", _ORG, "orgs", "One organization.", _show_org, Organization),
    _changes("archiveOrg", f"{_ORG}:archive", "orgs", "Ends an organization and its keys.", _archive_org, Organization),
    _lists("listProjects", _PROJECTS, "projects", "Projects, by name.", _list_projects, Project, "archived"),
    _makes("createProject", _PROJECTS, "projects", "Makes a project.", _create_project, Project, NewProject),
    _shows("showProject", _PROJECT, "projects", "One project.", _show_project, Project),
    _changes("archiveProject", f"{_PROJECT}:archive", "projects", "Ends a project.", _archive_project, Project),
    _lists("listMembers", _MEMBERS, "members", "Members, by address.", _list_members, Member, "archived"),
    _makes("createMember", _MEMBERS, "members", "Makes a member.", _create_member, Member, NewMember),
    _shows("showMember", _MEMBER, "members", "One member.", _show_member, Member),
    _changes("grantRole", f"{_MEMBER}:grant", "members", "Gives a member a role.", _grant, Member, RoleOf),
    _changes("withdrawRole", f"{_MEMBER}:withdraw", "members", "Takes a role away.", _withdraw, Member, RoleOf),
    _changes("archiveMember", f"{_MEMBER}:archive", "members", "Ends a membership.", _archive_member, Member),
    _lists("listInvitations", _INVITES, "members", "Invitations, oldest first.", _list_invites, Invitation, "ended"),
    _makes("createInvitation", _INVITES, "members", "Invites somebody.", _create_invite, Invitation, NewInvitation),
    _changes("revokeInvitation", f"{_INVITE}:revoke", "members", "Ends an invitation.", _revoke_invite, Invitation),
    Act("POST", f"{ROOT}/invitations:accept", OPEN, "accept", _INVITED, _accept, Member, Acceptance, status=201),
    *_key_acts(_ORG, "", "an organization", "project"),
    *_key_acts(ROOT, "Operator", "the operator"),
    *MONEY_ACTS,
    *OPENAI_ACTS,
)
