"""A user's Python file that makes a kernel: how it is loaded, what it is asked, and how its own errors are told.

The file is code. It runs with the rights of whoever runs the command, as `python FILE` would.
"""

from __future__ import annotations

import ast
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from undiced.core.errors import InvalidRequestError, KernelError, UndicedError

if TYPE_CHECKING:
    from undiced.sim.fabric.kernel.kernel import Kernel
    from undiced.sim.fabric.kernel.result import Result

MAKER, CHECK = "kernel", "check"
_MODULE = "undiced_kernel_file"
_NEEDS = f"It needs a function {MAKER}() that returns an undiced.fabric.Kernel; examples/fabric has a dozen."


def load(path: Path) -> ModuleType:
    """Run the file once, as an import.

    Raises:
        KernelError: there is no such file, it is no Python, it fails, or it makes no kernel.
    """
    if not path.is_file():
        raise KernelError(f"There is no file {path}.", remedy="Name a Python file that makes a kernel.")
    spec = spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise KernelError(f"{path} is no Python file.", remedy=f"Its name ends with .py. {_NEEDS}")
    module = module_from_spec(spec)
    sys.modules[_MODULE] = module
    sys.path.append(str(path.resolve().parent))
    with own_errors(path):
        spec.loader.exec_module(module)
    if not callable(getattr(module, MAKER, None)):
        raise KernelError(f"{path} has no function {MAKER}.", remedy=_NEEDS)
    return module


def made(module: ModuleType, path: Path, given: list[str]) -> Kernel:
    """The kernel that the file makes with the parameters that are given as NAME=VALUE.

    Raises:
        InvalidRequestError: a parameter that the function does not have, or none at all.
        KernelError: the function fails, or makes something else.
    """
    from undiced.sim.fabric.kernel.kernel import Kernel

    maker = getattr(module, MAKER)
    parameters = dict(_parameter(each, maker) for each in given)
    with own_errors(path):
        kernel = maker(**parameters)
    if not isinstance(kernel, Kernel):
        raise KernelError(f"{MAKER}() of {path} returned {type(kernel).__name__}.", remedy=_NEEDS)
    return kernel


def checked(module: ModuleType, path: Path, result: Result) -> bool | None:
    """Whether the file's own check is content with a result; None without one.

    Raises:
        KernelError: the check itself fails, other than by an assertion.
    """
    check = getattr(module, CHECK, None)
    if check is None:
        return None
    with own_errors(path):
        try:
            return check(result) is not False
        except AssertionError as error:
            raise KernelError(
                f"{CHECK}() of {path} is not content: {' '.join(str(error).split()) or 'an assertion failed'}.",
                remedy="The results are wrong, or the check is.",
            ) from error


@contextmanager
def own_errors(path: Path) -> Iterator[None]:
    """What goes wrong in the user's code is told by its line there; errors of ours pass.

    Raises:
        KernelError: something went wrong.
    """
    try:
        yield
    except (UndicedError, KeyboardInterrupt):
        raise
    except SyntaxError as error:
        raise KernelError(f"{error.filename or path}, line {error.lineno}: {error.msg}.", remedy="Mend it.") from error
    except BaseException as error:  # exits, too: the file is asked for a kernel
        frames = [each for each in traceback.extract_tb(error.__traceback__) if Path(each.filename) == path]
        where = f"{path}, line {frames[-1].lineno}" if frames else str(path)
        raise KernelError(
            f"{where}: {type(error).__name__}: {error}", remedy="UNDICED_DEBUG=1 shows the whole way there."
        ) from error


def _parameter(given: str, maker: Callable[..., object]) -> tuple[str, object]:
    name, equals, value = given.partition("=")
    known = list(inspect.signature(maker).parameters)
    if not equals or name not in known:
        raise InvalidRequestError(
            f"--set {given} names no parameter of {MAKER}().",
            remedy=f"Give NAME=VALUE; its parameters: {', '.join(known) or 'none'}.",
        )
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value  # a word
