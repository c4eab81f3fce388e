"""What tests of the management API share: an application over an installation, and clients of it whose answers are held
against the description.
"""

from __future__ import annotations

import functools

import jsonschema
from scripted import Caller, Reply
from support.installation import Installation, bearer

from undiced.api.management.app import build_management
from undiced.api.management.office import Office
from undiced.api.management.openapi import document
from undiced.api.register import KeyGuard, Register
from undiced.api.settings import Settings
from undiced.api.ways import OPEN, Way

ROOT = "/management/v1"
ACME = f"{ROOT}/orgs/acme"
ERROR_MEMBERS = {"message", "type", "param", "code", "id"}
NAMES = {  # for whatever paths name
    "org": "acme", "project": "default", "member": "nobody", "invitation": "none", "key": "none", "limit": "none",
    "month": "2026-11",
}  # fmt: skip


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


def application(house: Installation) -> object:
    settings = Settings()
    return build_management(
        Office(house.accounts, settings), settings, KeyGuard(Register(house.accounts), "management"), "1"
    )
