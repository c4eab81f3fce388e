"""Power: what a program does is counted, taken for joules, spread over the wafer, and taken away by water."""
