"""The text of a tiny model's wafer program, and the command that writes its golden file again:

PYTHONPATH=tests python tests/golden/wafer_dump.py
"""

from pathlib import Path

from support.mesh_models import tiny
from support.meshes import compile_mesh

from undiced.compiler.wafer.lower.choices import LEAN
from undiced.program.dump import dump

FILE = Path(__file__).parent / "programs" / "llama-3x4.txt"


def text() -> str:
    """Two regions of 3 x 4 cores."""
    return dump(compile_mesh(tiny("llama")[0], 3, 4, cuts=(3,), context=32, choices=LEAN))


if __name__ == "__main__":
    FILE.write_text(text())
