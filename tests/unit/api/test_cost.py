"""What a streamed token costs the HTTP process, from the engine's delta to the bytes for the socket."""

from __future__ import annotations

import time

from undiced.serve import Delta, UsageEvent

TOKENS = 4000
MOST_US = 60.0  # about 12 on an idle Zen 3 core; the margin is for machines that are busy or slow


async def deltas(request):
    for token in (b"tok " * TOKENS)[:TOKENS]:
        yield Delta(request.id, [token])
    yield Delta(
        request.id, [], [], [], "length", None, UsageEvent(request.id, "length", 1, 0, TOKENS, 0, 0, 1, 0, "host")
    )


def test_a_streamed_token_costs_microseconds(make):
    caller = make(context=10 * TOKENS)
    caller.engine.submit = deltas
    costs = []
    for _ in range(5):
        began = time.process_time()
        reply = caller.chat(stream=True, stop=["never", "seen"])
        costs.append((time.process_time() - began) / TOKENS * 1e6)
    assert len(reply.writes) > TOKENS
    assert min(costs) < MOST_US, costs
