"""The chat page: files of the folder `static`, read once, served with a policy that allows nothing from anywhere else,
no script in a page's text, and no text that becomes HTML.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import Response

from undiced.api.gate import PAGES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from importlib.resources.abc import Traversable

    from starlette.requests import Request

    Endpoint = Callable[[Request], Awaitable[Response]]

POLICY = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self'",
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    "require-trusted-types-for 'script'", "trusted-types 'none'",
))  # fmt: skip
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
_KINDS = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "md": "text/markdown; charset=utf-8",
}


def page_files() -> list[tuple[str, Endpoint]]:
    """Every file's path and what shows it; `index.html` is at the root."""
    found = dict(_found(files("undiced.api") / "static", "/static"))
    found["/"] = found.pop("/static/index.html")
    return [(path, _serve(file)) for path, file in found.items()]


def is_page(path: str) -> bool:
    """Whether a path is a page for people, or one of its files."""
    return path in PAGES or path.startswith("/static/")


def _found(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for file in folder.iterdir():
        inner = f"{path}/{file.name}"
        if file.is_dir():
            yield from _found(file, inner)
        elif _ending(file) in _KINDS:
            yield inner, file


def _ending(file: Traversable) -> str:
    return file.name.rpartition(".")[2]


def _serve(file: Traversable) -> Endpoint:
    body = file.read_bytes()
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = {**HEADERS, "etag": tag, "content-type": _KINDS[_ending(file)]}

    async def endpoint(request: Request) -> Response:
        """The file, or 304 to who has it already."""
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers)

    return endpoint
