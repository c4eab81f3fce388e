"""Pipeline: prepared statements for PostgreSQL, all in one trip, by libpq itself: psycopg's cursors take longer for a
statement than the server does. Knows no tables and no transactions.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from psycopg import OperationalError, errors, pq

from undiced.account.statements import Step, Value

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.pq.abc import PGconn, PGresult

_DONE = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


def trip(
    driver: Connection[tuple[object, ...]], prepared: set[str], steps: Sequence[Step]
) -> list[list[tuple[object, ...]]]:
    """Run each statement for each of its values; returns the rows of each. After one that fails none is run.

    Args:
        prepared: names of those that this connection knows already; it learns the others.

    Raises:
        psycopg.Error: a statement failed, or the connection is gone, and closed.
    """
    pgconn = driver.pgconn
    try:
        asked = _send(pgconn, prepared, steps)
        results = _receive(pgconn, len(asked))
    except BaseException:
        driver.close()  # nobody can go on in the midst of it
        raise
    found: list[list[tuple[object, ...]]] = [[] for _ in steps]
    for (name, place), result in zip(asked, results, strict=True):
        if result.status not in _DONE:
            raise errors.error_from_result(result, "utf-8")
        if place is None:
            prepared.add(name)
        elif readers := steps[place][0].readers:
            found[place] = _rows(result, readers)
    return found


def _send(pgconn: PGconn, prepared: set[str], steps: Sequence[Step]) -> list[tuple[str, int | None]]:
    """Ask for everything at once. Returns what a result is expected of: names, each with its step, or without one where
    a statement is only prepared.
    """
    asked: list[tuple[str, int | None]] = []
    new: set[str] = set()
    pgconn.enter_pipeline_mode()
    for place, (words, values) in enumerate(steps):
        name = words.name.encode()
        if words.name not in prepared and words.name not in new:
            new.add(words.name)
            pgconn.send_prepare(name, words.text.encode())
            asked.append((words.name, None))
        for row in values:
            pgconn.send_query_prepared(name, [None if value is None else str(value).encode() for value in row])
            asked.append((words.name, place))
    pgconn.pipeline_sync()
    return asked


def _receive(pgconn: PGconn, count: int) -> list[PGresult]:
    """That many results, and the end of the trip."""
    arrivals, departures = select.poll(), select.poll()
    arrivals.register(pgconn.socket, select.POLLIN)
    departures.register(pgconn.socket, select.POLLIN | select.POLLOUT)
    while pgconn.flush():
        departures.poll()
        pgconn.consume_input()  # a server that can't get rid of its answers takes no more questions
    results = []
    for _ in range(count):
        if (result := _next(pgconn, arrivals)) is None:
            raise OperationalError("the connection is lost")
        results.append(result)
        _next(pgconn, arrivals)  # nothing: there is one for each question
    _next(pgconn, arrivals)  # the end of the trip
    pgconn.exit_pipeline_mode()
    return results


def _next(pgconn: PGconn, arrivals: select.poll) -> PGresult | None:
    """What comes next. It is waited for here: within libpq all other threads would wait, too."""
    while pgconn.is_busy():
        arrivals.poll()
        pgconn.consume_input()
    return pgconn.get_result()


def _rows(result: PGresult, readers: Sequence[Callable[[bytes], Value]]) -> list[tuple[object, ...]]:
    return [
        tuple(
            [None if (value := result.get_value(row, at)) is None else read(value) for at, read in enumerate(readers)]
        )
        for row in range(result.ntuples)
    ]
