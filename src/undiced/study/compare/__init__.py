"""Comparison: one model on wafers, in several mappings, and on groups of GPUs. What is assumed stands beside each."""
