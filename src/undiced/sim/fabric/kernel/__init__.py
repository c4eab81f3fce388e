"""Kernels by hand: a small language on top of fabric programs. `layout` says where wavelets go, `pe` what cores do."""
