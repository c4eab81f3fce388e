"""Who may use the server from a browser: the hosts that requests are for, and the origins that pages come from.

A page of any site can make a visitor's browser send requests here, and a name of any site can be made to lead here. A
browser says which host it means and which page asks, and no page can forge that. Programs that are no browsers say
nothing about pages and are not held up.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from undiced.api.standing import BUDGET, HEADER_NAMES, MOST_TOKENS
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from starlette.types import Scope

    from undiced.api.settings import Settings

Fields = list[tuple[bytes, bytes]]
_HOST = re.compile(r"(\[[0-9a-f:.]+(?:%25[0-9a-z._~-]+)?\]|[0-9a-z._~-]+)(?::([0-9]*))?")
_PATTERN = re.compile(r"\*|(?:\*\.)?[0-9a-z_-]+(?:\.[0-9a-z_-]+)*\.?")
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(.+)")
_HEADER_NAMES = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z, \t-]{1,4096}")
_PORTS = {"http": 80, "https": 443}
_READ = frozenset((
    b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest", b"access-control-request-method",
    b"access-control-request-headers", b"access-control-request-private-network",
))  # fmt: skip
_ALWAYS: Fields = [(b"x-content-type-options", b"nosniff"), (b"x-frame-options", b"DENY")]
_READABLE = (
    "x-request-id", "request-id", "x-undiced-ignored-fields", MOST_TOKENS, BUDGET, "retry-after", "retry-after-ms",
    "x-should-retry", *HEADER_NAMES,
)  # fmt: skip
_EXPOSED = (b"access-control-expose-headers", ", ".join(_READABLE).encode())
_PREFLIGHT_S = b"600"
PAGES = frozenset(("/", "/docs"))  # what a browser opens; a link of another site may lead there


class HostError(InvalidRequestError):
    """A request for another host: perhaps a name of another site that was made to lead here."""

    code = "host_not_allowed"
    status = 403
    kind = "permission_error"


class OriginError(InvalidRequestError):
    """A request that a page of another site made."""

    code = "origin_not_allowed"
    status = 403
    kind = "permission_error"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request.

    Attributes:
        error: it is refused, because of this. preflight: a browser only asks whether a page may; that is the answer.
        fields: headers that every answer to it carries.
    """

    fields: Fields
    error: InvalidRequestError | None = None
    preflight: bool = False


