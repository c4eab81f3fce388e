"""Traces: what happened when, as tracks of slices, in a file that trace viewers open. Simulates nothing."""
