"""Plans of small models executed by JAX on CPU devices (docs/runtimes.md has the table this prints).

Usage: run.py BINARY [--update]

For each case: `slicewise plan` writes the document, and from then on only the document is read.
Prefill and three decode steps run sharded; the residual stream, the logits and the sampled tokens
are compared with the unsharded model, and every collective of the compiled HLO with the plan's op
of the same number: kind, group size and bytes. Then GSPMD compiles the unsharded program for the
plan's PartitionSpecs; its result is compared too, and its own collectives are listed.

JAX comes from .venv (tests/jax/setup.sh). Without it the test is skipped (exit code 77), or fails
when SLICEWISE_REQUIRE_JAX is set. --update rewrites the table in docs/runtimes.md.
"""

import dataclasses
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DOCS = ROOT / "docs" / "runtimes.md"
SKIPPED = 77
TOLERANCE = 1e-9  # of the largest value; both sides compute in float64
SEED = 1

MULTIQUERY, MULTIHEAD, GROUPED = ("parallel-multiquery", "serial-multihead",
                                  "serial-grouped-gated")


@dataclasses.dataclass(frozen=True)
class Case:
    slice: str
    model: str
    layout: str  # or a filter: then the plan chooses a layout for each phase
    batch: int = 8
    input_length: int = 5
    prefill_chunk: int = 0  # tokens of one prefill pass; 0: all at once

    @property
    def chips(self):
        x, y, z = map(int, self.slice.split("x"))
        return x * y * z


