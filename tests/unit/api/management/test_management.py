"""The management API: what it lets whom do, what it tells of itself, and what nobody hears of it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from managed import ACME, NAMES, ROOT, Client
from openapi_spec_validator import validate

from undiced.account.errors import DatabaseError
from undiced.account.scopes import INFERENCE_SCOPES, MANAGEMENT_SCOPES
from undiced.api.management.acts import ACTS
from undiced.api.ways import ANY_KEY, OPEN, Way


def test_every_way_needs_a_scope_or_is_open_on_purpose(app):
    assert all(isinstance(route, Way) for route in app.routes)
    assert {way.path for way in app.routes if way.needs == OPEN} == {"/health", f"{ROOT}/invitations:accept"}
    assert {way.path for way in app.routes if way.needs == ANY_KEY} == {"/management/openapi.json"}
    assert {way.needs for way in app.routes} - {OPEN, ANY_KEY} == set(MANAGEMENT_SCOPES)


@pytest.mark.parametrize("act", [act for act in ACTS if act.needs != OPEN], ids=lambda act: act.name)
def test_nothing_is_done_without_a_management_key_that_may(house, app, act):
    path = act.path.format_map(NAMES)
    for key in ("", house.key(), house.key(kind="console")):
        assert Client(app, key).refused(act.method, path, {}) == (401, "wrong_api_key", None)
    others = [scope for scope in MANAGEMENT_SCOPES if scope != act.needs]
    reply = Client(app, house.key(None, "management", scopes=others))(act.method, path, {})
    assert (reply.status, reply.json["error"]["code"]) == (403, "permission_denied")
    assert f"'{act.needs}'" in reply.json["error"]["message"]


def test_secrets_are_shown_once_kept_by_nobody_and_logged_nowhere(house, operator, caplog):
    caplog.set_level(logging.DEBUG)
    reply = operator("POST", f"{ACME}/keys", {"project": "default"}, x_request_id="rotate-7")
    secret, key = reply.json["secret"], reply.json["id"]
    assert reply.headers["cache-control"] == "no-store"
    shown = operator("GET", f"{ACME}/keys/{key}").body + operator("GET", f"{ROOT}/audit").body
    said = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert secret.split("-", 2)[2] not in shown.decode() + said
    (entry,) = [each for each in operator.get(f"{ROOT}/audit")["data"] if each["request_id"] == "rotate-7"]
    assert (entry["actor"], entry["target"]) == (f"key:{operator.key.split('-')[1]}", key)


def test_pages_of_other_sites_have_no_business_here(admin):
    for method in ("GET", "OPTIONS"):
        reply = admin(method, f"{ROOT}/orgs", origin="http://evil.example", access_control_request_method="GET")
        assert reply.status == 403 and not [name for name in reply.headers if name.startswith("access-control")]
        assert "--allow-origin" not in reply.json["error"]["message"], "nobody can allow them"
    assert admin("GET", f"{ROOT}/orgs", host="evil.example").status == 403


def test_a_key_at_a_wrong_place_is_not_logged(house, admin, caplog):
    caplog.set_level(logging.DEBUG)
    secret = house.key()
    reply = admin("GET", f"{ACME}/keys/{secret}", x_request_id=secret)
    said = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert reply.headers["x-request-id"].startswith("req_")
    assert secret.split("-", 2)[2] not in said
    assert f"/keys/{secret[:16]}..." in said


def test_without_the_database_changes_are_made_later(house, app, admin, monkeypatch, caplog):
    def away(*_: object, **__: object) -> None:
        raise DatabaseError("/secret/place can't be written.")

    monkeypatch.setattr(house.accounts.projects, "create", away)
    reply = admin("POST", f"{ACME}/projects", {"name": "x"})
    assert (reply.status, reply.headers["retry-after"], "secret" in reply.body.decode()) == (503, "1", False)
    assert "/secret/place" in caplog.text


def test_the_description_is_valid_and_whole(app, admin):
    served = admin("GET", "/management/openapi.json").json
    validate(served)
    operations = {(verb.upper(), path) for path, verbs in served["paths"].items() for verb in verbs}
    assert operations == {("POST" if "POST" in way.methods else "GET", way.path) for way in app.routes}
    names = [each["operationId"] for verbs in served["paths"].values() for each in verbs.values()]
    assert len(set(names)) == len(names)
    assert served["paths"][f"{ROOT}/invitations:accept"]["post"]["security"] == [{}]
    assert set(served["components"]["schemas"]["Key"]["properties"]) >= {
        "object",
        "id",
        "last_four",
        "scopes",
        "revoked",
    }
    assert "digest" not in str(served)


def test_health_is_open_and_other_paths_say_what_there_is(admin, app):
    assert Client(app)("GET", "/health").json == {"status": "ok"}
    error = admin("GET", f"{ROOT}/nothing").json["error"]
    assert error["code"] == "not_found" and "/management/openapi.json" in error["message"]
    assert admin("DELETE", ACME).status == 405


def test_the_page_about_accounts_names_every_path_and_scope():
    page = (Path(__file__).parents[4] / "docs" / "accounts.md").read_text()
    assert not [act.path for act in ACTS if f"`{act.path.removeprefix(ROOT)}`" not in page]
    assert not [scope for scope in INFERENCE_SCOPES if f"| `{scope}` |" not in page]
