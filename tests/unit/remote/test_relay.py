"""The relay against an obvious twin: what goes to a socket, and what is left to decode."""

from __future__ import annotations

import math
import random
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undiced._native import Lane, Relay, Texts
from undiced.core.errors import EngineError
from undiced.remote.frames import Accepted, FromEngine, Step, client_reader, encode, figures
from undiced.serve import Delta, EngineStats, UsageEvent

USAGE = UsageEvent("a", "stop", 3, 1, 2, 0.1, 0.2, 0.3, math.inf, "host")
NAMES = ("a", "sequence-" * 4, "ü" * 20, "b" * 300)


def spell(token: int) -> bytes | None:
    """Texts of most tokens; one in seven has none of its own, one is empty, one too long to be kept."""
    return None if token % 7 == 3 else b"" if token == 12 else b"x" * 300 if token == 14 else b"<%d>" % token


def plain(delta: Delta) -> bool:
    """Whether a delta is tokens with texts of their own, and nothing else."""
    known = all(token != 14 and spell(token) is not None for token in delta.tokens)
    return bool(delta.tokens) and known and delta == Delta(delta.request_id, delta.tokens)


class Pair:
    """A lane and the other end of its socket."""

    def __init__(self, relay: Relay, name: str, texts: Texts) -> None:
        self.mine, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)
        self.lane: Lane = relay.lane(name, texts)

    def written(self) -> bytes:
        try:
            return self.theirs.recv(1 << 20)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        self.mine.close()
        self.theirs.close()


def chunk(text: bytes) -> bytes:
    return b"%x\r\n{%b}\r\n" % (len(text) + 2, text) if text else b""


def delta_of(chance: random.Random) -> Delta:
    tokens = [chance.choice((1, 2, 12, 12, 200, 300, 70_000, chance.randrange(1 << 17))) for _ in range(3)]
    delta = Delta(chance.choice((*NAMES, "unknown")), tokens[: chance.randrange(4)])
    match chance.randrange(8):
        case 0:
            delta.logprobs = [-0.5] * len(delta.tokens)
        case 1:
            delta.usage, delta.finish_reason = USAGE, "stop"
        case 2:
            delta.stop_token = 5
        case 3:
            delta.hidden, delta.top = b"x" * 300, [[(1, -0.5)] * 20] * 20
    return delta


def message_of(chance: random.Random) -> FromEngine:
    if chance.random() < 0.1:
        return Accepted("a")
    deltas = [delta_of(chance) for _ in range(chance.choice((0, 1, 1, 2, 20)))]
    return Step(deltas, EngineStats(running=2, joules=math.nan) if chance.random() < 0.3 else None)


@given(seed=st.integers(0, 1 << 32))
def test_each_delta_is_written_or_left(seed: int) -> None:
    chance, relay, texts = random.Random(seed), Relay(), Texts(spell)
    pairs = {name: Pair(relay, name, texts) for name in NAMES}
    open_now: set[str] = set()
    try:
        for _ in range(6):
            for name in chance.sample(NAMES, chance.randrange(len(NAMES) + 1)):
                pairs[name].lane.open(pairs[name].mine.fileno(), b"{", b"}", b"")
                open_now.add(name)
            messages = [message_of(chance) for _ in range(chance.randrange(5))]
            written, counts, left = dict.fromkeys(NAMES, b""), dict.fromkeys(NAMES, 0), list[FromEngine]()
            for message in messages:  # the twin
                if not isinstance(message, Step):
                    left.append(message)
                    continue
                kept = []
                for delta in message.deltas:
                    name = delta.request_id
                    if name in open_now and plain(delta):
                        written[name] += chunk(b"".join(spell(token) or b"" for token in delta.tokens))
                        counts[name] += len(delta.tokens)
                    else:
                        open_now.discard(name)
                        kept.append(delta)
                if kept or not message.deltas:
                    left.append(Step(kept, message.stats))
            data, got = b"".join(map(encode, messages)), b""
            while data:
                size = chance.choice((1, 5, 100, len(data)))
                got += relay.feed(data[:size]) or b""
                data = data[size:]
            assert repr(list(client_reader().feed(got))) == repr(left)
            for name, pair in pairs.items():
                assert pair.written() == written[name]
                assert pair.lane.close() == (counts[name], b"")
            open_now.clear()
    finally:
        for pair in pairs.values():
            pair.close()


@given(seed=st.integers(0, 1 << 32))
def test_what_is_damaged_is_left_to_the_reader(seed: int) -> None:
    chance, relay = random.Random(seed), Relay()
    pair = Pair(relay, "a", Texts(spell))
    pair.lane.open(pair.mine.fileno(), b"{", b"}", b"")
    frame = bytearray(encode(Step([Delta("b", [1]), delta_of(chance)], None)))
    for _ in range(3):
        frame[chance.randrange(4, len(frame))] = chance.randrange(256)
    rest = relay.feed(bytes(frame))
    pair.close()
    if rest is None:  # what was damaged is still plain
        return
    try:
        list(client_reader().feed(rest))
    except EngineError:
        assert rest == frame


def test_a_length_that_no_frame_has_is_left_to_the_reader() -> None:
    relay = Relay()
    with pytest.raises(EngineError):
        list(client_reader().feed(relay.feed(b"\xff\xff\xff\xff1234") or b""))


def test_figures_of_steps_that_were_taken_are_kept_until_newer_ones_are_left() -> None:
    relay = Relay()
    pair = Pair(relay, "a", Texts(spell))
    pair.lane.open(pair.mine.fileno(), b"{", b"}", b"")
    for steps in (1, 2):
        assert relay.feed(encode(Step([Delta("a", [1])], EngineStats(steps=steps)))) is None
    assert figures(relay.take_figures()).steps == 2
    assert relay.take_figures() == b""
    relay.feed(encode(Step([Delta("a", [1])], EngineStats(steps=3))))
    assert relay.feed(encode(Step([Delta("b", [1])], EngineStats(steps=4)))) is not None
    assert relay.take_figures() == b""
    pair.close()


def test_what_the_client_does_not_take_is_handed_back_and_closes_the_lane() -> None:
    relay = Relay()
    pair = Pair(relay, "a", Texts(spell))
    pair.mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    pair.lane.open(pair.mine.fileno(), b"{", b"}", b"a" * 5000)
    frame, taken, got = encode(Step([Delta("a", [1, 2])], None)), 0, b""
    while relay.feed(frame) is None:
        taken += 2
    count, rest = pair.lane.close()
    while piece := pair.written():
        got += piece
    assert count == taken and rest
    assert got + rest == chunk(b"a" * 5000) + chunk(b"<1><2>") * (taken // 2)
    assert pair.lane.close() == (0, b"")
    pair.close()


def test_a_sequence_that_is_forgotten_has_no_lane() -> None:
    relay = Relay()
    pair = Pair(relay, "a", Texts(spell))
    pair.lane.open(pair.mine.fileno(), b"{", b"}", b"")
    relay.forget("a")
    frame = encode(Step([Delta("a", [1])], None))
    assert relay.feed(frame) == frame and pair.written() == b""
    pair.close()
