"""Register: who holds which key. Answers from the keyring's memory; what that lacks is read from the database on
threads of its own, never on the event loop. Keeps the memory fresh, and tells the database that this process lives.

Whatever is wrong with the database, a caller is told to come again, and the log what it is.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from undiced.account.errors import DatabaseAwayError
from undiced.account.keyring import TRUST_S, wrong_key
from undiced.account.secret_text import SecretText
from undiced.api.key import keys_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from undiced.account.accounts import Accounts
    from undiced.account.keyring import Caller
    from undiced.account.records import Instance
    from undiced.account.scopes import Kind
    from undiced.api.key import Headers

_LOOK_S, _BEAT_S, _USED_S = 1.0, 10.0, 60.0
_READERS = 4  # threads that read keys
_MOST_READ = 256  # keys that are read, or wait for it, at once
_TRIES = 3  # a change while a key is read makes what was read worthless
_LAST_S = 3.0  # for the last words to the database
_log = logging.getLogger("undiced.accounts")
T = TypeVar("T")


class Register:
    """See the file's head. Belongs to one event loop; `open` and `close` frame its use."""

    def __init__(self, accounts: Accounts) -> None:
        self._ring, self._instances = accounts.keyring, accounts.instances
        self._readers = ThreadPoolExecutor(_READERS, "keys")
        self._watcher = ThreadPoolExecutor(1, "keys-watch")  # waits for no lock and for no other thread
        self._writer = ThreadPoolExecutor(1, "keys-write")
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._chores: list[asyncio.Task[None]] = []
        self._unwritten: dict[str, int] = {}  # when keys were used
        self._instance: Instance | None = None
        self._troubles: set[str] = set()

    async def open(self) -> None:
        """Begin to keep watch.

        Raises:
            DatabaseAwayError: the database does not answer. DatabaseError: it can't be read or written.
        """
        self._ring.take(await self._on(self._watcher, self._ring.look))
        self._instance = await self._on(self._writer, self._instances.start)
        chores = (
            ("look for changes", self._look, _LOOK_S),
            ("tell that this process lives", self._beat, _BEAT_S),
            ("tell when keys were used", self._write_used, _USED_S),
        )
        self._chores = [asyncio.create_task(self._again(*chore)) for chore in chores]

    @property
    def instance_id(self) -> str:
        """What this process is called in the database, once it is open."""
        assert self._instance is not None
        return self._instance.id

    async def close(self) -> None:
        """Write what is left to be told, and end."""
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        try:
            async with asyncio.timeout(_LAST_S):
                await self._write_used()
                if self._instance is not None:
                    await self._on(self._writer, self._instances.stop, self._instance)
        except Exception as error:  # the server ends, whatever becomes of it
            why = f"no answer within {_LAST_S:g} s" if isinstance(error, TimeoutError) else error
            _log.warning("the accounts' database did not take the last words: %s", why)
        for threads in (self._readers, self._watcher, self._writer):
            threads.shutdown(wait=False, cancel_futures=True)

    async def caller(self, key: bytes, kind: Kind) -> Caller:
        """Who holds a key of a kind.

        Raises:
            KeyRefusedError: nobody, for whatever reason. ArchivedError: it is of something archived.
            DatabaseAwayError: that can't be said now.
        """
        text = SecretText.parse(key.decode("latin-1"), "uk")
        if text is None:
            raise wrong_key()
        if not self._ring.remembers(text.id):
            await self._learn(text.id)
        return self._ring.judge(text, kind)

    async def _learn(self, key_id: str) -> None:
        """Read a key, once for all who ask for it."""
        task = self._reading.get(key_id)
        if task is None:
            if len(self._reading) >= _MOST_READ:
                raise _away()
            task = self._reading[key_id] = asyncio.create_task(self._read(key_id))
            task.add_done_callback(lambda done: self._was_read(key_id, done))
        try:
            async with asyncio.timeout(TRUST_S):
                await asyncio.shield(task)
        except TimeoutError:
            raise _away() from None

    def _was_read(self, key_id: str, task: asyncio.Task[None]) -> None:
        del self._reading[key_id]
        if not task.cancelled():
            task.exception()  # those who wait for it have it

    async def _read(self, key_id: str) -> None:
        for _ in range(_TRIES):
            try:
                fetched = await self._on(self._readers, self._ring.fetch, key_id)
            except Exception as error:
                self._failed("read keys", error)
                raise _away() from None
            self._worked("read keys")
            self._ring.keep(key_id, fetched)
            if self._ring.remembers(key_id):
                return
        raise _away()

    async def _again(self, what: str, chore: Callable[[], Awaitable[None]], pause_s: float) -> None:
        while True:
            await asyncio.sleep(pause_s)
            try:
                await chore()
            except Exception as error:  # whatever it is, the next time may be better
                self._failed(what, error)
            else:
                self._worked(what)

    async def _look(self) -> None:
        self._ring.take(await self._on(self._watcher, self._ring.look))

    async def _beat(self) -> None:
        assert self._instance is not None
        await self._on(self._writer, self._instances.beat, self._instance)

    async def _write_used(self) -> None:
        self._unwritten |= self._ring.used()
        if self._unwritten:
            await self._on(self._writer, self._ring.write_used, dict(self._unwritten))
            self._unwritten = {}

    async def _on(self, threads: ThreadPoolExecutor, work: Callable[..., T], *given: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work, *given)

    def _failed(self, what: str, error: Exception) -> None:
        """Log a failure, unless it is the same one still."""
        if what not in self._troubles:
            self._troubles.add(what)
            _log.warning("the accounts' database can't be used to %s: %s", what, error)

    def _worked(self, what: str) -> None:
        if what in self._troubles:
            self._troubles.discard(what)
            _log.warning("the accounts' database can be used again to %s", what)


class KeyGuard:
    """Lets in who carries a key of one kind. A request that carries several different ones would be of several callers,
    and is let in by none of them.
    """

    asks = parts = True

    def __init__(self, register: Register, kind: Kind) -> None:
        self._register = register
        self._kind: Kind = kind

    async def admit(self, headers: Headers) -> Caller:
        """Who asks.

        Raises:
            UndicedError: as `Register.caller`.
        """
        given = set(keys_in(headers))
        if len(given) != 1:
            raise wrong_key()
        return await self._register.caller(given.pop(), self._kind)


def _away() -> DatabaseAwayError:
    return DatabaseAwayError("Keys can't be checked now.", remedy="Try again.", retry_after_s=1.0)
