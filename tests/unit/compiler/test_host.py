"""Host programs: no two threads meet between barriers, buffers are shared without clobbering, bounds are enforced."""

import pytest

from undiced.compiler import compile
from undiced.core.errors import CompileError, UnsupportedError
from undiced.machine.host import host
from undiced.model import MlaConfig, ModelConfig, MoeConfig, RopeConfig, build_config
from undiced.program import Bounds
from undiced.program.host.field import Partition
from undiced.program.host.instr import SHARD_GRANULE, SMALL_STEP_TOKENS
from undiced.program.host.instruction import (
    Add,
    Attention,
    Barrier,
    Embed,
    Gather,
    Glu,
    KvStore,
    Matmul,
    PositionScale,
    Quantize,
    Rmsnorm,
    Rope,
    Sample,
)
from undiced.program.host.latent_instruction import HeadMatmul, LatentAttention, LatentStore

BASE = {
    "family": "llama", "name": "tiny", "layers": 2, "dim": 64, "heads": 4, "kv_heads": 2, "head_dim": 16, "ffn": 96,
    "vocab": 80, "context": 128, "norm_eps": 1e-5, "rope": RopeConfig(theta=1e4, dims=16),
}  # fmt: skip
ITEMS = "items"  # (sequence, kv head) number n belongs to thread n mod threads
QKV = [f"layers.0.attn.{x}.out" for x in "qkv"]
VARIANTS = {
    "llama": {},
    "gemma3": {"family": "gemma3", "qk_norm": "weight", "post_norms": True, "tied": True, "windows": (8, 0)},
    "gpt2": {"family": "gpt2", "norm": "layer", "gated": False, "learned_positions": True, "rope": None,
             "qkv_bias": True, "out_bias": True, "mlp_bias": True, "activation": "gelu_tanh"},
    "longrope": {"rope": RopeConfig(theta=1e4, dims=12, scaling="longrope", original_context=64, attention_factor=1.2,
                                    short_factors=(1.0,) * 6, long_factors=(2.0,) * 6)},
    "latents": {"family": "deepseek_v3", "rope": RopeConfig(theta=1e4, dims=16, style="interleaved"), "head_dim": 48,
                "mla": MlaConfig(q_rank=32, kv_rank=96, nope_dim=32, rope_dim=32, v_dim=32)},
    "latents alone": {"family": "deepseek_v2", "rope": RopeConfig(theta=1e4, dims=16), "head_dim": 48,
                      "mla": MlaConfig(q_rank=0, kv_rank=96, nope_dim=32, rope_dim=32, v_dim=32)},
    "chunks": {"family": "llama4", "rope": RopeConfig(theta=1e4, dims=16, skip_layers=(1,)), "windows": (32, 0),
               "chunked": True, "qk_norm": "l2", "temperature_floor": 8, "temperature_scale": 0.1},
    "softcaps": {"logit_softcap": 30.0, "attn_softcap": 50.0},
}  # fmt: skip


def program_of(variant, weights="Q4_0", threads=3):
    graph = build_config(ModelConfig(**{**BASE, **VARIANTS[variant]}), weights)
    return compile(graph, host(threads), Bounds(4, 128))


