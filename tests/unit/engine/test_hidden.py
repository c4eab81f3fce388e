"""Hidden states: what the head makes the next token of, whatever runs in the same step, in several families."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support import tiny_models

from undiced.checkpoint import open_checkpoint
from undiced.compiler import compile
from undiced.engine.hidden import hidden_buffer
from undiced.engine.host import HostBackend
from undiced.engine.interpreter import InterpreterBackend
from undiced.engine.weights import matrix_of
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds
from undiced.program.host.instruction import Matmul
from undiced.serve import GREEDY, Request
from undiced.serve.loop import EngineLoop


def hidden_of(loop: EngineLoop, prompt: tuple[int, ...], beside: int = 0) -> np.ndarray:
    for index in range(beside):
        loop.add(Request(f"other{index}", (index + 1, 2, 3), 4, GREEDY))
    loop.add(Request("wanted", prompt, 1, GREEDY, embeds=True))
    found, ends = b"", 0
    while not loop.idle:
        for delta in loop.step():
            if delta.request_id == "wanted":
                found = found or delta.hidden
                ends += delta.usage is not None
                assert not delta.tokens
                if delta.usage is not None:
                    assert (delta.usage.completion_tokens, delta.usage.prompt_tokens) == (0, len(prompt))
    assert ends == 1
    return np.frombuffer(found, "<f4")


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "qwen3"])
def test_the_host_and_the_interpreter_agree_and_the_head_makes_the_logits_of_it(name: str, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(tiny_models.make_folder(tiny_models.load_case(name), tmp_path / name))
    program = compile(build(checkpoint), host(2), Bounds(4, 64))
    prompt = tuple(np.random.default_rng(0).integers(1, 40, 19).tolist())
    native, judge = EngineLoop(HostBackend(program, checkpoint)), EngineLoop(InterpreterBackend(program, checkpoint))
    alone = hidden_of(native, prompt)
    assert len(alone) == native.limits.hidden == program.buffers[hidden_buffer(program)].width
    np.testing.assert_array_equal(hidden_of(native, prompt, beside=3), alone)
    np.testing.assert_allclose(alone, hidden_of(judge, prompt), rtol=0.02, atol=0.02)
    judge.add(Request("drawn", prompt, 1, GREEDY))
    [token] = [token for _ in range(2) for delta in judge.step() for token in delta.tokens]
    head = next(instr for instr in reversed(program.instrs) if isinstance(instr, Matmul))
    weights = matrix_of(program.slots[head.weight], checkpoint)
    assert int(np.argmax(weights @ hidden_of(judge, prompt))) == token
    for loop in (native, judge):
        loop.close()
