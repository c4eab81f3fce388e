"""Holds the simulator against published measurements: rows, the laboratory that runs them, calibration, claims.

May import compiler and simulator; neither knows this package. Prints nothing: the command line does.
"""
