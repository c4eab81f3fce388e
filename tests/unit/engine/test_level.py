"""Which instruction set level is used: what is asked for, else the environment's, else the best; others are refused."""

from __future__ import annotations

import pytest

from undiced import _native
from undiced.core.errors import UnsupportedError
from undiced.engine.level import LEVELS, level


def test_the_best_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNDICED_ISA", raising=False)
    assert level() == _native.isa_detect() in LEVELS
    monkeypatch.setenv("UNDICED_ISA", "portable")
    assert level() == "portable" and level(_native.isa_detect()) == _native.isa_detect()


def test_others_are_refused_with_those_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedError, match="'abacus'") as refused:
        level("abacus")
    assert "It runs portable" in refused.value.remedy
    monkeypatch.setenv("UNDICED_ISA", "sse9")
    with pytest.raises(UnsupportedError, match="UNDICED_ISA: "):
        level()


def test_the_environment_reaches_the_engine(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    from support.tiny_models import load_case, make_folder

    from undiced import LLM

    monkeypatch.setenv("UNDICED_ISA", "abacus")
    with pytest.raises(UnsupportedError, match="abacus"):
        LLM(make_folder(load_case("llama"), tmp_path / "tiny"), threads=1)
