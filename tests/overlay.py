"""Runs pytest on a native module built elsewhere: `python tests/overlay.py FOLDER [pytest arguments]`.

FOLDER holds `undiced/`, a copy of the package with the other module in it. Used by full.sh for sanitized builds.
"""

import sys

import pytest

folder, *arguments = sys.argv[1:]
sys.meta_path[:] = [finder for finder in sys.meta_path if "ScikitBuild" not in type(finder).__name__]
sys.path.insert(0, folder)

from undiced import _native  # noqa: E402

assert _native.__file__.startswith(folder), f"{_native.__file__} is not the module under test"
sys.exit(pytest.main(arguments))
