"""Claims of the public interview about the wafer-scale engine: each computed, and judged by a rule that is stated."""
