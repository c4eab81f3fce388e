"""Front: where a server listens, whom it lets in, and for how much at once. What is said of the door, and of no model.

A further way to know who asks stands here as an option and in `Front.guarded`.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    import socket
    from ssl import SSLContext

    from undiced.api.settings import Settings
    from undiced.cli.serving.desk import Desk

Outage = Literal["refuse", "allow"]
_ADMINS = 64  # connections
_ADMIN_BODY_BYTES = 64 << 10
_STRANGER_S = 5.0  # for who has not shown a key that is good for something


@dataclass(frozen=True, slots=True)
class Front:
    """See the file's head."""

    host: Annotated[str, typer.Option(help="The address to serve at; 0.0.0.0 for all.")] = "127.0.0.1"
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="The port; 0 takes a free one.")] = 8000
    max_connections: Annotated[int, typer.Option(min=1, help="Open connections; more get 503.")] = 2048
    drain_s: Annotated[float, typer.Option("--drain", min=0, help="Seconds for running answers at the end.")] = 30.0
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name for the server; *.name, or * for all.")
    ] = None
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="An origin whose web pages may use the server; * for all.")
    ] = None
    api_key: Annotated[
        str | None, typer.Option(help="A key that requests have to carry; better given as UNDICED_API_KEY.")
    ] = field(default=None, repr=False)
    auth: Annotated[
        bool, typer.Option("--auth", help="Ask for keys of accounts, see undiced key; --db says where those are.")
    ] = False
    admin_host: Annotated[str, typer.Option(help="With --auth: the address of the management API.")] = "127.0.0.1"
    admin_port: Annotated[int, typer.Option(min=0, max=65535, help="With --auth: its port; 0 takes a free one.")] = 8001
    on_outage: Annotated[
        Outage,
        typer.Option(help="With --auth, while its database is away: refuse requests, or allow keys known so far."),
    ] = "refuse"
    open: Annotated[bool, typer.Option("--open", help="Let others than this machine in without a key.")] = False
    tls_cert: Annotated[Path | None, typer.Option(help="A certificate with its chain, as PEM: speak TLS.")] = None
    tls_key: Annotated[Path | None, typer.Option(help="The certificate's key, as PEM.")] = None

    @property
    def guarded(self) -> bool:
        """Whether requests have to show who sends them."""
        return self.auth or self.api_key is not None

    def settings(self) -> Settings:
        """The bounds of the HTTP side.

        Raises:
            InvalidRequestError: a host, origin or key that is none, or two ways to ask for keys.
        """
        from undiced.api.gate import Gate
        from undiced.api.key import Lock
        from undiced.api.settings import Settings

        if self.on_outage == "allow" and not self.auth:
            remedy = "Give --auth, or leave it out."
            raise InvalidRequestError("--on-outage is about the database of --auth.", remedy=remedy)
        if self.auth and self.api_key is not None:
            remedy = "Leave one out; UNDICED_API_KEY may be the other."
            raise InvalidRequestError("--auth and --api-key are two ways to ask for keys.", remedy=remedy)
        hosts, origins = (self.host, *(self.allow_host or ())), tuple(self.allow_origin or ())
        settings = Settings(hosts, origins, self.api_key, drain_s=self.drain_s, max_connections=self.max_connections)
        Gate(settings), Lock(self.api_key)  # what is wrong with them is said before a model is loaded
        return settings

    def tls(self) -> SSLContext | None:
        """What speaks TLS. Raises InvalidRequestError where the files are none of a certificate."""
        from undiced.api.tls import tls_context

        return tls_context(self.tls_cert, self.tls_key)

    def bind(self) -> socket.socket:
        """The socket at the address, which others reach only on purpose.

        Raises:
            AddressError: it can't be had. InvalidRequestError: it is open to others, and nothing asks who they are.
        """
        from undiced.api.address import bind

        sock = bind(self.host, self.port)
        if not (self.open or self.guarded or ipaddress.ip_address(sock.getsockname()[0].partition("%")[0]).is_loopback):
            sock.close()
            raise InvalidRequestError(
                f"Everybody who reaches {self.host} could use this server: nothing asks who they are.",
                remedy="Give --auth, or a key as UNDICED_API_KEY (openssl rand -hex 24 makes one), or --open for all.",
            )
        return sock

    def desk(self) -> Desk | None:
        """Where accounts are managed, with `auth`.

        Raises:
            AddressError: its address can't be had.
        """
        if not self.auth:
            return None
        from undiced.api.address import bind
        from undiced.api.settings import Settings
        from undiced.cli.serving.desk import Desk

        hosts = (self.admin_host, *(self.allow_host or ()))
        settings = Settings(
            hosts,
            max_connections=_ADMINS,
            max_strangers=_ADMINS // 2,
            stranger_s=_STRANGER_S,
            max_body_bytes=_ADMIN_BODY_BYTES,
            drain_s=self.drain_s,
        )
        return Desk(bind(self.admin_host, self.admin_port, "admin-"), settings, allow=self.on_outage == "allow")
