"""Bytecode of the package beside its sources: pip writes it when it installs a package; a source tree gets it at the
first import, unless the environment forbids it (PYTHONDONTWRITEBYTECODE). Without, a start compiles every module again.
"""

from __future__ import annotations

import compileall
from pathlib import Path

import undiced


def ensure_bytecode() -> None:
    """Write what is missing or older than its source."""
    if not compileall.compile_dir(Path(undiced.__file__).parent, quiet=1):
        raise SystemExit("The package's bytecode can't be written: starts would compile it each time.")
