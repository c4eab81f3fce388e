"""A small stand-in of the hub: what huggingface_hub asks of it to list a repository and to bring its files.

Repositories are dictionaries of bytes. It can ask for a token, gate a repository, break connections in the middle of a
file, and serve other bytes than it announced.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE_BYTES = 4096  # from here on a file is kept as the hub keeps large ones, with a SHA-256
TOKEN = "hf_right"


@dataclass
class Repository:
    """Files by path, and what stands in the way of them."""

    files: dict[str, bytes]
    private: bool = False
    gated: bool = False
    announced: dict[str, dict[str, object]] = field(default_factory=dict)  # what is said about a file, if not the truth

    @property
    def commit(self) -> str:
        """Changes with the files."""
        return hashlib.sha1(
            repr(sorted((k, hashlib.sha1(v).hexdigest()) for k, v in self.files.items())).encode()
        ).hexdigest()

    def sibling(self, name: str) -> dict[str, object]:
        """A file as a listing has it."""
        data = self.files[name]
        said: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": git_sha1(data)}
        if len(data) >= LARGE_BYTES:
            sha256 = hashlib.sha256(data).hexdigest()
            said["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 134}
        return said | self.announced.get(name, {})


@dataclass
class Hub:
    """The running stand-in. `cuts`: after how many bytes the next answers with a file break off."""

    url: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    ignores_ranges: bool = False
    elsewhere: str = ""  # another server's address, where large files are
    tokens: set[str] = field(default_factory=set)  # that it was shown
    status: int = 0
    asked: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)  # what was asked for of each large file

    def brought(self) -> list[str]:
        """Files that were asked for, without the beginning of their addresses."""
        return [path.split("/resolve/")[1].split("/", 1)[1] for path in self.asked if "/resolve/" in path]


def git_sha1(data: bytes) -> str:
    """The name that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextlib.contextmanager
def running_hub() -> Iterator[Hub]:
    """Serves at a free port of this machine until the block ends."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub = handler.hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 20  # a head and its body leave together: no waiting for acknowledgments

    def do_GET(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path).strip("/")
        hub.asked.append(path)
        if hub.status:
            return self._refuse(hub.status, "")
        is_api = path.startswith("api/models/")
        repo, revision, file = _listing(path) if is_api else _file(path)
        found = hub.repositories.get(repo)
        authorization = self.headers.get("authorization", "")
        hub.tokens.add(authorization)
        if authorization and authorization != f"Bearer {TOKEN}":
            return self._refuse(401, "", "Invalid credentials in Authorization header")
        if found is None or (found.private and not authorization):
            return self._refuse(404 if authorization else 401, "RepoNotFound")
        if revision not in ("main", found.commit):
            return self._refuse(404, "RevisionNotFound")
        if is_api:
            siblings = [found.sibling(name) for name in found.files]
            body = json.dumps({"id": repo, "sha": found.commit, "siblings": siblings, "tags": []}).encode()
            return self._send(200, body, {"content-type": "application/json"})
        if found.gated and not authorization:
            return self._refuse(401, "GatedRepo")
        if file not in found.files:
            return self._refuse(404, "EntryNotFound")
        return self._file(found, file)

    do_HEAD = do_GET

    def _file(self, found: Repository, name: str) -> None:
        data, begin, status = found.files[name], 0, 200
        asked = self.headers.get("range")
        headers = {"etag": f'"{hashlib.sha256(data).hexdigest()}"', "x-repo-commit": found.commit}
        if asked and not self.hub.ignores_ranges:
            begin, status = int(asked.removeprefix("bytes=").split("-")[0]), 206
            headers["content-range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        if len(data) >= LARGE_BYTES:
            self.hub.ranges.append(asked or "")
        if self.hub.elsewhere and len(data) >= LARGE_BYTES:
            return self._send(302, b"", {"location": f"{self.hub.elsewhere}{self.path}"})
        cut = self.hub.cuts.pop(0) if self.hub.cuts and len(data) >= LARGE_BYTES else None
        return self._send(status, data[begin:], headers, cut)

    def _send(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True

    def _refuse(self, status: int, code: str, message: str = "") -> None:
        self._send(
            status, b"", {name: text for name, text in (("x-error-code", code), ("x-error-message", message)) if text}
        )

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: pytest shows what matters."""


def _listing(path: str) -> tuple[str, str, str]:
    repo, _, revision = path.removeprefix("api/models/").partition("/revision/")
    return repo, revision or "main", ""


def _file(path: str) -> tuple[str, str, str]:
    repo, _, rest = path.partition("/resolve/")
    revision, _, file = rest.partition("/")
    return repo, revision, file
