"""Options that stand together in a dataclass: a command that takes one has an option per field of it.

A field's annotation is what a parameter's would be, and its default is the option's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import get_type_hints

Values = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Group:
    """A dataclass of options, and the annotations of its fields."""

    kind: type
    hints: Values

    def parameters(self) -> Iterator[inspect.Parameter]:
        signature = inspect.signature(self.kind)
        for name, parameter in signature.parameters.items():
            yield parameter.replace(annotation=self.hints[name], kind=inspect.Parameter.KEYWORD_ONLY)

    def taken(self, values: Values) -> object:
        return self.kind(**{each.name: values.pop(each.name) for each in fields(self.kind)})


def gathered(command: Callable[..., None]) -> Callable[..., None]:
    """The command as the parser has to see it: with the fields of its dataclasses for parameters."""
    hints = get_type_hints(command, include_extras=True)
    groups = {
        name: _Group(kind, get_type_hints(kind, include_extras=True))
        for name, kind in hints.items()
        if isinstance(kind, type) and is_dataclass(kind)
    }
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        own = parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        parameters += groups[name].parameters() if name in groups else [own]

    def run(**values: object) -> None:
        made = {name: group.taken(values) for name, group in groups.items()}
        command(**values, **made)

    run.__doc__, run.__name__ = command.__doc__, command.__name__
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    setattr(run, "__signature__", inspect.Signature(parameters))  # noqa: B010  # functions declare no such attribute
    return run
