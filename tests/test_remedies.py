"""Whoever is refused because of a model's files is told what to do: every such error has a remedy, in a sentence."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "undiced"
KINDS = {"CheckpointError", "UnsupportedError"}


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def named(node: ast.AST | None) -> str:
    return getattr(node, "id", getattr(node, "attr", ""))


def faults(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, what is wrong) of every error of these kinds that is made or raised without a remedy."""
    fixed = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and named(node.exc) in KINDS:
            yield node.lineno, "the bare class is raised"
        if isinstance(node, ast.ClassDef) and any(named(base) in KINDS for base in node.bases):
            yield node.lineno, "a class below these kinds escapes this test; add it to KINDS"
        if isinstance(node, ast.Call) and named(node.func) in KINDS:
            remedy = next((word.value for word in node.keywords if word.arg == "remedy"), None)
            remedy = fixed.get(named(remedy), remedy)
            if remedy is None:
                yield node.lineno, "no remedy"
            elif not ends_a_sentence(remedy):
                yield node.lineno, "the remedy is no sentence"


def ends_a_sentence(remedy: ast.expr) -> bool:
    """Whether a remedy that stands in the code ends with a period; one that is computed is believed."""
    last = remedy.values[-1] if isinstance(remedy, ast.JoinedStr) and remedy.values else remedy
    return not isinstance(last, ast.Constant) or (isinstance(last.value, str) and last.value.endswith("."))


def test_every_refusal_of_a_models_files_has_a_remedy() -> None:
    found = [f"{name}:{line}: {fault}" for name, tree in trees() for line, fault in faults(tree)]
    assert not found, "\n".join(found)


def test_there_are_such_refusals_to_look_at() -> None:
    calls = [node for _, tree in trees() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert sum(named(call.func) in KINDS for call in calls) > 100


@pytest.mark.parametrize(
    "source",
    [
        "raise CheckpointError('a')",
        "raise errors.UnsupportedError('a')",
        "raise UnsupportedError",
        "raise CheckpointError('a', remedy='')",
        "raise CheckpointError('a', remedy='do something')",
        "error = UnsupportedError('a', param='b')",
        "NOTHING = ''\nraise CheckpointError('a', remedy=NOTHING)",
        "class Worse(CheckpointError): pass",
    ],
)
def test_a_refusal_without_a_remedy_is_found(source: str) -> None:
    assert list(faults(ast.parse(source)))
