"""Pipeline: prepared statements for PostgreSQL, all in one trip, by libpq itself: psycopg's cursors take longer for a
statement than the server does. Knows no tables and no transactions.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from psycopg import DataError, Error, OperationalError, errors, pq

from undiced.account.statements import Step, Value

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.pq.abc import PGconn, PGresult

_DONE = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)
_SILENT_S = 20  # longer than locks are waited for; who tells nothing for so long is taken for gone
_STALE = ("26000", "42P05", "0A000")  # a statement is not there, is there already, or has rows of another form by now
_Asked = list[tuple[str, int | None]]


def trip(
    driver: Connection[tuple[object, ...]], prepared: set[str], steps: Sequence[Step]
) -> list[list[tuple[object, ...]]]:
    """Run each statement for each of its values; returns the rows of each. After one that fails none is run.

    Args:
        prepared: names of those that this connection knows already; it learns the others.

    Raises:
        psycopg.Error: a statement failed, or the connection is gone, or has forgotten what it knew, and closed.
    """
    pgconn, written = driver.pgconn, [[_written(row) for row in values] for _, values in steps]
    try:
        asked = _send(pgconn, prepared, steps, written)
        results = _receive(pgconn, len(asked))
    except BaseException:
        driver.close()  # nobody can go on in the midst of it
        raise
    found: list[list[tuple[object, ...]]] = [[] for _ in steps]
    for (name, place), result in zip(asked, results, strict=True):
        if result.status not in _DONE:
            raise _failure(driver, result)
        if place is None:
            prepared.add(name)
        elif readers := steps[place][0].readers:
            found[place] = _rows(result, readers)
    if results and results[-1].command_status == b"ROLLBACK":  # what a COMMIT does after a failure; we ask for no other
        raise errors.InFailedSqlTransaction("the transaction had failed, and was rolled back")
    return found


def _written(row: Sequence[object]) -> list[bytes | None]:
    """Values as libpq takes them: each ends at its first NUL."""
    for value in row:
        if type(value) is str and "\0" in value:
            raise DataError("a text with a NUL can't be stored")
    return [None if value is None else str(value).encode() for value in row]


def _failure(driver: Connection[tuple[object, ...]], result: PGresult) -> Error:
    """Why a statement failed. A connection that does not know what we think it knows is no good any more: a pooler, or
    somebody who changed the tables, came in between.
    """
    error = errors.error_from_result(result, "utf-8")
    if error.sqlstate not in _STALE:
        return error
    driver.close()
    return OperationalError(str(error))


def _send(
    pgconn: PGconn, prepared: set[str], steps: Sequence[Step], written: Sequence[Sequence[list[bytes | None]]]
) -> _Asked:
    """Ask for everything at once. Returns what a result is expected of: names, each with its step, or without one where
    a statement is only prepared.
    """
    asked: _Asked = []
    new: set[str] = set()
    pgconn.enter_pipeline_mode()
    for place, (words, _) in enumerate(steps):
        name = words.name.encode()
        if words.name not in prepared and words.name not in new:
            new.add(words.name)
            pgconn.send_prepare(name, words.text.encode())
            asked.append((words.name, None))
        for row in written[place]:
            pgconn.send_query_prepared(name, row)
            asked.append((words.name, place))
    pgconn.pipeline_sync()
    return asked


def _receive(pgconn: PGconn, count: int) -> list[PGresult]:
    """That many results, and the end of the trip."""
    arrivals, departures = select.poll(), select.poll()
    arrivals.register(pgconn.socket, select.POLLIN)
    departures.register(pgconn.socket, select.POLLIN | select.POLLOUT)
    while pgconn.flush():
        _wait(departures)
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
        _wait(arrivals)
        pgconn.consume_input()
    return pgconn.get_result()


def _wait(poll: select.poll) -> None:
    if not poll.poll(_SILENT_S * 1000):
        raise OperationalError(f"no word for {_SILENT_S} seconds")


def _rows(result: PGresult, readers: Sequence[Callable[[bytes], Value]]) -> list[tuple[object, ...]]:
    return [
        tuple(
            [None if (value := result.get_value(row, at)) is None else read(value) for at, read in enumerate(readers)]
        )
        for row in range(result.ntuples)
    ]
