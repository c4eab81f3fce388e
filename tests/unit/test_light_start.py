"""What a program that only runs a model never loads; and that packages which load their names late have them all."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

UNUSED = (
    "undiced.model.presets",
    "undiced.machine.presets",
    "undiced.machine.wafer",
    "undiced.program.wafer",
    "undiced.checkpoint.huggingface",
    "undiced.checkpoint.hub_fetch",
    "undiced.checkpoint.pip_download",
    "undiced.text.formats",
    "undiced.text.prompt",
    "undiced.api",
    "undiced.cli",
    "asyncio",
    "dataclasses",
    "hashlib",
    "numpy",
    "platformdirs",
    "subprocess",
    "tempfile",
    "zipfile",
)
SCRIPT = f"""
import sys
from undiced import LLM, SamplingParams
with LLM(max_batch=1, max_context=64) as llm:
    [answer] = llm.generate("Once upon a time", SamplingParams(max_tokens=2, temperature=0))
print(sorted(set({UNUSED!r}) & set(sys.modules)), len(answer.outputs[0].token_ids))
"""


@pytest.mark.model
def test_a_text_is_continued_without_what_only_others_need() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] 2"


@pytest.mark.parametrize("name", ["checkpoint", "machine", "model", "serve", "text"])
def test_every_public_name_of_a_package_is_there(name: str) -> None:
    package = importlib.import_module(f"undiced.{name}")
    for each in package.__all__:
        assert getattr(package, each) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = package.no_such_name
