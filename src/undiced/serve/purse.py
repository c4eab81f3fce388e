"""Purse: how much time may be spent on guesses of a draft model that may not pay.

Counted in steps of the target model that decode one token, so that small and large models are treated alike. A share of
all time is earned, what guesses cost is spent, and what accepted ones saved comes back. So guesses that never pay cost
that share at most, and what is in the purse at the beginning.
"""

from __future__ import annotations

SHARE = 0.03  # of all time
BEGIN = 6.0  # steps
MOST = 1000.0  # steps: what guesses have saved long ago is not spent on others


class Purse:
    """See the file's head."""

    def __init__(self) -> None:
        self.steps = BEGIN

    def earn(self, steps: float) -> None:
        """So much time has passed."""
        self.steps = min(self.steps + SHARE * steps, MOST)

    def settle(self, spent: float, saved: float) -> None:
        """Guesses have cost so much time, and saved so much."""
        self.steps = min(self.steps - spent + saved, MOST)
