"""The management API: what it lets whom do, what it refuses, and that its description is true."""

from __future__ import annotations

import functools
import logging
import time
from pathlib import Path

import jsonschema
import pytest
from openapi_spec_validator import validate
from scripted import Caller, Reply
from support.installation import OPERATOR, Installation, bearer, installed

from undiced.account.errors import DatabaseError
from undiced.account.scopes import INFERENCE_SCOPES, MANAGEMENT_SCOPES
from undiced.api.management.acts import ACTS
from undiced.api.management.app import build_management
from undiced.api.management.money_bodies import MONEY_BODIES
from undiced.api.management.office import Office
from undiced.api.management.openapi import document
from undiced.api.register import KeyGuard, Register
from undiced.api.settings import Settings
from undiced.api.ways import ANY_KEY, OPEN, Way

ROOT = "/management/v1"
ACME = f"{ROOT}/orgs/acme"
ERROR_MEMBERS = {"message", "type", "param", "code", "id"}


class Client:
    """Calls the API with a key; every answer is held against the description."""

    def __init__(self, app: object, key: str = "") -> None:
        self.app, self.key = app, key

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        caller, (path, _, query) = Caller(self.app, None, None), path.partition("?")
        fields = (bearer(self.key) if self.key else {}) | {
            name.replace("_", "-"): text for name, text in headers.items()
        }
        reply = caller(method, path, body, headers=fields, query=query.encode())
        if path.startswith((ROOT, "/v1/")) and reply.status != 405:
            described(method, path, reply)
        return reply

    def get(self, path: str) -> dict:
        reply = self("GET", path)
        assert reply.status == 200, reply.body
        return reply.json

    def post(self, path: str, body: object = None) -> dict:
        reply = self("POST", path, body)
        assert reply.status in (200, 201), reply.body
        return reply.json

    def refused(self, method: str, path: str, body: object = None) -> tuple[int, str, str | None]:
        """Status, code and param."""
        reply = self(method, path, body)
        error = reply.json["error"]
        assert error.keys() == ERROR_MEMBERS and error["message"].endswith(".")
        return reply.status, error["code"], error["param"]


@functools.cache
def described_paths() -> tuple[dict, dict]:
    whole = document("1")
    return whole, {
        Way("GET", path, OPEN, None).path_regex: path for path in sorted(whole["paths"], key=len, reverse=True)
    }  # type: ignore[arg-type]


def described(method: str, path: str, reply: Reply) -> None:
    """What is answered is what the description says."""
    whole, patterns = described_paths()
    found = next((name for pattern, name in patterns.items() if pattern.match(path)), None)
    if found is None or method.lower() not in whole["paths"][found]:
        return
    responses = whole["paths"][found][method.lower()]["responses"]
    schema = responses.get(str(reply.status), responses["default"])["content"]["application/json"]["schema"]
    jsonschema.validate(reply.json, {**schema, "components": whole["components"]})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    with installed(tmp_path_factory.mktemp("accounts")) as made:
        yield made, application(made)


@pytest.fixture
def house(shared) -> Installation:
    return shared[0]


@pytest.fixture
def app(shared) -> object:
    return shared[1]


def application(house: Installation) -> object:
    settings = Settings()
    return build_management(
        Office(house.accounts, settings), settings, KeyGuard(Register(house.accounts), "management"), "1"
    )


@pytest.fixture
def operator(house, app) -> Client:
    return Client(app, house.key(None, "management"))


@pytest.fixture
def admin(house, app) -> Client:
    return Client(app, house.key("acme", "management"))


def test_every_way_needs_a_scope_or_is_open_on_purpose(app):
    assert all(isinstance(route, Way) for route in app.routes)
    assert {way.path for way in app.routes if way.needs == OPEN} == {"/health", f"{ROOT}/invitations:accept"}
    assert {way.path for way in app.routes if way.needs == ANY_KEY} == {"/management/openapi.json"}
    assert {way.needs for way in app.routes} - {OPEN, ANY_KEY} == set(MANAGEMENT_SCOPES)


NAMES = {  # for whatever paths name
    "org": "acme", "project": "default", "member": "nobody", "invitation": "none", "key": "none", "limit": "none",
    "month": "2026-11",
}  # fmt: skip


@pytest.mark.parametrize("act", [act for act in ACTS if act.needs != OPEN], ids=lambda act: act.name)
def test_nothing_is_done_without_a_management_key_that_may(house, app, act):
    path = act.path.format_map(NAMES)
    for key in ("", house.key(), house.key(kind="console")):
        assert Client(app, key).refused(act.method, path, {}) == (401, "wrong_api_key", None)
    others = [scope for scope in MANAGEMENT_SCOPES if scope != act.needs]
    reply = Client(app, house.key(None, "management", scopes=others))(act.method, path, {})
    assert (reply.status, reply.json["error"]["code"]) == (403, "permission_denied")
    assert f"'{act.needs}'" in reply.json["error"]["message"]


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


