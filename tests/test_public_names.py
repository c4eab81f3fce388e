"""No dead code: every public name of the package is used by the package, a benchmark or an example, not by tests alone.

Names are compared as names, not resolved: a method counts as used wherever an attribute of its name is read.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "undiced"
USERS = (PACKAGE, ROOT / "benchmarks", ROOT / "examples")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
FOR_PROGRAMS = {
    PACKAGE / "llm.py",
    PACKAGE / "outputs.py",
    PACKAGE / "params.py",
    PACKAGE / "sim" / "fabric" / "kernel" / "code.py",
}  # their users write the programs that call it
CALLED_BY_LIBRARIES = {
    "connection_made", "connection_lost", "data_received", "eof_received", "pause_writing", "resume_writing",
    "on_message_begin", "on_url", "on_header", "on_headers_complete", "on_body", "on_message_complete",
    "on_chunk_header", "on_chunk_complete", "emit", "shutdown", "down_revision", "branch_labels", "depends_on",
}  # fmt: skip
HELD_EQUAL = {  # obvious twins of what runs elsewhere, which tests hold equal to it
    "SMALL_STEP_TOKENS", "SHARD_GRANULE",  # the native engine's own constants
    "reciprocal_root",  # computes with the operations that a wafer program is charged for
}  # fmt: skip


def trees(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def used_names() -> Counter[str]:
    """Every name that is read, spelled in a string, or exported by the package itself; a definition is no use."""
    found: Counter[str] = Counter()
    for path, tree in (pair for folder in USERS for pair in trees(folder)):
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                found[node.id] += 1
            elif isinstance(node, ast.Attribute):
                found[node.attr] += 1
            elif isinstance(node, ast.alias) and path == PACKAGE / "__init__.py":
                found[node.name] += 1
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 120:
                found.update("".join(c if c.isidentifier() or c.isdigit() else " " for c in node.value).split())
    return found


def defined_names() -> Iterator[tuple[Path, str]]:
    """Public functions, classes, constants, methods and properties."""
    for path, tree in trees(PACKAGE):
        for node in tree.body:
            yield from ((path, name) for name in _targets(node))
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield from ((path, member.name) for member in node.body if isinstance(member, FUNCTIONS))


def _targets(node: ast.stmt) -> list[str]:
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def test_every_public_name_is_used_outside_tests() -> None:
    used = used_names()
    dead = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, name in defined_names()
        if not (name.startswith("_") or used[name] or name in CALLED_BY_LIBRARIES | HELD_EQUAL or path in FOR_PROGRAMS)
    ]
    assert not dead, "used by nobody, or by tests alone:\n  " + "\n  ".join(dead)
