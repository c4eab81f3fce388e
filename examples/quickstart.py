"""Layers of Undiced in a few lines, what to compute, on what, compiled and run: `python examples/quickstart.py`."""

from undiced import LLM, SamplingParams, compile, presets
from undiced.checkpoint import open_checkpoint
from undiced.engine.host import HostBackend
from undiced.model import build
from undiced.program import Bounds
from undiced.serve import GREEDY, Request, Scheduler
from undiced.serve.loop import EngineLoop
from undiced.text import load_tokenizer


def layers(model: str = "smollm2-135m") -> str:
    """Every noun by hand: checkpoint, graph, program, backend, loop."""
    checkpoint = open_checkpoint(model)
    graph = build(checkpoint)  # what
    program = compile(graph, presets.host(threads=2), Bounds(batch=8, context=2048))  # what x where -> how
    backend = HostBackend(program, checkpoint)  # weights resident, thread team up
    loop = EngineLoop(backend, Scheduler(backend.limits))
    tokenizer = load_tokenizer(checkpoint)
    prompt = tuple(tokenizer.encode("The capital of France is"))
    tokens: list[int] = []
    for deltas in loop.run([Request("one", prompt, max_tokens=8, sampling=GREEDY)]):
        for delta in deltas:
            tokens += delta.tokens
    loop.close()
    return tokenizer.decode(tokens)


def short(model: str = "smollm2-135m") -> str:
    """The same for those who only want an answer."""
    with LLM(model) as llm:
        return llm.generate("The capital of France is", SamplingParams(max_tokens=8))[0].text


if __name__ == "__main__":
    print(layers())
    print(short())
