"""The description of the API is valid, complete, and made of the tables that requests are held against."""

from __future__ import annotations

import pytest
from starlette.routing import Route

from undiced import __version__
from undiced.api.field_table import TABLE
from undiced.api.fields import Fate
from undiced.api.limits import RANGES
from undiced.api.page import is_page
from undiced.api.schemas import ChatBody, CompletionBody
from undiced.api.settings import Settings


@pytest.fixture
def described(caller):
    reply = caller("GET", "/openapi.json")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    return reply.json


def test_a_validator_of_such_documents_finds_nothing_wrong(described, make):
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(described)
    locked = make(settings=Settings(api_key="k"))("GET", "/openapi.json", headers={"x-api-key": "k"}).json
    validator.validate(locked)
    assert (described["security"], locked["security"]) == ([{}], [{"bearer": []}, {"header": []}])


def test_every_path_that_is_served_is_described_and_no_other(described, caller):
    routes = [route for route in caller.app.routes if isinstance(route, Route) and not is_page(route.path)]
    served = {
        (route.path.replace(":path}", "}"), method.lower()) for route in routes for method in route.methods - {"HEAD"}
    }
    assert served == {(path, method) for path, methods in described["paths"].items() for method in methods}


@pytest.mark.parametrize("body", [ChatBody, CompletionBody])
def test_every_member_is_described_with_its_range(described, body):
    schema = described["components"]["schemas"][body.__name__]
    assert set(body.__struct_fields__) <= schema["properties"].keys()
    for name in set(body.__struct_fields__) & RANGES.keys():
        member, span = schema["properties"][name], RANGES[name]
        assert (member["minimum"], member["maximum"]) == (span.low, span.high)
    refused = {line.name for line in TABLE[""] if line.fate is Fate.REFUSED}
    assert set(schema["x-refused"]) <= refused
    assert "guided_decoding" in schema["x-refused"] and "user" in schema["properties"]


def test_properties_and_version_say_what_runs(caller):
    caller.service.version = __version__
    props = caller("GET", "/props").json
    assert props["version"] == caller("GET", "/version").json["version"] == __version__
    assert (props["id"], props["context_length"]) == ("m", 1000)
    assert props["defaults"]["temperature"] == 1.0
    assert props["modalities"] == {"input": ["text"], "output": ["text"]}
    assert caller("GET", "/props", query=b"model=none").status == 404


def test_who_asks_for_what_is_not_there_is_told_what_is(caller):
    reply = caller("POST", "/v1/rerank", {})
    message = reply.json["error"]["message"]
    assert reply.status == 404
    assert message.startswith("There is nothing at /v1/rerank. Served are POST /v1/chat/completions, ")
    assert "GET /v1/models/{model_id}" in message and "/static" not in message
