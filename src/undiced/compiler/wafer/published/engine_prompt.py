"""How the published engine on WSE-3 takes prompts: chunks of tokens over one axis of a square region, features over the
other; products by shifted tiles; attention to one chunk of keys after the other. A replay: its programs are not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from undiced.compiler.wafer.published.asked import BAND_WIDTH, check_dense
from undiced.compiler.wafer.published.assemble import check_stages, even_stages, two_tree
from undiced.core.errors import CompileError
from undiced.core.option import option
from undiced.machine.wafer import Wafer
from undiced.model import ModelConfig
from undiced.program.wafer.code import CALL_BYTES, LOOP_BYTES, SYSTEM_BYTES, TREE_BYTES, VECTOR_BYTES
from undiced.program.wafer.replay import Joined, Part, Replay
from undiced.program.wafer.sequences import SEQUENCES
from undiced.program.wafer.shifts import ALIGN_TASKS, HOPS, PRODUCT_TASKS, SCORE_TASKS
from undiced.program.wafer.tree import Level, Tree
from undiced.program.wafer.value import DType
from undiced.program.wafer.work import Arithmetic, Ring, Vectors, Work

_TOKENS_MOST = 1 << 24
CHUNK = 512  # that most of it was measured with
_F16, _F32 = 2, 4  # bytes
_POLYNOMIAL = (11, 12)  # multiplications and additions of the activation, of degree 6: about as many as were counted
_SUB_CHUNKS = 3  # pieces in which gate and up are activated


@dataclass(frozen=True, slots=True)
class Tile:
    """What a core holds of a chunk: tokens, and features of each kind for each token.

    Attributes:
        band: rows of a KV head. group: query heads that read one.
    """

    side: int
    tokens: int
    hidden: int
    queries: int
    keys: int
    features: int
    band: int
    group: int

    @classmethod
    def of(cls, config: ModelConfig, side: int, chunk: int) -> Tile:
        """Shares of the fullest core."""

        def share(size: int) -> int:
            return ceil(size / side)

        return cls(
            side, share(chunk), share(config.dim), share(config.heads * config.head_dim),
            share(config.kv_heads * config.head_dim), share(config.ffn), max(1, side // config.kv_heads),
            config.heads // config.kv_heads,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asking:
    """A prompt of `tokens`, of which `prefix` are there already, in chunks.

    Raises:
        CompileError: a prefix that leaves nothing, or numbers that no prompt has.
    """

    tokens: int
    chunk: int
    prefix: int

    def __post_init__(self) -> None:
        for name, value, least in (("chunk", self.chunk, 1), ("prefix", self.prefix, 0)):
            if not least <= value <= _TOKENS_MOST:
                raise CompileError(f"A {name} of {value} is out of range.", remedy=f"Use {least} to {_TOKENS_MOST}.")
        if self.prefix >= self.tokens:
            raise CompileError(
                f"A prompt of {self.tokens} positions has none left after a prefix of {self.prefix}.",
                remedy=f"Use {option('prefix', self.tokens - 1)} or less, or {option('context', self.prefix + 1)}.",
            )


def engine_prompt(
    config: ModelConfig, wafer: Wafer, side: int, groups: int, stages: tuple[int, ...] | None, asking: Asking
) -> Replay:
    """A prompt on regions of `side` by `side` cores; by default on as few as hold the model.

    Raises:
        CompileError: a model of another kind, a chunk that some cores have no token of, stages of another model.
    """
    check_dense(config)
    if asking.chunk < side:
        raise CompileError(
            f"A chunk of {asking.chunk} tokens leaves cores of {side} rows without any.",
            remedy=f"Use {option('chunk', side)} or more, or a smaller region.",
        )
    tile = Tile.of(config, side, asking.chunk)
    layer, attended = _layer(tile, groups, config.qk_norm != "none"), _attended(tile)
    code, kept, live = _code((*layer, *attended)), _kept(tile, asking.tokens), _live(tile)
    stages = stages or _fewest(config.layers, int(wafer.core.sram_bytes.value) - code - live, kept)
    check_stages(stages, config)
    whole, before = ceil(asking.tokens / asking.chunk), asking.prefix // asking.chunk
    entering, data = tile.hidden * tile.tokens * _F32, max(stages) * kept + live
    return Replay(
        config.name,
        _wafers(wafer, side, len(stages)),
        side,
        stages,
        asking.chunk,
        before,
        whole - before,
        layer,
        attended,
        entering,
        data,
        code,
    )


def _wafers(wafer: Wafer, side: int, regions: int) -> int:
    """Bands of embedding and head stand beside the regions, where there is room for both."""
    columns, rows = wafer.mesh.size
    across = max(0, columns - BAND_WIDTH) // side or columns // side
    return ceil(regions / (across * (rows // side)))


def _fewest(layers: int, room: int, kept: int) -> tuple[int, ...]:
    """As many layers in each region as a core has room for, and one at least."""
    return even_stages(layers, ceil(layers / max(1, min(layers, room // kept))))


# A layer


def _layer(t: Tile, groups: int, normed: bool) -> tuple[Part, ...]:
    heads = (Part("q/k norm", *_head_norm(t, t.group)), Part("q/k norm", *_head_norm(t, 1))) if normed else ()
    tree = two_tree(t.side, groups)
    return (
        _norm(t, tree),
        _product("q, k, v", t, t.hidden, t.queries + 2 * t.keys),
        *heads,
        _rotation(t, t.queries // 2),
        _rotation(t, t.keys // 2),
        _product("o", t, t.queries, t.hidden),
        _added(t),
        _norm(t, tree),
        _product("gate, up", t, t.hidden, 2 * t.features),
        _activation(t),
        _product("down", t, t.features, t.hidden),
        _added(t),
    )


def _straight(arithmetic: Arithmetic, length: int, count: int = 1) -> tuple[Vectors, ...]:
    """So many operations with descriptors of their own, of 32 bits."""
    return (Vectors(arithmetic, DType.F32, DType.F32, length, 1, 1, 2 * _F32, _F32),) * count


def _product(name: str, t: Tile, inputs: int, outputs: int) -> Part:
    """A step multiplies two tiles by one looped operation a weight; the left one is shifted to its place before."""
    work = Work(
        _looped(t.tokens, inputs * outputs, inputs, t.side),
        tasks=PRODUCT_TASKS * t.side + ALIGN_TASKS * (t.side // 2),
        ring=Ring(t.side, (inputs * t.tokens * _F16, inputs * outputs * _F16), HOPS, t.side // 2),
    )
    cast = _straight("convert", inputs * t.tokens)
    return Part(name, (Work(cast), work))


def _looped(length: int, count: int, loops: int, steps: int) -> tuple[Vectors, ...]:
    """Products of two fp16 numbers into fp32 sums in memory, in each of so many steps."""
    one = Vectors(
        "multiply_add", DType.F16, DType.F32, length, count * steps, loops * steps, _F16, 0, sums=count * steps,
        added=True, unpinned=True,
    )  # fmt: skip
    return (one,)


def _norm(t: Tile, tree: Tree) -> Part:
    """Squares summed feature by feature, the sum over all rows, and each feature by the root and its weight."""
    sums = _straight("multiply", t.hidden * t.tokens) + _straight("add", t.tokens, t.hidden)
    root = Work(_straight("multiply_add", t.tokens), calls=2 * t.tokens)
    scaled = Work(_straight("multiply", t.tokens, 2 * t.hidden))
    return Part("norm", (Work(sums), root, scaled), (Joined(tree, t.tokens * _F32),))


def _head_norm(t: Tile, heads: int) -> tuple[tuple[Work, ...], tuple[Joined, ...]]:
    """The same over a band, head by head."""
    sums = _straight("multiply", heads * t.keys * t.tokens) + _straight("add", t.tokens, heads * t.keys)
    root = Work(_straight("multiply_add", heads * t.tokens), calls=2 * heads * t.tokens)
    scaled = Work(_straight("multiply", t.tokens, 2 * heads * t.keys))
    return (Work(sums), root, scaled), (Joined(_band(t), heads * t.tokens * _F32),)


def _band(t: Tile) -> Tree:
    return Tree(t.band, (Level(t.band),))


def _rotation(t: Tile, pairs: int) -> Part:
    return Part(
        "rotation", (Work(_straight("multiply", t.tokens, 4) + _straight("add", t.tokens, 2)),), times=max(1, pairs)
    )


def _added(t: Tile) -> Part:
    return Part("residual", (Work(_straight("add", t.hidden * t.tokens)),))


def _activation(t: Tile) -> Part:
    """A polynomial, and the product with up, piece by piece."""
    length = ceil(t.features / _SUB_CHUNKS) * t.tokens
    multiplied, added = _POLYNOMIAL
    work = _straight("multiply", length, multiplied + 1) + _straight("add", length, added)
    return Part("activation", (Work(work),), times=_SUB_CHUNKS)


# Attention


def _attended(t: Tile) -> tuple[Part, ...]:
    """What every chunk of keys takes: scores hop by hop, the softmax so far, values hop by hop."""
    return (_scores(t), *_softmax(t), _values(t), _combined(t))


def _scores(t: Tile) -> Part:
    """Keys pass; a hop's scores are joined over the band by the routine that all its sums use, and waited for."""
    made = t.group * t.tokens * t.tokens
    ring = Work(
        (*_looped(t.tokens, t.queries * t.tokens, t.queries, t.side), *_cleared(made, t.side)),
        tasks=SCORE_TASKS * t.side,
        ring=Ring(t.side, (t.keys * t.tokens * _F16,), HOPS),
    )
    return Part("scores", (ring,), (Joined(_band(t), made * _F32, shared=False),) * t.side)