CASES = [
    # 1D weight-stationary; attention over heads, batch, both; the released code's residual.
    Case("2x2x2", MULTIQUERY, "Fxyz/ws/Hxyz"),
    Case("2x2x2", MULTIQUERY, "Fxyz/ws/Bxyz"),
    Case("2x2x2", MULTIHEAD, "Fxyz/ws/Hxyz"),
    Case("2x2x2", MULTIHEAD, "Fxyz/ws/Bx.Hyz", batch=3),
    Case("2x2x2", GROUPED, "Fxyz/ws/Hxyz"),
    Case("2x2x2", GROUPED, "Fxyz/ws/Bxy.Hz"),
    Case("2x2x2", MULTIQUERY, "Fxyz/ws/Hxyz/Ex"),
    Case("2x2x2", GROUPED, "Fxyz/ws/Bx.Hyz/Exy"),
    # 2D weight-stationary.
    Case("2x2x2", MULTIQUERY, "Ex.Fyz/ws/Bxyz"),
    Case("2x2x2", MULTIQUERY, "Ex.Fyz/ws/Bx.Hyz", batch=5),
    Case("2x2x2", MULTIHEAD, "Ex.Fyz/ws/Hxyz"),
    Case("2x2x2", MULTIHEAD, "Exy.Fz/ws/By.Hxz"),
    Case("2x2x2", GROUPED, "Ex.Fyz/ws/By.Hxz", batch=6),
    Case("2x2x2", GROUPED, "Ex.Fyz/ws/Bxyz"),
    # Weight-gathered over one, two and three axes, of d_model and of d_ff.
    Case("2x2x2", MULTIQUERY, "Ex.Fyz/wg-x/Bx.Hyz"),
    Case("2x2x2", MULTIQUERY, "Ex.Fyz/wg-y/By.Hxz", batch=3),
    Case("2x2x2", MULTIHEAD, "Ex.Fyz/wg-xy/Bxy.Hz"),
    Case("2x2x2", MULTIHEAD, "Fxyz/wg-x/Bxyz", batch=7),
    Case("2x2x2", GROUPED, "Ex.Fyz/wg-x/Bxy.Hz"),
    Case("2x2x2", GROUPED, "Exy.Fz/wg-xz/Bxz.Hy"),
    Case("2x2x2", MULTIQUERY, "Ex.Fyz/wg-xyz/Bxyz"),
    Case("2x2x2", MULTIHEAD, "Exyz/wg-xyz/Bxyz", batch=3),
    Case("2x2x2", GROUPED, "Fxyz/wg-xyz/Bxyz"),
    # Prefill and decode under layouts of their own, which share the weights.
    Case("2x2x2", MULTIQUERY, "Ex.Fyz/*/*", batch=64, input_length=24),
    Case("2x2x2", MULTIHEAD, "Ex.Fyz/*/*", batch=64, input_length=24),
    Case("2x2x2", GROUPED, "Ex.Fyz/*/*", batch=64, input_length=24),
    # Weights replicated, with nothing gathered, and with d_model and d_ff gathered.
    Case("2x2x2", MULTIQUERY, "Fxy.Rz/ws/Bz.Hxy"),
    Case("2x2x2", MULTIHEAD, "Ex.Fy.Rz/ws/Byz.Hx", batch=5),
    Case("2x2x2", GROUPED, "Ex.Fy.Rz/wg-x/Bxz.Hy"),
    Case("2x2x2", MULTIHEAD, "Ez.Fy.Rx/wg-y/Bxy.Hz", batch=3),
    # The KV cache over its length: axes of d_ff, of d_model, both; beside batch and heads.
    Case("2x2x2", MULTIQUERY, "Fxyz/ws/Bx.Hy.Sz"),
    Case("2x2x2", MULTIHEAD, "Fxyz/ws/Hxy.Sz"),
    Case("2x2x2", GROUPED, "Fxyz/ws/Hxy.Sz/Ex", batch=3),
    Case("2x2x2", MULTIQUERY, "Ex.Fyz/ws/Hyz.Sx"),
    Case("2x2x2", MULTIHEAD, "Ex.Fyz/ws/By.Hz.Sx", batch=5),
    Case("2x2x2", GROUPED, "Ex.Fyz/ws/Bz.Hx.Sy"),
    Case("2x2x2", GROUPED, "Exy.Fz/ws/Bx.Hz.Sy", batch=3),
    Case("2x2x2", MULTIHEAD, "Ex.Fyz/ws/Sxyz"),
    Case("2x2x2", MULTIHEAD, "Ex.Fyz/wg-x/Bx.Hy.Sz"),
    Case("2x2x2", GROUPED, "Ex.Fy.Rz/ws/Bz.Sxy"),
    # Prefill in chunks.
    Case("2x2x2", MULTIQUERY, "Ex.Fyz/ws/Bx.Hy.Sz", input_length=6, prefill_chunk=2),
    # 16 and 64 devices.
    Case("2x2x4", MULTIQUERY, "Ex.Fy.Rz/ws/Byz.Hx", batch=9),
    Case("2x2x4", MULTIHEAD, "Ex.Fyz/ws/By.Hx.Sz"),
    Case("2x2x4", GROUPED, "Exz.Fy/ws/Hy.Sxz"),
    Case("2x2x4", GROUPED, "Ex.Fyz/wg-xz/Bxz.Hy", batch=16),
    # Factors of an axis in different roles.
    Case("2x2x4", MULTIQUERY, "Fxyz1.Rz2/ws/Byz2.Hxz1", batch=9),
    Case("2x2x4", MULTIHEAD, "Exz1.Fyz2/wg-z1/Byz1.Hxz2"),
    Case("2x2x4", GROUPED, "Ex.Fyz/ws/Bz1.Hxy.Sz2", batch=5),
    Case("4x4x4", GROUPED, "Ex.Fyz/ws/By2z.Hxy1", batch=8),
    Case("4x4x4", MULTIQUERY, "Ex.Fyz/ws/Bxyz", batch=64),
    Case("4x4x4", MULTIHEAD, "Fxyz/ws/Hxyz"),
    Case("4x4x4", GROUPED, "Ex.Fyz/wg-xyz/Bxyz", batch=64),
]


def plan_document(binary, case, directory):
    """Asks the tool for a plan; the path of the document."""
    path = pathlib.Path(directory) / "plan.json"
    chunks = ["--prefill-chunk", str(case.prefill_chunk)] if case.prefill_chunk else []
    subprocess.run(
        [binary, "plan", "--model", HERE / "models" / f"{case.model}.json", "--slice", case.slice,
         "--layout", case.layout, "--batch", str(case.batch), "--input-len",
         str(case.input_length), *chunks, "--output-len", "3", "--calibration", "roofline",
         "--format", "json", "--output", path], check=True, cwd=ROOT)
    return path


# --- in a process with the devices ----------------------------------------------------------------


