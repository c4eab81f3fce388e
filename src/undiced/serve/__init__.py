"""Policy: which sequences run, in which step, on which pages.

Token ids only; no text, no sockets. The scheduler and all that it uses read no clock: times come in as numbers. `loop`
alone reads one, `batch` alone fills arrays, `shared` alone knows threads.
"""

from undiced.core.sampling import GREEDY, Sampling
from undiced.serve.delta import Delta, EngineStats
from undiced.serve.policy import Policy
from undiced.serve.request import Priority, Request
from undiced.serve.scheduler import Scheduler
from undiced.serve.usage import FinishReason, UsageEvent

__all__ = [
    "GREEDY",
    "Delta",
    "EngineStats",
    "FinishReason",
    "Policy",
    "Priority",
    "Request",
    "Sampling",
    "Scheduler",
    "UsageEvent",
]
