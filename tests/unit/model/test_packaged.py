"""The packaged SmolLM2 through the graph interpreter: it builds, and greedy continuation is sane English."""

import pytest

from undiced.checkpoint import open_checkpoint
from undiced.model import KvState, build, load_weights, preset, run_graph
from undiced.text import load_tokenizer

pytestmark = pytest.mark.model
CHAT = "<|im_start|>user\nWhat is the capital of France? Explain briefly.<|im_end|>\n<|im_start|>assistant\n"


def test_smollm2_answers():
    checkpoint = open_checkpoint("smollm2-135m")
    graph, tokenizer = build(checkpoint), load_tokenizer(checkpoint)
    assert graph.parameters == 134_515_008
    assert {slot.format for slot in graph.slots} == {"F32", "Q4_1", "Q8_0"}
    expected = preset("smollm2-135m")
    for name in ("layers", "dim", "heads", "kv_heads", "ffn", "vocab", "context", "tied"):
        assert getattr(graph.config, name) == getattr(expected, name)
    weights, state = load_weights(graph, checkpoint), KvState()
    answer: list[int] = []
    logits = run_graph(graph, weights, tokenizer.encode(CHAT, special=True), state)
    while len(answer) < 16:
        token = int(logits[-1].argmax())
        if token in tokenizer.eos_ids:
            break
        answer.append(token)
        logits = run_graph(graph, weights, [token], state)
    assert tokenizer.decode(answer) == "The capital of France is Paris."
    checkpoint.close()
