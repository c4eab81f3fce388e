"""The management API described for programs, as OpenAPI 3.1. Made from the acts and the types of what is sent and
shown: nothing about them is written here a second time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import msgspec

from undiced.account.periods import WIDTHS
from undiced.account.usage import GROUPINGS
from undiced.api.management.acts import ACTS
from undiced.api.management.asked import PAGE_MOST, PAGE_USUAL
from undiced.api.management.bodies import BODIES
from undiced.api.management.openai_acts import BUCKETS, COST_BUCKETS
from undiced.api.management.shapes import OBJECTS
from undiced.api.openapi import ERROR, SCHEMES, anything
from undiced.api.ways import OPEN

if TYPE_CHECKING:
    from undiced.api.management.act import Act

Schema = dict[str, object]
_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)\}")
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer", "minimum": 1}
_SWITCH: Schema = {"enum": ["true", "false"]}
_MOST = ", ".join(f"{most} of {width}" for width, (_, most) in BUCKETS.items())
_QUERY: dict[str, tuple[str, Schema]] = {
    "limit": ("Most objects.", {"type": "integer", "minimum": 1, "maximum": PAGE_MOST, "default": PAGE_USUAL}),
    "after": ("What follows the object of this id (of the audit: of this `seq`).", _TEXT),
    "archived": ("Those too that are archived.", _SWITCH),
    "ended": ("Those too that have ended.", _SWITCH),
    "project": ("Of this project alone, by name or id.", _TEXT),
    "key": ("Of this key alone, by id.", _TEXT),
    "since": ("From the day of this time on, in Unix seconds; thirty days ago by default.", _NUMBER),
    "until": ("Up to this time, in Unix seconds; now by default.", _NUMBER),
    "month": ("A month instead, in UTC, as 2026-11.", _TEXT),
    "by": (f"What it is told apart by: some of {','.join(GROUPINGS)}.", _TEXT),
}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_OF_OPENAI: dict[str, tuple[str, Schema]] = {  # of the acts whose shapes are OpenAI's
    "start_time": ("From the bucket on that holds this time, in Unix seconds.", _NUMBER),
    "end_time": ("Up to this time, in Unix seconds; now by default.", _NUMBER),
    "bucket_width": ("Minutes, hours or days, in UTC; of costs days alone.", {"enum": list(WIDTHS), "default": "1d"}),
    "limit": (f"Most buckets, up to {_MOST}; of costs {COST_BUCKETS[1]}.", _NUMBER),
    "page": ("`next_page` of the page before.", _TEXT),
    "org": ("Of this organization alone, by name or id; for keys of the operator.", _TEXT),
    "project_ids": ("Of these projects alone.", _TEXTS),
    "api_key_ids": ("Of these keys alone.", _TEXTS),
    "models": ("Of these models alone.", _TEXTS),
    "line_items": ("Of these models alone.", _TEXTS),
    "group_by": ("What it is told apart by: project_id, api_key_id, and model (of costs: line_item).", _TEXTS),
}
_PATH = {
    "org": "An organization, by name or id.",
    "project": "A project, by name or id.",
    "member": "A member, by e-mail address or id.",
    "invitation": "The id of an invitation.",
    "key": "The id of a key: the twelve characters behind `uk-`.",
    "limit": "The id of a limit.",
    "month": "A month in UTC, as 2026-11.",
}


def document(version: str) -> Schema:
    """The whole description."""
    paths: dict[str, Schema] = {}
    for act in ACTS:
        paths.setdefault(act.path, {})[act.method.lower()] = _operation(act)
    paths["/management/openapi.json"] = {"get": _read("describe", "This document.", None)}
    paths["/health"] = {"get": _read("health", "Whether the server is up; needs no key.", [{}])}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Undiced management",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{name: []} for name in SCHEMES],
        "paths": paths,
        "components": {"schemas": _components(), "securitySchemes": SCHEMES},
    }


def _operation(act: Act) -> Schema:
    shown = _shown(act)
    told: Schema = {
        "operationId": act.name,
        "summary": act.summary,
        "parameters": [
            *(_parameter(name, "path", _PATH[name], _TEXT) for name in _PARAMETER.findall(act.path)),
            *(_parameter(name, "query", *_member(act, name)) for name in (*act.query, *act.lists)),
        ],
        "responses": _answers(str(act.status), shown),
    }
    if act.needs == OPEN:
        told["security"] = [{}]
    else:
        told["description"] = f"The key needs the scope `{act.needs}`."
    if act.body is not None:
        content = {"application/json": {"schema": _ref(act.body.__name__)}}
        told["requestBody"] = {"required": _asks(act), "content": content}
    return told


def _member(act: Act, name: str) -> tuple[str, Schema]:
    return _OF_OPENAI.get(name, _QUERY.get(name, ("", {}))) if act.lists else _QUERY[name]


def _asks(act: Act) -> bool:
    """Whether a body may not be left out."""
    return act.body is not None and any(each.required for each in msgspec.structs.fields(act.body))


def _shown(act: Act) -> Schema:
    one = _ref(act.makes.__name__)
    if act.many:
        members: Schema = {
            "object": {"const": "list"},
            "data": {"type": "array", "items": one},
            "has_more": {"type": "boolean"},
        }
        return {"type": "object", "required": list(members), "properties": members}
    if act.secret:
        note = "The whole text, which can't be had again."
        extra: Schema = {"secret": {"type": "string", "description": note}}
        return {"allOf": [one, {"type": "object", "required": ["secret"], "properties": extra}]}
    return one


def _read(name: str, summary: str, security: list[Schema] | None) -> Schema:
    told: Schema = {"operationId": name, "summary": summary, "responses": _answers("200", {"type": "object"})}
    return told if security is None else told | {"security": security}


def _answers(status: str, schema: Schema) -> Schema:
    return {
        status: {"description": "The answer.", "content": {"application/json": {"schema": schema}}},
        "default": {
            "description": "What is wrong, and what to do.",
            "content": {"application/json": {"schema": _ref("Error")}},
        },
    }


def _parameter(name: str, place: str, note: str, schema: Schema) -> Schema:
    return {"name": name, "in": place, "required": place == "path", "description": note, "schema": schema}


def _components() -> Schema:
    _, sent = msgspec.json.schema_components(BODIES, ref_template=_REF)
    _, told = msgspec.json.schema_components(list(OBJECTS), schema_hook=anything, ref_template=_REF)
    named = {kind.__name__: name for kind, name in OBJECTS.items()}
    closed = {name: {**schema, "additionalProperties": False} for name, schema in sent.items()}
    return {"Error": ERROR, **closed, **{name: _whole(schema, named.get(name)) for name, schema in told.items()}}


def _whole(schema: Schema, name: str | None) -> Schema:
    """An object that is shown with all of its members; `name`: what its member `object` says."""
    members = cast(Schema, schema["properties"])
    own: Schema = {} if name is None else {"object": {"const": name}}
    members = own | {
        key: {k: v for k, v in cast(Schema, each).items() if k != "default"} for key, each in members.items()
    }
    return {**schema, "properties": members, "required": list(members)}


def _ref(name: str) -> Schema:
    return {"$ref": _REF.format(name=name)}
