"""Desk: where a server's accounts are managed, and what lets their keys in. Opened with `--auth` alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced import __version__

if TYPE_CHECKING:
    import contextlib
    import socket

    from undiced.account.accounts import Accounts
    from undiced.api.key import Guard
    from undiced.api.meter import Meter
    from undiced.api.server import Site
    from undiced.api.settings import Settings
    from undiced.cli.accounts import Place

SECRETS = ("UNDICED_API_KEY", "UNDICED_PEPPER", "UNDICED_DB", "PGPASSWORD")  # of the environment
_PASSWORD = "PGPASSWORD"


@dataclass(frozen=True, slots=True)
class Desk:
    """See the file's head. `sock`: of the management API. `allow`: requests run while the database is away."""

    sock: socket.socket
    settings: Settings
    allow: bool = False

    async def open(self, accounts: Accounts, held: contextlib.AsyncExitStack) -> tuple[Guard, Meter, Site]:
        """What lets requests for models in, what counts them, and the management API; what they hold is let go at the
        end.

        Raises:
            DatabaseError: the database can't be written. DatabaseAwayError: it does not answer.
        """
        import asyncio

        from undiced.account.keyring import OUTAGE_TRUST_S
        from undiced.api.management.app import build_management
        from undiced.api.management.office import Office
        from undiced.api.meter import open_meter
        from undiced.api.register import KeyGuard, Register
        from undiced.api.server import Site

        if self.allow:
            accounts.keyring.trust_s = OUTAGE_TRUST_S
        register, office = Register(accounts), Office(accounts, self.settings)
        held.push_async_callback(register.close)
        held.callback(office.close)
        await register.open()
        meter = await asyncio.to_thread(open_meter, accounts, register.instance_id, allow=self.allow)
        held.push_async_callback(asyncio.to_thread, meter.close)
        held.callback(accounts.database.hurry)  # first of all: what the database does not take now, the journal has
        app = build_management(office, self.settings, KeyGuard(register, "management"), __version__)
        return KeyGuard(register, "inference"), meter, Site(app, self.sock, self.settings, office.bodies.budget)


def open_accounts(place: Place) -> Accounts:
    """The accounts, which may be new.

    Raises:
        DatabaseError: they can't be used. DatabaseAwayError: their database does not answer.
    """
    from undiced.account.accounts import Accounts

    return Accounts(_with_password(place.where(create=True)), place.pepper_file, create=True)


def _with_password(url: str) -> str:
    """A URL with the password that PostgreSQL's own variable holds, which is taken out of the environment."""
    password = os.environ.get(_PASSWORD)
    if not password or not url.startswith("postgres"):
        return url
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return url  # its reader says what is wrong with it
    return url if parsed.password else parsed.set(password=password).render_as_string(hide_password=False)
