"""Collects nodes and slots while a graph is assembled: names them and binds weights. Decides nothing of a model."""

from __future__ import annotations

from undiced.core.manifest import WeightSlot
from undiced.model.binding import Binder
from undiced.model.config import ModelConfig
from undiced.model.graph import Graph
from undiced.model.node import Attr, Node


class Draft:
    """A graph in the making. `layer` is the current layer, -1 outside."""

    def __init__(self, config: ModelConfig, binder: Binder) -> None:
        self.config, self.layer = config, -1
        self._binder = binder
        self._nodes: list[Node] = []
        self._slots: dict[str, WeightSlot] = {}

    def matrix(self, role: str, rows: int, columns: int, experts: int = 1) -> str:
        """A weight matrix of the current layer; returns its slot's name. Asked again, it is the same slot."""
        name = self._named(role)
        if name not in self._slots:
            self._slots[name] = self._binder.bind(name, role, self.layer, (rows, columns), experts)
        return name

    def vector(self, role: str, length: int, experts: int = 1) -> str:
        """A weight vector of the current layer; returns its slot's name."""
        return self.matrix(role, 1, length, experts)

    def emit(self, op: str, label: str, ins: tuple[str, ...], weights: tuple[str, ...] = (), **attrs: Attr) -> str:
        """Appends a node of the current layer; returns the name of its value."""
        out = self._named(label)
        self._nodes.append(Node(op, out, ins, weights, attrs, self.layer))
        return out

    def graph(self) -> Graph:
        """The finished, verified graph."""
        self._binder.finish()
        graph = Graph(self.config, tuple(self._nodes), tuple(self._slots.values()))
        graph.verify()
        return graph

    def _named(self, role: str) -> str:
        return role if self.layer < 0 else f"layers.{self.layer}.{role}"
