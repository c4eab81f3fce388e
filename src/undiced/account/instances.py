"""Instances: the server processes that use the database. Each says that it lives; one that fell silent is dead."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from undiced.account.records import Instance
from undiced.account.secret_text import new_id
from undiced.account.tables import INSTANCES

if TYPE_CHECKING:
    from undiced.account.database import Database

SILENT_S = 30  # without a heartbeat for that long, an instance is taken for dead
_KEPT_S = 7 * 86_400  # and after that long it is forgotten


class Instances:
    """See the file's head."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self) -> Instance:
        """Say that this process has begun; those are forgotten that were silent for a week."""
        with self._database.write() as transaction:
            now = transaction.now
            transaction.connection.execute(delete(INSTANCES).where(INSTANCES.c.heartbeat < now - _KEPT_S))
            made = Instance(f"ins_{new_id()}", socket.gethostname()[:255], os.getpid(), now, now)
            values = {name: getattr(made, name) for name in ("id", "host", "pid", "started", "heartbeat")}
            transaction.connection.execute(insert(INSTANCES).values(values))
            return made

    def beat(self, instance: Instance) -> None:
        """Say that it lives."""
        with self._database.write() as transaction:
            here = INSTANCES.c.id == instance.id
            transaction.connection.execute(update(INSTANCES).where(here).values(heartbeat=transaction.now))

    def stop(self, instance: Instance) -> None:
        """Say that it ends in order."""
        with self._database.write() as transaction:
            here = INSTANCES.c.id == instance.id
            transaction.connection.execute(update(INSTANCES).where(here).values(stopped=transaction.now))

    def living(self) -> list[Instance]:
        """Those that did not stop and were heard of lately, in the order in which they began."""
        table = INSTANCES
        with self._database.read() as transaction:
            alive = (table.c.stopped.is_(None), table.c.heartbeat > transaction.now - SILENT_S)
            rows = transaction.connection.execute(select(table).where(*alive).order_by(table.c.started)).mappings()
            return [Instance(**row) for row in rows]