class Execution:
    """One case: the unsharded model, the plan's program and GSPMD's, side by side."""

    def __init__(self, path):
        import numpy as np

        import consumer
        import plan
        import reference
        self.np, self.consumer = np, consumer
        self.plan = plan.Plan(path)
        self.model = self.plan.model
        self.mesh = consumer.make_mesh(self.plan.axes)
        roles = [t.role for t in next(iter(self.plan.phases.values())).weights()]
        self.weights = reference.random_weights(self.model, roles, SEED)
        positions = max(phase.cache_length for phase in self.plan.phases.values())
        self.reference = reference.Reference(
            np, self.model, reference.true_places(self.model, positions))
        self.failures = []
        self.worst = 0.0

    def run(self):
        random = self.np.random.default_rng(SEED)
        request = self.plan.request
        tokens = random.integers(self.model["vocabulary"],
                                 size=(request["prefill_batch"], request["input_length"]))
        slots = self.plan.phases["decode"].cache_length
        empty = self.np.zeros((self.model["layers"], len(tokens), slots, self.model["kv_heads"],
                               self.model["head_dim"]))
        self.true_caches = {"key_cache": empty, "value_cache": empty}
        caches, cached, rows = self.true_caches, 0, []
        for name, phase in self.plan.phases.items():
            caches, cached, tokens, row = self.run_phase(name, phase, caches, cached, tokens)
            rows.append(row)
        return rows

    def run_phase(self, name, phase, caches, cached, tokens):
        """Caches come and go with their true shape; between phases they are dealt out anew. A pass
        takes as many of the tokens as it has queries: prefill runs in chunks where the plan does."""
        import gspmd
        np = self.np
        if tokens.shape[1] % phase.query_length:
            raise ValueError(f"{name}: {tokens.shape[1]} tokens are not full passes of "
                             f"{phase.query_length}")
        runner = self.consumer.Runner(phase, self.model, self.mesh)
        weights = {t.name: runner.put(t.name, self.weights[t.role]) for t in phase.weights()}
        sharded = {t.name: runner.put(t.name, caches[t.role][:, :, :phase.cache_length])
                   for t in phase.caches()}
        self.check_shards(phase, {**weights, **sharded})
        now, later = np.split(tokens, [phase.query_length], axis=1)
        padded = self.consumer.padded_tokens(phase, now)
        found = self.consumer.collectives(runner.compile(weights, sharded, padded))
        row = {"phase": name, "layout": phase.layout, **self.check_collectives(phase, found)}
        alone = gspmd.Gspmd(phase, self.model, weights, sharded, self.attention_tokens(phase, now))
        row.update(summary(self.consumer.collectives(alone.compiled), "gspmd"))
        for step in range(phase.steps):
            self.true_caches, residual, logits = self.reference.run(
                self.weights, self.true_caches, now, cached)
            if step == 0:
                self.check_gspmd(phase, alone.run(weights, sharded,
                                                  self.attention_tokens(phase, now), cached),
                                 residual, logits)
            sharded, results = runner.step(
                weights, sharded, self.consumer.padded_tokens(phase, now), cached)
            self.check_results(phase, runner, results, residual, logits)
            cached += now.shape[1]
            sampled = logits[:, -1].argmax(-1)[:, None]
            now, later = np.split(later if later.size else sampled, [phase.query_length], axis=1)
        slots = self.plan.phases["decode"].cache_length
        grown = {}
        for t in phase.caches():
            true = np.stack([phase.restore(t, layer) for layer in np.asarray(sharded[t.name])])
            grown[t.role] = np.pad(true, [(0, slots - n if i == 2 else 0)
                                          for i, n in enumerate(true.shape)])
        return grown, cached, now, row

    def attention_tokens(self, phase, tokens):
        """Tokens in the order and padding of the caches' batch, which the whole-array model keeps."""
        cache = phase.caches()[0]
        rows = phase.stored(cache, 0)
        return self.np.where((rows >= 0)[:, None], tokens[self.np.maximum(rows, 0)], 0)

    # --- checks -----------------------------------------------------------------------------------

    def differ(self, what, found, expected):
        difference = abs(found - expected).max() / abs(expected).max()
        self.worst = max(self.worst, float(difference))
        if not difference <= TOLERANCE:
            self.failures.append(f"{what} differs by {difference:.1e}")

    def check_shards(self, phase, arrays):
        for name, array in arrays.items():
            tensor = phase.tensors[name]
            shape = array.addressable_shards[0].data.shape[1 if tensor.per_layer else 0:]
            if shape != tensor.shape:
                self.failures.append(f"{name}: a device holds {shape}, the plan says {tensor.shape}")

    def check_example(self, binary, directory):
        """Runs the fenced lines of docs/runtimes.md on the first layer; every shard is the plan's."""
        np = self.np
        lines = re.search(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[1]
        here, path = os.getcwd(), os.environ["PATH"]
        os.chdir(directory)
        os.environ["PATH"] = f"{pathlib.Path(binary).parent}:{path}"
        space = {"checkpoint": {name: layers[0] for name, layers in self.weights.items()}}
        exec(compile(lines, "docs/runtimes.md", "exec"), space)
        os.chdir(here)
        os.environ["PATH"] = path
        phase = next(iter(self.plan.phases.values()))
        mesh = space["mesh"]
        chip_of = {device: dict(zip(mesh.axis_names, at))
                   for at, device in np.ndenumerate(mesh.devices)}
        for tensor in phase.weights():
            for shard in space["weights"][tensor.name].addressable_shards:
                own = self.weights[tensor.role][0]
                for i, dim in enumerate(tensor.dims):
                    held = phase.held(dim, tensor.cuts[i], chip_of[shard.device])
                    own = np.take(own, np.maximum(held, 0), axis=i) * np.expand_dims(
                        held >= 0, tuple(k for k in range(own.ndim) if k != i))
                if not np.array_equal(own, shard.data):
                    self.failures.append(f"docs/runtimes.md: {tensor.name} is sharded otherwise")
                    return

    def check_results(self, phase, runner, results, residual, logits):
        np = self.np
        names = runner.result_names()
        true = [phase.restore(phase.tensors[name], np.asarray(results[name]))
                for name in names[:2]]
        self.differ(f"{phase.layout}: residual", true[0], residual)
        self.differ(f"{phase.layout}: logits", true[1], logits)
        candidates = np.asarray(results[names[-1]])
        batch = phase.stored(phase.tensors[names[-1]], 0)
        best = candidates[..., 0].argmax(-1)
        sampled = candidates[np.arange(len(best)), best, 1][np.argsort(batch)][-phase.batch:]
        if not np.array_equal(sampled, logits[:, -1].argmax(-1)):
            self.failures.append(f"{phase.layout}: sampled tokens differ")

    def check_gspmd(self, phase, results, residual, logits):
        table = next(t for t in phase.weights() if t.dims == ("vocabulary", "embed"))
        place = lambda stored, size: [int(self.np.argmax(stored == i)) for i in range(size)]
        rows = place(phase.stored(phase.caches()[0], 0), phase.batch)
        words = place(phase.stored(table, 0), self.model["vocabulary"])
        columns = place(phase.stored(table, 1), self.model["embed_dim"])
        self.differ(f"{phase.layout}: GSPMD's residual",
                    self.np.asarray(results[1])[rows][..., columns], residual)
        self.differ(f"{phase.layout}: GSPMD's logits",
                    self.np.asarray(results[2])[rows][..., words], logits)

    def check_collectives(self, phase, found):
        """The compiled program's collectives against the plan's, op by op, per layer."""
        predicted = count = bytes_found = bytes_predicted = 0
        left = list(found)
        for op in phase.ops:
            if op["volume_bytes"] == 0:
                continue
            width = self.consumer.WIDTH[phase.tensors[op["terms"][0]["lhs"]].dtype]
            scopes = [f"layer_{i}/" for i in range(phase.layers)] if op["section"] == "layer" else [""]
            for scope in scopes:
                mine = [c for c in left if f"{scope}op_{op['index']}/" in c[0]]
                left = [c for c in left if c not in mine]
                volume = width * sum(c[3] for c in mine)
                terms = sum(c[2] for c in mine)
                ways = math.prod(phase.axes[a] for a in op["axes"])
                if {c[1] for c in mine} != {op["kind"]} or terms != len(op["terms"]) or \
                        volume != op["volume_bytes"] or any(c[4] > ways for c in mine):
                    self.failures.append(
                        f"{phase.layout}: {scope}op {op['index']}: predicted {len(op['terms'])} "
                        f"{op['kind']} of {op['volume_bytes']} bytes, found {mine}")
                predicted += len(op["terms"])
                bytes_predicted += op["volume_bytes"]
                bytes_found += volume
                count += terms
        if left:
            self.failures.append(f"{phase.layout}: not predicted: {left}")
        return {"predicted": predicted, "found": count, "predicted_bytes": bytes_predicted,
                "found_bytes": bytes_found}


def summary(found, prefix):
    """Count and bytes of GSPMD's collectives, every value taken as bf16, and their kinds."""
    kinds = {}
    for _, kind, *_ in found:
        kinds[kind] = kinds.get(kind, 0) + 1
    return {prefix: len(found), f"{prefix}_bytes": 2 * sum(c[3] for c in found),
            f"{prefix}_kinds": ", ".join(f"{n} {k}" for k, n in sorted(kinds.items()))}


def work(binary, chips, indices):
    """Runs cases on `chips` devices; one JSON line for each on standard output."""
    import jax
    jax.config.update("jax_enable_x64", True)
    if len(jax.devices()) != chips:
        sys.exit(f"{len(jax.devices())} devices, expected {chips}")
    for index in indices:
        with tempfile.TemporaryDirectory() as directory:
            execution = Execution(plan_document(binary, CASES[index], directory))
            try:
                rows = execution.run()
                execution.check_example(binary, directory)
            except ValueError as error:
                rows = []
                execution.failures.append(str(error))
        print(json.dumps({"case": index, "rows": rows, "failures": execution.failures,
                          "worst": execution.worst}), flush=True)


# --- the test -------------------------------------------------------------------------------------


def start(python, binary, chips, indices):
    # Compiling takes most of the time; what the code generator leaves out changes no collective.
    flags = (f"--xla_force_host_platform_device_count={chips} --xla_backend_optimization_level=0 "
             "--xla_llvm_disable_expensive_passes=true")
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3",
                   "XLA_FLAGS": flags}
    return subprocess.Popen([python, __file__, binary, "--work", str(chips), *map(str, indices)],
                            env=environment, stdout=subprocess.PIPE, text=True)


