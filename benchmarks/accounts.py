"""What accounts cost a server process: a key that is remembered, one that is asked for first, the look every second.

    python benchmarks/accounts.py [--keys 100000] [--rounds 5] [--db URL]

Drives the keyring without HTTP (see `edge.py --auth` for that), on a SQLite file in a temporary folder, or on an empty
database of yours. Ends in one JSON line: medians of rounds for what is done again and again, of all keys for what is
done once. `check_cpu_us` is the whole check of a remembered key, from its text on; `parse_cpu_us` is its part that
needs no memory: form and checksum. `caller_bytes` is the memory of one remembered caller.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import subprocess
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from edge_keys import fill

from undiced.account.accounts import Accounts
from undiced.account.secret_text import SecretText

CALLS = 20_000
OWN = 300  # keys whose texts are known
LIMITS = {"check_cpu_us": 20.0, "first_ms": 2.0}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--db", help="an empty database; a SQLite file of its own by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.db or str(Path(folder) / "accounts.db")
        texts = fill(url, given.keys, OWN)
        accounts = Accounts(url)
        found = measured(accounts, texts, given.rounds)
        database = accounts.database.dialect
        accounts.close()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    facts = {
        "commit": commit,
        "cpu": platform.processor() or platform.machine(),
        "database": database,
        "keys": given.keys,
    }
    shares = {f"{name}_share_of_limit": round(found[name] / limit, 2) for name, limit in LIMITS.items()}
    print(json.dumps({**facts, **found, **shares}))


def measured(accounts: Accounts, texts: list[str], rounds: int) -> dict[str, float]:
    """All figures, with units in their names."""
    ring = accounts.keyring
    ring.take(ring.look())
    first_ms = [timed(lambda text=text: learn(accounts, text)) * 1e3 for text in texts]
    text = texts[0]
    look_ms = [timed(lambda: ring.take(ring.look())) * 1e3 for _ in range(100)]
    used = {SecretText.parse(each, "uk").id: 60 for each in texts}  # type: ignore[union-attr]
    return {
        "first_ms": round(statistics.median(first_ms), 3),
        "first_p99_ms": round(statistics.quantiles(first_ms, n=100)[-1], 3),
        "check_cpu_us": repeated(lambda: ring.judge(SecretText.parse(text, "uk"), "inference"), rounds),  # type: ignore[arg-type]
        "parse_cpu_us": repeated(lambda: SecretText.parse(text, "uk"), rounds),
        "look_ms": round(statistics.median(look_ms), 3),
        f"write_used_{OWN}_keys_ms": round(timed(lambda: ring.write_used(used)) * 1e3, 2),
        "caller_bytes": remembered_bytes(accounts, texts),
    }


def learn(accounts: Accounts, text: str) -> None:
    """The first check of a key."""
    ring, parsed = accounts.keyring, SecretText.parse(text, "uk")
    assert parsed is not None
    ring.keep(parsed.id, ring.fetch(parsed.id))
    ring.judge(parsed, "inference")


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began_s = time.perf_counter()
    call()
    return time.perf_counter() - began_s


def repeated(call: Callable[[], object], rounds: int) -> float:
    """Processor microseconds of a call: the median of rounds of many."""
    found = []
    for _ in range(rounds):
        began_s = time.process_time()
        for _ in range(CALLS):
            call()
        found.append((time.process_time() - began_s) / CALLS * 1e6)
    return round(statistics.median(found), 2)


def remembered_bytes(accounts: Accounts, texts: list[str]) -> int:
    """Memory of a caller that is remembered."""
    ring, ids = accounts.keyring, [text[3:15] for text in texts]
    gc.collect()
    tracemalloc.start()
    found = [ring.fetch(key_id) for key_id in ids]
    before = tracemalloc.get_traced_memory()[0]
    del found
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return round((before - after) / len(ids))


if __name__ == "__main__":
    main()
