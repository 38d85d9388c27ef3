"""The same model on one device, whole arrays and no plan: what a sharded run is compared with.

Written for NumPy and JAX alike (`xp`). Under jax.jit on sharded arrays it is also the program whose
collectives GSPMD chooses: then weights and caches are as stored, padded and permuted, and `places`
says which stored KV head, cached and projected, each head is, and which position a slot holds.
"""

import math

import numpy as np

NORM_EPSILON = 1e-6


def shapes(model):
    """True shape of every weight by role; (per layer?, shape)."""
    e, f, v = model["embed_dim"], model["ffn_dim"], model["vocabulary"]
    h, k, d = model["query_heads"], model["kv_heads"], model["head_dim"]
    rows = 2 if model["norm_bias"] else 1
    layer = {"ffn_input_weights": (e, f), "ffn_gate_weights": (e, f), "ffn_output_weights": (f, e),
             "query_weights": (e, h, d), "key_weights": (e, k, d), "value_weights": (e, k, d),
             "attention_output_weights": (h, d, e), "norm_vectors": (rows, e),
             "second_norm_vectors": (rows, e), "ffn_input_bias": (f,), "ffn_gate_bias": (f,),
             "ffn_output_bias": (e,), "query_bias": (h, d), "key_bias": (k, d),
             "value_bias": (k, d), "attention_output_bias": (e,)}
    shared = {"embedding": (v, e), "unembedding": (v, e), "final_norm_vectors": (rows, e),
              "position_table": (model["max_positions"], e)}
    return layer, shared


def random_weights(model, roles, seed):
    """True values of the given roles: {role: [array for each layer, or one]}."""
    layer, shared = shapes(model)
    random = np.random.default_rng(seed)
    weights = {}
    for role in roles:
        shape = layer.get(role) or shared[role]
        fan_in = {"attention_output_weights": shape[0] * shape[-2] if len(shape) > 2 else 1,
                  "embedding": 1}.get(role, shape[0])
        scale = 0.3 if "bias" in role or "norm" in role or "position" in role else fan_in ** -0.5
        count = model["layers"] if role in layer else 1
        weights[role] = [random.normal(size=shape) * scale for _ in range(count)]
        if "norm" in role:
            for rows in weights[role]:
                rows[0] += 1
    return weights


def true_places(model, positions):
    group = model["query_heads"] // model["kv_heads"]
    return {"head_to_slot": np.arange(model["query_heads"]) // group,
            "slot_to_projected": np.arange(model["kv_heads"]),
            "key_bias_to_slot": np.arange(model["kv_heads"]),
            "slot_to_position": np.arange(positions)}


class Reference:
    def __init__(self, xp, model, places):
        self.xp, self.model, self.places = xp, model, places

    def norm(self, x, rows):
        if self.model["norm"] == "none":
            return x
        xp, width = self.xp, self.model["embed_dim"]
        mean = x.sum(-1, keepdims=True) / width if self.model["norm"] == "layer" else 0
        variance = (x ** 2).sum(-1, keepdims=True) / width - mean ** 2
        scaled = (x - mean) / xp.sqrt(variance + NORM_EPSILON) * rows[0]
        return scaled + rows[1] if rows.shape[0] > 1 else scaled

    def activation(self, x):
        if self.xp is np:
            erf = np.vectorize(math.erf)
            return x / (1 + np.exp(-x)) if self.model["gated"] else 0.5 * x * (1 + erf(x / 2 ** 0.5))
        import jax
        return jax.nn.silu(x) if self.model["gated"] else jax.nn.gelu(x, approximate=False)

    def ffn(self, x, w):
        hidden = x @ w["ffn_input_weights"] + w.get("ffn_input_bias", 0)
        hidden = self.activation(hidden)
        if self.model["gated"]:
            hidden = hidden * (x @ w["ffn_gate_weights"] + w.get("ffn_gate_bias", 0))
        return hidden @ w["ffn_output_weights"] + w.get("ffn_output_bias", 0)

    def attention(self, x, w, caches, cached):
        """`caches` are of one layer; new keys and values replace them."""
        xp, places = self.xp, self.places
        project = lambda name: xp.einsum("ble,ehd->blhd", x, w[name])
        query = project("query_weights") + w.get("query_bias", 0)
        for cache, kind in (("key_cache", "key"), ("value_cache", "value")):
            fresh = xp.take(project(kind + "_weights"), places["slot_to_projected"], axis=2)
            if kind + "_bias" in w:
                fresh = fresh + xp.take(w[kind + "_bias"], places["key_bias_to_slot"], axis=0)
            caches[cache] = self.write(caches[cache], cached, fresh)
        keys, values = (xp.take(caches[c], places["head_to_slot"], axis=2)
                        for c in ("key_cache", "value_cache"))
        scores = xp.einsum("blhd,bthd->bhlt", query, keys) / math.sqrt(self.model["head_dim"])
        last = cached + xp.arange(x.shape[1])
        position = places["slot_to_position"]
        visible = (position >= 0) & (position <= last[:, None])
        scores = xp.where(visible, scores, -xp.inf)
        chances = xp.exp(scores - scores.max(-1, keepdims=True))
        chances = chances / chances.sum(-1, keepdims=True)
        attended = xp.einsum("bhlt,bthd->blhd", chances, values)
        return (xp.einsum("blhd,hde->ble", attended, w["attention_output_weights"])
                + w.get("attention_output_bias", 0))

    def write(self, cache, cached, fresh):
        xp = self.xp
        at = self.places["slot_to_position"] - cached
        new = (at >= 0) & (at < fresh.shape[1])
        fresh = xp.take(fresh, xp.clip(at, 0, fresh.shape[1] - 1), axis=1)
        return xp.where(new[:, None, None], fresh, cache)

    def run(self, weights, caches, tokens, cached):
        """(new caches, residual, logits of the last position). Caches: layers x batch x slots x K x D."""
        x = weights["embedding"][0][tokens]
        if self.model["positions"] == "learned":
            at = cached + self.xp.arange(tokens.shape[1])
            x = x + weights["position_table"][0][at]
        layers = []
        for layer in range(self.model["layers"]):
            own = {name: cache[layer] for name, cache in caches.items()}
            w = {role: values[layer] for role, values in weights.items() if len(values) > layer
                 and role not in ("embedding", "unembedding", "final_norm_vectors",
                                  "position_table")}
            first = self.norm(x, w.get("norm_vectors"))
            second = w.get("second_norm_vectors", w.get("norm_vectors"))
            if self.model["block"] == "parallel":
                x = (x + self.attention(first, w, own, cached)
                     + self.ffn(self.norm(x, second), w))
            else:
                x = x + self.attention(first, w, own, cached)
                x = x + self.ffn(self.norm(x, second), w)
            layers.append(own)
        caches = {name: self.xp.stack([own[name] for own in layers]) for name in caches}
        final = self.norm(x, weights["final_norm_vectors"][0]) if self.model["final_norm"] else x
        table = weights["embedding" if self.model["tied_embedding"] else "unembedding"][0]
        return caches, x, final[:, -1:] @ table.T
