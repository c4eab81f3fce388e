"""The relay against an obvious twin: what goes to a socket, and what is left to decode."""

from __future__ import annotations

import math
import random
import select
import socket

import pytest
from hypothesis import example, given
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
    known = all(token != 14 and spell(token) is not None and (token < 300 or token == 70_000) for token in delta.tokens)
    return bool(delta.tokens) and known and delta == Delta(delta.request_id, delta.tokens)


def texts() -> Texts:
    """The texts of all tokens below 300 and of 70,000; others were never asked for."""
    found = Texts(spell)
    for token in (*range(300), 70_000):
        found.learn(token)
    return found


def fed(relay: Relay, data: bytes) -> bytes:
    """What is left of this."""
    relay.feed(data)
    found = b""
    while frame := relay.take():
        found += frame
    return found


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
    chance, relay, known = random.Random(seed), Relay(), texts()
    pairs = {name: Pair(relay, name, known) for name in NAMES}
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
                got += fed(relay, data[:size])
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
@example(118942473)
def test_what_is_damaged_is_left_to_the_reader(seed: int) -> None:
    chance, relay = random.Random(seed), Relay()
    pair = Pair(relay, "a", texts())
    pair.lane.open(pair.mine.fileno(), b"{", b"}", b"")
    frame = bytearray(encode(Step([Delta("b", [1]), delta_of(chance)], None)))
    for _ in range(3):
        frame[chance.randrange(4, len(frame))] = chance.randrange(256)
    rest = fed(relay, bytes(frame))
    pair.close()
    try:
        list(client_reader().feed(rest))
    except EngineError:  # of a delta that is left as it is, maybe, beside one that was taken
        with pytest.raises(EngineError):
            list(client_reader().feed(bytes(frame)))


def test_a_length_that_no_frame_has_is_left_to_the_reader() -> None:
    relay = Relay()
    with pytest.raises(EngineError):
        list(client_reader().feed(fed(relay, b"\xff\xff\xff\xff1234")))


def test_figures_of_steps_that_were_taken_are_kept_until_newer_ones_are_left() -> None:
    relay = Relay()
    pair = Pair(relay, "a", texts())
    pair.lane.open(pair.mine.fileno(), b"{", b"}", b"")
    for steps in (1, 2):
        assert fed(relay, encode(Step([Delta("a", [1])], EngineStats(steps=steps)))) == b""
    assert figures(relay.take_figures()).steps == 2
    assert relay.take_figures() == b""
    relay.feed(encode(Step([Delta("a", [1])], EngineStats(steps=3))))
    assert fed(relay, encode(Step([Delta("b", [1])], EngineStats(steps=4)))) != b""
    assert relay.take_figures() == b""
    pair.close()


def test_what_the_client_does_not_take_is_handed_back_and_closes_the_lane() -> None:
    relay = Relay()
    pair = Pair(relay, "a", texts())
    pair.mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    pair.lane.open(pair.mine.fileno(), b"{", b"}", b"a" * 5000)
    frame, taken, got = encode(Step([Delta("a", [1, 2])], None)), 0, b""
    while not fed(relay, frame):
        taken += 2
    count, rest = pair.lane.close()
    while piece := pair.written():
        got += piece
    assert count == taken and rest
    assert got + rest == chunk(b"a" * 5000) + chunk(b"<1><2>") * (taken // 2)
    assert pair.lane.close() == (0, b"")
    pair.close()


def test_a_meter_follows_what_is_said_and_ends_it() -> None:
    relay, data = Relay(), bytearray(24)
    cells = memoryview(data).cast("Q")
    pair = Pair(relay, "a", texts())
    cells[0] = cells[2] = 99
    pair.lane.open(pair.mine.fileno(), b"{", b"}", b"x", cells[1:2], 5, 9)
    frame = encode(Step([Delta("a", [1, 12])], None))
    assert list(cells) == [99, 5, 99]
    assert [len(fed(relay, frame)) for _ in range(3)] == [0, 0, len(frame)]
    assert list(cells) == [99, 9, 99]
    assert pair.written() == chunk(b"x") + chunk(b"<1>") * 2
    cells.release()
    with pytest.raises(BufferError):
        data.append(0)  # the lane holds its cell
    assert pair.lane.close() == (4, b"")
    data.append(0)
    pair.close()


def test_a_lane_does_not_open_while_news_are_left() -> None:
    relay = Relay()
    pair = Pair(relay, "a", texts())
    relay.feed(encode(Step([Delta("a", [1])], None)) * 2)
    for _ in range(2):
        assert not pair.lane.open(pair.mine.fileno(), b"{", b"}", b"x") and pair.written() == b""
        assert relay.take()
    assert pair.lane.open(pair.mine.fileno(), b"{", b"}", b"x") and pair.written() == chunk(b"x")
    pair.close()


def test_its_thread_reads_writes_and_rings() -> None:
    relay, (mine, engines) = Relay(), socket.socketpair()
    pair = Pair(relay, "a", texts())
    bell = relay.start(mine.fileno())
    pair.lane.open(pair.mine.fileno(), b"{", b"}", b"")
    token, other = encode(Step([Delta("a", [1])], None)), encode(Step([Delta("b", [2])], None))
    engines.sendall(token * 100)
    pair.theirs.settimeout(10)
    got = b""
    while got.count(b"<1>") < 100:
        got += pair.theirs.recv(1 << 16)
    assert got == chunk(b"<1>") * 100 and not select.select([bell], [], [], 0)[0]
    engines.sendall(other)
    assert select.select([bell], [], [], 10)[0] and relay.take() == other and not relay.ended
    assert not select.select([bell], [], [], 0)[0]
    engines.sendall(other + other[:5])
    engines.close()
    while not relay.ended:
        assert select.select([bell], [], [], 10)[0]
    assert (relay.take(), relay.take()) == (other, b"") and select.select([bell], [], [], 0)[0]
    relay.stop()
    assert not relay.ended
    mine.close()
    pair.close()


def test_its_thread_ends_when_it_is_stopped_and_another_may_follow() -> None:
    relay = Relay()
    for _ in range(3):
        mine, engines = socket.socketpair()
        relay.start(mine.fileno())
        engines.sendall(b"\x50\x00\x00\x00half")
        relay.stop()
        assert engines.recv(10) == b"" and relay.take() == b""
        mine.close()
        engines.close()


def test_a_sequence_that_is_forgotten_has_no_lane() -> None:
    relay = Relay()
    pair = Pair(relay, "a", texts())
    pair.lane.open(pair.mine.fileno(), b"{", b"}", b"")
    relay.forget("a")
    frame = encode(Step([Delta("a", [1])], None))
    assert fed(relay, frame) == frame and pair.written() == b""
    pair.close()
