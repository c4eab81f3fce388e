"""The tile-level instructions of wafer programs: one class an instruction, with named and typed operands.

Operands are names of values of the stream. Every core of a region runs the same stream on its own shares; who takes
part follows from the layouts: a value at `Roots`, at its `Owner` or with its `Keeper` is worked on there alone. An
instruction has one operation. `meaning` of each class is its mathematics on a core; executors, costs, `verify` and
`dump` are tables over these classes, and a test holds that every class has an entry in each.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from undiced.program.wafer.layout import Axis

Elementwise = Literal["add", "subtract", "multiply", "maximum", "minimum"]
Join = Literal["sum", "max", "two", "top"]
Index = Literal["token", "position"]


class Line(Struct, frozen=True, gc=False):
    """Lines of `span` neighboring cores along an axis; an axis may hold several, one after the other."""

    axis: Axis
    span: int


class Route(Struct, frozen=True, gc=False):
    """What a mover occupies: the first of its colors, how many, and the first of its queues of each kind.

    A reduction takes two colors, an input and an output queue for each slice of its tree. Roots of slice i send by
    output queue i, and their whole line receives by the first input queue. A core binds an input queue to the color
    that it receives on next, once the queue's last microthread has ended.
    """

    color: int
    colors: int
    input_queue: int
    output_queue: int


class Operation(Struct, frozen=True, gc=False, tag_field="op"):
    """What all instructions have: the graph's node that it belongs to, for reports."""

    node: str


class Product(Operation, frozen=True, tag="product"):
    """results[i] (+)= x * weights[i], summed over the dimensions that x and weights[i] share and results[i] lacks.

    Tiles whose results lie side by side are multiplied by one vector operation an input. `inner` names the dimensions
    that an operation runs along; the other operand of each operation is a scalar. Weights may be a cache: then each
    token meets its own sequence's. `expert` names ids: of the first dimension of stacked weights a token takes those,
    which then are that dimension. Where groups of cores share the stack out, each works on the choices whose experts it
    has: what it makes of a choice is there alone (`Keeper`), and in a sum over choices it has those terms, or 0.
    Sums may stay beside the datapath meanwhile, unless they are `unpinned`.
    Of a chunk all tokens are multiplied by each weight; or (`singly`) each token by itself, as without one.
    Rows of integers become 16-bit floats in `scratch`, as many at once as it holds; x takes their scales. The first of
    them are read from `ahead`, where a `Widen` has left them.
    """

    x: str
    weights: tuple[str, ...]
    results: tuple[str, ...]
    inner: tuple[str, ...]
    accumulate: bool = False
    expert: str = ""
    unpinned: bool = False
    scratch: str = ""
    singly: bool = False
    ahead: str = ""


class Widen(Operation, frozen=True, tag="widen"):
    """result = rows of words `start` to `start` + `count` of narrow weights as 16-bit floats, scales left out, for a
    later product: rows of all matrices side by side, in turn where they are `interleaved`. A core takes `together`
    words at once through the store beside its datapath, as soon as it is done with what came before; roots, too.
    """

    weights: tuple[str, ...]
    result: str
    inner: tuple[str, ...]
    start: int
    count: int
    together: int
    interleaved: bool = False


class Combine(Operation, frozen=True, tag="combine"):
    """result = a (operation) b, element by element; b may lack dimensions of a, over which it is a scalar operand."""

    operation: Elementwise
    result: str
    a: str
    b: str


class Scale(Operation, frozen=True, tag="scale"):
    """result = a (operation) constant; multiply_add adds another: a * constant + addend."""

    operation: Elementwise | Literal["multiply_add"]
    result: str
    a: str
    constant: float
    addend: float = 0.0


class Copy(Operation, frozen=True, tag="copy"):
    """result = a, converted to the result's element type."""

    result: str
    a: str


class Fill(Operation, frozen=True, tag="fill"):
    """result = constant."""

    result: str
    constant: float


class Apply(Operation, frozen=True, tag="apply"):
    """result = function(a): a sequence of vector operations, see `sequences`; or the library's, one element a call."""

    function: str
    result: str
    a: str
    by: Literal["vectors", "library"] = "vectors"


class Fold(Operation, frozen=True, tag="fold"):
    """result = sum or maximum of a over the dimensions that the result lacks, one element a cycle; or (`squares`) the
    sum of a * a."""

    operation: Literal["sum", "max"]
    result: str
    a: str


class Rotate(Operation, frozen=True, tag="rotate"):
    """result = a * cosine + (a with the elements of each pair exchanged) * sine."""

    result: str
    a: str
    cosine: str
    sine: str


class Mask(Operation, frozen=True, tag="mask"):
    """result = a where the token may attend to the position (causal; in its window; in its chunk), else `otherwise`."""

    result: str
    a: str
    window: int
    chunk: int
    otherwise: float


class Lookup(Operation, frozen=True, tag="lookup"):
    """The core that owns `index` (the token's id, or its position) of the dimension that the table has and the result
    lacks copies what belongs to it."""

    result: str
    table: str
    index: Index


class Append(Operation, frozen=True, tag="append"):
    """The core that owns the token's position puts `a` into the cache."""

    cache: str
    a: str


