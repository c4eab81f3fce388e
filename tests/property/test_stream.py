"""A stream under any order of what the engine and the reader do: one account, no token after a cut, an end for each."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from support.reader import Reader

from undiced.core.errors import EngineError
from undiced.remote.frames import Cancel, Finish
from undiced.remote.stream import State, Stream
from undiced.serve import Delta, Request, UsageEvent

ENGINE = st.lists(
    st.one_of(st.just("accept"), st.integers(0, 3).map(lambda n: ("push", n))), min_size=1, max_size=8
)  # what comes before its last
LAST = st.sampled_from(["end", "end with tokens", "fail", "fail with account", "refuse", "nothing"])
READER = st.sampled_from(["read", "read", "read", "read", "cancel", "finish 0", "finish 2"])


class World:
    """A stream, what it told both sides, and what its reader saw."""

    def __init__(self) -> None:
        self.sent: list[Cancel | Finish] = []
        self.accounts: list[UsageEvent] = []
        request = Request("a", (1, 2), 99)
        self.reader = Reader(lambda take: Stream(request, take, self.sent.append, self.accounts.append, now=1.0))
        self.stream = self.reader.stream
        self.made = self.seen = 0
        self.left_at = -1  # tokens seen when the reader left
        self.counted = -1  # and how many of them it said to count
        self.told = False  # whether the engine should have heard of it
        self.accepted = self.ended = False
        self.outcome = ""
        self.reading: asyncio.Task[Delta] | None = None

    def engine(self, act: str | tuple[str, int]) -> None:
        if act == "accept":
            self.accepted = True
            self.stream.accept()
        elif isinstance(act, tuple):
            self.accepted = True  # the engine says so before it sends any token
            self.stream.accept()
            self._push(act[1], None)
        elif act in ("end", "end with tokens"):
            self.accepted = self.ended = True
            self.stream.accept()
            self._push(2 if act != "end" else 0, self._account("length"))
        elif act != "nothing":
            self.ended = True
            account = self._account("error") if act == "fail with account" and self.accepted else None
            self.stream.fail(EngineError("gone"), account, 9.0)

    def _push(self, count: int, usage: UsageEvent | None) -> None:
        tokens = list(range(self.made, self.made + count))
        self.made += count
        if usage is not None:
            usage = self._account("length")
        assert self.stream.push(Delta("a", tokens, finish_reason=usage and "length", usage=usage), 2.0) == (
            usage is None
        )

    def _account(self, reason: str) -> UsageEvent:
        return UsageEvent("a", reason, 2, 0, self.made, 0.0, 1.0, 2.0, 0.0, "host")  # type: ignore[arg-type]

    async def read_or_leave(self, act: str) -> None:
        if act == "cancel":
            self._left(self.seen)
            self.stream.cancel()
        elif act.startswith("finish"):
            self._left(int(act[-1]))
            self.stream.finish(int(act[-1]))
        elif act == "read":
            await self.read()

    def _left(self, counted: int) -> None:
        if self.left_at < 0 and not self.outcome:
            self.left_at, self.counted, self.told = self.seen, counted, not self.ended

    async def read(self) -> None:
        """Read one delta, or leave a read open that a later one takes up."""
        if self.reading is None:
            self.reading = asyncio.ensure_future(anext(self.reader))
        for _ in range(5):  # let it get as far as it can
            await asyncio.sleep(0)
        if not self.reading.done():
            return
        task, self.reading = self.reading, None
        if (error := task.exception()) is not None:
            self.outcome = self.outcome or type(error).__name__
            return
        delta = task.result()
        assert not self.outcome, "nothing comes after the end"
        assert delta.tokens == list(range(self.seen, self.seen + len(delta.tokens))), "tokens in order, once"
        self.seen += len(delta.tokens)
        if delta.usage is not None:
            assert delta.tokens == []
            self.outcome = "usage"


@settings(max_examples=300)
@given(ENGINE, LAST, st.lists(READER, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_any_order_gives_one_account_and_one_end(engine, last, reader, random) -> None:
    asyncio.run(_run(engine, last, reader, random))


async def _run(engine, last, reader, random) -> None:
    world, engine, reader = World(), [*engine, last], list(reader)
    while engine or reader:
        if engine and (not reader or random.random() < 0.5):
            world.engine(engine.pop(0))
        else:
            await world.read_or_leave(reader.pop(0))
        if world.reading is not None:
            await world.read()
    await _check(world)


async def _check(world: World) -> None:
    for _ in range(4):
        await world.read()
    assert len(world.sent) == world.told
    if world.left_at >= 0:
        assert world.seen == world.left_at, "who has left is handed no tokens"
    if not world.ended:
        assert not world.accounts and not world.outcome
        assert world.reading is not None
        world.reading.cancel()
        return
    assert world.outcome in ("usage", "EngineError", "StopAsyncIteration")
    assert world.stream.state is State.OVER
    assert len(world.accounts) == world.accepted
    if world.accounts:
        (account,) = world.accounts
        assert world.stream.usage is account
        left = world.left_at >= 0
        assert account.completion_tokens == (min(world.counted, world.made) if left else world.made)
        assert left or account.finish_reason in ("length", "error")
