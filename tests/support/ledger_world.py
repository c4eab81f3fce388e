"""A world in which a server process, its engine, its disk and its database fail, all drawn from one seed and on clocks
of its own: the real scheduler, clerk, journal, progress file and ledger, without a thread or a socket.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from support.fake import FakeBackend
from support.ledgers import Books
from support.troubled import TroubledJournal, TroubledLedger

from undiced.account import clerk as clerks
from undiced.account.clerk import Clerk
from undiced.account.estimates import Estimates
from undiced.account.journal import journal_of
from undiced.account.ledger import Answer, Ledger
from undiced.account.ledger_records import Ask, Outcome, Ticket
from undiced.account.progress import Progress
from undiced.account.recovery import recover
from undiced.api.meter import Bill, Counts
from undiced.core.errors import UndicedError
from undiced.engine.backend import Limits
from undiced.serve import Policy, Request, Scheduler
from undiced.serve.clock import VirtualClock
from undiced.serve.loop import EngineLoop

ENGINE = Limits(
    max_batch=4, max_tokens=16, context=64, pages=24, page_tokens=4, vocab=40, source="test", scored_rows=2, in_flight=1
)


@dataclass
class Customer:
    """Who asked, and what reached him. `told`: the end of his answer did."""

    ask: Ask
    got: int = 0
    told: bool = False
    refused: bool = False
    left: bool = False


@dataclass
class Process:
    """A server process: what is lost when it is killed."""

    ledger: TroubledLedger
    journal: TroubledJournal
    progress: Progress
    clerk: Clerk
    loop: EngineLoop
    asking: dict[str, Future[Answer]] = field(default_factory=dict)
    bills: dict[str, Bill] = field(default_factory=dict)


class World:
    """See the file's head."""

    def __init__(self, books: Books, folder: Path, seed: int) -> None:
        self.books, self.folder, self.draw = books, folder, random.Random(seed)
        self.allow = self.draw.random() < 0.5
        self.clock = VirtualClock()
        self.customers: dict[str, Customer] = {}
        self.crashes = 0
        self.process = self.begin()

    def begin(self) -> Process:
        """A new process, after recovery."""
        recover(self.books.accounts.database, self.folder)
        name = f"ins_{self.crashes}"
        ledger = TroubledLedger(Ledger(self.books.accounts.database, name))
        progress = Progress(self.folder, name)
        journal = TroubledJournal(journal_of(self.folder, name))
        clerk = Clerk(ledger, journal, allow=self.allow, clock=self.clock)  # type: ignore[arg-type]
        loop = EngineLoop(
            FakeBackend(ENGINE, step_s=0.05, token_s=0.01),
            Scheduler(ENGINE, Policy(max_waiting=6)),
            clock=self.clock,
        )
        return Process(ledger, journal, progress, clerk, loop)

    def run(self, events: int) -> None:
        """So many things happen; afterwards all is well, and everything ends."""
        acts = (self.arrive, self.step, self.step, self.step, self.pump, self.pump, self.leave, self.trouble)
        for _ in range(events):
            rare = self.draw.random()
            if rare < 0.02:
                self.crash()
            elif rare < 0.04:
                self.lose_engine()
            else:
                self.draw.choice(acts)()
        self.calm()
        if self.draw.random() < 0.3:
            self.crash()
        for _ in range(1000):
            self.step()
            self.clock.advance(1.0)
            self.pump()
            process = self.process
            if not (process.bills or process.asking or process.clerk._works or process.clerk._waits):
                break
        else:
            raise AssertionError("something never ends")
        assert self.process.progress._next == len(self.process.progress._free), "a slot was not given back"

    def arrive(self) -> None:
        """Somebody asks."""
        process, books = self.process, self.books
        slot = process.progress.take()
        assert slot is not None
        most = self.draw.randrange(1, 30)
        ask = books.ask(self.draw.randrange(1, 20), most, min(most, self.draw.choice((0, 5, 100))), slot=slot)
        self.customers[ask.id] = Customer(ask)
        process.asking[ask.id] = process.clerk.hand_in(ask)

    def pump(self) -> None:
        """The clerk has a turn, and whoever was admitted begins."""
        process = self.process
        clerk = process.clerk
        works, clerk._works = clerk._works[:64], clerk._works[64:]
        clerk._safely(clerk._do, works)
        clerk._safely(clerk._catch_up)
        for name, done in list(process.asking.items()):
            if done.done():
                del process.asking[name]
                self.start(self.customers[name], done)

    def start(self, customer: Customer, done: Future[Answer]) -> None:
        """As `Meter.admit`: run what has a ticket, and give back the slot of what was refused, or of who has left."""
        process, ask = self.process, customer.ask
        assert ask.slot is not None
        if done.exception() is not None:
            customer.refused = True
            process.progress.give(ask.slot)
            return
        ticket = done.result()
        assert isinstance(ticket, Ticket)
        estimates = Estimates(self.books.accounts.database)
        learn = (estimates, ask.key_id, ask.model)
        bill = Bill(
            ticket.max_tokens, {}, process.clerk, process.progress, ticket.id, ask.slot, learn, ask.expected_tokens
        )
        if customer.left:
            bill.release("cancelled")
            return
        try:
            prompt = tuple(self.draw.randrange(40) for _ in range(ask.prompt_tokens))
            process.loop.add(Request(ask.id, prompt, ticket.max_tokens, ignore_eos=True))
        except UndicedError:
            customer.refused = True
            bill.release("error")
        else:
            process.bills[ask.id] = bill

    def step(self) -> None:
        """The engine computes, and what it says is handed over."""
        process = self.process
        for delta in process.loop.step():
            customer, bill = self.customers[delta.request_id], process.bills.get(delta.request_id)
            if bill is None:
                continue
            if delta.tokens and not customer.left:
                customer.got += len(delta.tokens)
                bill.told(customer.got)
            if delta.usage is not None:
                used = delta.usage
                counts = Counts(used.prompt_tokens, used.cached_tokens, used.completion_tokens)
                customer.told = True
                customer.got = used.completion_tokens
                bill.settle(counts, used.finish_reason)
                del process.bills[delta.request_id]

    def leave(self) -> None:
        """A customer goes away."""
        names = [*self.process.bills, *self.process.asking]
        if not names:
            return
        name = self.draw.choice(names)
        self.customers[name].left = True
        if name in self.process.bills:
            self.process.loop.cancel(name)

    def trouble(self) -> None:
        """Something breaks, or is mended; time passes, on the database's clock perhaps back."""
        process, kind = self.process, self.draw.randrange(6)
        if kind == 0:
            process.ledger.away = not process.ledger.away
            process.ledger.forgetful = False
        elif kind == 1:
            process.ledger.forgetful = not process.ledger.away
        elif kind == 2:
            process.journal.full = not process.journal.full
        elif kind == 3:
            self.calm()
        else:
            self.clock.advance(self.draw.uniform(0, 10))

    def calm(self) -> None:
        """All is well again."""
        process = self.process
        process.ledger.away = process.ledger.forgetful = process.journal.full = False

    def lose_engine(self) -> None:
        """The engine dies; what it had not finished ends with an error."""
        process = self.process
        process.loop.fail()
        for name, bill in process.bills.items():
            customer = self.customers[name]
            if bill.handed:
                bill.settle(Counts(customer.ask.prompt_tokens, 0, customer.got), "error")
            else:
                bill.release("error")
            customer.told = True
        process.bills.clear()
        process.loop = EngineLoop(
            FakeBackend(ENGINE, step_s=0.05, token_s=0.01),
            Scheduler(ENGINE, Policy(max_waiting=6)),
            clock=self.clock,
        )

    def crash(self) -> None:
        """The process is killed, and another one begins."""
        self.crashes += 1
        self.process.progress._counts.release()  # as the kernel does: its lock is free
        self.process.progress._map.close()
        os.close(self.process.progress._file)
        os.close(self.process.journal._file)
        self.process = self.begin()

    def end(self) -> None:
        """The process ends in order."""
        process = self.process
        process.journal.close()
        process.progress.close()

    def outcome(self, name: str) -> Outcome | None:
        """What the database says of a request; None if it has never seen it."""
        row = self.books.rows().get(name)
        if row is None:
            return None
        counts = (int(str(row[each])) for each in ("prompt_tokens", "cached_tokens", "completion_tokens"))
        return Outcome(name, row["state"], str(row["finish_reason"]), *counts)  # type: ignore[arg-type]


@contextmanager
def clerks_clock(books: Books) -> Iterator[None]:
    """This machine's clock is the database's."""
    real = clerks.time
    clerks.time = SimpleNamespace(time_ns=lambda: books.clock.now_ms * 1_000_000)  # type: ignore[assignment]
    try:
        yield
    finally:
        clerks.time = real
