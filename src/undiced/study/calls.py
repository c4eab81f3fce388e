"""`undiced.compile` and `undiced.simulate`: the command line's questions, asked from Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar, overload

from undiced.core.errors import InvalidRequestError
from undiced.machine.host import Host
from undiced.machine.wafer import Wafer
from undiced.model import Graph
from undiced.program import Bounds, HostProgram
from undiced.program.wafer.program import WaferProgram
from undiced.study.answer import Answer, answer, whole_answer
from undiced.study.program_file import is_program, open_program, wafer_of
from undiced.study.question import CONTEXT, OURS, Model, Placed, Question, as_compiled, place
from undiced.study.replay import replay_answer
from undiced.study.rows import Row, points, rows

T = TypeVar("T")
Some: TypeAlias = T | Sequence[T]  # one choice, or several
_TIMING = frozenset({"machine", "context", "batch", "phase", "clock", "draft", "acceptance", "frontier", "routing"})
_WHOLE = ("stages", "region")  # a tuple is one of these


@overload
def compile(
    model: Model, machine: Host, bounds: Bounds | None = None, *, context: int = CONTEXT, batch: int = 1
) -> HostProgram: ...
@overload
def compile(
    model: Model,
    machine: str | Wafer = "wse3",
    bounds: Bounds | None = None,
    *,
    wafers: int | None = None,
    context: int = CONTEXT,
    batch: int = 1,
    weights: str | None = None,
    sum_bits: int = 16,
    mapping: str = OURS,
    objective: str = "latency",
    phase: str = "decode",
    region: str | tuple[int, int] = "auto",
    groups: int | None = None,
    stages: str | tuple[int, ...] | None = None,
    layers: int | None = None,
    code_bytes: int | None = None,
    frontier: bool = False,
    defects: str | None = None,
    defect_density: float | None = None,
    clusters: bool = False,
    chunk: int | None = None,
    apart: bool = False,
    capacity: int | None = None,
    lockstep: int | None = None,
    fill: bool | None = None,
) -> WaferProgram: ...
def compile(
    model: Model,
    machine: str | Wafer | Host = "wse3",
    bounds: Bounds | None = None,
    *,
    wafers: int | None = None,
    context: int = CONTEXT,
    batch: int = 1,
    weights: str | None = None,
    sum_bits: int = 16,
    mapping: str = OURS,
    objective: str = "latency",
    phase: str = "decode",
    region: str | tuple[int, int] = "auto",
    groups: int | None = None,
    stages: str | tuple[int, ...] | None = None,
    layers: int | None = None,
    code_bytes: int | None = None,
    frontier: bool = False,
    defects: str | None = None,
    defect_density: float | None = None,
    clusters: bool = False,
    chunk: int | None = None,
    apart: bool = False,
    capacity: int | None = None,
    lockstep: int | None = None,
    fill: bool | None = None,
) -> HostProgram | WaferProgram:
    """A model's program for a machine.

    Args:
        model: a configuration's name ("llama-3.1-8b"), a config.json, a model folder, a checkpoint, or a graph.
        machine: "wse1", "wse2", "wse3", "toy-8x8", a machine file (.toml), or one of `undiced.presets`.
        bounds: batch and context in one, instead of both.
        wafers and all others: as `undiced.study.question.Question` says.

    Raises:
        CompileError: it does not fit, and what would; or something that the machine's programs do not have.
        UndicedError: an unknown model, a damaged file, a family that is not known.
    """
    if bounds is not None:
        context, batch = bounds.context, bounds.batch
    given: dict[str, object] = {
        "model": model, "machine": "host" if isinstance(machine, Host) else machine, "wafers": wafers,
        "context": context, "batch": batch, "weights": weights, "sum_bits": sum_bits, "mapping": mapping,
        "objective": objective, "phase": phase, "region": region, "groups": groups, "stages": stages, "layers": layers,
        "code_bytes": code_bytes, "frontier": frontier, "defects": defects, "defect_density": defect_density,
        "clusters": clusters, "chunk": chunk, "apart": apart, "capacity": capacity, "lockstep": lockstep,
        "fill": fill,
    }  # fmt: skip
    if lists := [name for name, value in given.items() if _is_list(name, value)]:
        raise InvalidRequestError(f"One program has one {lists[0]}.", remedy="Give lists to undiced.simulate.")
    asked = _question(given)
    if asked.machine == "host":
        return _for_host(asked, machine if isinstance(machine, Host) else None)
    asked.check()
    return place(asked).program


def _for_host(asked: Question, machine: Host | None) -> HostProgram:
    from undiced.compiled import compile_for_host
    from undiced.compiler.host import compile_host
    from undiced.machine.host import host
    from undiced.model import ModelConfig, build_config

    _refuse_set(asked, frozenset({"machine", "context", "batch"}), "has no effect on a host program")
    model, bounds = asked.model, Bounds(asked.batch, asked.positions)
    if isinstance(model, ModelConfig):
        model = build_config(model)
    if isinstance(model, Graph):
        return compile_host(model, machine or host(None), bounds)
    threads = None if machine is None else machine.threads
    return compile_for_host(model, threads=threads, max_batch=asked.batch, max_context=asked.positions).program


@overload
def simulate(  # type: ignore[overload-overlap]  # an empty sequence of choices would fit both; it is refused
    model: Model | WaferProgram,
    machine: str | Wafer | None = None,
    *,
    wafers: int | None = None,
    context: int | None = None,
    batch: int = 1,
    weights: str | None = None,
    sum_bits: int = 16,
    mapping: str = OURS,
    objective: str = "latency",
    phase: str = "decode",
    region: str | tuple[int, int] = "auto",
    groups: int | None = None,
    stages: str | tuple[int, ...] | None = None,
    layers: int | None = None,
    code_bytes: int | None = None,
    clock: float | None = None,
    draft: str | None = None,
    acceptance: str | float | None = None,
    frontier: bool = False,
    defects: str | None = None,
    defect_density: float | None = None,
    clusters: bool = False,
    chunk: int | None = None,
    apart: bool = False,
    capacity: int | None = None,
    prefix: int | None = None,
    lockstep: int | None = None,
    routing: str | None = None,
    fill: bool | None = None,
    progress: None = None,
) -> Answer: ...
@overload
def simulate(
    model: Some[Model],
    machine: Some[str | Wafer] | None = None,
    *,
    wafers: Some[int | None] = None,
    context: Some[int] | None = None,
    batch: Some[int] = 1,
    weights: Some[str] | None = None,
    sum_bits: Some[int] = 16,
    mapping: Some[str] = OURS,
    objective: Some[str] = "latency",
    phase: Some[str] = "decode",
    region: str | tuple[int, int] | list[tuple[int, int]] = "auto",
    groups: Some[int] | None = None,
    stages: str | tuple[int, ...] | None = None,
    layers: Some[int] | None = None,
    code_bytes: Some[int] | None = None,
    clock: Some[float] | None = None,
    draft: Some[str] | None = None,
    acceptance: Some[str | float] | None = None,
    frontier: Literal[False] = False,
    defects: Some[str | None] = None,
    defect_density: Some[float | None] = None,
    clusters: Some[bool] = False,
    chunk: Some[int | None] = None,
    apart: Some[bool] = False,
    capacity: Some[int | None] = None,
    prefix: None = None,
    lockstep: Some[int | None] = None,
    routing: Some[str | None] = None,
    fill: Some[bool | None] = None,
    progress: Callable[[Row], None] | None = None,
) -> list[Row]: ...
def simulate(
    model: Some[Model] | WaferProgram,
    machine: Some[str | Wafer] | None = None,
    *,
    wafers: Some[int | None] = None,
    context: Some[int] | None = None,
    batch: Some[int] = 1,
    weights: Some[str] | None = None,
    sum_bits: Some[int] = 16,
    mapping: Some[str] = OURS,
    objective: Some[str] = "latency",
    phase: Some[str] = "decode",
    region: str | tuple[int, int] | list[tuple[int, int]] = "auto",
    groups: Some[int] | None = None,
    stages: str | tuple[int, ...] | None = None,
    layers: Some[int] | None = None,
    code_bytes: Some[int] | None = None,
    clock: Some[float] | None = None,
    draft: Some[str] | None = None,
    acceptance: Some[str | float] | None = None,
    frontier: bool = False,
    defects: Some[str | None] = None,
    defect_density: Some[float | None] = None,
    clusters: Some[bool] = False,
    chunk: Some[int | None] = None,
    apart: Some[bool] = False,
    capacity: Some[int | None] = None,
    prefix: int | None = None,
    lockstep: Some[int | None] = None,
    routing: Some[str | None] = None,
    fill: Some[bool | None] = None,
    progress: Callable[[Row], None] | None = None,
) -> Answer | list[Row]:
    """How fast a model would be on a machine, and where its cycles go. Simulated, at the clock that is told with it.

    Args:
        model: as for `undiced.compile`; or a program, or a file of one, of which only the machine, context, batch,
            phase, clock, draft and frontier are still open.
        machine: "wse3" by default; a program knows its own.
        context: 4,096 by default; a program's bound.
        progress: called with each row of lists as it is found.
        wafers and all others: as `undiced.study.question.Question` says.

    Returns:
        What `undiced simulate --json` prints. With a list in place of any choice: a row (a flat dictionary) for each
        combination, the last list fastest; what does not fit has `fits` False and an `error` that says what would.
        `pandas.DataFrame` takes the rows as they are, and `undiced.to_csv` writes them.

    Raises:
        CompileError: it does not fit, and what would (with lists, a row says so).
        UndicedError: an unknown model, a damaged file, a family that is not known, an option out of range.
    """
    given: dict[str, object] = {
        "model": model, "machine": machine, "wafers": wafers, "context": context, "batch": batch, "weights": weights,
        "sum_bits": sum_bits, "mapping": mapping, "objective": objective, "phase": phase, "region": region,
        "groups": groups, "stages": stages, "layers": layers, "code_bytes": code_bytes, "clock": clock, "draft": draft,
        "acceptance": acceptance, "frontier": frontier, "defects": defects, "defect_density": defect_density,
        "clusters": clusters, "chunk": chunk, "apart": apart, "capacity": capacity, "prefix": prefix,
        "lockstep": lockstep, "routing": routing, "fill": fill,
    }  # fmt: skip
    if isinstance(model, WaferProgram) or (isinstance(model, str | Path) and is_program(str(model))):
        return _of_program(model, machine if isinstance(machine, str | Wafer) else None, _question(given))
    lists = {name: _several(name, value) for name, value in given.items() if _is_list(name, value)}
    asked = _question({name: value for name, value in given.items() if name not in lists})
    if not lists:
        asked.check()
        if asked.replayed:
            return replay_answer(asked)
        return whole_answer(place(asked), asked)
    if frontier:
        raise InvalidRequestError("Rows have no frontier.", remedy="Ask for one point at a time.")
    return _every(points(asked, lists), progress)


def _question(given: Mapping[str, object]) -> Question:
    """Choices by the names of a question's fields; None is the field's default."""
    told = {name: value for name, value in given.items() if value is not None}
    return Question(**{"model": "", **told})  # type: ignore[arg-type]  # its checks look at the values


def _every(made: Sequence[Question], progress: Callable[[Row], None] | None) -> list[Row]:
    found = []
    for row in rows(made):
        found.append(row)
        if progress is not None:
            progress(row)
    return found


def _is_list(name: str, value: object) -> bool:
    return isinstance(value, list | range) or (isinstance(value, tuple) and name not in _WHOLE)


def _several(name: str, value: object) -> Sequence[object]:
    assert isinstance(value, Sequence)
    if not value:
        raise InvalidRequestError(f"The list of {name} is empty.", remedy="Name at least one.")
    return value


def _of_program(model: WaferProgram | str | Path, machine: str | Wafer | None, asked: Question) -> Answer:
    """The answer of a ready program, or of a file of one, which is untrusted."""
    refuse_decided(asked)
    if not isinstance(model, WaferProgram):
        opened = open_program(Path(model), machine)
        with opened.computing():
            return answer(Placed(opened.program, opened.wafer), as_compiled(asked, opened.program))
    return answer(Placed(model, wafer_of(machine or model.machine)), as_compiled(asked, model))


def refuse_decided(asked: Question) -> None:
    """Nothing is asked for that a ready program has decided.

    Raises:
        InvalidRequestError: something is.
    """
    _refuse_set(asked, _TIMING, "was decided when the program was compiled")


def _refuse_set(asked: Question, open_ones: frozenset[str], why: str) -> None:
    """Nothing but `open_ones` differs from its default.

    Raises:
        InvalidRequestError: something does.
    """
    plain = Question(asked.model)
    for each in fields(Question):
        if each.name not in open_ones and getattr(asked, each.name) != getattr(plain, each.name):
            raise InvalidRequestError(f"{each.name} {why}.", remedy="Leave it out.")
