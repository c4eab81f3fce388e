"""The management API: organizations, their people and keys, from their beginning to their end."""

from __future__ import annotations

import time

from managed import ACME, NAMES, ROOT, Client

from undiced.api.management.acts import ACTS
from undiced.api.ways import OPEN


def test_an_organization_from_its_beginning_to_its_end(house, app, operator):
    made = operator.post(f"{ROOT}/orgs", {"name": "initech"})
    assert made == operator.get(f"{ROOT}/orgs/initech") == operator.get(f"{ROOT}/orgs/{made['id']}")
    assert abs(made["created"] - time.time()) < 60 and made["object"] == "organization"
    place = f"{ROOT}/orgs/initech"
    assert operator.post(f"{place}/projects", {"name": "web"})["archived"] is None
    assert [each["name"] for each in operator.get(f"{place}/projects")["data"]] == ["default", "web"]
    key = operator.post(f"{place}/keys", {"project": "web", "name": "ci", "models": ["m"]})
    assert key["secret"].startswith(f"uk-{key['id']}-") and key["secret"].split("-", 2)[2][:43].endswith(
        key["last_four"]
    )
    again = operator.post(f"{place}/keys/{key['id']}:rotate", {"overlap_s": 60})
    assert again["id"] != key["id"] and again["secret"] != key["secret"] and again["models"] == ["m"]
    old = operator.get(f"{place}/keys/{key['id']}")
    assert (old["replaced_by"], "secret" in old) == (again["id"], False)
    assert operator.post(f"{place}/keys/{again['id']}:revoke")["revoked"]
    assert [each["id"] for each in operator.get(f"{place}/keys")["data"]] == [key["id"]]
    assert {each["id"] for each in operator.get(f"{place}/keys?ended=true&project=web")["data"]} == {
        key["id"],
        again["id"],
    }
    assert operator.post(f"{place}/projects/web:archive")["archived"]
    assert operator.refused("POST", f"{place}/keys", {"project": "web"})[:2] == (403, "permission_denied")
    assert operator.post(f"{place}:archive") == operator.post(f"{place}:archive")
    assert "initech" not in [each["name"] for each in operator.get(f"{ROOT}/orgs")["data"]]
    assert "initech" in [each["name"] for each in operator.get(f"{ROOT}/orgs?archived=true")["data"]]
    actions = [each["action"] for each in operator.get(f"{place}/audit")["data"]]
    assert actions[:2] == ["org.archive", "project.archive"] and actions[-1] == "org.create"


def test_a_member_comes_by_invitation_and_gets_roles(house, app, admin):
    invited = admin.post(f"{ACME}/invitations", {"email": "Ada@Example.com", "role": "member", "project": "default"})
    assert invited["secret"].startswith("ui-")
    assert [each["id"] for each in admin.get(f"{ACME}/invitations")["data"]] == [invited["id"]]
    stranger = Client(app)
    member = stranger.post(f"{ROOT}/invitations:accept", {"invitation": invited["secret"]})
    assert (member["email"], [grant["role"] for grant in member["grants"]]) == ("ada@example.com", ["member"])
    again = stranger.refused("POST", f"{ROOT}/invitations:accept", {"invitation": invited["secret"]})
    assert again == stranger.refused("POST", f"{ROOT}/invitations:accept", {"invitation": "ui-' OR 1=1 --"})
    assert again == (400, "wrong_api_format", "invitation")
    place = f"{ACME}/members/ada@example.com"
    assert len(admin.post(f"{place}:grant", {"role": "billing"})["grants"]) == 2
    assert len(admin.post(f"{place}:withdraw", {"role": "billing"})["grants"]) == 1
    own = Client(app, house.key("acme", "management", member="ada@example.com"))
    assert own.get(place)["id"] == member["id"]
    assert own.refused("POST", f"{ACME}/members", {"email": "x@y.z", "role": "billing"})[:2] == (
        403,
        "permission_denied",
    )
    ended = admin.post(f"{ACME}/invitations", {"email": "eve@example.com", "role": "billing"})
    assert admin.post(f"{ACME}/invitations/{ended['id']}:revoke")["revoked"]
    assert stranger.refused("POST", f"{ROOT}/invitations:accept", {"invitation": ended["secret"]})[0] == 400
    assert admin.post(f"{place}:archive")["archived"]
    house.accounts.keyring.take(house.accounts.keyring.look())  # as the register does every second
    assert own.refused("GET", place)[:2] == (403, "permission_denied")


def test_what_is_of_another_organization_is_not_there(house, app, admin):
    other = Client(app, house.key("globex", "management"))
    key, _ = house.fresh()
    here = [act for act in ACTS if act.needs != OPEN and "{org}" in act.path]
    role = {"email": "a@b.c", "role": "billing"}
    bodies = {
        "grantRole": {"role": "billing"},
        "withdrawRole": {"role": "billing"},
        "createInvitation": role,
        "createMember": role,
        "createProject": {"name": "x"},
        "createKey": {"project": "default"},
        "setLimit": {"limit": "rpm", "capacity": 1},
        "setBudget": {"amount": 1},
        "addCredit": {"amount": 1},
        "setTerms": {"prepaid": True},
    }
    for act in here:
        for org in ("acme", house.org_id("acme"), "nowhere"):
            path = act.path.format_map({**NAMES, "org": org, "member": "ada@example.com", "key": key.id})
            assert other.refused(act.method, path, bodies.get(act.name)) == (404, "not_found", "org"), act.name
    for path in (f"{ROOT}/orgs/globex/keys/{key.id}", f"{ROOT}/keys/{key.id}"):
        assert other.refused("GET", path) == (404, "not_found", "key")
        assert other.refused("POST", f"{path}:revoke") == (404, "not_found", "key")
        assert other.refused("POST", f"{path}:rotate") == (404, "not_found", "key")
    assert admin.get(f"{ACME}/keys/{key.id}")["revoked"] is None
    assert [each["name"] for each in other.get(f"{ROOT}/orgs")["data"]] == ["globex"]
    assert other.refused("GET", f"{ROOT}/keys")[0] == 403
    assert {each["org_id"] for each in other.get(f"{ROOT}/audit")["data"]} == {house.org_id("globex")}


def test_lists_come_in_pages(house, operator, admin):
    operator.post(f"{ROOT}/orgs", {"name": "pages"})
    place = f"{ROOT}/orgs/pages"
    for at in range(5):
        operator.post(f"{place}/projects", {"name": f"p{at}"})
        operator.post(f"{place}/keys", {"project": "default"})
        for what in ("members", "invitations"):
            operator.post(f"{place}/{what}", {"email": f"{what}{at}@x.io", "role": "billing"})
    for what in ("projects", "keys", "members", "invitations", "audit"):
        whole, seen, after = operator.get(f"{place}/{what}")["data"], [], ""
        while True:
            page = operator.get(f"{place}/{what}?limit=2{after}")
            seen += page["data"]
            if not page["has_more"]:
                break
            assert len(page["data"]) == 2
            after = f"&after={seen[-1]['seq' if what == 'audit' else 'id']}"
        assert seen == whole and len(seen) > 4
    gone = operator.get(f"{place}/projects")["data"][1]
    operator.post(f"{place}/projects/{gone['name']}:archive")
    assert [each["name"] for each in operator.get(f"{place}/projects?after={gone['id']}")["data"]] == [
        "p1",
        "p2",
        "p3",
        "p4",
    ]
