"""What the native engine refuses, that a refusal changes nothing, and how it starts and stops."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from native_rig import F32, SAMPLING, Rig, Seq, barriers, embed, open_slot, sampling
from numpy.testing import assert_array_equal

from undiced import _native
from undiced.core.sampling import RECORD
from undiced.program.host.encoding import INSTR_BYTES, encode
from undiced.program.host.instr import Instr
from undiced.program.host.instruction import Activate, Add, Attention, Gather, KvStore, Matmul, Rmsnorm, Rope, Sample

VOCAB = 40
TABLE = np.random.default_rng(1).normal(size=(VOCAB, VOCAB)).astype(np.float32)


def small(threads: int = 2) -> Rig:
    """Embeds, stores keys and values, attends, gathers and samples: every kind of input matters."""
    stream = barriers(
        (
            embed(VOCAB),
            KvStore(k=0, v=0, kv_layer=0, k_start=8, v_start=16, kv_heads=1, head_dim=8),
            Attention(
                dst=1, q=0, kv_layer=0, start=0, heads=1, kv_heads=1, head_dim=8, window=0, scale=1.0, softcap=0.0
            ),
            Gather(dst=2, a=0, columns=VOCAB),
            Sample(a=2, vocab=VOCAB),
        )
    )
    return Rig(
        stream, [(VOCAB, 0, 0), (8, 0, 0), (VOCAB, 1, 0)], [TABLE], kv=[(1, 8, 0)], threads=threads, batch=3, tokens=80,
        context=100, pages=4, vocab=VOCAB,
    )  # fmt: skip


GOOD = Seq([1, 2], 0, (0,))

BAD_STEPS: dict[str, tuple[str, Callable[[Rig], object]]] = {
    "no tokens": ("0 tokens", lambda r: r.step([Seq([])])),
    "too many tokens": ("81 tokens", lambda r: r.step([Seq([0] * 81, 0, (0, 1, 2))])),
    "too many sequences": ("4 sequences", lambda r: r.step([Seq([0], 0, (i,)) for i in range(4)])),
    "an empty sequence": ("not ascending", lambda r: r.step([GOOD, Seq([], 0, (1,))])),
    "token too large": (r"tokens\[1\] is 40", lambda r: r.step([Seq([1, VOCAB])])),
    "token of no row": ("of row 1 of the step before, which drew 1", lambda r: r.step([Seq([-2])])),
    "position beyond the context": (r"positions\[1\] is 100", lambda r: r.step([Seq([1, 2], 99, (0, 1, 2, 3))])),
    "position negative": (r"positions\[0\] is -1", lambda r: r.step([Seq([1], -1)])),
    "page missing": (r"page_table\[1\] is -1", lambda r: r.step([Seq([1], 40, (0, -1))])),
    "page before missing": (r"page_table\[0\] is -1", lambda r: r.step([Seq([1], 40, (-1, 0))])),
    "page too large": (r"page_table\[0\] is 4", lambda r: r.step([Seq([1], 0, (4,))])),
    "page table too narrow": ("needs 2 pages", lambda r: r.step([Seq([1], 32, (0,))])),
    "page written twice": ("written for two", lambda r: r.step([Seq([1], 0, (0,)), Seq([1], 0, (0,))])),
    "slot too large": (r"slots\[0\] is 3", lambda r: r.step([GOOD], slots=[3])),
    "slot twice": (r"slots\[1\] is 1", lambda r: r.step([GOOD, Seq([1], 0, (1,))], slots=[1, 1])),
    "sampled row too large": (r"sample_rows\[0\] is 2", lambda r: r.step([GOOD], [2])),
    "sampled rows unordered": ("not ascending", lambda r: r.step([GOOD], [1, 0])),
    "sampling slot": (r"sampling.slot\[0\] is 3", lambda r: r.step([GOOD], [0], sampling(1, slot=3))),
    "slots apart": (
        "follow each other",
        lambda r: r.step([Seq([1, 2, 3])], [0, 1, 2], sampling(3, slot=[1, 2, 1])),
    ),
    "sampling too short": ("sampling and sample_rows", lambda r: r.step([GOOD], [0, 1], sampling(1))),
    "negative temperature": ("temperature", lambda r: r.step([GOOD], [0], sampling(1, temperature=-1))),
    "temperature not a number": ("temperature", lambda r: r.step([GOOD], [0], sampling(1, temperature=np.nan))),
    "top_p above one": ("top_p", lambda r: r.step([GOOD], [0], sampling(1, top_p=1.5))),
    "min_p below zero": ("min_p", lambda r: r.step([GOOD], [0], sampling(1, min_p=-0.1))),
    "top_k negative": ("top_k", lambda r: r.step([GOOD], [0], sampling(1, top_k=-2))),
    "too many log-probabilities": ("top_logprobs", lambda r: r.step([GOOD], [0], sampling(1, top_logprobs=21))),
    "repetition of zero": ("repetition_penalty", lambda r: r.step([GOOD], [0], sampling(1, repetition_penalty=0))),
    "other fields": (
        "array of the sampling record",
        lambda r: r.step([GOOD], [0], np.zeros(1, np.int32)),
    ),
    "fields of other names": (
        "a field slot of type i4 at byte 0",
        lambda r: r.step([GOOD], [0], np.zeros(1, [("a", "i4"), ("rest", "V60")])),
    ),
    "fields of another type": (
        "a field temperature of type f4 at byte 20",
        lambda r: r.step(
            [GOOD], [0], np.zeros(1, np.dtype([(f.name, f.kind.replace("f4", "i4")) for f in RECORD], align=True))
        ),
    ),
    "strided sampling": ("contiguous", lambda r: r.step([GOOD], [0, 1], np.zeros(4, SAMPLING)[::2])),
}


@pytest.mark.parametrize("name", BAD_STEPS)
def test_bad_steps_are_refused_and_change_nothing(name: str) -> None:
    message, call = BAD_STEPS[name]
    rig = small()
    rig.step([Seq([3], 0, (0,))], [0])
    before = rig.buffer(0), rig.engine.counters()
    with pytest.raises(ValueError, match=message):
        call(rig)
    assert_array_equal(rig.buffer(0), before[0])
    assert rig.engine.counters() == before[1]
    assert rig.step([GOOD], [1]).tokens[0] == TABLE[2].argmax()


def test_arrays_of_another_type_are_refused() -> None:
    rig = small()
    one = np.zeros(1, np.int32)
    good = (one, one, np.array([0, 1], np.int32), one, np.zeros((1, 1), np.int32), one, sampling(1))
    tokens, values, ids, logs = (
        one.copy(),
        np.zeros(1, np.float32),
        np.zeros((1, 20), np.int32),
        np.zeros((1, 20), np.float32),
    )
    rig.engine.step(*good, tokens, values, ids, logs)
    with pytest.raises(TypeError):
        rig.engine.step(one.astype(np.int64), *good[1:], tokens, values, ids, logs)
    with pytest.raises(TypeError):
        rig.engine.step(*good, tokens, values, ids.astype(np.int64), logs)
    with pytest.raises(ValueError, match="20 columns"):
        rig.engine.step(*good, tokens, values, np.zeros((1, 5), np.int32), np.zeros((1, 5), np.float32))
    with pytest.raises(ValueError, match="too small"):
        rig.engine.step(*good, tokens[:0].copy(), values, ids, logs)


EMBED = embed(VOCAB)

BAD_PROGRAMS: dict[str, tuple[str, Instr]] = {
    "another width of the table": ("columns differ from the table's", embed(8)),
    "no such buffer": ("dst names buffer 9 of 4", Add(dst=9, a=0, b=0, columns=8)),
    "too many columns": (r"dst has 40 columns; \[0, 41\)", Add(dst=3, a=0, b=3, columns=41)),
    "negative start": ("asked", Rmsnorm(dst=1, a=0, start=-8, columns=8, width=8, eps=0.0)),
    "int8 where floats belong": ("dst must be an f32 buffer", Add(dst=2, a=0, b=0, columns=8)),
    "floats where codes belong": (
        "a must be a buffer of codes",
        Matmul(dst=1, a=0, weight=2, start=0, rows=8, columns=32),
    ),
    "a vector as matrix": ("weight slot 1 is a vector", Matmul(dst=1, a=0, weight=1, start=0, rows=1, columns=8)),
    "a matrix as vector": (
        "must be a vector of 8",
        Rmsnorm(dst=1, a=0, weight=0, start=0, columns=8, width=8, eps=0.0),
    ),
    "another shape": ("differ from the weight", Matmul(dst=1, a=2, weight=2, start=0, rows=4, columns=32)),
    "rows of two kinds": ("mixes token rows and sampled rows", Add(dst=3, a=0, b=3, columns=8)),
    "an unknown activation": ("no such activation", Activate(dst=1, a=0, columns=8, activation=7)),
    "an unknown layer": ("KV layer 1", KvStore(k=0, v=0, kv_layer=1, k_start=0, v_start=8, kv_heads=1, head_dim=8)),
    "other heads": (
        "differ from the KV layer",
        KvStore(k=0, v=0, kv_layer=0, k_start=0, v_start=8, kv_heads=1, head_dim=4),
    ),
    "an unknown constant": (
        "no such constant",
        Rope(dst=0, a=0, start=0, heads=1, head_dim=8, dims=8, style=0, constant=0, magnitude=1.0),
    ),
    "another vocabulary": ("vocab differs", Sample(a=3, vocab=8)),
}


@pytest.mark.parametrize("name", BAD_PROGRAMS)
def test_programs_that_cannot_run_are_refused_by_instruction(name: str) -> None:
    message, instr = BAD_PROGRAMS[name]
    slots = [(40, 40, "F32", 1), (1, 8, "F32", 1), (8, 32, "Q8_0", 1)]
    buffers = [(40, 0, 0), (8, 0, 0), (32, 0, 1), (40, 1, 0)]
    with pytest.raises(ValueError, match=message) as error:
        Rig((EMBED, instr), buffers, [], slots=slots, kv=[(1, 8, 0)])
    assert str(error.value).startswith("instruction 1 (")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threads": 0}, "threads is 0"),
        ({"batch": -1}, "max_batch is -1"),
        ({"tokens": 0}, "max_tokens is 0"),
        ({"pages": 0}, "pages is 0"),
        ({"vocab": 1 << 30}, "vocab is"),
        ({"pages": 1 << 29}, "KV cache would take"),
        ({"kv": [(1, 12, 0)]}, "KV layer 0"),
        ({"slots": [(1 << 30, 1 << 30, "F32", 1)]}, "impossible shape"),
        ({"slots": [((1 << 30) - 16, (1 << 30) - 32, "F32", 1)]}, "too large|would take"),
        ({"slots": [(1 << 29, 1 << 29, "F32", 1)] * 16}, "too large"),
        ({"kv": [(4096, 4096, 0)] * 4096, "pages": 1 << 26}, "too large"),
        ({"buffers": [(1 << 26, 0, 0)] * (1 << 15), "tokens": 1 << 20}, "too large"),
        ({"tokens": 1 << 21}, "max_tokens is"),
        ({"batch": 1 << 21}, "max_batch is"),
        ({"vocab": 1 << 24, "batch": 1 << 20}, "sampling state would take"),
        ({"threads": 600, "vocab": 1 << 24, "batch": 1}, "sampling scratch would take"),
        ({"slots": [(1 << 20, 1 << 20, "F32", 1)]}, "weights would take"),
        ({"slots": [(0, 8, "F32", 1)]}, "impossible shape"),
        ({"slots": [(1, 8, "Q8_0", 1)]}, "a vector must be F32"),
        ({"buffers": [(0, 0, 0)]}, "width is 0"),
        ({"buffers": [(1 << 26, 0, 0)], "tokens": 1 << 20}, "activation buffers would take"),
    ],
)
def test_impossible_sizes_are_refused_without_allocating(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"stream": (), "buffers": [(8, 0, 0)], "weights": [], "kv": [(1, 8, 0)]}
    with pytest.raises(ValueError, match=message):
        Rig(**{**arguments, "slots": [(2, 8, "F32", 1)], **change})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layers", "change", "message"),
    [
        ([(1, 1 << 20, 8)], {"batch": 1 << 20, "tokens": 1 << 20}, "would take"),
        ([(4096, 4096, 8)], {"batch": 1 << 20}, "tokens and heads is too large"),
        ([(1, 1 << 22, 8), (4096, 4096, 4096)], {"threads": 4}, "too large|would take"),
        ([(1, 1 << 22, 8), (1, 1, 4096)], {"threads": 8}, "attention's scratch would take"),
    ],
)
def test_attention_that_no_memory_can_hold_is_refused(
    layers: list[tuple[int, int, int]], change: dict[str, int], message: str
) -> None:
    """Products of heads, dimensions and sequences, each of which is possible, wrap 64 bits or exceed the machine."""
    buffers, stream = [(8, 0, 0)], [embed(8)]
    for layer, (kv_heads, heads, dim) in enumerate(layers):
        buffers += [(heads * dim, 0, 0)] * 2
        out, q = len(buffers) - 1, len(buffers) - 2
        stream.append(
            Attention(
                dst=out,
                q=q,
                kv_layer=layer,
                start=0,
                heads=heads,
                kv_heads=kv_heads,
                head_dim=dim,
                window=0,
                scale=1.0,
                softcap=0.0,
            )
        )
    arguments: dict[str, object] = {"tokens": 1, "batch": 1, "pages": 1, "context": 8, "vocab": 8, **change}
    with pytest.raises(ValueError, match=message):
        Rig(tuple(stream), buffers, [], slots=[(40, 8, "F32", 1)], kv=[(k, d, 0) for k, _, d in layers], **arguments)  # type: ignore[arg-type]


def engine_of(stream: bytes) -> _native.Engine:
    return _native.Engine(stream, [(VOCAB, 0, 0, 0)] * 2, [], [], [], 1, 1, 1, 1, 1, 8)


def test_streams_of_broken_records_are_refused() -> None:
    add = encode((Add(dst=0, a=0, b=1, columns=8),))
    engine_of(add).close()
    for stream, message in (
        (add[:-1], "not whole instructions"),
        (b"\x25" + add[1:], "no such operation: 37"),
        (add[:2] + b"\x01" + add[3:], "a flag that it does not take"),
        (bytes(INSTR_BYTES) + add[:4] + b"\x09" + add[5:], r"instruction 1 \(ADD\): dst names buffer 9 of 2"),
    ):
        with pytest.raises(ValueError, match=message):
            engine_of(stream)


def load(rig: Rig, values: F32, fmt: str, rows: int, columns: int, index: list[int], turned: bool = False) -> None:
    part = (values.view(np.uint8).reshape(-1), fmt, rows, columns, np.array(index, np.int32), turned)
    rig.engine.load([(0, [part])])


def test_loads_that_do_not_fit_are_refused() -> None:
    rig = Rig((embed(32),), [(32, 0, 0)], [], slots=[(4, 32, "F32", 1), (1, 8, "F32", 1)])
    values, rows = np.ones((4, 32), np.float32), list(range(4))
    with pytest.raises(ValueError, match="weight slot 0: has not been loaded"):
        rig.run([0])
    for arguments, message in (
        ((values, "F32", 4, 32, [0, 1, 2]), "3 rows given, the slot has 4"),
        ((values, "F32", 4, 32, [0, 1, 2, 4]), "row_index 4 leaves its part"),
        ((values, "F32", 4, 32, [0, 1, 2, -1]), "row_index -1"),
        ((values, "F16", 4, 32, rows), "a part is F16, the slot is F32"),
        ((values, "F32", 4, 16, rows), "a part has 16 columns"),
        ((values[:2], "F32", 4, 32, rows), "weight slot 0: .*"),
        ((values, "F32", 1 << 40, 32, rows), "impossible shape"),
    ):
        with pytest.raises(ValueError, match=message):
            load(rig, *arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="slot 1: is a vector"):
        rig.engine.load([(1, [])])
    with pytest.raises(ValueError, match="slot 0: is a matrix"):
        rig.engine.load_vector(0, np.ones(8, np.float32))
    with pytest.raises(ValueError, match="7 values given"):
        rig.engine.load_vector(1, np.ones(7, np.float32))
    with pytest.raises(ValueError, match="no such slot"):
        rig.engine.load_vector(2, np.ones(8, np.float32))


def test_slots_of_sampling_state_are_checked() -> None:
    rig = small()
    for arguments in (
        {"slot": 3},
        {"slot": -1},
        {"slot": 0, "prompt": [VOCAB]},
        {"slot": 0, "eos": [-1]},
        {"slot": 0, "allowed": [VOCAB]},
        {"slot": 0, "allowed": [3, 3]},
        {"slot": 0, "allowed": [4, 3]},
        {"slot": 0, "bias": [(1, 2e6)]},
        {"slot": 0, "bias": [(VOCAB, 1.0)]},
        {"slot": 0, "bias": [(1, float("nan"))]},
        {"slot": 0, "bias": [(1, float("inf"))]},
    ):
        with pytest.raises(ValueError):
            open_slot(rig, **arguments)  # type: ignore[arg-type]


def test_close_is_idempotent_and_final() -> None:
    rig = small(threads=3)
    rig.step([GOOD], [1])
    rig.engine.close()
    rig.engine.close()
    for call in (lambda: rig.step([GOOD]), lambda: rig.buffer(0), rig.engine.memory, lambda: open_slot(rig, 0)):
        with pytest.raises(RuntimeError, match="closed"):
            call()


def test_many_engines_come_and_go() -> None:
    for _ in range(20):
        rig = small(threads=3)
        rig.step([GOOD], [1])


def test_two_threads_at_once_are_refused_not_mixed() -> None:
    rig = small()
    outcomes: list[str] = []

    def hammer() -> None:
        for _ in range(300):
            try:
                tokens = rig.step([Seq([1] * 80, 0, (0, 1, 2))], [79]).tokens
                outcomes.append("right" if tokens[0] == TABLE[1].argmax() else "wrong")
            except RuntimeError as error:
                outcomes.append("busy" if "in use" in str(error) else str(error))

    workers = [threading.Thread(target=hammer) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(outcomes) == 600 and set(outcomes) <= {"right", "busy"} and "right" in outcomes


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_half_of_a_team_does_the_same(threads: int) -> None:
    rig = small(threads)
    steps = [Seq(range(30), 0, (0, 1)), Seq([4], 30, (0, 1)), Seq(range(5), 31, (0, 1))]

    def run(mode: str) -> list[F32]:
        rig.engine.set_folding(mode)
        out = []
        for seq in steps:
            tokens = rig.step([seq], [len(seq.tokens) - 1]).tokens
            out += [rig.buffer(0), rig.buffer(1), rig.buffer(2), tokens]
        return out

    before, whole = rig.engine.counters()["folded_steps"], run("never")
    for half, expected in zip(run("always"), whole, strict=True):
        assert_array_equal(half, expected)
    assert rig.engine.counters()["folded_steps"] == before + len(steps)
    with pytest.raises(ValueError, match="auto, never or always"):
        rig.engine.set_folding("perhaps")


def test_counters_and_memory_report() -> None:
    rig = small()
    rig.step([GOOD], [1])
    rig.engine.set_folding("never")
    assert rig.engine.counters() == {"steps": 1, "tokens": 2, "folded_steps": 0}
    rig.engine.set_profile(True)
    rig.step([Seq([4], 2, (0,))], [0])
    counters = rig.engine.counters()
    assert counters["steps"] == 2 and counters["tokens"] == 3
    assert set(counters) >= {"EMBED", "BARRIER", "ATTENTION", "SAMPLE"} and counters["EMBED"] > 0
    memory = rig.engine.memory()
    assert memory["weights"] >= TABLE.nbytes and memory["kv"] >= 4 * 32 * 8 * 2 * 2
    assert 0 <= memory["huge"] <= sum(memory[k] for k in ("weights", "buffers", "kv", "sampling"))


def many_layers() -> Rig:
    """32 layers that store keys and values; 2,048 pages of 320 KiB."""
    layers = range(32)
    stores = [KvStore(k=0, v=0, kv_layer=layer, k_start=0, v_start=0, kv_heads=1, head_dim=VOCAB) for layer in layers]
    return Rig(barriers((embed(VOCAB), *stores)), [(VOCAB, 0, 0)], [TABLE], kv=[(1, VOCAB, 0)] * 32, pages=2048)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell what is resident")
def test_a_page_of_the_cache_takes_memory_for_itself_alone_however_many_layers() -> None:
    rig = many_layers()
    before = resident_bytes()
    rig.step([Seq([1], 0, (0,))])
    assert resident_bytes() - before < 16 << 20  # 2 MiB where pages are huge; 64 if every layer had a place of its own


def test_levels_can_be_forced_and_unknown_ones_are_named() -> None:
    rig = Rig((EMBED,), [(VOCAB, 0, 0)], [TABLE], isa="portable")
    assert rig.engine.isa == "portable"
    assert small().engine.isa == _native.isa_detect()
    assert _native.isa_supported("portable") and not _native.isa_supported("abacus")
    with pytest.raises(RuntimeError, match="abacus"):
        Rig((EMBED,), [(VOCAB, 0, 0)], [TABLE], isa="abacus")


def test_probes_measure_something() -> None:
    assert _native.probe_bandwidth(1, bytes=1 << 22, rounds=1) > 1e8
    with pytest.raises(ValueError, match="threads"):
        _native.probe_bandwidth(0)
    with pytest.raises(ValueError, match="threads"):
        _native.probe_int8_peak(-1)


def test_progress_moves_while_a_step_runs_and_at_no_other_time() -> None:
    rig, seen, over = small(), set(), threading.Event()
    watcher = threading.Thread(target=lambda: [seen.add(rig.engine.progress) for _ in iter(over.is_set, True)])
    before = rig.engine.progress
    watcher.start()
    for _ in range(300):
        rig.step([Seq([0] * 60, 0, (0, 1))])
    over.set()
    watcher.join()
    after = rig.engine.progress
    assert (after - before) % 300 == 0
    each = (after - before) // 300
    assert each > 5
    assert {count % each for count in seen if count > before} > {0}, "it was seen in the middle of a step"
    assert rig.engine.progress == after
