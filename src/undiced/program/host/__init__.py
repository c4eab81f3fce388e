"""Programs that the thread team of this machine runs: the instruction table, and all that follows from it."""
