"""The files of the chat page, without a browser: what is there, how large, and what they must not do."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

import undiced.api
from undiced.api.page import POLICY, page_files

STATIC = Path(undiced.api.__file__).parent / "static"
OURS = sorted(STATIC.glob("*.js"))
VENDORED = {  # as published on npm; see the folder's README.md
    "markdown-it.js": "d5432491790141da046b1197353705db03264f40b5727f3b4b591f5aba193e30",
    "highlight.js": "1ed8fc5256b738b8875b74e4d3f0754f60d6411fb034d618dfbc4e6e6c9999d7",
}


def test_every_file_is_served_and_the_page_stays_small():
    paths = {path for path, _ in page_files()}
    files = {f"/static/{path.relative_to(STATIC)}" for path in STATIC.rglob("*") if path.is_file()}
    assert paths == files - {"/static/index.html"} | {"/"}
    assert sum(path.stat().st_size for path in STATIC.rglob("*") if path.is_file()) < 400_000


def test_libraries_are_unchanged_and_come_with_their_licenses():
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (STATIC / "vendor").glob("*.js")}
    assert found == VENDORED
    table = (STATIC / "vendor" / "README.md").read_text()
    for name in VENDORED:
        license_file = STATIC / "vendor" / name.replace(".js", ".LICENSE.txt")
        assert "Copyright" in license_file.read_text()
        assert license_file.name in table


def test_the_policy_allows_this_origin_alone():
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules.pop("require-trusted-types-for") == "'script'"
    assert set(rules.values()) == {"'none'", "'self'"}
    assert rules["default-src"] == rules["trusted-types"] == "'none'"


def test_the_page_has_no_script_or_style_of_its_own_and_names_no_other_origin():
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:|https?://", page)
    assert re.findall(r"<script[^>]*>", page) == ['<script src="static/app.js" type="module">']
    for path in OURS:
        assert not re.search(r"https?://(?!\$)", path.read_text()), path.name


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_no_module_makes_markup_of_text(path):
    text = path.read_text()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function", text
    )
    assert text.startswith("// ")
    assert text.count("\n") <= 400


def test_every_import_is_there():
    for path in OURS:
        for name in re.findall(r'from "\./([^"]+)"', path.read_text()):
            assert (STATIC / name).is_file(), (path.name, name)
