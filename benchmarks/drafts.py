"""Makes draft models out of a model that is there: some of its layers alone; and a wide copy of it, as their target.

    python benchmarks/drafts.py MODEL OUTPUT.gguf --layers 0-9,20-29
    python benchmarks/drafts.py MODEL OUTPUT.gguf --wide
    python benchmarks/drafts.py MODEL OUTPUT.gguf --leave-out 8

Nothing is trained: a draft of fewer layers has the weights of the layers that it keeps. `--wide` stores every matrix as
f16: it has the numbers of the file that it was made of (rounded to f16), and reads more bytes for them. `--leave-out`
looks for layers that are missed least, one after another: each time the one without which the rest draws most often
what the whole model draws at temperature 0, in its own answers.
"""

from __future__ import annotations

import argparse
import json
import re
import struct
from pathlib import Path

from undiced.checkpoint import Checkpoint, open_checkpoint
from undiced.checkpoint.decode import to_float
from undiced.compiled import compile_draft
from undiced.core.formats import FORMATS
from undiced.engine.host import HostBackend

_ALIGNMENT = 32
_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes by kind of value
_STRING, _ARRAY = 8, 9
_BLOCK = re.compile(r"blk\.(\d+)\.")


def _end_of_value(data: memoryview, at: int, kind: int) -> int:
    """Where a value of the header ends."""
    if kind == _STRING:
        return at + 8 + int(struct.unpack_from("<Q", data, at)[0])
    if kind != _ARRAY:
        return at + _SCALARS[kind]
    element, count = map(int, struct.unpack_from("<IQ", data, at))
    at += 12
    if element != _STRING:
        return at + int(count) * _SCALARS[element]
    for _ in range(count):
        at = _end_of_value(data, at, _STRING)
    return at


def fields_of(path: Path, layers: int) -> tuple[int, bytes]:
    """(How many, the bytes of) the header's keys and values, with another number of layers."""
    data = memoryview(path.read_bytes())
    _, _, _, count = struct.unpack_from("<4sIQQ", data)
    at = begin = 24
    places = []
    for _ in range(count):
        length = int(struct.unpack_from("<Q", data, at)[0])
        key = bytes(data[at + 8 : at + 8 + length]).decode()
        at += 8 + length
        kind = int(struct.unpack_from("<I", data, at)[0])
        if key.endswith(".block_count"):
            places.append(at + 4 - begin)
        at = _end_of_value(data, at + 4, kind)
    fields = bytearray(data[begin:at])
    for place in places:
        struct.pack_into("<I", fields, place, layers)
    return count, bytes(fields)


def write(checkpoint: Checkpoint, output: Path, kept: list[int], *, wide: bool) -> None:
    """Write the layers that are kept, in their order, and what is outside of layers."""
    named: list[tuple[str, str, tuple[int, ...], bytes]] = []
    for name, info in checkpoint.tensors.items():
        block = _BLOCK.match(name)
        if block and int(block[1]) not in kept:
            continue
        new = _BLOCK.sub(f"blk.{kept.index(int(block[1]))}.", name) if block else name
        raw, stored = bytes(checkpoint.raw(name)), info.format
        if wide and len(info.shape) > 1:
            raw, stored = to_float(info, memoryview(raw)).astype("<f2").tobytes(), "F16"
        named.append((new, stored, info.shape, raw))
    count, fields = fields_of(checkpoint.path, len(kept))
    out = bytearray(struct.pack("<4sIQQ", b"GGUF", 3, len(named), count) + fields)
    offset = 0
    for new, stored, shape, raw in named:
        text = new.encode()
        out += struct.pack("<Q", len(text)) + text
        out += struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), FORMATS[stored].ggml_type, offset)
        offset += -(-len(raw) // _ALIGNMENT) * _ALIGNMENT
    out += bytes(-len(out) % _ALIGNMENT)
    with output.open("wb") as file:
        file.write(out)
        for *_, raw in named:
            file.write(raw + bytes(-len(raw) % _ALIGNMENT))


def numbers(text: str) -> list[int]:
    """The layers that a text such as 0-3,7 names."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def agreement(pair: tuple[list[int], list[int]], found: list[int]) -> int:
    """Tokens of an answer that were drawn."""
    return sum(token == own for token, own in zip(pair[1], found, strict=True))


def least_missed(model: str, checkpoint: Checkpoint, kept: list[int], count: int, scratch: Path) -> list[int]:
    """The layers that are left; files that are tried are written to `scratch`."""
    from acceptance import MOST, WORKS, answers, draws
    from speculation import Bench

    bench = Bench(model, None, MOST)
    pairs = [pair for questions in WORKS.values() for pair in answers(bench, questions[:2], 0.0, 1)]
    pages = -(-bench.backend.limits.context // bench.backend.limits.page_tokens) * MOST
    for _ in range(count):
        shares = {}
        for layer in kept:
            rest = [other for other in kept if other != layer]
            write(checkpoint, scratch, rest, wide=False)
            compiled = compile_draft(scratch, bench.compiled)
            draft = HostBackend(compiled.program, compiled.checkpoint, pages=pages, team=bench.backend)
            found = draws(draft, pairs, 0.0)
            draft.close()
            right = sum(map(agreement, pairs, found))
            shares[layer] = right / sum(len(answer) for _, answer in pairs)
        least = max(shares, key=lambda layer: shares[layer])
        kept = [layer for layer in kept if layer != least]
        print(json.dumps({"left_out": least, "agrees": round(shares[least], 4), "of": shares}), flush=True)
    bench.backend.close()
    return kept


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("output", type=Path)
    parser.add_argument("--layers", help="which to keep, as in 0-9,20-29; all without")
    parser.add_argument("--wide", action="store_true", help="store matrices as f16")
    parser.add_argument("--leave-out", type=int, default=0, help="so many of the layers that are kept")
    given = parser.parse_args()
    checkpoint = open_checkpoint(given.model)
    blocks = {int(block[1]) for name in checkpoint.tensors if (block := _BLOCK.match(name))}
    kept = numbers(given.layers) if given.layers else sorted(blocks)
    if given.leave_out:
        kept = least_missed(given.model, checkpoint, kept, given.leave_out, given.output)
    write(checkpoint, given.output, kept, wide=given.wide)
    print(f"{given.output}: {len(kept)} of {len(blocks)} layers, {given.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