class Gate:
    """Judges requests by their host and origin.

    Args:
        settings: `hosts` and `origins` are what is allowed beside this machine's own.

    Raises:
        InvalidRequestError: one of those is none.
    """

    def __init__(self, settings: Settings) -> None:
        patterns = [_pattern(text) for text in settings.hosts]
        own = socket.gethostname().lower()
        self._names = {"localhost", own, f"{own.partition('.')[0]}.local", *patterns}
        self._endings = tuple(pattern[1:] for pattern in patterns if pattern.startswith("*."))
        self._any_host = "*" in patterns
        self._origins = {_allowed(text) for text in settings.origins or ()}
        self._may_allow = settings.origins is not None
        self._any_origin = "*" in self._origins
        self._fields = [*_ALWAYS, (b"vary", b"Origin")] if self._origins - {"*"} else _ALWAYS

    def judge(self, scope: Scope) -> Verdict:
        """Whether a request may be answered."""
        read: dict[bytes, bytes] = {name: value for name, value in scope["headers"] if name in _READ}
        host = read.get(b"host", b"").decode("latin-1").lower()
        if b"host" in read and not self._knows(host, scope):
            return Verdict(self._fields, _unknown(_name_of(host) or host))
        if b"origin" not in read:
            return self._without_origin(scope, read)
        origin = read[b"origin"].decode("latin-1").lower()
        if _place(origin, host):
            return Verdict(self._fields)
        if not self._any_origin and _plain(origin) not in self._origins:
            return Verdict([*_ALWAYS, (b"vary", b"Origin")], self._foreign(origin))
        return self._shared(scope, read)

    def _knows(self, host: str, scope: Scope) -> bool:
        name = _name_of(host)
        if self._any_host or name in self._names or name.endswith((".localhost", *self._endings)):
            return bool(name)
        address, here = _address(name), _address((scope.get("server") or ("",))[0])
        if address is None:
            return False
        # Nobody can make an address lead elsewhere; but what arrives over loopback was meant for loopback.
        return address.is_loopback or here is None or not here.is_loopback

    def _without_origin(self, scope: Scope, read: dict[bytes, bytes]) -> Verdict:
        """No browser, a request by our own page, or one that a browser makes without a page's script."""
        site = read.get(b"sec-fetch-site", b"none")
        opened = (read.get(b"sec-fetch-mode"), read.get(b"sec-fetch-dest")) == (b"navigate", b"document")
        page = opened and scope["path"] in PAGES and scope["method"] in ("GET", "HEAD")
        if self._any_origin or page or site in (b"none", b"same-origin"):
            return Verdict(self._fields)
        return Verdict(self._fields, self._foreign(""))

    def _foreign(self, origin: str) -> OriginError:
        shown = f"'{origin[:100]}'" if origin else "another site"
        allows = f"--allow-origin {origin[:100]}" if origin else "--allow-origin and its origin"
        remedy = f"Start it with {allows} to allow them." if self._may_allow else "Use a program that is no web page."
        return OriginError(f"Pages of {shown} may not use this server.", remedy=remedy, param="origin")

    def _shared(self, scope: Scope, read: dict[bytes, bytes]) -> Verdict:
        """A page of another site asks, and may."""
        fields = [*self._fields, (b"access-control-allow-origin", b"*" if self._any_origin else read[b"origin"])]
        if scope["method"] != "OPTIONS" or b"access-control-request-method" not in read:
            return Verdict([*fields, _EXPOSED])
        wanted = read.get(b"access-control-request-headers", b"")
        fields += [
            (b"access-control-allow-methods", b"GET, HEAD, POST"),
            (b"access-control-max-age", _PREFLIGHT_S),
            (b"vary", b"Access-Control-Request-Headers, Access-Control-Request-Private-Network"),
        ]
        if _HEADER_NAMES.fullmatch(wanted):
            fields.append((b"access-control-allow-headers", wanted))
        if read.get(b"access-control-request-private-network") == b"true":
            fields.append((b"access-control-allow-private-network", b"true"))
        return Verdict(fields, preflight=True)


def _unknown(host: str) -> HostError:
    remedy = f"Use its address, or start it with --allow-host {host[:100]}."
    return HostError(f"This server is not known as '{host[:100]}'.", remedy=remedy, param="host")


def _pattern(text: str) -> str:
    """A host that is allowed: a name, an address, `*.` and a name, or `*`."""
    pattern = text.strip().lower()
    address = _address(pattern)
    if address is None and not _PATTERN.fullmatch(pattern):
        raise InvalidRequestError(f"'{text[:100]}' is no host.", remedy="Give a name without a port, or *.name, or *.")
    return str(address) if address is not None else pattern.rstrip(".")


def _allowed(text: str) -> str:
    """An origin that is allowed: scheme, host and port as browsers send them, `null`, or `*`."""
    origin = _plain(text.strip().lower().rstrip("/"))
    if origin in ("*", "null") or ((found := _ORIGIN.fullmatch(origin)) and _HOST.fullmatch(found[2])):
        return origin
    raise InvalidRequestError(f"'{text[:100]}' is no origin.", remedy="Give one as http://localhost:3000, or *.")


@lru_cache(256)
def _plain(origin: str) -> str:
    """An origin without the port that its scheme has anyway."""
    scheme, _, place = origin.partition("://")
    return origin.removesuffix(f":{_PORTS[scheme]}") if place and scheme in _PORTS else origin


@lru_cache(256)
def _place(origin: str, host: str) -> bool:
    """Whether a page of an origin was served by the host itself."""
    scheme, _, place = origin.partition("://")
    if scheme not in _PORTS:
        return False
    port = f":{_PORTS[scheme]}"
    return bool(place) and place.removesuffix(port) == host.removesuffix(port)


@lru_cache(256)
def _name_of(host: str) -> str:
    """The name or address in a Host header, as it is compared; nothing if there is none."""
    found = _HOST.fullmatch(host)
    if found is None:
        return ""
    address = _address(found[1])
    return str(address) if address is not None else found[1].rstrip(".")


@lru_cache(256)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.strip("[]").replace("%25", "%"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
