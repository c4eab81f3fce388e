"""Policy: which sequences run, in which step, on which pages.

Token ids only; no text, no sockets. The scheduler and all that it uses read no clock: times come in as numbers. `loop`
alone reads one, `batch` alone fills arrays, `shared` alone knows threads. The public names are loaded on first use: who
only asks needs no scheduler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.core.late import late
from undiced.core.sampling import GREEDY, Sampling

if TYPE_CHECKING:
    from undiced.serve.delta import Delta as Delta
    from undiced.serve.delta import EngineStats as EngineStats
    from undiced.serve.policy import Policy as Policy
    from undiced.serve.request import Priority as Priority
    from undiced.serve.request import Request as Request
    from undiced.serve.scheduler import Scheduler as Scheduler
    from undiced.serve.usage import FinishReason as FinishReason
    from undiced.serve.usage import UsageEvent as UsageEvent

_HOMES = {
    **dict.fromkeys(("Delta", "EngineStats"), "delta"),
    "Policy": "policy",
    **dict.fromkeys(("Priority", "Request"), "request"),
    "Scheduler": "scheduler",
    **dict.fromkeys(("FinishReason", "UsageEvent"), "usage"),
}
__all__ = ["GREEDY", "Sampling", *_HOMES]
__getattr__ = late(__name__, _HOMES)
