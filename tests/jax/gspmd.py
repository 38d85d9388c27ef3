"""What GSPMD alone makes of the plan's PartitionSpecs: the whole-array model of reference.py under
jax.jit, with the weights and caches sharded as the plan stores them and nothing else said."""

import jax
import jax.numpy as jnp
import numpy as np

import reference


def places(phase, model):
    """Which stored KV head every stored head reads and every cached one is projected into, and
    which position every stored slot of the cache holds."""
    tensors = {t.name: t for t in phase.weights() + phase.caches()}
    heads = phase.stored(tensors["query_weights"], 1)
    projected = phase.stored(tensors["key_weights"], 1)
    cached = phase.stored(tensors["key_cache"], 2)
    first = lambda rows, true: int(np.argmax(rows == true))
    group = model["query_heads"] // model["kv_heads"]
    bias = tensors.get("key_bias")
    biased = phase.stored(bias, 0) if bias else np.arange(model["kv_heads"])
    return {"head_to_slot": np.array([first(cached, max(h, 0) // group) for h in heads]),
            "slot_to_projected": np.array([first(projected, max(k, 0)) for k in cached]),
            "key_bias_to_slot": np.array([first(biased, max(k, 0)) for k in cached]),
            "slot_to_position": phase.stored(tensors["key_cache"], 1)}


class Gspmd:
    """One phase, compiled; the same results as the plan's own program."""

    def __init__(self, phase, model, weights, caches, tokens):
        self.phase = phase
        forward = reference.Reference(jnp, model, places(phase, model))
        stacked = {t.name: t.per_layer for t in phase.weights()}

        def run(weights, caches, tokens, cached):
            rows = {name: list(w) if stacked[name] else [w] for name, w in weights.items()}
            return forward.run(rows, caches, tokens, cached)

        kept = {name: value.sharding for name, value in caches.items()}
        self.compiled = jax.jit(run, out_shardings=(kept, None, None)).lower(
            weights, caches, tokens, 0).compile()

    def run(self, weights, caches, tokens, cached):
        return self.compiled(weights, caches, tokens, cached)
