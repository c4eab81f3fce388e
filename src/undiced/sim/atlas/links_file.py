"""Files of link loads: numpy's .npz, whose `loads` is [collectives, height, width, 5] wavelets by port (core, north,
south, east, west), and whose `about` is JSON that says what they are of. Files are untrusted.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import IO

import msgspec
import numpy as np

from undiced.core.errors import CheckpointError, ProgramFileError
from undiced.core.opening import read_file
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.program import WaferProgram
from undiced.sim.atlas.links import Links
from undiced.sim.fabric.carried import Carried, Loads
from undiced.sim.fabric.routes import Port

SUFFIX = ".npz"
_VERSION = 1
_FILE_MAX, _LOADS_MAX, _ABOUT_MAX = 1 << 28, 1 << 30, 1 << 20  # bytes
_AGAIN = f"Write it again with `undiced fabric layer MODEL --loads FILE{SUFFIX}`."
_UINT32 = np.dtype("<u4")


class _Collective(msgspec.Struct, frozen=True):
    """One of them, without its loads."""

    run: int
    sums: bool
    node: str
    value: str
    axis: Axis
    span: int
    cycles: int


class _About(msgspec.Struct, frozen=True):
    """What a file says of itself."""

    version: int
    source: str
    model: str
    machine: str
    program: str
    context: int
    region: int
    layer: int
    streams: tuple[int, ...]
    collectives: tuple[_Collective, ...]


def encoded(links: Links, program: WaferProgram) -> bytes:
    """The file."""
    kept = _Collective.__struct_fields__
    about = _About(
        _VERSION, "simulated, not measured", program.model, program.machine, links.program, links.context,
        links.region, links.layer, links.streams,
        tuple(_Collective(*(getattr(each, name) for name in kept)) for each in links.carried),
    )  # fmt: skip
    loads = np.stack([each.loads for each in links.carried]).astype(_UINT32)
    made = io.BytesIO()
    np.savez_compressed(made, loads=loads, about=np.frombuffer(msgspec.json.encode(about), dtype=np.uint8))
    return made.getvalue()


def read(path: Path) -> Links:
    """What a file holds.

    Raises:
        ProgramFileError: no such file, or damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(read_file(path, _FILE_MAX))) as held:
            with held.open("about.npy") as member:
                about = msgspec.json.decode(_array(member, np.dtype(np.uint8), _ABOUT_MAX, 1).tobytes(), type=_About)
            with held.open("loads.npy") as member:
                loads = _array(member, _UINT32, _LOADS_MAX, 4)
        return _links(about, loads)
    except CheckpointError as error:
        raise ProgramFileError(error.message, remedy=error.remedy) from None
    except (ValueError, KeyError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ProgramFileError(f"{path} does not hold link loads: {error}.", remedy=_AGAIN) from None


def _array(member: IO[bytes], dtype: np.dtype[np.generic], most: int, dimensions: int) -> Loads:
    """An array of a kind that is known, no larger than that."""
    if np.lib.format.read_magic(member) != (1, 0):
        raise ValueError("an array of another version")
    shape, turned, found = np.lib.format.read_array_header_1_0(member)
    size = prod(shape) * dtype.itemsize
    if found != dtype or turned or len(shape) != dimensions or not 0 < size <= most:
        raise ValueError(f"an array of {found} and shape {shape}")
    data = member.read(size)
    if len(data) != size:
        raise ValueError("an array that ends early")
    return np.frombuffer(data, dtype=dtype).reshape(shape)


def _links(about: _About, loads: Loads) -> Links:
    if about.version != _VERSION:
        raise ValueError(f"version {about.version}; this build reads {_VERSION}")
    if len(loads) != len(about.collectives) or loads.shape[3] != len(Port):
        raise ValueError(f"loads of shape {loads.shape} for {len(about.collectives)} collectives")
    found = tuple(
        Carried(**msgspec.structs.asdict(each), loads=one) for each, one in zip(about.collectives, loads, strict=True)
    )
    return Links(about.program, about.context, about.region, about.layer, about.streams, found)
