"""A model that shall guess for another one: what is refused, and how far its context goes."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from support import tiny_models

from undiced.compiled import compile_draft, compile_for_host
from undiced.core.errors import InvalidRequestError
from undiced.llm import LLM


def folder(path: Path, layers: int = 2, context: int | None = None) -> Path:
    """A tiny model of so many layers."""
    case = copy.deepcopy(tiny_models.load_case("llama"))
    case["config"]["num_hidden_layers"] = layers
    case["config"]["max_position_embeddings"] = context or case["config"]["max_position_embeddings"]
    case["tensors"] = {
        name: shape
        for name, shape in case["tensors"].items()
        if ".layers." not in name or int(name.split(".layers.")[1].split(".")[0]) < layers
    }
    return tiny_models.make_folder(case, path)


@pytest.fixture(autouse=True)
def same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny models have no tokenizers."""
    monkeypatch.setattr("undiced.text.same_vocabulary.difference", lambda one, other: "")


def test_a_draft_is_compiled_for_its_targets_sequences_and_keeps_to_its_own_context(tmp_path: Path) -> None:
    target = compile_for_host(folder(tmp_path / "target"), threads=1, max_batch=3, max_context=64)
    draft = compile_draft(folder(tmp_path / "draft", 1), target)
    assert draft.program.bounds == target.program.bounds and draft.program.cores == 1
    short = compile_draft(folder(tmp_path / "short", 1, 32), target)
    assert (short.program.bounds.batch, short.program.bounds.context) == (3, 32)


def test_a_draft_that_reads_more_than_its_target_is_refused_with_both_numbers(tmp_path: Path) -> None:
    target = compile_for_host(folder(tmp_path / "small", 1), threads=1, max_batch=1, max_context=32)
    with pytest.raises(
        InvalidRequestError, match=r"large reads 0\.\d MB for a token, more than small, which reads 0\.\d"
    ):
        compile_draft(folder(tmp_path / "large", 2), target)


def test_a_draft_with_other_tokens_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undiced.text.same_vocabulary.difference", lambda one, other: "token 5 is another")
    target = compile_for_host(folder(tmp_path / "target"), threads=1, max_batch=1, max_context=32)
    with pytest.raises(InvalidRequestError, match="draft can't guess for target: token 5 is another"):
        compile_draft(folder(tmp_path / "draft", 1), target)


def test_guesses_that_are_forbidden_and_wanted_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="speculate=False forbids it"):
        LLM(folder(tmp_path / "target"), threads=1, max_context=32, speculate=False, draft=folder(tmp_path / "d", 1))
