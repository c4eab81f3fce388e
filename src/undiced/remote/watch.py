"""Watch: tells an engine process that works from one that hangs. Pure policy: beats and time come in as numbers.

Time counts only while the watching process runs itself: the supervisor caps what it passes in, so that a server that
was stopped for an hour does not take its engine for dead.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an engine process may be silent, and how long its work may stand still.

    Attributes:
        silence_s: without a beat: it is stopped, or gets no processor at all. Before its first beat: `load_s`.
        step_s: with beats, but without progress in a step. One instruction for hundreds of tokens of a large model
            takes seconds.
        load_s: the same while it loads, where progress comes per weight matrix. After that long it is killed.
        silence_notice_s, step_notice_s: after that long /health tells and new requests are refused; it may recover.
    """

    silence_s: float = 30.0
    step_s: float = 120.0
    load_s: float = 600.0
    silence_notice_s: float = 3.0
    step_notice_s: float = 5.0


class Watch:
    """One engine process.

    Attributes:
        loading: it has not said yet that it is ready.
    """

    def __init__(self, patience: Patience) -> None:
        self.loading = True
        self._patience = patience
        self._beaten = False
        self._silent_s = 0.0
        self._stuck_s = 0.0

    def heard(self, stuck_s: float) -> None:
        """A beat came."""
        self._beaten, self._silent_s, self._stuck_s = True, 0.0, stuck_s

    def passed(self, seconds: float) -> None:
        """Time has passed."""
        self._silent_s += seconds

    @property
    def trouble(self) -> str:
        """What is wrong, as the end of a sentence about the engine; empty if nothing is."""
        notice_s = self._patience.silence_notice_s if self._beaten else self._patience.load_s
        if self._silent_s >= notice_s:
            return f"has not answered for {self._silent_s:.0f} s"
        if not self.loading and self._stuck_s >= self._patience.step_notice_s:
            return f"has made no progress in a step for {self._stuck_s:.0f} s"
        if self.loading and self._stuck_s >= self._patience.load_s:
            return f"has made no progress in loading the model for {self._stuck_s:.0f} s"
        return ""

    @property
    def hopeless(self) -> bool:
        """Whether it should be killed."""
        silent_most_s = self._patience.silence_s if self._beaten else self._patience.load_s
        stuck_most_s = self._patience.load_s if self.loading else self._patience.step_s
        return self._silent_s >= silent_most_s or self._stuck_s >= stuck_most_s
