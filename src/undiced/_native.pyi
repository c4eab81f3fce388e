"""What native/{engine,mesh,fabric,files,wire}/bind.cpp export; a test holds the names equal. Arrays lie on the CPU."""

from collections.abc import Callable, Iterable, Sequence
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

Buffer = mmap | memoryview | bytes
Ints = NDArray[np.int32] | memoryview  # plain memory does as well as arrays
Floats = NDArray[np.float32] | memoryview | memoryview[float]

INSTR_BYTES: int
SHARD_GRANULE: int
SMALL_STEP_TOKENS: int
SAMPLING_RECORD: list[tuple[str, str, int, float, float]]  # name, numpy type, byte, least, most
SAMPLING_BYTES: int
TOP_LOGPROBS_MAX: int
BIAS_MAX: float
NON_FINITE: int
NOTHING_ALLOWED: int
NOT_REACHED: int
PAGE_TOKENS: int
KEPT_CHUNK: int  # bytes of kept weights that have a sum
OPS: dict[str, int]

class Engine:
    """A program, its weights and a team of threads that runs it.

    One call at a time: RuntimeError if another thread is inside, or after `close`. ValueError for bad input.
    """

    def __init__(
        self,
        stream: bytes,
        buffers: Sequence[tuple[int, int, int, int]],
        slots: Sequence[tuple[int, int, str, int]],
        kv: Sequence[tuple[int, int, int, int, str]],
        constants: Sequence[Floats],
        threads: int,
        max_batch: int,
        max_tokens: int,
        context: int,
        pages: int,
        vocab: int,
        isa: str = "",
        barrier_spin_us: int = 30,
        idle_spin_us: int = 100,
        max_samples: int = 0,
        team: Engine | None = None,
    ) -> None:
        """Buffers are (width, samples, planes, own), slots (rows, columns, format, experts), kv (kv_heads, head_dim,
        window, latent, type of `core.kv_type`). max_samples: sampled rows in a step; 0 for max_batch. team: another
        engine, whose threads do this one's steps too; two steps at the same time are a RuntimeError.

        ValueError names the instruction that can't be run; RuntimeError an instruction set level that can't.
        """

    def load(
        self,
        slots: Sequence[tuple[int, Sequence[tuple[memoryview | NDArray[np.uint8], str, int, int, Ints, bool]]]],
    ) -> None:
        """Packs matrix slots, each from stacked parts (bytes, format, rows, columns, row_index, transposed).

        Rows and columns are the file's; row_index (int32) counts rows after the transposition.
        """

    def view_kept(self, fd: int, offset: int, sums: bytes) -> bool:
        """Makes all slots a view of `kept_bytes` of a file, if each chunk of it has its sum (8 bytes each, in order);
        else they hold nothing and False comes back.
        """

    def settle_kept(self, chunk: int) -> bool:
        """Gives a chunk of such a view memory of its own, in huge pages; False where that can't be. Steps may run
        meanwhile, `close` must not.
        """

    def write_kept(self, fd: int, offset: int, chunk: int) -> int:
        """Writes a chunk of all slots to its place behind `offset`; its sum. Steps may run meanwhile, `close` must not.

        RuntimeError for what can't be written.
        """

    @property
    def prompt_multiple(self) -> int:
        """Tokens of a prompt in a step that its threads share evenly, and multiples of it; 1: no such number."""

    def kept_bytes(self) -> int:
        """Bytes of all slots as they lie in memory."""

    def load_vector(self, slot: int, values: Floats) -> None: ...
    def open_slot(
        self,
        slot: int,
        prompt: Ints,
        bias_ids: Ints,
        bias_values: Floats,
        eos: Ints,
        allowed: Ints,
        prompt_tokens: int = 0,
    ) -> None:
        """Starts a new sequence: its sampling state, and how long its prompt is (0: not known)."""

    def count_tokens(self, slot: int, tokens: Ints) -> None:
        """Counts tokens of a sequence that were generated, but not drawn."""

    def step(
        self,
        tokens: Ints,
        positions: Ints,
        seq_start: Ints,
        slots: Ints,
        page_table: Ints,
        sample_rows: Ints,
        sampling: NDArray[np.void] | memoryview,
        out_tokens: Ints,
        out_logprobs: Floats,
        out_top_ids: Ints,
        out_top_logprobs: Floats,
        masks: Ints | None = None,
    ) -> float:
        """Runs one step (see engine.backend.StepInput) and returns its seconds. Bad input changes nothing.

        A token of -1 - r is the one that row r of the step before drew; where it drew none, the row is for nobody.

        A negative token that comes out says why its row has none: NON_FINITE, NOTHING_ALLOWED or NOT_REACHED.
        """

    def submit(
        self,
        tokens: Ints,
        positions: Ints,
        seq_start: Ints,
        slots: Ints,
        page_table: Ints,
        sample_rows: Ints,
        sampling: NDArray[np.void] | memoryview,
        out_tokens: Ints,
        out_logprobs: Floats,
        out_top_ids: Ints,
        out_top_logprobs: Floats,
        masks: Ints | None = None,
    ) -> int:
        """Runs one step on a thread of the engine's own, after those submitted before; returns its ticket.

        Its arrays must stay as they are until it was waited for.
        """

    def wait(self, ticket: int) -> float:
        """Waits for the oldest submitted step, or again for the last one; returns its seconds. Raises as `step`."""

    def buffer(self, index: int) -> NDArray[np.float32]:
        """The last step's rows of an f32 buffer, copied."""

    def memory(self) -> dict[str, int]:
        """Bytes: weights, buffers, kv, sampling; and huge, how many of them lie in huge pages now."""

    def counters(self) -> dict[str, float]:
        """Steps, tokens, folded_steps (run on half of the team); seconds by operation while profiling was on."""

    def set_folding(self, mode: str) -> None:
        """Whether steps may run on half of the team: "auto" (when a thread has lost its core), "never", "always"."""

    def set_profile(self, on: bool) -> None: ...
    @property
    def progress(self) -> int:
        """Instructions done since the beginning; may be asked while a step runs."""

    @property
    def isa(self) -> str: ...
    def close(self) -> None:
        """Frees threads and memory; idempotent."""

