"""Times programs that were compiled for wafers. Knows programs and machines, no compiler and no model."""

from undiced.sim.analytic import Report, Step, simulate

__all__ = ["Report", "Step", "simulate"]
