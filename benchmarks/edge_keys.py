"""What keys of accounts cost: the part of `edge.py --auth`. Knows accounts and requests, and no engine."""

from __future__ import annotations

import asyncio
import json
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy import insert

from undiced.account.accounts import Accounts
from undiced.account.actor import Actor
from undiced.account.keys import KeyOrder
from undiced.account.secret_text import new_id
from undiced.account.tables import KEYS
from undiced.api.register import KeyGuard, Register

OPERATOR = Actor.operator("benchmark")
_CHECKS = 20_000
_LOT = 10_000  # rows of a transaction
Ask = Callable[[int, str], Awaitable[float]]  # a port and a key: milliseconds


def make_accounts(folder: Path, keys: int, own: int) -> tuple[str, list[str]]:
    """A SQLite database with so many keys; returns where, and the texts of `own` of them."""
    url = str(folder / "accounts.db")
    return url, fill(url, keys, own)


def fill(url: str, keys: int, own: int) -> list[str]:
    """Put so many keys of one organization into an empty database; returns the texts of `own` of them."""
    accounts = Accounts(url)
    org = accounts.organizations.create(OPERATOR, "acme")
    made = [accounts.keys.create(OPERATOR, KeyOrder("inference", "acme", "default")) for _ in range(own)]
    row = {name: getattr(made[0][0], name) for name in ("project_id", "kind", "name", "created", "last_four")}
    row |= {"org_id": org.id, "scopes": json.dumps(made[0][0].scopes)}
    for begin in range(own, keys, _LOT):
        rows = [row | {"id": new_id(), "digest": secrets.token_bytes(32)} for _ in range(min(_LOT, keys - begin))]
        with accounts.database.write() as transaction:
            transaction.connection.execute(insert(KEYS), rows)
    accounts.close()
    return [text.reveal() for _, text in made]


async def open_guard(url: str) -> KeyGuard:
    """What lets requests in with keys of a database."""
    register = Register(Accounts(url))
    await register.open()
    return KeyGuard(register, "inference")


async def check_keys(url: str, keys: list[str]) -> dict[str, float]:
    """How long it takes to let a request in: the first one with a key, and those after it."""
    guard = await open_guard(url)
    first_ms = []
    for key in keys:
        headers = [(b"authorization", b"Bearer " + key.encode())]
        began_s = time.perf_counter()
        await guard.admit(headers)
        first_ms.append((time.perf_counter() - began_s) * 1e3)
    again_us = []
    for _ in range(5):
        began_s = time.process_time()
        for _ in range(_CHECKS):
            await guard.admit(headers)
        again_us.append((time.process_time() - began_s) / _CHECKS * 1e6)
    return {
        "first_ms": round(statistics.median(first_ms), 3),
        "first_p99_ms": round(statistics.quantiles(first_ms, n=100)[-1], 3),
        "remembered_cpu_us": round(statistics.median(again_us), 1),
    }


async def first_tokens(ask: Ask, ports: tuple[int, int], key: str, requests: int) -> dict[str, float]:
    """Milliseconds to the first token without keys and with them, asked for in turn."""
    without, with_ = [], []
    for at in range(requests):
        pair = [(without, ports[0]), (with_, ports[1])]
        for found, port in pair if at % 2 else pair[::-1]:
            found.append(await ask(port, key))
    await asyncio.sleep(0)
    return {
        "first_token_ms": round(statistics.median(without), 3),
        "with_keys_ms": round(statistics.median(with_), 3),
        "more_ms": round(statistics.median(b - a for a, b in zip(without, with_, strict=True)), 3),
    }