def _cleared(length: int, steps: int) -> tuple[Vectors, ...]:
    return (Vectors("move", DType.F32, DType.F32, length, steps, steps, 0, _F32),)


def _softmax(t: Tile) -> tuple[Part, ...]:
    """Of the scores whose root a core was: the largest, exponentials, their sum."""
    held = ceil(t.side / t.band) * t.tokens * t.group  # rows of one number a token
    whole = held * t.tokens
    top = Work(_straight("multiply", whole) + _straight("maximum", t.tokens, held))
    exponential = _straight("add", whole) + _sequence("exp", whole)
    total = _straight("add", t.tokens, held)
    size = t.group * t.tokens * _F32
    return (
        Part("largest score", (top,), (Joined(_band(t), size),)),
        Part("exponentials", (Work(exponential + total),), (Joined(_band(t), size),)),
    )


_KINDS: dict[str, Arithmetic] = {
    "multiply": "multiply", "multiply_add": "multiply_add", "scaled_add": "multiply_add", "maximum": "maximum",
    "minimum": "maximum", "low_to_high_shift": "shift",
}  # fmt: skip


def _sequence(function: str, length: int) -> tuple[Vectors, ...]:
    """A function's vector operations."""
    return tuple(v for step in SEQUENCES[function] for v in _straight(_KINDS.get(step.kind, "add"), length))