def decode_instr(record: bytes) -> dict[str, int | tuple[int, ...] | tuple[float, ...]]: ...
def isa_detect() -> str: ...
def isa_supported(name: str) -> bool: ...
def probe_bandwidth(threads: int, bytes: int = ..., rounds: int = 5) -> float:
    """Bytes a second that `threads` threads read from memory together."""

def probe_int8_peak(threads: int, isa: str = "") -> float:
    """int8 operations a second (2 a multiply-add) of `threads` threads in registers."""

def probe_float_peak(threads: int, isa: str = "") -> float:
    """float operations a second (2 a multiply-add) of `threads` threads in registers."""

def mesh_multiply_add(
    x: NDArray[np.float32],
    w: NDArray[np.float32],
    total: NDArray[np.float32],
    half: bool,
    threads: int = 1,
    isa: str = "",
) -> None:
    """Adds x (tiles, rows, inner) times w (tiles, inner, columns) to total (tiles, rows, columns), input by input; with
    `half` every sum is rounded to 16 bits, and x and w hold 16-bit numbers.
    """

def skip_strings(file: Buffer, at: int, count: int, end: int) -> int | None:
    """Where `count` strings of a GGUF file end that begin at `at`; None if they reach beyond `end`."""

class Strings:
    """Texts, as UTF-8 side by side: a string of Python's takes fifty bytes beside its text."""

    def __init__(self, texts: list[str]) -> None:
        """Raises ValueError where one is no text that UTF-8 can say."""

    @staticmethod
    def read(file: Buffer, at: int, count: int, end: int) -> Strings | None:
        """Copied from where they begin in a GGUF file; None if they reach beyond `end`, or one is no UTF-8."""

    def __len__(self) -> int: ...
    def __getitem__(self, i: int, /) -> str: ...
    def texts(self) -> list[str]: ...
    def places(self, names: Iterable[str]) -> list[tuple[str, int]]:
        """(name, place) of each text that has one of these names, in order of places."""

    def pairs(self) -> list[tuple[str, str]] | None:
        """Each cut at its only blank; None if that is not so of one."""

