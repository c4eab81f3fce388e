"""Downloads one pinned package with pip, which knows the user's index, proxy and certificates.

Knows pip's command line and its progress lines; knows nothing of models. Only wheels are accepted, so that nothing
from a package is ever run.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from undiced.core.errors import FetchError

PROGRESS = re.compile(rb"Progress (\d{1,18}) of (\d{1,18})\s*")
NETWORK_REMEDY = "Check the network and pip's settings (python -m pip config list), or name a GGUF file that you have."
INSTALL_REMEDY = "Install pip into this environment: python -m ensurepip."
UPDATE_REMEDY = "Update pip to 25.1 or later."
STOP_S = 5.0
MESSAGE_BYTES = 1500
_WORDS_BYTES = 1 << 16
_FULL = os.strerror(errno.ENOSPC)


def download(package: str, version: str, folder: Path, progress: Callable[[int, int], None]) -> Path:
    """Fetch the wheel of `package`==`version` into the empty `folder` and return its path.

    `progress(done, total)` gets bytes as pip reports them; small or locally cached wheels may report none.
    Raises FetchError with pip's own words, OSError where the disk is full. An exception here (an interrupt too) ends
    pip before it goes on.
    """
    # -P keeps a pip.py in the current directory from being run.
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check"]
    command += ["--only-binary", ":all:", "--progress-bar", "raw", "-d", str(folder), f"{package}=={version}"]
    with tempfile.TemporaryFile(dir=folder) as errors:
        _reserve(errors)
        # pip's own temporary files go where ours are cleared away if both are killed
        status = _run(command, {**os.environ, "TMPDIR": str(folder)}, errors, progress)
        if status != 0:
            words = _last_words(errors)
            if _said(errors, _FULL):
                raise OSError(errno.ENOSPC, _FULL, str(folder))
            remedy = INSTALL_REMEDY if "No module named pip" in words else NETWORK_REMEDY
            raise FetchError(f"pip could not download {package} {version}: {words}", remedy=remedy)
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise FetchError(f"pip downloaded {len(wheels)} wheels for {package} {version}.", remedy=UPDATE_REMEDY)
    return wheels[0]


def _run(
    command: list[str], environment: dict[str, str], errors: IO[bytes], progress: Callable[[int, int], None]
) -> int:
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
    )
    assert process.stdout is not None
    try:
        with process.stdout:
            for line in process.stdout:
                if match := PROGRESS.fullmatch(line):
                    progress(int(match[1]), int(match[2]))
        return process.wait()
    except BaseException:
        _stop(process)
        raise


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _said(errors: IO[bytes], words: str) -> bool:
    errors.seek(0)
    return words.encode() in errors.read()


def _reserve(errors: IO[bytes]) -> None:
    """Take the room for pip's words before pip fills the disk."""
    errors.write(bytes(_WORDS_BYTES))
    errors.flush()
    errors.seek(0)


def _last_words(errors: IO[bytes]) -> str:
    """What pip said last: its ERROR lines if there are any, else the end of its output."""
    errors.seek(0)
    lines = errors.read().rstrip(b"\0").decode("utf-8", "replace").splitlines()
    telling = [line for line in lines if line.startswith("ERROR:")] or lines[-3:]
    words = " ".join(" ".join(telling).split())[-MESSAGE_BYTES:] or "it gave no reason"
    return words.rstrip(".") + "."