class Place(Operation, frozen=True, tag="place"):
    """Each core copies what it holds of `a` to where that lies in its share of result, which is `otherwise` elsewhere.
    If `a` is shared out over one axis and result over the other, a sum (or maximum) over the first completes it."""

    result: str
    a: str
    otherwise: float = 0.0


class Select(Operation, frozen=True, tag="select"):
    """result[0], result[1] = the largest of `a` over its last dimensions, which the result lacks, and their indices.

    Indices are flat. As many as the result has in its last dimension, largest first; result[2] = `carried` there.
    """

    result: str
    a: str
    carried: str = ""


class Mark(Operation, frozen=True, tag="mark"):
    """result = 1 where the index along its last dimension is the id of its other dimensions, else 0."""

    result: str
    ids: str


class Pick(Operation, frozen=True, tag="pick"):
    """result = elements of a at ids along `dim`, its last dimension."""

    result: str
    a: str
    ids: str
    dim: str


class Causal(Operation, frozen=True, tag="causal"):
    """result = a where the position along `query` may attend to the one along `key`, as in `Mask`; else `otherwise`."""

    result: str
    a: str
    query: str
    key: str
    window: int
    chunk: int
    otherwise: float


class Read(Operation, frozen=True, tag="read"):
    """result = the rows of the prompt's tokens in a matrix that the host keeps, times a constant."""

    result: str
    slot: str
    scale: float


class ShiftProduct(Operation, frozen=True, tag="shift_product"):
    """result = x * a on a square of cores: tiles of x pass along rows and those of `a` along columns, two hops a step,
    until every core has met all terms of its sums (Cannon's order, neighbors interleaved).

    Tiles of `a` are stored as the first step wants them; x is shifted there first, unless it is `aligned`.
    """

    x: str
    a: str
    result: str
    aligned: bool = False


class ShiftScores(Operation, frozen=True, tag="shift_scores"):
    """result = x * a, summed over what columns share: tiles of `a` pass along columns; in each step the terms of every
    row are joined by a chain from both ends into the core whose share of the result they are.
    """

    x: str
    a: str
    result: str


class Draw(Operation, frozen=True, tag="draw"):
    """result = the id of a token drawn from lists of `Select`: their first, where the likeliest is wanted."""

    result: str
    a: str


class Reduce(Operation, frozen=True, tag="reduce"):
    """The terms of `a` over each line are joined by the tree of the result's `Roots`, hop by hop in `wire` type.

    "two" joins pairs, along the last dimension, of the two largest terms; "top" lists of `Select`, along it too.
    `compiled`: all positions travel that there is room for, however few a step fills.
    """

    operation: Join
    result: str
    a: str
    line: Line
    wire: Literal["f32", "f16"]
    route: Route | None = None
    compiled: bool = False


class Multicast(Operation, frozen=True, tag="multicast"):
    """The cores of each line that hold `a` (roots of its tree, or the owner) send it to the whole line: both ways at
    once, or (`apart`) to the farther end first and then to the other. `compiled` as of a sum."""

    result: str
    a: str
    line: Line
    wire: Literal["f32", "f16"]
    route: Route | None = None
    apart: bool = False
    compiled: bool = False


class Slice(Operation, frozen=True, tag="slice"):
    """At the roots of a tree: result is the root's own slice of `a`, which every core of the line holds. An address."""

    result: str
    a: str


class Transfer(Operation, frozen=True, tag="transfer"):
    """`a` of the region before arrives as result, row by row, over `distance` hops or from the wafer before.

    What comes `back` from the last region to the first passes those between."""

    result: str
    a: str
    wire: Literal["f32", "f16"]
    distance: int = 0
    off_wafer: bool = False
    route: Route | None = None
    back: bool = False


class Return(Operation, frozen=True, tag="return"):
    """`a`, the token that was chosen, goes back to the cores that hold embeddings, over `distance` hops and, from
    another wafer, off this one."""

    a: str
    distance: int
    off_wafer: bool
    route: Route | None = None


class Rebind(Operation, frozen=True, tag="rebind"):
    """Output queue `queue` is flushed and bound to another color: once it is empty a task writes its register, and the
    task that goes on is dispatched. A color stands for the two of its slice: each core takes the one that it sends on.
    What passes to another region leaves by the same queue there, bound by the same instruction.
    """

    queue: int
    before: int
    after: int


class Repaint(Operation, frozen=True, tag="repaint"):
    """The colors that collectives take in turn get the routes of tree `after`; they had those of tree `before`.

    Every core writes the registers of its router that the tree `after` needs.
    """

    before: int
    after: int


Instruction = (
    Product
    | Widen
    | Combine
    | Scale
    | Copy
    | Fill
    | Apply
    | Fold
    | Rotate
    | Mask
    | Lookup
    | Append
    | Place
    | Select
    | Mark
    | Pick
    | Reduce
    | Multicast
    | Slice
    | Transfer
    | Return
    | Rebind
    | Repaint
    | Causal
    | Draw
    | Read
    | ShiftProduct
    | ShiftScores
)
MOVERS = (Reduce, Multicast, Transfer, Return)
