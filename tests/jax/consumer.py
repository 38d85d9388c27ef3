"""Executes a plan document in JAX: its op list, op by op, inside one jax.shard_map.

Every chip computes on what it holds and every collective is the plan's own, so that the compiled
program shows whether JAX moves what the plan says. Which index lives where comes from plan.py;
tables of positions, one row for each chip, say what each chip picks.
"""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

NORM_EPSILON = 1e-6
WIDTH = {"bf16": 2, "int8": 1, "float32": 4}
COLLECTIVES = ("all-gather", "reduce-scatter", "all-reduce", "all-to-all")


def make_mesh(axes):
    """The plan's mesh over the first devices, in device order."""
    shape = tuple(axes.values())
    return Mesh(np.array(jax.devices()[:math.prod(shape)]).reshape(shape), tuple(axes))


def spec(tensor):
    return PartitionSpec(*(cut or None for cut in tensor.cuts))


def pick(phase, x, axis, table):
    """x[..., table[this chip], ...]; zeros where the table says -1."""
    same = bool((table == table[0]).all())
    if same and np.array_equal(table[0], np.arange(x.shape[axis])):
        return x
    chip = 0 if same else jax.lax.axis_index(tuple(phase.axes))
    row = table[0] if same else jnp.asarray(table)[chip]
    x = jnp.take(x, jnp.maximum(row, 0), axis=axis)
    shape = [1] * x.ndim
    shape[axis] = -1
    return jnp.where((row >= 0).reshape(shape), x, 0)


def positions(wanted, held):
    """Where each wanted true index stands in `held`; -1 for padding. What is not held is an error."""
    where = {int(true): at for at, true in reversed(list(enumerate(held)))}
    missing = [true for true in map(int, wanted) if true >= 0 and true not in where]
    if missing:
        raise ValueError(f"a chip needs indices {missing}, which it does not hold")
    return np.array([where[int(true)] if true >= 0 else -1 for true in wanted], dtype=np.int32)


