"""Answers benchmarks/peers.py with undiced's Python API: a line of JSON in, one out, as all workers of this folder do.

    python on_undiced.py MODEL THREADS BATCH CONTEXT

When the model is loaded, it says {"ready": version}. {"prompts": [[ids], ...], "count": n} asks for the n likeliest
tokens behind each prompt, all prompts together: {"all_s": until all are there, "tokens": [[ids], ...]}, and "first_s"
until the first token where there is one prompt alone. Peers' workers also take {"text": [ids], "begin": b, "file":
path}: logits of the positions b to the last but one go to the file as float32 rows. Nothing ends an answer early, and
nothing is guessed ahead.
"""

import sys
import time

from lines import answer

from undiced import LLM, SamplingParams, __version__


def main() -> None:
    """The loop."""
    model, threads, batch, context = sys.argv[1], *map(int, sys.argv[2:])
    with LLM(model, threads=threads, max_batch=batch, max_context=context, speculate=False) as llm:

        def answered(asked: dict) -> dict[str, object]:
            params = SamplingParams(max_tokens=asked["count"], temperature=0, ignore_eos=True)
            return (alone if len(asked["prompts"]) == 1 else together)(llm, asked["prompts"], params)

        answer(__version__, answered)


def alone(llm: LLM, prompts: list[list[int]], params: SamplingParams) -> dict[str, object]:
    """One prompt, token by token."""
    began_s, first_s, ids = time.perf_counter(), 0.0, []
    for _, completion in llm.stream(prompts[0], params):
        first_s = first_s or time.perf_counter() - began_s
        ids = completion.token_ids
    return {"first_s": first_s, "all_s": time.perf_counter() - began_s, "tokens": [ids]}


def together(llm: LLM, prompts: list[list[int]], params: SamplingParams) -> dict[str, object]:
    """Several prompts."""
    began_s = time.perf_counter()
    outputs = llm.generate(prompts, params)
    all_s = time.perf_counter() - began_s
    return {"all_s": all_s, "tokens": [list(output.outputs[0].token_ids) for output in outputs]}


if __name__ == "__main__":
    main()
