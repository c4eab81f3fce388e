"""Lowering: a wafer program's streams become level-2 programs of one region. Private to the fabric simulator."""
