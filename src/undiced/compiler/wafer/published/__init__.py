"""The published mappings, replayed: programs of closed-form instructions, one a stream. Knows no mapping of ours."""