def test_a_price_that_has_not_begun_can_be_taken_back(operator, admin):
    now = operator.post(f"{ROOT}/prices", {"model": "m", "input": 1, "output": 2})
    later = {"model": "m", "input": 3, "output": 4, "valid_from": now["valid_from"] + 1000}
    made = operator.post(f"{ROOT}/prices", later)
    assert admin.refused("POST", f"{ROOT}/prices:cancel", {"model": "m"})[0] == 403
    assert operator.post(f"{ROOT}/prices:cancel", {"model": "m"})["id"] == made["id"]
    assert operator.get(f"{ROOT}/prices")["data"] == [now]
    for model in ("m", "unknown"):
        assert operator.refused("POST", f"{ROOT}/prices:cancel", {"model": model})[::2] == (400, "model")
    assert operator.get(f"{ROOT}/audit?limit=1")["data"][0]["action"] == "price.cancel"


RATES = {
    "input": 1, "output": 2, "cached_input": 3, "batch_permille": 4, "flex_permille": 5, "priority_permille": 6,
}  # fmt: skip
SAVED = [  # what is sent, every field of it but whose it is, and what of it is told otherwise
    ("limits", {"limit": "tpm", "capacity": 7, "model": "m"}, {"metric": "tokens", "window_s": 60}),
    ("budgets", {"amount": 8, "stops": False}, {}),
    ("credits", {"amount": 9, "currency": "USD", "expires": 4_000_000_000, "note": "for May"}, {}),
    ("prices", {"model": "saved", "currency": "USD", "valid_from": 3_000_000_000, **RATES}, {"rates": RATES}),
]


@pytest.mark.parametrize("of", ["project", "key"])
@pytest.mark.parametrize(("what", "sent", "otherwise"), SAVED, ids=[what for what, *_ in SAVED])
def test_every_field_about_limits_and_money_is_saved(house, operator, what, sent, otherwise, of):
    org = f"{ROOT}/orgs/globex"
    place, model = (ROOT, f"saved-{of}") if what == "prices" else (org, "m")
    sent = sent | ({"model": model} if "model" in sent else {})
    body = next(each for each in MONEY_BODIES if each.__name__ == f"New{what.title()[:-1]}")
    assert {*sent, "project", "key"} >= {*body.__struct_fields__}
    if "project" in body.__struct_fields__:
        projects = {each["name"]: each["id"] for each in operator.get(f"{org}/projects")["data"]}
        subject = projects["default"] if of == "project" else house.fresh("globex")[0].id
        sent, otherwise = {**sent, of: subject}, {**otherwise, "subject": of, "subject_id": subject}
    made = operator.post(f"{place}/{what}", sent)
    query = f"?{of}={subject}" if what == "limits" else ""
    (told,) = [each for each in operator.get(f"{place}/{what}{query}")["data"] if each == made]
    kept = {name: value for name, value in sent.items() if name in told} | otherwise
    assert told == {**told, **kept}
    assert sent.keys() - kept.keys() - RATES.keys() <= {"limit", "currency", of}


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


@pytest.mark.parametrize("path", ["/v1/organization/usage/completions", "/v1/organization/costs"])
def test_openais_usage_says_what_it_does_not_know_and_shows_nobody_elses(house, app, operator, admin, path):
    def refused(query: str, by: Client = admin) -> str | None:
        status, _, param = by.refused("GET", f"{path}?{query}")
        assert status == 400
        return param

    assert refused("limit=2") == "start_time"
    assert refused("start_time=9&end_time=8") == refused("start_time=90000&end_time=86400") == "end_time"
    assert refused("start_time=9&group_by[]=user_id") == "group_by"
    assert refused("start_time=9&bucket_width=1w") == "bucket_width"
    assert refused("start_time=9&limit=181") == "limit"
    for page in ("page_", "page_86401", "86400", "page_99999999999999"):
        assert refused(f"start_time=9&page={page}") == "page"
    assert refused("start_time=9&batch=true") == "batch"
    assert refused("start_time=9&org=globex") == "org"
    assert refused("start_time=9&project_ids=nowhere") == "project"
    assert refused("start_time=9&project_ids=default", operator) == "org"
    assert operator.get(f"{path}?start_time=9&org=acme&project_ids=default&limit=1")["next_page"] == "page_86400"
    house.accounts.projects.create(OPERATOR, "acme", f"p{len(path)}")
    own = Client(app, house.key("acme", "management", project=f"p{len(path)}"))
    assert own.get(f"{path}?start_time={int(time.time())}")["data"][0]["results"] == []
    assert refused("start_time=9&project_ids=default", own) == "project"


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
    page = (Path(__file__).parents[3] / "docs" / "accounts.md").read_text()
    assert not [act.path for act in ACTS if f"`{act.path.removeprefix(ROOT)}`" not in page]
    assert not [scope for scope in INFERENCE_SCOPES if f"| `{scope}` |" not in page]
