"""A plan document's `execution` section: the mesh, and which index of which dim lives where.

Reads what docs/plan-format.md describes and nothing else of the project. No JAX here.
"""

import dataclasses
import itertools
import json

import numpy as np


@dataclasses.dataclass(frozen=True)
class Dim:
    """One dim of a phase: an index is a number in digits, one for each axis, and a remainder."""

    size: int
    axes: tuple      # major to minor
    indices: object  # what each padded index stands for; -1 for padding

    @classmethod
    def of(cls, row):
        padded = row["padded_size"]
        plain = [i if i < row["size"] else -1 for i in range(padded)]
        return cls(row["size"], tuple(row["axes"]), np.array(row["indices"] or plain))


@dataclasses.dataclass(frozen=True)
class Tensor:
    name: str
    role: str
    dtype: str
    lifetime: str
    per_layer: bool
    dims: tuple     # names
    cuts: tuple     # per dim, the axes that cut it, major to minor
    partial: tuple  # axes over which it is an unreduced sum
    shape: tuple    # on one chip

    @classmethod
    def of(cls, row):
        return cls(row["name"], row["role"], row["dtype"], row["lifetime"], row["per_layer"],
                   tuple(d["name"] for d in row["dims"]),
                   tuple(tuple(d["axes"]) for d in row["dims"]),
                   tuple(row["partial_axes"]), tuple(row["shape_per_chip"]))

    @property
    def sharded(self):
        return {axis for cut in self.cuts for axis in cut}


class Phase:
    """One phase's tensors and ops, and where everything lies."""

    def __init__(self, execution, row):
        self.axes = {axis["name"]: axis["size"] for axis in execution["mesh"]["axes"]}
        self.dims = {dim["name"]: Dim.of(dim) for dim in row["dims"]}
        self.tensors = {t["name"]: Tensor.of(t) for t in execution["weights"] + row["tensors"]}
        self.ops = row["ops"]
        self.layers, self.steps = row["layers"], row["steps"]
        self.layout = row["layout"]
        self.batch, self.query_length = row["batch"], row["query_length"]
        self.cache_length = row["cache_length"]
        # Every chip's mesh coordinates, in device order.
        self.chips = [dict(zip(self.axes, at))
                      for at in itertools.product(*map(range, self.axes.values()))]

    def size(self, axes):
        return int(np.prod([self.axes[a] for a in axes], dtype=int))

    def held(self, dim, cut, chip):
        """True indices that a chip holds of a dim, in the order it stores them."""
        info = self.dims[dim]
        digits = info.indices.reshape([self.axes[a] for a in info.axes] + [-1])
        return digits[tuple(chip[a] if a in cut else slice(None) for a in info.axes)].reshape(-1)

    def stored(self, tensor, i):
        """True indices of the whole stored dim: shard after shard, as a PartitionSpec cuts it."""
        dim, cut = tensor.dims[i], tensor.cuts[i]
        shards = itertools.product(*(range(self.axes[a]) for a in cut))
        return np.concatenate([self.held(dim, cut, dict(zip(cut, at))) for at in shards])

    def store(self, tensor, values):
        """A tensor of true size as it is stored: permuted, repeated, padded with zeros."""
        for i in range(len(tensor.dims)):
            index = self.stored(tensor, i)
            values = np.take(values, np.maximum(index, 0), axis=i)
            blank = [1] * values.ndim
            blank[i] = -1
            values = values * (index >= 0).reshape(blank)
        return values

    def restore(self, tensor, values):
        """The tensor of true size from the stored one."""
        for i, dim in enumerate(tensor.dims):
            index = self.stored(tensor, i)
            first = [int(np.argmax(index == true)) for true in range(self.dims[dim].size)]
            values = np.take(values, first, axis=i)
        return values

    def find(self, role, lifetime):
        """The tensor of the role and lifetime, or None."""
        return next((t for t in self.tensors.values()
                     if t.role == role and t.lifetime == lifetime), None)

    def weights(self):
        return [t for t in self.tensors.values() if t.lifetime == "persistent"]

    def caches(self):
        return [t for t in self.tensors.values() if t.role in ("key_cache", "value_cache")]


class Plan:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        if document["schema"] != "slicewise-plan/1":
            raise ValueError(f"{path}: unknown schema {document['schema']}")
        self.execution = document["execution"]
        self.request = document["request"]
        self.model = self.execution["model"]
        self.axes = {axis["name"]: axis["size"] for axis in self.execution["mesh"]["axes"]}
        self.phases = {name: Phase(self.execution, row)
                       for name, row in self.execution["phases"].items() if row is not None}
