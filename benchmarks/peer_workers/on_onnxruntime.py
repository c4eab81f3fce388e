"""Answers benchmarks/peers.py with onnxruntime-genai; see on_undiced.py for the lines.

python on_onnxruntime.py FOLDER THREADS BATCH CONTEXT      the folder that to_onnx.py made
"""

import json
import sys
import time

import numpy as np
import onnxruntime_genai
from lines import answer_with

MOST = 32  # sequences that the package runs together: it refuses more


class Peer:
    """A model; a generator of its own for each call, as the package wants it."""

    def __init__(self, folder: str, threads: int, batch: int, context: int) -> None:
        config = onnxruntime_genai.Config(folder)
        options = {"intra_op_num_threads": threads, "inter_op_num_threads": 1}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
        self._model = onnxruntime_genai.Model(config)

    def _generator(self, sequences: int, positions: int) -> onnxruntime_genai.Generator:
        params = onnxruntime_genai.GeneratorParams(self._model)
        params.set_search_options(
            do_sample=False, batch_size=sequences, max_length=positions, min_length=positions
        )  # the least length keeps an answer from ending
        return onnxruntime_genai.Generator(self._model, params)

    def generate(self, prompts: list[list[int]], count: int) -> dict[str, object]:
        """All prompts together, or as many at a time as the package takes; they are of one length."""
        began_s, first_s = time.perf_counter(), 0.0
        tokens: list[list[int]] = []
        for begin in range(0, len(prompts), MOST):
            given = prompts[begin : begin + MOST]
            length = len(given[0])
            generator = self._generator(len(given), length + count)
            generator.append_tokens(np.array(given, np.int32))
            generator.generate_next_token()
            first_s = first_s or time.perf_counter() - began_s
            for _ in range(count - 1):
                generator.generate_next_token()
            tokens += [[int(each) for each in generator.get_sequence(at)[length:]] for at in range(len(given))]
        return {"first_s": first_s, "all_s": time.perf_counter() - began_s, "tokens": tokens}

    def logits(self, text: list[int], begin: int, file: str) -> dict[str, object]:
        """Of the positions that predict a token of the text."""
        generator = self._generator(1, len(text) + 1)
        generator.append_tokens(np.array([text], np.int32))
        rows = np.asarray(generator.get_output("logits"))[0, begin : len(text) - 1]
        rows.astype(np.float32).tofile(file)
        return {"rows": len(rows)}


def main() -> None:
    """The loop."""
    peer = Peer(sys.argv[1], *map(int, sys.argv[2:]))
    answer_with(onnxruntime_genai.__version__, peer)


if __name__ == "__main__":
    main()
