"""Answers benchmarks/peers.py with OpenVINO GenAI; see on_undiced.py for the lines.

python on_openvino.py FOLDER THREADS BATCH CONTEXT      the folder that `convert` made
python on_openvino.py convert MODEL.gguf FOLDER         reads a GGUF file as it is, and keeps what became of it
"""

import shutil
import sys
import time
from pathlib import Path

import numpy as np
import openvino
import openvino_genai
from lines import answer_with
from openvino_genai import ContinuousBatchingPipeline, GenerationConfig, SchedulerConfig

CACHE_GB = 1


def convert(source: Path, folder: Path) -> None:
    """The package's own reader of GGUF files writes what it makes beside the file. Its zero points have 4 bits."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / source.name
    shutil.copyfile(source, copy)
    openvino_genai.LLMPipeline(str(copy), "CPU", enable_save_ov_model=True)
    copy.unlink()


class Peer:
    """A pipeline, and the bare model where logits are asked for."""

    def __init__(self, folder: str, threads: int, batch: int, context: int) -> None:
        self._folder, self._threads, self._next = folder, threads, 0
        scheduler = SchedulerConfig()
        scheduler.cache_size = CACHE_GB
        scheduler.max_num_seqs = max(batch, 1)
        scheduler.max_num_batched_tokens = 512
        scheduler.enable_prefix_caching = False
        properties = {"INFERENCE_NUM_THREADS": threads, "KV_CACHE_PRECISION": "f16", "CACHE_DIR": folder + "/compiled"}
        self._pipeline = ContinuousBatchingPipeline(folder, scheduler, "CPU", properties)
        self._model: openvino.CompiledModel | None = None

    def generate(self, prompts: list[list[int]], count: int) -> dict[str, object]:
        """All prompts together."""
        config = GenerationConfig(max_new_tokens=count, ignore_eos=True, do_sample=False)
        began_s, first_s = time.perf_counter(), 0.0
        handles = []
        for ids in prompts:
            tensor = openvino.Tensor(np.array([ids], np.int64))
            handles.append(self._pipeline.add_request(self._next, tensor, config))
            self._next += 1
        tokens: list[list[int]] = [[] for _ in prompts]
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
            for handle, ids in zip(handles, tokens, strict=True):
                while handle.can_read():
                    ids += [each for output in handle.read().values() for each in output.generated_ids]
            if not first_s and all(tokens):
                first_s = time.perf_counter() - began_s
        return {"first_s": first_s, "all_s": time.perf_counter() - began_s, "tokens": tokens}

    def logits(self, text: list[int], begin: int, file: str) -> dict[str, object]:
        """Of the positions that predict a token of the text."""
        if self._model is None:
            properties = {"INFERENCE_NUM_THREADS": self._threads, "KV_CACHE_PRECISION": "f16"}
            core = openvino.Core()
            self._model = core.compile_model(
                str(next(Path(self._folder).glob("openvino_model.xml"))), "CPU", properties
            )
        ids, given = np.array([text], np.int64), {}
        known = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "position_ids": np.arange(len(text), dtype=np.int64)[None],
            "beam_idx": np.zeros(1, np.int32),
        }
        for port in self._model.inputs:
            given[port.any_name] = known[port.any_name]
        request = self._model.create_infer_request()
        rows = request.infer(given)[self._model.output("logits")][0, begin : len(text) - 1]
        rows.astype(np.float32).tofile(file)
        return {"rows": len(rows)}


def main() -> None:
    """The loop."""
    if sys.argv[1] == "convert":
        convert(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    peer = Peer(sys.argv[1], *map(int, sys.argv[2:]))
    answer_with(openvino_genai.__version__, peer)


if __name__ == "__main__":
    main()
