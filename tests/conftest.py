"""Makes `support` importable here (see pytest's `pythonpath`) and in the processes that tests start."""

import os
from pathlib import Path

_HERE = str(Path(__file__).parent)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (_HERE, os.environ.get("PYTHONPATH"))))
