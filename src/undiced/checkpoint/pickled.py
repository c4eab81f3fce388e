"""Pickled weights, which are never read: loading them can run code."""

from __future__ import annotations

PICKLES = (".bin", ".pt", ".pth", ".ckpt")
CONVERT = "Save the model with save_pretrained(..., safe_serialization=True) and use that folder."
