"""A call beside its caller: its result, its error, and that it is waited for."""

from __future__ import annotations

import threading

import pytest

from undiced.core.beside import Beside


def test_a_call_runs_while_its_caller_goes_on() -> None:
    go = threading.Event()
    call = Beside(lambda: go.wait(10) and threading.get_ident())
    go.set()
    assert call.result() not in (False, threading.get_ident())
    call.wait()
    assert call.result() == call.result()


def test_what_it_raises_is_raised_where_its_result_is_wanted() -> None:
    call = Beside(lambda: 1 // 0)
    call.wait()
    with pytest.raises(ZeroDivisionError):
        call.result()
