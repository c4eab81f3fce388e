"""`/docs`: the whole description of the API as a page, under the chat page's policy."""

from __future__ import annotations

import re
from html import escape

from undiced.api.page import POLICY
from undiced.api.reference import reference
from undiced.api.settings import Settings


def test_the_page_has_everything_that_the_document_has_and_every_link_leads_somewhere(caller):
    reply, document = caller("GET", "/docs"), caller("GET", "/openapi.json").json
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert reply.headers["content-security-policy"] == POLICY
    page = reply.body.decode()
    for path in document["paths"]:
        assert f"<code>{path}</code>" in page
    for name, schema in document["components"]["schemas"].items():
        assert f'<h3 id="{name}">' in page
        for member in [*schema["properties"], *schema.get("x-refused", [])]:
            assert f"<code>{member}</code>" in page, (name, member)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r'id="([^"]+)"', page))


def test_the_page_has_no_script_or_style_of_its_own(caller):
    page = caller("GET", "/docs").body.decode()
    assert re.findall(r"<script[^>]*>", page) == ['<script src="static/docs.js" type="module">']
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", page)


def test_it_needs_no_key_and_says_that_the_others_do(make):
    locked = make(settings=Settings(api_key="k"))("GET", "/docs")
    assert locked.status == 200 and b"Authorization: Bearer KEY" in locked.body
    assert b"No key is needed" in make()("GET", "/docs").body


def test_a_link_of_another_site_may_lead_there(caller):
    link = {"host": "localhost", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert caller("GET", "/docs", headers=link | {"sec-fetch-dest": "document"}).status == 200
    assert caller("GET", "/docs", headers=link | {"sec-fetch-dest": "iframe"}).status == 403


def test_what_the_document_says_is_text():
    hostile = "<b onclick=x>&'\""
    schema = {"description": hostile, "properties": {hostile: {"type": hostile, "description": hostile}}}
    schema |= {"required": [hostile], "x-refused": [hostile]}
    operation = {"summary": hostile, "parameters": [{"name": hostile, "in": hostile}], "responses": {}}
    operation |= {"requestBody": {"content": {hostile: {"schema": {"$ref": f"#/{hostile}"}, "example": hostile}}}}
    whole = {
        "info": {"version": hostile}, "security": [{}], "paths": {hostile: {"get": operation}},
        "components": {"schemas": {hostile: schema}},
    }  # fmt: skip
    page = reference(whole, hostile)
    assert "<b onclick" not in page and escape(hostile) in page