def run_all(python, binary):
    """Results by case. One process for each device count; the many 8-device cases take two."""
    by_chips = {}
    for index, case in enumerate(CASES):
        by_chips.setdefault(case.chips, []).append(index)
    batches = []
    for chips, indices in by_chips.items():
        halves = [indices[::2], indices[1::2]] if len(indices) > 8 else [indices]
        batches += [(chips, half) for half in halves]
    results = {}
    while batches:
        running = [(start(python, binary, *batch), batch) for batch in batches[:2]]
        batches = batches[2:]
        for process, (chips, indices) in running:
            out, _ = process.communicate()
            for line in out.splitlines():
                result = json.loads(line)
                results[result["case"]] = result
            if process.returncode != 0:
                sys.exit(f"the run on {chips} devices ended with {process.returncode}")
    return results


def kilobytes(value):
    return f"{value / 1e3:.1f}"


def table(results):
    lines = ["| slice | model | layout | phase | runs | numerics | collectives predicted = found | "
             "kB predicted = found | GSPMD alone: collectives, kB |",
             "|---|---|---|---|---|---|---|---|---|"]
    for index, case in enumerate(CASES):
        result = results[index]
        good = "yes" if not result["failures"] else "NO"
        for row in result["rows"]:
            lines.append(
                f"| {case.slice} | {case.model} | `{row['layout']}` | {row['phase']} | {good} | "
                f"{'equal' if result['worst'] <= TOLERANCE else 'NO'} | "
                f"{row['predicted']} = {row['found']} | "
                f"{kilobytes(row['predicted_bytes'])} = {kilobytes(row['found_bytes'])} | "
                f"{row['gspmd']} ({row['gspmd_kinds']}), {kilobytes(row['gspmd_bytes'])} |")
    return "\n".join(lines) + "\n"


