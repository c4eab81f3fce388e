"""Sides: Undiced and its peers as processes that answer the same lines; peer_workers/on_undiced.py says which."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import peer

PATIENCE_S = 600.0
OURS = "Undiced"


class WorkerError(Exception):
    """A worker ended, or did not answer in time; says what it said last."""


@dataclass(frozen=True, slots=True)
class Side:
    """One that is measured.

    Attributes:
        command: of its worker, without threads, sequences and positions.
        version: of the package. weights, kv: what it computes with. nbytes: of the model's files.
    """

    name: str
    command: tuple[str, ...]
    version: str
    weights: str
    kv: str
    nbytes: int


def undiced(file: Path) -> Side:
    """Ours, on the file as it is."""
    from importlib.metadata import version

    command = (sys.executable, str(peer.WORKERS / "on_undiced.py"), str(file))
    return Side(OURS, command, version("undiced"), "the file", "f16", file.stat().st_size)


def llama(file: Path) -> Side:
    """llama.cpp on the same file."""
    return _llama("llama.cpp", file, "the file")


def llama_repacked(file: Path) -> Side:
    """llama.cpp on the format that its repacked kernels are made for."""
    return _llama("llama.cpp, Q4_0 repacked", peer.requantized(file, "Q4_0"), "requantized to Q4_0")


def _llama(name: str, file: Path, weights: str) -> Side:
    command = (str(peer.llama_worker()), str(file))
    return Side(name, command, peer.LLAMA, weights, "f16", file.stat().st_size)


def openvino(file: Path) -> Side:
    """OpenVINO GenAI, whose reader of GGUF files keeps the codes, and makes offsets whole steps."""
    python, folder = peer.python_of(peer.OPENVINO), peer.openvino_folder(file)
    command = (str(python), str(peer.WORKERS / "on_openvino.py"), str(folder))
    return Side(
        "OpenVINO GenAI", command, peer.OPENVINO, "the file's, its offsets as whole steps", "f16", _bytes(folder)
    )


def onnxruntime(file: Path) -> Side:
    """onnxruntime-genai, whose builder quantizes the dequantized weights again."""
    python, folder = peer.python_of(peer.ONNX), peer.onnx_folder(file)
    command = (str(python), str(peer.WORKERS / "on_onnxruntime.py"), str(folder))
    return Side("onnxruntime-genai", command, peer.ONNX, "quantized again to int4", "f32, all it has", _bytes(folder))


MAKERS: dict[str, Callable[[Path], Side]] = {
    "undiced": undiced,
    "llama.cpp": llama,
    "llama.cpp-q4_0": llama_repacked,
    "openvino": openvino,
    "onnxruntime": onnxruntime,
}


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*model*") if file.is_file())


class Worker:
    """A side's process, loaded with the model."""

    def __init__(self, side: Side, threads: int, batch: int, context: int) -> None:
        command = [*side.command, str(threads), str(batch), str(context)]
        self._name, self._began_s = side.name, time.perf_counter()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._said: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said = [*self._said[-4:], line.strip()]

    def ready(self) -> str:
        """Waits until the model is loaded; what the worker calls its version."""
        return str(self._line()["ready"])

    def first_token_s(self, prompt: Sequence[int]) -> float:
        """Seconds from the process's start to its first token; asked before anything else."""
        self._tell({"prompts": [list(prompt)], "count": 1})
        self._line()
        self._line()
        return time.perf_counter() - self._began_s

    def generate(self, prompts: Sequence[Sequence[int]], count: int) -> dict:
        """See peer_workers/on_undiced.py."""
        self._tell({"prompts": [list(prompt) for prompt in prompts], "count": count})
        return self._line()

    def logits(self, text: Sequence[int], begin: int, file: Path) -> int:
        """Rows of logits that went to the file."""
        self._tell({"text": list(text), "begin": begin, "file": str(file)})
        return int(self._line()["rows"])

    def peak_bytes(self) -> int:
        """The most memory that the process had so far, files that it maps included."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

    def close(self) -> None:
        """Ends the process; idempotent."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _tell(self, asked: dict) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._lost() from None

    def _line(self) -> dict:
        assert self._process.stdout is not None
        alarm = threading.Timer(PATIENCE_S, self._process.kill)
        alarm.start()
        try:
            line = self._process.stdout.readline()
        finally:
            alarm.cancel()
        if not line:
            raise self._lost()
        return json.loads(line)

    def _lost(self) -> WorkerError:
        self._process.wait()
        self._listener.join()
        return WorkerError(f"{self._name} ended with {self._process.returncode}: {' / '.join(self._said)[-300:]}")