def owner(partition, index, columns, threads, rows):
    """Which thread handles element (row, column), written from the rules in instruction.py; None: any of them."""
    row, column = index
    if partition is ITEMS:
        return (row * columns + column) % threads
    if partition is Partition.TOKENS or partition is Partition.SAMPLES:
        return row * threads // rows
    if partition is Partition.COLUMNS:
        granules = -(-columns // SHARD_GRANULE)
        return (column // SHARD_GRANULE) * threads // granules
    return None


def touches(program, instr):
    """(buffer, first column, columns, partition, is write) of each operand, from the meaning of the instruction."""
    i, part, everything = instr, instr.split, Partition.ALL
    width = {index: buffer.width for index, buffer in enumerate(program.buffers)}
    match instr:
        case Quantize():
            part = i.by
        case HeadMatmul():
            return [(i.a, 0, width[i.a], everything, False), (i.dst, 0, i.heads * i.rows, part, True)]
        case LatentStore():
            return [(i.a, 0, i.columns, part, False), (-2 - i.kv_layer, 0, 1, part, True)]
        case LatentAttention():
            reads = [(b, 0, width[b], everything, False) for b in (i.q, i.turned)]
            return [*reads, (-2 - i.kv_layer, 0, 1, everything, False), (i.dst, 0, width[i.dst], part, True)]
        case PositionScale():
            return [(b, i.start, i.columns, part, b == i.dst) for b in (i.a, i.dst)]
        case Matmul():
            return [(i.a, 0, i.columns, everything, False), (i.dst, i.start, i.rows, part, True)]
        case Glu():
            reads = [(i.a, start, i.columns, part, False) for start in (i.gate, i.up)]
            return [*reads, (i.dst, 0, i.columns, part, True)]
        case Rmsnorm():
            return [(b, i.start, i.columns, part, b == i.dst) for b in (i.a, i.dst)]
        case Rope():
            return [(b, i.start, i.heads * i.head_dim, part, b == i.dst) for b in (i.a, i.dst)]
        case KvStore():
            size = i.kv_heads * i.head_dim
            return [(i.k, i.k_start, size, part, False), (i.v, i.v_start, size, part, False),
                    (-2 - i.kv_layer, 0, i.kv_heads, part, True)]  # fmt: skip
        case Attention():
            return [(i.q, i.start, i.heads * i.head_dim, everything, False),
                    (-2 - i.kv_layer, 0, i.kv_heads, everything, False),
                    (i.dst, 0, width[i.dst], part, True)]  # fmt: skip
        case Sample():
            return [(i.a, 0, width[i.a], everything, False)]
        case Embed():
            return [(i.dst, 0, width[i.dst], part, True)]
    by = everything if isinstance(instr, Gather) else part
    found = [(b, 0, width[b], by, False) for b in ((i.a, i.b) if isinstance(instr, Add) else (i.a,))]
    return [*found, (i.dst, 0, width[i.dst], part, True)]


def touches_small(program, instr):
    """The same in a small step: what a thread owns is nobody else's, so only the others' operands are left."""
    own = {i for i, buffer in enumerate(program.buffers) if buffer.own}
    replicated = getattr(instr, "dst", None) in own
    for buffer, first, columns, partition, write in touches(program, instr):
        if buffer in own:
            continue
        if buffer < 0:  # what is new in the cache: (sequence, kv head) items, but latents are for all heads
            partition = Partition.ALL if isinstance(instr, LatentAttention) else ITEMS
        elif replicated or isinstance(instr, (KvStore, LatentStore)):
            assert not write
            partition = Partition.ALL
        yield buffer, first, columns, partition, write


def no_two_threads_meet(program, threads, rows, touched, passes):
    seen = {}
    for instr in program.instrs:
        if isinstance(instr, Barrier):
            seen = seen if passes(instr) else {}
            continue
        for buffer, first, columns, partition, write in touched(program, instr):
            for row in range(rows):
                for column in range(first, first + columns):
                    who = owner(partition, (row, column - first), columns, threads, rows)
                    for other, wrote in seen.get((buffer, row, column), ()):
                        alone = who == other and who is not None
                        assert alone or not (write or wrote), (instr, buffer, row, column)
                    seen.setdefault((buffer, row, column), set()).add((who, write))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("weights", ["Q4_0", "F32"])
def test_no_two_threads_meet_between_barriers(variant, weights):
    program = program_of(variant, weights, 3)
    no_two_threads_meet(program, 3, 7, touches, lambda barrier: False)
    for threads in (2, 3):
        for rows in range(1, SMALL_STEP_TOKENS + 1):
            no_two_threads_meet(program, threads, rows, touches_small, lambda barrier: barrier.large)


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_rowwise_instructions_write_what_every_thread_owns(variant):
    program = program_of(variant)
    assert sum(buffer.own for buffer in program.buffers) >= 4
    for instr in program.instrs:
        for buffer, _, _ in instr.writes():
            assert not program.buffers[buffer].own or instr.partition in (Partition.TOKENS, Partition.SAMPLES)


@pytest.mark.parametrize("variant", VARIANTS)
def test_barriers_are_few(variant):
    instrs = program_of(variant).instrs
    layers = sum(isinstance(i, Barrier) for i in instrs if i.layer >= 0) / 2
    small = sum(isinstance(i, Barrier) and not i.large for i in instrs if i.layer >= 0) / 2
    more = {"latents alone": 2, "latents": 3}.get(variant, 0)  # products of heads before and behind, a query's latent
    assert layers <= 11 + 2 * more
    assert small <= 5 + more, "products and attention: what a small step needs"
    if more:
        return
    products = [i for i in instrs if isinstance(i, Matmul) and i.note in QKV]
    positions = [instrs.index(i) for i in products]
    assert positions[2] - positions[0] == 2, "q, k and v run back to back"


def test_residual_sums_are_fused_where_nothing_stands_between():
    fused = [i for i in program_of("llama").instrs if isinstance(i, Matmul) and i.accumulate]
    assert len(fused) == 4
    assert not any(isinstance(i, Add) for i in program_of("llama").instrs)
    assert sum(isinstance(i, Add) for i in program_of("gemma3").instrs) == 4


@pytest.mark.parametrize("variant", VARIANTS)
def test_of_the_last_layer_only_keys_and_values_are_made_for_every_token(variant):
    program = program_of(variant)
    products = [i for i in program.instrs if isinstance(i, (Matmul, HeadMatmul))]
    whole = {i.note for i in products if i.layer == 1 and program.buffers[i.dst].rows == "tokens"}
    kept = ("kv_a", "k_rope") if "latents" in variant else ("k", "v")
    assert whole == {f"layers.1.attn.{x}.out" for x in kept}
    sizes = [slot.rows * slot.columns for slot in program.slots]
    macs = sum(sizes[i.weight] for i in products if i.layer == 0 or i.note in whole)
    assert program.fact("layer_matmul_macs_per_token") == macs < program.fact("matmul_macs_per_token")


def test_buffers_do_not_grow_with_layers():
    small = build_config(ModelConfig(**BASE), "Q4_0")
    deep = build_config(ModelConfig(**{**BASE, "layers": 9}), "Q4_0")
    count = [len(compile(g, host(2), Bounds(1, 64)).buffers) for g in (small, deep)]
    assert count[0] == count[1]


def test_equal_inputs_give_equal_programs():
    assert program_of("llama").digest == program_of("llama").digest
    assert program_of("llama").digest != program_of("llama", threads=2).digest


def test_bounds_beyond_the_model_are_refused():
    graph = build_config(ModelConfig(**BASE), "Q4_0")
    with pytest.raises(CompileError, match="context of 128"):
        compile(graph, host(1), Bounds(1, 129))
    with pytest.raises(CompileError, match="at least one"):
        compile(graph, host(1), Bounds(0, 16))
    with pytest.raises(CompileError, match="0 threads"):
        host(0)


def test_experts_that_cores_can_not_share_are_refused_with_their_sizes():
    moe = MoeConfig(experts=4, top_k=2, ffn=24, layers=(0, 1))
    graph = build_config(ModelConfig(**{**BASE, "family": "mixtral", "moe": moe}), "F32")
    with pytest.raises(UnsupportedError, match="multiples of 32, not 24 x"):
        compile(graph, host(2), Bounds(1, 16))


def test_experts_wait_for_the_choice_and_for_each_other_s_columns():
    moe = MoeConfig(experts=4, top_k=2, ffn=32, layers=(0, 1))
    graph = build_config(ModelConfig(**{**BASE, "family": "mixtral", "moe": moe}), "Q8_0")
    program = compile(graph, host(2), Bounds(1, 16))
    names = [type(instr).__name__ for instr in program.instrs if instr.layer == 0]
    first = names.index("Route")
    print(names)
    assert names[first - 2 :][:7] == ["Matmul", "Barrier", "Route", "Barrier", "ExpertGlu", "Barrier", "ExpertSum"]


def test_the_longest_sequence_of_a_program_chooses_its_rotations():
    graph = build_config(ModelConfig(**{**BASE, **VARIANTS["longrope"]}))
    short, long = (compile(graph, host(1), Bounds(1, context)) for context in (64, 65))
    assert [2 * x for x in long.constants[0]] == list(short.constants[0])
    assert {i.magnitude for p in (short, long) for i in p.instrs if isinstance(i, Rope)} == {1.2}
