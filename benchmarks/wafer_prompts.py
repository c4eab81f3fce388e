"""How models take prompts on wafers, in chunks: speed, first tokens, and what decodes pay. Simulated, a JSON line each.

    python benchmarks/wafer_prompts.py [MODEL MACHINE WAFERS ...]

WAFERS may be "-" for the fewest that are found.
"""

from __future__ import annotations

import json
import sys
import time

import undiced
from undiced.core.errors import UndicedError

POINTS = (
    ("llama-3.1-8b", "wse2", "1"), ("llama-3.1-8b", "wse3", "1"), ("llama-3.3-70b", "wse3", "-"),
    ("llama-3.3-70b", "wse3", "12"), ("llama-3.1-405b", "wse3", "-"),
)  # fmt: skip
LENGTHS = (1024, 4096, 32768)


def main() -> None:
    """One line for each model, number of wafers and length of the prompt; and among decodes, and apart."""
    given = sys.argv[1:]
    points = [tuple(given[at : at + 3]) for at in range(0, len(given), 3)] or POINTS
    for model, machine, wafers in points:
        count = None if wafers == "-" else int(wafers)
        for tokens in LENGTHS:
            for how in ({}, {"batch": 2}, {"apart": True}):
                began = time.perf_counter()
                try:
                    found = undiced.simulate(model, machine, wafers=count, context=tokens, phase="prefill", **how)
                except UndicedError as error:
                    print(
                        json.dumps({"model": model, "machine": machine, "prompt": tokens, **how, "error": str(error)})
                    )
                    continue
                names = ("wafers", "chunk", "regions", "tokens_per_second", "aggregate_tokens_per_second",
                         "time_to_first_token_s", "dense_peak_share", "decoding", "interleaved", "apart")  # fmt: skip
                line = {"model": model, "machine": machine, "prompt": tokens, **how}
                line |= {name: found[name] for name in names if name in found}
                print(json.dumps(line | {"compile_s": round(time.perf_counter() - began, 1)}), flush=True)


if __name__ == "__main__":
    main()