class Texts:
    """Texts of tokens within a JSON string."""

    def __init__(self, spell: Callable[[int], bytes | None]) -> None:
        """spell: None for a token whose text depends on other tokens or on who asks; raises nothing."""

    def learn(self, token: int) -> None:
        """Ask for a token's text, once. Tokens that were not asked for count as having none."""

class Lane:
    """The short way of a sequence's plain tokens to its client's socket."""

    def open(
        self,
        socket: int,
        before: bytes,
        after: bytes,
        text: bytes,
        slot: memoryview | None = None,
        tokens: int = 0,
        most: int = 0,
    ) -> bool:
        """Write a chunk of `before`, `text` and `after` to the socket with this number, then one for what each step
        makes of the sequence, while that is tokens with texts of their own. What the socket does not take closes it.
        The tokens that were handed over are stored in `slot` (uint64), `tokens` with `text`, and `most` at most: what
        would be more closes it. False, and nothing written, while the relay has something left.
        """

    def close(self) -> tuple[int, bytes]:
        """Write no more; how many tokens were taken since the last call, and what was not written of them."""

    @property
    def said_s(self) -> float:
        """When it has last written, on the system's monotonic clock; 0 before."""

class Relay:
    """What comes from an engine process."""

    def __init__(self) -> None: ...
    def lane(self, request_id: str, texts: Texts) -> Lane:
        """The lane of a sequence, closed at first; the same one until it is forgotten."""

    def forget(self, request_id: str) -> None:
        """Close its lane, if there is one, and let it go."""

    def start(self, socket: int) -> int:
        """Read what comes from a socket that blocks, on a thread, until its end or `stop`. Returns the number of a file
        that can be read while something is left, or the end has come. RuntimeError if the system refuses.
        """

    def stop(self) -> None:
        """End that and shut the socket down; nothing is left. Idempotent."""

    @property
    def ended(self) -> bool:
        """Whether the socket's end has come."""

    def feed(self, data: bytes) -> None:
        """Take bytes in that came otherwise, as they come. A step whose news all went along lanes is not left, but its
        figures are kept.
        """

    def take(self) -> bytes:
        """The oldest frame that is left; empty if there is none."""

    def take_figures(self) -> bytes:
        """The figures that were kept last, as they came; empty if there are none, or newer ones in what was left."""

def mesh_join(
    held: NDArray[np.float32],
    hops: NDArray[np.int32],
    largest: bool = False,
    wire_half: bool = False,
    kept_half: bool = False,
    threads: int = 1,
    isa: str = "",
) -> None:
    """Joins vectors of held (lines, places, length) in place, in the order of hops (count, 2), senders and receivers:
    a sum or the largest. What is sent (`wire_half`) and what a receiver holds then (`kept_half`) is rounded to 16 bits.
    """

def fabric_simulate(
    width: int,
    height: int,
    ops: NDArray[np.uint8],
    blocks: NDArray[np.int32],
    sections: list[tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.int32]]],
    colors: list[tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.int32]] | None],
    switches: NDArray[np.uint8],
    figures: list[int],
    memory: NDArray[np.uint8],
    threads: int,
    limit: int,
    skew: int,
    jitter: int,
    seed: int,
    watch: list[int],
    finished: NDArray[np.uint32],
    loads: NDArray[np.uint32],
    busy: NDArray[np.uint32],
    go_on: Callable[[int], bool],
) -> tuple[
    int, int, int, int, int, list[tuple[int, ...]], list[tuple[int, int, int, int, int, int, int]], list[int], list[int]
]:
    """Runs a program of routers and cores, in the arrays of `sim.fabric.encode`. `memory`, `finished`, `loads` and
    `busy` have an entry a core and are written. Returns status, cycles, hops, active and worked core-cycles, what
    waits, events of watched cores, and when each section began and ended.
    """
