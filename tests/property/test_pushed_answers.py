"""What a reader is told of an answer, piece by piece and with pauses, is what a fold of all its tokens at once says."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from undiced.api.answer import Answer
from undiced.api.choice import Choice
from undiced.api.errors import ClientClosedError
from undiced.core.errors import EngineError, UndicedError
from undiced.remote.frames import Cancel, Finish, Hold
from undiced.remote.stream import UNREAD_MOST, Stream, Take
from undiced.serve import Delta, Request, UsageEvent
from undiced.text import Fold, FoldOptions, Piece
from undiced.text.formats import TapeOptions, dialect_of

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "api"))
from scripted import ByteTokenizer, build_caller

TOKENIZER = ByteTokenizer()
DIALECT = dialect_of("</think>", TOKENIZER)
THINKS = DIALECT.channels({}, TapeOptions(opened=False, raw=False, trim=False, single=False))
SAID = st.one_of(
    st.text("abcé🎉 ", max_size=60),
    st.builds("<think>{}</think>{}".format, st.text("abö", max_size=20), st.text("abc", max_size=40)),
    st.integers(2 * UNREAD_MOST, 3 * UNREAD_MOST).map(lambda count: "ab" * (count // 2)),
)
STOPS = st.lists(st.text("abc", min_size=1, max_size=3), max_size=2).map(tuple)
ACTS = st.lists(st.sampled_from(["step"] * 6 + ["turn", "turn", "go on"]), max_size=60)
END = st.sampled_from(["end"] * 4 + ["leave", "die", "one dies"])
# From a seed: an answer is told things as it is cancelled, when its example may draw no more.
RANDOM = st.randoms(use_true_random=True)


SERVICE = build_caller().service


def fold(stops: tuple[str, ...], index: int = 0) -> Fold:
    assert THINKS is not None
    return Fold(TOKENIZER, FoldOptions(stops=stops), index=index, channels=THINKS())


def said(pieces: list[Piece]) -> dict[str, str]:
    """Text by channel."""
    told = {"content": "", "reasoning": ""}
    for piece in pieces:
        told[piece.channel] += piece.text
    return told


@dataclass
class World:
    """An answer on scripted streams, as many tokens a step as `random` says, and a reader that pauses as it says."""

    texts: list[str]
    stops: tuple[str, ...]
    random: object
    streams: dict[str, Stream] = field(default_factory=dict)
    left: dict[str, list[int]] = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    orders: list[Cancel | Finish | Hold] = field(default_factory=list)
    accounts: dict[str, UsageEvent] = field(default_factory=dict)
    told: list[Piece] = field(default_factory=list)
    paused: bool = False
    gone: bool = False

    def __post_init__(self) -> None:
        choices = [Choice(at, Request(str(at), (1,), 9999), fold(self.stops, at)) for at in range(len(self.texts))]
        self.answer = Answer(SERVICE, self, choices, 0.0)  # type: ignore[arg-type]
        self.engine, self.card = self, SERVICE.deployments[0].card

    def submit(self, request: Request, take: Take) -> Stream:
        name = request.id
        self.left[name], self.made[name] = list(self.texts[int(name)].encode()), 0
        self.streams[name] = Stream(request, take, self.orders.append, self._account, 0.0)
        return self.streams[name]

    def _account(self, event: UsageEvent) -> None:
        assert event.request_id not in self.accounts
        self.accounts[event.request_id] = event

    def tell(self, pieces: list[Piece]) -> bool:
        assert not self.paused or self.gone, "nothing is told to a reader that pauses"
        self.told += pieces
        self.paused = self.random.random() < 0.3
        return not self.paused

    def go_on(self) -> None:
        if self.paused and not self.gone:
            self.paused = False
            self.answer.resume()

    def step(self) -> None:
        """Every sequence that runs gets some tokens, and hears what was ordered."""
        orders, self.orders[:] = self.orders.copy(), []
        for order in orders:
            if isinstance(order, Hold):
                (self.held.add if order.held else self.held.discard)(order.request_id)
            elif order.request_id in self.left:
                self._end(order.request_id, [], order.reason if isinstance(order, Finish) else "cancelled")
        for name in list(self.left):
            self.streams[name].accept()
            if name not in self.held:
                self._say(name, self.random.choice([1, 1, 1, 2, 9, 40]))

    def _say(self, name: str, count: int) -> None:
        some, self.left[name] = self.left[name][:count], self.left[name][count:]
        self.made[name] += len(some)
        if not self.left[name]:
            self._end(name, some, "length")
        else:
            self.streams[name].push(Delta(name, some), 1.0)

    def _end(self, name: str, tokens: list[int], reason: str) -> None:
        del self.left[name]
        usage = UsageEvent(name, reason, 1, 0, self.made[name], 0, 0, 0, 0, "host")
        self.streams[name].push(Delta(name, tokens, finish_reason=reason, usage=usage), 1.0)

    def die(self, most: int) -> None:
        for name in list(self.left)[:most]:
            del self.left[name]
            self.streams[name].fail(EngineError("It died."), None, 1.0)

    async def run(self, acts: list[str], end: str) -> UndicedError | None:
        """Returns what the answer failed of."""
        running = asyncio.create_task(self.answer.run(self.tell))
        await asyncio.sleep(0)
        for act in acts:
            await self._act(act)
            assert all(len(s._pending.tokens) <= UNREAD_MOST + 40 for s in self.streams.values() if s._pending)
        if end == "leave":
            self.gone = True
            self.answer.cancel()
        elif end == "die":
            self.die(99)
        elif end == "one dies":
            self.die(1)
            for name in list(self.left):  # what the others say in the same turn
                self._say(name, 999)
        for _ in range(3000):
            if running.done():
                break
            for act in ("step", "turn", "go on"):
                await self._act(act)
        for _ in range(3):
            self.step()
        try:
            await asyncio.wait_for(running, 0.1)
        except UndicedError as error:
            return error
        return None

    async def _act(self, act: str) -> None:
        if act == "step":
            self.step()
        elif act == "go on":
            self.go_on()
        await asyncio.sleep(0)


@settings(max_examples=60, deadline=None)
@given(st.lists(SAID, min_size=1, max_size=3), STOPS, ACTS, END, RANDOM)
def test_an_answer_in_pieces_is_the_fold_of_all_its_tokens(texts, stops, acts, end, random) -> None:
    asyncio.run(_check(World(texts, stops, random), acts, end))


async def _check(world: World, acts: list[str], end: str) -> None:
    failure = await world.run(acts, end)
    assert not world.left, "nothing runs on"
    assert isinstance(failure, {"leave": ClientClosedError, "end": ()}.get(end, EngineError)) or failure is None
    for at, text in enumerate(world.texts):
        twin = fold(world.stops)
        whole = said(twin.push(Delta("twin", list(text.encode()), finish_reason="length")))
        mine = [piece for piece in world.told if piece.index == at]
        told, account = said(mine), world.accounts.get(str(at))
        finished = bool(mine) and mine[-1].finish is not None
        if failure is None:
            assert finished and told == whole
        assert all(whole[name].startswith(told[name]) for name in told), "what is told is certain"
        assert not finished or told == whole
        assert [piece.tokens for piece in mine] == sorted(piece.tokens for piece in mine)
        if account is not None:
            assert account.completion_tokens == world.answer.choices[at].fold.tokens, "who leaves pays what was folded"
            assert failure is not None or account.completion_tokens == twin.tokens