class Interpreter:
    """One forward pass on one chip; `env` maps tensor names to this chip's shards."""

    def __init__(self, phase, model):
        self.phase, self.model = phase, model

    # --- where things are -------------------------------------------------------------------------

    def table(self, wanted, held):
        """Rows of positions: wanted(chip) and held(chip) are lists of true indices."""
        return np.stack([positions(wanted(chip), held(chip)) for chip in self.phase.chips])

    def own(self, held):
        """This chip's true indices."""
        table = jnp.asarray(np.stack([held(chip) for chip in self.phase.chips]))
        return table[jax.lax.axis_index(tuple(self.phase.axes))]

    def box(self, tensor, i):
        return lambda chip: self.phase.held(tensor.dims[i], tensor.cuts[i], chip)

    def remap(self, x, axis, source, target):
        return pick(self.phase, x, axis, self.table(target, source))

    def fit(self, x, source, target):
        """The shard of `source` reordered, or cut, to that of `target` on the same chip."""
        for i in range(x.ndim):
            x = self.remap(x, i, self.box(source, i), self.box(target, i))
        return x

    def vector(self, env, name, target, axis):
        """A vector, whole on every chip, along what `target` holds of its dim `axis`."""
        tensor = self.phase.tensors[name]
        last = len(tensor.dims) - 1
        return self.remap(env[name], last, self.box(tensor, last), self.box(target, axis))

    # --- one pass ---------------------------------------------------------------------------------

    def run(self, weights, caches, tokens, cached):
        """Local shards in; the shards of every result that leaves the pass out."""
        self.cached = cached
        env = {name: w for name, w in weights.items() if not self.phase.tensors[name].per_layer}
        env[self.phase.find("tokens", "phase").name] = tokens
        self.section("prologue", env)
        new = {name: [] for name in caches}
        for layer in range(self.phase.layers):
            for name, values in {**weights, **caches}.items():
                if self.phase.tensors[name].per_layer:
                    env[name] = values[layer]
            with jax.named_scope(f"layer_{layer}"):
                self.section("layer", env)
            for name in new:
                new[name].append(env[name])
        residual = env[self.phase.find("residual", "phase").name]
        self.section("epilogue", env)
        results = {self.phase.find("residual", "phase").name: residual}
        for op in self.phase.ops:
            if op["function"] == "sample":
                results.update({op["terms"][0][k]: env[op["terms"][0][k]] for k in ("lhs",)})
        results[self.phase.ops[-1]["terms"][0]["out"]] = env[self.phase.ops[-1]["terms"][0]["out"]]
        return {name: jnp.stack(values) for name, values in new.items()}, results

    def section(self, name, env):
        for op in self.phase.ops:
            if op["section"] == name:
                with jax.named_scope(f"op_{op['index']}"):
                    getattr(self, op["kind"].replace("-", "_"))(op, env)

    # --- ops that compute -------------------------------------------------------------------------

    def einsum(self, op, env):
        written = set()
        for term in op["terms"]:
            lhs, rhs, out = (self.phase.tensors[term[k]] for k in ("lhs", "rhs", "out"))
            for i, dim in enumerate(lhs.dims):
                if dim in rhs.dims and rhs.cuts[rhs.dims.index(dim)] != lhs.cuts[i]:
                    raise ValueError(f"op {op['index']}: operands hold different parts of {dim}")
            letters = {d: chr(97 + n) for n, d in enumerate(dict.fromkeys(lhs.dims + rhs.dims))}
            text = ["".join(letters[d] for d in t.dims) for t in (lhs, rhs, out)]
            value = jnp.einsum(f"{text[0]},{text[1]}->{text[2]}", env[lhs.name], env[rhs.name])
            env[out.name] = env[out.name] + value if out.name in written else value
            written.add(out.name)

    def attention(self, op, env):
        """Over the positions that this chip caches; where shards of the cache's length are to be
        combined, the last term takes the log of the summed exponentials of this chip's scores."""
        (query, key, attended), (value, key_cache, value_cache) = (
            [self.phase.tensors[term[k]] for k in ("lhs", "rhs", "out")]
            for term in op["terms"][:2])
        none = {"lhs": None, "rhs": None, "out": None}
        biases = next((term for term in op["terms"][2:] if term["lhs"]), none)
        log_sum = next((term for term in op["terms"][2:] if not term["lhs"]), none)["out"]
        self.append(env, key, key_cache, biases["rhs"])
        self.append(env, value, value_cache, biases["out"])
        q = env[query.name]
        if biases["lhs"]:
            q = q + self.head_bias(env, biases["lhs"], query)
        for i in (0, 2):
            q = self.remap(q, i, self.box(query, i), self.box(attended, i))
        group = self.model["query_heads"] // self.model["kv_heads"]
        needed = lambda chip: [h // group if h >= 0 else -1 for h in self.box(attended, 2)(chip)]
        keys, values = (self.remap(self.remap(env[c.name], 0, self.box(c, 0), self.box(attended, 0)),
                                   2, self.box(c, 2), needed) for c in (key_cache, value_cache))
        scores = jnp.einsum("blhd,bthd->blht", q, keys) / math.sqrt(self.model["head_dim"])
        last = self.cached + jnp.arange(q.shape[1])
        position = self.own(self.box(key_cache, 1))
        visible = (position >= 0) & (position <= last[:, None])
        scores = jnp.where(visible[:, None], scores, -jnp.inf)
        # A chip may hold none of the positions so far: its sum is 0, its log -inf.
        largest = jnp.maximum(scores.max(-1, keepdims=True), jnp.finfo(scores.dtype).min)
        weights = jnp.exp(scores - largest)
        total = weights.sum(-1, keepdims=True)
        env[attended.name] = jnp.einsum("blht,bthd->blhd", weights / jnp.where(total, total, 1),
                                        values)
        if log_sum:
            env[log_sum] = largest + jnp.log(total)

    def append(self, env, fresh, cache, bias):
        """New keys or values into the slots of their positions; a chip keeps those it has slots for."""
        x = env[fresh.name]
        for i in (0, 2):
            x = self.remap(x, i, self.box(fresh, i), self.box(cache, i))
        if bias:
            x = x + self.head_bias(env, bias, cache)
        at = self.own(self.box(cache, 1)) - self.cached
        new = (at >= 0) & (at < x.shape[1])
        x = jnp.take(x, jnp.clip(at, 0, x.shape[1] - 1), axis=1)
        env[cache.name] = jnp.where(new[:, None, None], x, env[cache.name])

    def combine(self, op, env):
        """Scales the attention over this chip's shard of the cache by the shard's share."""
        (part, log_sums, out), _ = self.names(op)
        shares = jax.nn.softmax(env[log_sums.name], axis=-1)
        shard = self.phase.dims[log_sums.dims[3]]
        mine = lambda chip: self.phase.held(log_sums.dims[3], shard.axes, chip)
        env[out.name] = env[part.name] * self.remap(shares, 3, self.box(log_sums, 3), mine)

    def head_bias(self, env, name, target):
        tensor = self.phase.tensors[name]  # heads x head_dim, whole on every chip
        return self.remap(env[name], 0, self.box(tensor, 0), self.box(target, 2))

    def elementwise(self, op, env):
        getattr(self, op["function"].replace(" ", "_"))(op, env)

    def names(self, op):
        """Term 0's tensors, and the names of all further operands in order."""
        term = op["terms"][0]
        more = [t[k] for t in op["terms"][1:] for k in ("lhs", "rhs")]
        return [self.phase.tensors.get(term[k]) for k in ("lhs", "rhs", "out")], more

    def lookup(self, op, env):
        (tokens, table, out), _ = self.names(op)
        row_of = np.full((len(self.phase.chips), self.model["vocabulary"]), -1)
        for at, chip in enumerate(self.phase.chips):
            held = self.box(table, 0)(chip)
            row_of[at, held[held >= 0]] = np.flatnonzero(held >= 0)
        rows = jnp.asarray(row_of)[jax.lax.axis_index(tuple(self.phase.axes))][env[tokens.name]]
        env[out.name] = jnp.where((rows >= 0)[..., None], env[table.name][jnp.maximum(rows, 0)], 0)

    def norm_statistics(self, op, env):
        (x, _, out), _ = self.names(op)
        values = env[x.name]
        moments = [(values ** 2).sum(-1), values.sum(-1)][:out.shape[-1]]
        env[out.name] = jnp.stack(moments, axis=-1) / self.model["embed_dim"]

    def normalize(self, op, env):
        (x, moments, out), (vectors, *_) = self.names(op)
        m = env[moments.name]
        mean = m[..., 1:2] if m.shape[-1] > 1 else 0
        rows = self.vector(env, vectors, out, 2)
        scaled = (env[x.name] - mean) / jnp.sqrt(m[..., :1] - mean ** 2 + NORM_EPSILON) * rows[0]
        env[out.name] = scaled + rows[1] if rows.shape[0] > 1 else scaled

    def slice(self, op, env):
        for term in op["terms"]:
            source, target = self.phase.tensors[term["lhs"]], self.phase.tensors[term["out"]]
            env[target.name] = self.fit(env[source.name], source, target)

    def activate(self, op, env):
        (x, bias, out), more = self.names(op)
        hidden = env[x.name] + (self.vector(env, bias.name, out, 2) if bias else 0)
        if not more:
            env[out.name] = jax.nn.gelu(hidden, approximate=False)
            return
        gate = env[more[0]] + (self.vector(env, more[1], out, 2) if more[1] else 0)
        env[out.name] = jax.nn.silu(hidden) * gate

    def add(self, op, env):
        (x, y, out), more = self.names(op)
        if y.role == "position_table":
            rows = self.remap(env[y.name], 1, self.box(y, 1), self.box(out, 2))
            other = jax.lax.dynamic_slice_in_dim(rows, self.cached, env[x.name].shape[1])
        else:
            other = env[y.name]
        total = env[x.name] + other
        for bias in filter(None, more):
            total = total + self.vector(env, bias, out, 2)
        env[out.name] = total

    def last_token(self, op, env):
        (x, _, out), _ = self.names(op)
        env[out.name] = env[x.name][:, -out.shape[1]:]

    def sample(self, op, env):
        (x, _, out), _ = self.names(op)
        own = self.own(self.box(x, 2))
        last = jnp.where(own >= 0, env[x.name][:, -1], -jnp.inf)
        best = jnp.argmax(last, axis=-1)
        pair = [jnp.take_along_axis(last, best[:, None], 1)[:, 0], own[best]]
        env[out.name] = jnp.stack([p.astype(last.dtype) for p in pair], axis=-1)[:, None]

    # --- collectives ------------------------------------------------------------------------------

    def all_gather(self, op, env):
        self.each(op, env, lambda x, axes: jax.lax.all_gather(x, axes, axis=0))

    def reduce_scatter(self, op, env):
        self.each(op, env, lambda x, axes: jax.lax.psum_scatter(x, axes, scatter_dimension=0))

    def all_reduce(self, op, env):
        self.each(op, env, jax.lax.psum)

    def all_to_all(self, op, env):
        self.each(op, env, lambda x, axes: jax.lax.all_to_all(x, axes, 0, 0, tiled=True))

    def each(self, op, env, move):
        for term in op["terms"]:
            operand, result = self.phase.tensors[term["lhs"]], self.phase.tensors[term["out"]]
            env[result.name] = self.exchange(op, env[operand.name], operand, result, move)

    def axes_of(self, op, operand, result):
        """The axes over which a term communicates."""
        taking_part = {"all-gather": operand.sharded - result.sharded,
                       "all-to-all": set(op["axes"])}.get(
                           op["kind"], set(operand.partial) - set(result.partial))
        return tuple(a for a in op["axes"] if a in taking_part)

    def exchange(self, op, x, operand, result, move):
        axes = self.axes_of(op, operand, result)
        gains = [tuple(a for a in axes if a in set(r) - set(o))
                 for o, r in zip(operand.cuts, result.cuts)]
        losses = [tuple(a for a in axes if a in set(o) - set(r))
                  for o, r in zip(operand.cuts, result.cuts)]
        if op["kind"] in ("reduce-scatter", "all-to-all"):
            x = self.split(x, operand, result, axes, gains)
        x = move(x, axes)
        if op["kind"] in ("all-gather", "all-to-all"):
            x = self.join(x, operand, axes, losses)
        for i in range(x.ndim):
            if not gains[i]:
                x = self.remap(x, i, self.joined(operand, i, losses[i]), self.box(result, i))
        return x

    def split(self, x, operand, result, axes, gains):
        """A leading dim with one chunk for each member of the group: what that member is to hold."""
        where, at = {}, 0
        for i in range(x.ndim):
            x = pick(self.phase, x, at, self.chunks(operand, result, i, gains[i])) if gains[i] else x
            sizes = [self.phase.axes[a] for a in gains[i]]
            x = x.reshape(x.shape[:at] + tuple(sizes) + (-1,) + x.shape[at + 1:])
            where.update({a: at + n for n, a in enumerate(gains[i])})
            at += len(sizes) + 1
        x = jnp.moveaxis(x, [where[a] for a in axes], range(len(axes)))
        return x.reshape((self.phase.size(axes),) + x.shape[len(axes):])

    def chunks(self, operand, result, i, gained):
        """For each member along the gained axes, the positions of its indices in this chip's dim."""
        def members(chip):
            shape = [self.phase.axes[a] for a in gained]
            for at in np.ndindex(*shape):
                yield {**chip, **dict(zip(gained, at))}
        wanted = lambda chip: np.concatenate([self.box(result, i)(m) for m in members(chip)])
        return self.table(wanted, self.box(operand, i))

    def join(self, x, operand, axes, losses):
        """The leading dim of members folded into the dims that lose their digits."""
        x = x.reshape([self.phase.axes[a] for a in axes] + list(x.shape[1:]))
        order, shape = [], []
        for i, lost in enumerate(losses):
            order += [axes.index(a) for a in lost] + [len(axes) + i]
            shape.append(self.phase.size(lost) * x.shape[len(axes) + i])
        return jnp.transpose(x, order).reshape(shape)

    def joined(self, operand, i, lost):
        """The true indices of a dim after join(): one member's after the other's."""
        shape = [self.phase.axes[a] for a in lost]
        return lambda chip: np.concatenate(
            [self.box(operand, i)({**chip, **dict(zip(lost, at))}) for at in np.ndindex(*shape)])


class Runner:
    """A phase for a mesh; keeps the weights sharded as the plan says. `compile` comes before `step`."""

    def __init__(self, phase, model, mesh):
        self.phase, self.model, self.mesh = phase, model, mesh
        interpreter = Interpreter(phase, model)
        stacked = lambda t: PartitionSpec(None, *spec(t)) if t.per_layer else spec(t)
        weights = {t.name: stacked(t) for t in phase.weights()}
        caches = {t.name: stacked(t) for t in phase.caches()}
        results = {t: spec(phase.tensors[t]) for t in self.result_names()}
        self.shardings = {name: NamedSharding(mesh, s) for name, s in {**weights, **caches}.items()}
        self.jitted = jax.jit(jax.shard_map(
            interpreter.run, mesh=mesh,
            in_specs=(weights, caches, PartitionSpec(), PartitionSpec()),
            out_specs=(caches, results), check_vma=False))

    def result_names(self):
        names = [self.phase.find("residual", "phase").name]
        names += [op["terms"][0]["lhs"] for op in self.phase.ops if op["function"] == "sample"]
        return names + [self.phase.ops[-1]["terms"][0]["out"]]

    def put(self, name, layers):
        """True values, one array for each layer where it has layers, sharded over the mesh."""
        tensor = self.phase.tensors[name]
        values = [self.phase.store(tensor, v) for v in layers]
        return jax.device_put(np.stack(values) if tensor.per_layer else values[0],
                              self.shardings[name])

    def compile(self, weights, caches, tokens):
        # Left alone, XLA makes one all-reduce of two of the plan's ops over the same axes.
        self.step = self.jitted.lower(weights, caches, tokens, 0).compile(
            {"xla_disable_hlo_passes": "cpu-all-reduce-combiner"})
        return self.step


def padded_tokens(phase, tokens):
    return phase.store(phase.find("tokens", "phase"), tokens)


# --- what the compiler emitted --------------------------------------------------------------------

_INSTRUCTION = re.compile(
    r"^ *(?:ROOT )?\S+ = (?P<shape>.+?) (?P<kind>all-gather|reduce-scatter|all-reduce|all-to-all"
    r"|collective-permute)(?:-start)?\(")
_NAME = re.compile(r'op_name="([^"]*)"')
_GROUP = re.compile(r"replica_groups=(?:\{\{([\d,]+)\}|\[(\d+),(\d+)\])")


def collectives(compiled):
    """(op_name, kind, terms, elements of D, group size) of each collective in the compiled HLO.

    D is the paper's (appendix A.1): the output of an all-gather, the input of a reduce-scatter,
    twice the operand of an all-reduce, what is exchanged by an all-to-all. XLA may combine
    all-reduces into one of several operands; an all-to-all has one operand for each member of the
    group.
    """
    found = []
    for line in compiled.as_text().splitlines():
        match = _INSTRUCTION.search(line)
        if match is None:
            continue
        kind, group, name = match["kind"], _GROUP.search(line), _NAME.search(line)
        ways = (len(group[1].split(",")) if group[1] else int(group[3])) if group else 2
        sizes = [math.prod(int(n) for n in shape.split(",") if n)
                 for shape in re.findall(r"[a-z]\w*\[([\d,]*)\]", match["shape"])]
        if kind == "reduce-scatter":
            sizes = [n * ways for n in sizes]
        elif kind == "all-reduce":
            sizes = [2 * math.ceil(n / ways) * ways for n in sizes]
        terms = 1 if kind == "all-to-all" else len(sizes)
        found.append((name[1] if name else "", kind, terms, sum(sizes), ways))
    return found
