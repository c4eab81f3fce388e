"""Runs what it is given: the Backend protocol, the host's thread team, the interpreter, KV pages, sampling."""
