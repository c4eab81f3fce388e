"""`/docs`: the OpenAPI document as a page for people. It is text and links, under the chat page's policy.

Knows the parts of the language of schemas that the document uses, and nothing of the API itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, cast

from starlette.responses import Response

from undiced.api.openapi import document
from undiced.api.page import HEADERS

if TYPE_CHECKING:
    from starlette.requests import Request

    from undiced.api.service import Service

Part = Mapping[str, object]
_CODE = re.compile(r"`([^`]+)`")
_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Undiced API</title>
  <link rel="icon" href="static/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="static/style.css">
  <link rel="stylesheet" href="static/docs.css">
  <script src="static/docs.js" type="module"></script>
</head>
<body>
  <header class="bar">
    <a class="brand" href="./"><img src="static/icon.svg" alt="" width="26" height="26"><span>Undiced</span></a>
    <span class="quiet">API {version}</span>
    <span class="grow"></span>
    <a class="plain" href="./">Chat</a>
    <a class="plain" href="openapi.json">openapi.json</a>
    <button id="theme" class="plain" type="button">Light or dark</button>
  </header>
  <main><article class="reference">
{body}
  </article></main>
</body>
</html>
"""


async def show_reference(request: Request) -> Response:
    """GET /docs."""
    service: Service = request.app.state.service
    whole = document(service.version, key=request.app.state.asks)
    page = reference(whole, str(request.base_url).rstrip("/"))
    return Response(page, headers={**HEADERS, "content-type": "text/html; charset=utf-8"})


def reference(whole: Part, base: str) -> str:
    """The page of an OpenAPI document. base: the server's address, as who reads it has written it."""
    schemas = cast("Mapping[str, Part]", _at(whole, "components", "schemas"))
    operations = [
        (verb.upper(), path, cast(Part, operation))
        for path, verbs in _at(whole, "paths").items()
        for verb, operation in cast(Part, verbs).items()
    ]
    body = [_opening(whole), _contents(operations)]
    body += [line for operation in operations for line in _operation(*operation, base) if _has_more(operation[2])]
    body += ['<h2 id="objects">Objects</h2>']
    body += [line for name, schema in schemas.items() for line in _schema(name, schema)]
    version = escape(str(_at(whole, "info")["version"]))
    return _PAGE.replace("{version}", version).replace("{body}", "\n".join(body))


def _opening(whole: Part) -> str:
    asked = whole["security"] != [{}]
    key = "Requests carry the server's key: <code>Authorization: Bearer KEY</code>, or <code>x-api-key: KEY</code>."
    own = "Clients of OpenAI and Cerebras work with this server's address and <code>/v1</code> behind it."
    wrong = 'What is refused, or fails, is answered by an <a href="#Error">Error</a> that says what to do.'
    return f"<h1>API</h1>\n<p>{own} {key if asked else 'No key is needed.'} {wrong}</p>"


def _contents(operations: list[tuple[str, str, Part]]) -> str:
    rows = []
    for verb, path, operation in operations:
        shown = f"<code>{escape(path)}</code>"
        linked = f'<a href="#{_anchor(verb, path)}">{shown}</a>' if _has_more(operation) else shown
        summary = _text(operation.get("summary", ""))
        kinds = " or ".join(kind for kind, _ in _content(_at(operation, "responses").get("200")))
        rows.append(f'<tr><td><span class="verb">{verb}</span></td><td>{linked}</td><td>{summary} {kinds}</td></tr>')
    return f'<div class="wide"><table>{"".join(rows)}</table></div>'


def _has_more(operation: Part) -> bool:
    """Whether there is more to say of it than its line in the list."""
    return "requestBody" in operation or "parameters" in operation


def _operation(verb: str, path: str, operation: Part, base: str) -> Iterator[str]:
    anchor = _anchor(verb, path)
    yield f'<h2 id="{anchor}"><span class="verb">{verb}</span> <code>{escape(path)}</code></h2>'
    yield f"<p>{_text(operation.get('summary', ''))}</p>"
    for each in cast("list[Part]", operation.get("parameters", [])):
        must = ", required" if each.get("required") else ""
        yield f"<p><code>{escape(str(each['name']))}</code> in the {escape(str(each['in']))}{must}.</p>"
    for kind, said in _content(operation.get("requestBody")):
        yield f"<p>The body is a {_kind(cast(Part, said.get('schema', {})))}, {kind}.</p>"
        if "example" in said:
            example = f"curl -s {base}{path} -d '{json.dumps(said['example'])}'"
            yield f"<pre><code>{escape(example)}</code></pre>"


def _schema(name: str, schema: Part) -> Iterator[str]:
    yield f'<h3 id="{escape(name)}">{escape(name)}</h3>'
    if "description" in schema:
        yield f"<p>{_text(schema['description'])}</p>"
    required = cast("list[str]", schema.get("required", []))
    rows = [
        f"<tr><td><code>{escape(member)}</code>{' <b>required</b>' if member in required else ''}</td>"
        f"<td>{_kind(said)}</td><td>{_text(said.get('description', ''))}</td></tr>"
        for member, said in cast("Mapping[str, Part]", schema.get("properties", {})).items()
    ]
    if rows:
        head = "<tr><th>member</th><th>kind</th><th>meaning</th></tr>"
        yield f'<div class="wide"><table>{head}{"".join(rows)}</table></div>'
    if refused := cast("list[str]", schema.get("x-refused", [])):
        yield f"<p>Refused by name: {', '.join(f'<code>{escape(each)}</code>' for each in refused)}.</p>"


def _kind(schema: Part) -> str:
    """What a value is, in words."""
    if "$ref" in schema:
        name = escape(str(schema["$ref"]).rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in cast("list[Part]", schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"<code>{escape(json.dumps(each))}</code>" for each in cast("list[object]", schema["enum"]))
    kinds = schema.get("type", "any")
    said = " or ".join(map(str, kinds)) if isinstance(kinds, list) else str(kinds)
    if said == "array" and "items" in schema:
        return f"list of {_kind(cast(Part, schema['items']))}"
    low, high = schema.get("minimum"), schema.get("maximum")
    span = f", {low} to {high}" if high is not None else f", {low} or more" if low is not None else ""
    return escape(f"{said}{span}")


def _text(said: object) -> str:
    """Words with code between backquotes, as a sentence."""
    text = _CODE.sub(r"<code>\1</code>", escape(str(said)))
    return text[:1].upper() + text[1:]


def _anchor(verb: str, path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{verb}{path}".lower()).strip("-")


def _at(whole: Part, *names: str) -> Part:
    for name in names:
        whole = cast(Part, whole[name])
    return whole


def _content(holder: object) -> list[tuple[str, Part]]:
    """(media type, what is said of it) of a body or an answer."""
    content = holder.get("content", {}) if isinstance(holder, Mapping) else {}
    return [(f"<code>{escape(kind)}</code>", said) for kind, said in content.items()]