BEGIN, END = "<!-- table: written by tests/jax/run.py -->\n", "<!-- end of table -->\n"


def check_docs(text, update):
    """Whether docs/runtimes.md holds the table; writes it there when asked to."""
    docs = DOCS.read_text(encoding="utf-8")
    head, rest = docs.split(BEGIN)
    current, tail = rest.split(END)
    if update and current != text:
        DOCS.write_text(head + BEGIN + text + END + tail, encoding="utf-8")
    return update or current == text


def skip(reason):
    required = os.environ.get("SLICEWISE_REQUIRE_JAX")
    print(f"{'failed' if required else 'skipped'}: {reason}; tests/jax/setup.sh installs it")
    sys.exit(1 if required else SKIPPED)


def main():
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    if "--work" in sys.argv:
        at = sys.argv.index("--work")
        return work(binary, int(sys.argv[at + 1]), [int(i) for i in sys.argv[at + 2:]])
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists():
        skip("JAX is not installed: there is no .venv")
    if subprocess.run([python, "-c", "import jax"], capture_output=True, check=False).returncode:
        skip("JAX cannot be imported from .venv")
    results = run_all(python, binary)
    failures = [f"{CASES[i].slice} {CASES[i].model} {CASES[i].layout}: {failure}"
                for i, result in sorted(results.items()) for failure in result["failures"]]
    failures += [f"{case.slice} {case.model} {case.layout}: did not run"
                 for index, case in enumerate(CASES) if index not in results]
    if not failures and not check_docs(table(results), "--update" in sys.argv):
        failures.append("docs/runtimes.md: the table is another; run.py BINARY --update rewrites it")
    for failure in failures[:40]:
        print(failure)
    if failures:
        sys.exit(f"{len(failures)} failures")
    print(f"{len(results)} plans executed by JAX; largest difference "
          f"{max(r['worst'] for r in results.values()):.0e}")


if __name__ == "__main__":
    main()
