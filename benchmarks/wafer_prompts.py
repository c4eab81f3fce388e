"""How models take prompts on wafers, in chunks: speed, first tokens, and what decodes pay. Simulated, a JSON line each.

    python benchmarks/wafer_prompts.py [MODEL MACHINE WAFERS ...]
    python benchmarks/wafer_prompts.py --fabric

WAFERS may be "-" for the fewest that are found. With --fabric every sum of a chunk of Llama 3.3 70B stands beside the
fabric's, wavelet by wavelet.
"""

from __future__ import annotations

import argparse
import json
import time

import undiced
from undiced.core.errors import UndicedError
from undiced.machine import find_machine
from undiced.validation.collective_points import sums
from undiced.validation.collectives import judged

POINTS = (
    ("llama-3.1-8b", "wse2", "1"), ("llama-3.1-8b", "wse3", "1"), ("llama-3.3-70b", "wse3", "-"),
    ("llama-3.3-70b", "wse3", "12"), ("llama-3.1-405b", "wse3", "-"),
)  # fmt: skip
LENGTHS = (1024, 4096, 32768)


def fabric() -> None:
    """One line for each sum of a chunk that differs, and one for all."""
    program, wafer = (
        undiced.compile("llama-3.3-70b", region=(755, 1170), phase="prefill", chunk=24),
        find_machine("wse3"),
    )
    found = [judged(each, wafer, wafer) for each in dict.fromkeys(sums(program, program.chunk))]
    for each in found:
        line = {"what": each.collective.what, "closed": round(each.closed), "fabric": each.fabric}
        print(json.dumps(line | {"error": round(each.error, 3)}))
    closed, simulated = sum(each.closed for each in found), sum(each.fabric for each in found)
    print(json.dumps({"what": "all", "closed": round(closed), "fabric": simulated, "error": closed / simulated - 1}))


def main() -> None:
    """One line for each model, number of wafers and length of the prompt; and among decodes, and apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("points", nargs="*", metavar="MODEL MACHINE WAFERS", help="three words each")
    parser.add_argument("--fabric", action="store_true", help="a chunk's sums beside the fabric's, and nothing else")
    args = parser.parse_args()
    if args.fabric:
        fabric()
        return
    if len(args.points) % 3:
        parser.error("points are three words each: MODEL MACHINE WAFERS")
    points = [tuple(args.points[at : at + 3]) for at in range(0, len(args.points), 3)] or POINTS
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