def _values(t: Tile) -> Part:
    """Values pass; a hop's weights come from the core of the band that has them."""
    made = t.group * t.tokens * t.tokens
    ring = Work(
        _looped(t.tokens, t.queries * t.tokens, t.queries, t.side),
        tasks=PRODUCT_TASKS * t.side,
        ring=Ring(t.side, (t.keys * t.tokens * _F16, made * _F16), HOPS),
    )
    return Part("values", (ring,))


def _combined(t: Tile) -> Part:
    """Sums so far and new ones, each by its exponential of a difference of maxima."""
    scales = t.group * t.tokens
    factors = _straight("add", scales, 2) + tuple(v for _ in range(2) for v in _sequence("exp", scales))
    return Part(
        "combined",
        (Work(factors + _straight("multiply", t.tokens, 2 * t.queries) + _straight("add", t.queries * t.tokens)),),
    )


# Memory


def _kept(t: Tile, tokens: int) -> int:
    """Of a layer: weights, keys and values of the whole prompt."""
    weights = t.hidden * (t.queries + 2 * t.keys) + t.queries * t.hidden + 3 * t.hidden * t.features
    return (weights + 2 * t.keys * ceil(tokens / t.side)) * _F16


def _live(t: Tile) -> int:
    """The hidden state, a tile that passes, its partner on the way, sums of the widest product, scores."""
    passing = 2 * t.hidden * ceil(2 * t.features / _SUB_CHUNKS) * _F16 + 2 * t.hidden * t.tokens * _F16
    sums = ceil(2 * t.features / _SUB_CHUNKS) * t.tokens * _F32
    return (t.hidden + t.queries) * t.tokens * _F32 + passing + sums + t.side // t.band * t.group * t.tokens**2 * _F32


def _code(parts: tuple[Part, ...]) -> int:
    """Counted as of our streams: each part that differs is a routine, called where it is used."""
    total = SYSTEM_BYTES + CALL_BYTES * len(parts)
    for part in dict.fromkeys(parts):
        for work in part.works:
            total += sum(LOOP_BYTES if v.count > 1 else VECTOR_BYTES for v in work.vectors)
        total += TREE_BYTES * len(set(part.sums))
    return total
