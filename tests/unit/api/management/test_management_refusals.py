"""The management API: what it can't make anything of, and where it says that that is."""

from __future__ import annotations

import pytest
from managed import ROOT


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("orgs", {}, "name"),
        ("orgs", {"name": 1}, "name"),
        ("orgs", {"name": "x", "plan": "gold"}, "plan"),
        ("orgs", {"nam": "x"}, "nam"),
        ("orgs", b'{"name": "a", "name": "b"}', "name"),
        ("orgs", {"name": "No Name"}, "name"),
        ("orgs", {"name": "acme"}, "name"),
        ("orgs", [], None),
        ("orgs", b"{", None),
        ("orgs", b"\xff", None),
        ("orgs/acme/keys", {"kind": "root"}, "kind"),
        ("orgs/acme/keys", {}, "project"),
        ("orgs/acme/keys", {"project": "nowhere"}, "project"),
        ("orgs/acme/keys", {"project": "default", "scopes": ["all"]}, "scopes"),
        ("orgs/acme/keys", {"project": "default", "expires": 1}, "expires"),
        ("orgs/acme/keys", {"project": "default", "expires": 1e300}, "expires"),
        ("orgs/acme/keys", {"project": "default", "expires": 1 << 80}, "expires"),
        ("orgs/acme/keys", {"project": "default", "name": "a\nb"}, "name"),
        ("orgs/acme/members", {"email": "nobody", "role": "billing"}, "email"),
        ("orgs/acme/members", {"email": "a@b.c", "role": "king"}, "role"),
        ("orgs/acme/members", {"email": "a@b.c", "role": "member"}, "project"),
        ("orgs/acme/invitations", {"email": "a@b.c", "role": "billing", "expires_s": -1}, "expires_s"),
        ("orgs/acme:archive", {"name": "x"}, None),
    ],
)  # fmt: skip
def test_a_body_that_is_wrong_is_told_where(operator, path, body, param):
    assert operator.refused("POST", f"{ROOT}/{path}", body)[::2] == (400, param)


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("orgs?limit=0", "limit"),
        ("orgs?limit=501", "limit"),
        ("orgs?limit=ten", "limit"),
        ("orgs?limit=%D9%A1", "limit"),
        ("orgs?archived=yes", "archived"),
        ("orgs?after=nobody", "after"),
        ("orgs/acme/keys?after=nobody", "after"),
        ("orgs/acme/keys?project=nowhere", "project"),
        ("orgs/acme/audit?after=x", "after"),
        ("orgs?color=red", "color"),
        ("orgs?limit=1&limit=2", None),
    ],
)
def test_a_query_that_is_wrong_is_told_where(operator, path, param):
    assert operator.refused("GET", f"{ROOT}/{path}")[::2] == (400, param)


@pytest.mark.parametrize("name", ["x' OR '1'='1", "acme'; DROP TABLE keys; --", "%", "_cme", "a\x00b", "é", "x" * 5000])
@pytest.mark.parametrize("path", ["orgs/{}", "orgs/acme/projects/{}", "orgs/acme/members/{}", "orgs/acme/keys/{}"])
def test_names_in_paths_are_names_alone(operator, path, name):
    assert operator.refused("GET", f"{ROOT}/{path.format(name)}")[:2] == (404, "not_found")
