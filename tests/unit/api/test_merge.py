"""Several streams read as one: none is read further ahead than by one delta."""

from __future__ import annotations

import asyncio
from collections import Counter

from undiced.api.merge import Merge
from undiced.core.errors import EngineError
from undiced.serve import Delta


async def test_of_sixteen_endless_streams_at_most_one_delta_each_is_ahead() -> None:
    pulled: Counter[int] = Counter()
    dealt: Counter[int] = Counter()

    async def endless(at: int):
        while True:
            pulled[at] += 1
            yield Delta(str(at), [pulled[at]])

    merge = Merge([endless(at) for at in range(16)])
    for _ in range(50):
        batch = await merge.take()
        for _ in range(40):  # a slow reader
            await asyncio.sleep(0)
        for at, found in batch:
            dealt[at] += 1
            assert isinstance(found, Delta) and found.tokens == [dealt[at]], "in order, none lost"
        assert all(pulled[at] <= dealt[at] + 1 for at in range(16))
    await merge.close()
    assert set(dealt) == set(range(16))


async def test_an_error_and_an_end_without_an_account_come_as_they_are() -> None:
    async def broken():
        yield Delta("a", [1])
        raise ZeroDivisionError

    async def short():
        yield Delta("b", [1])

    for streams in ([broken(), short()], [broken()], [short()]):
        merge, errors = Merge(streams), []
        while len(errors) < len(streams):
            errors += [type(found) for _, found in await merge.take() if isinstance(found, Exception)]
        await merge.close()
        assert set(errors) <= {ZeroDivisionError, EngineError}
