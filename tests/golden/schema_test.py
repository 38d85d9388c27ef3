"""Every document that slicewise writes or reads matches its JSON Schema in configs/schemas.

Usage: schema_test.py SOURCE_DIRECTORY BINARY

Checks the schemas themselves, every golden JSON, live output of every command, every preset, and
that damaged documents (a missing key, an extra key, a wrong type) are rejected at every depth.
Needs python3-jsonschema (4.10, Debian 12, or later).
"""

import copy
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError:
    sys.exit("schema_test.py needs the Debian package python3-jsonschema")

SETTING = "--model palm-540b --slice 4x4x4"
SMALL = "--model palm-540b --slice 2x2x2"
DATA = "tests/config/data"

# schema -> command lines whose standard output it describes.
LIVE = {
    "plan": [
        f"plan {SETTING} --decode-batch 64 --weights int8",
        f"plan {SETTING} --phase prefill --calibration roofline --top 1000",
        f"plan {SETTING} --context 100 --fixed-context --pad-heads 64 --network paper",
        f"plan {SETTING} --layout Ex.Fyz/ws/Bxyz/Ex --objective cost --scope layers",
        f"plan {SMALL}",  # nothing fits
        f"plan {SMALL} --layout Exyz/ws/Bxyz --batch 8",  # priced although it does not fit
        f"plan {SETTING} --pad-heads 7",  # nothing is legal
        "plan --model figure-3 --slice 4x4x8_twisted --batch 64",
        f"plan --model {DATA}/mistral-7b.json --slice 2x2x2",  # with a note
        f"plan {SETTING} --ttft 100ms --tpot 1ms --min-context 4096 --prefill-chunk 512",
        "plan --model palm-62b --max-chips 16 --batch 1..8 --weights bf16,int8 --layouts all",
        "plan --model palm-8b --slice all --max-chips 8 --batch 1,64 --same-layout --tpot 30ms",
        "plan --model palm-540b --max-chips 16",  # nothing fits
    ],
    "pareto": [
        "pareto --model palm-62b --max-chips 16 --batch 1..8 --weights bf16,int8",
        "pareto --model palm-540b --max-chips 16 --phase decode",
    ],
    "explain": [
        f"explain {SETTING} --decode-batch 64",
        f"explain {SETTING} --layout Ex.Fyz/wg-xyz/Bxyz --batch 512 --network paper",
        f"explain {SMALL}",
        "explain --model figure-3 --slice 4x4x4 --phase prefill",
        "explain --model llama-3-8b --slice 2x2x2 --decode-batch 8 --logits all",
    ],
    "capacity": [
        f"capacity {SETTING} --decode-batch 64",
        f"capacity {SETTING} --pad-heads 64 --kv-budget 30%",
        f"capacity {SMALL}",
    ],
    "validation": [
        "validate",
        "validate --calibration roofline --network paper",
    ],
    "calibration": ["calibrate pope2022 -o -"],
    "list": ["list", "list models", "list chips", "list slices", "list calibrations",
             "list layouts --slice 2x2x4"],
    "verify": [f"verify {SMALL} --layout Ex.Fyz/ws/Bxyz"],
    "baseline": ["check --init configs/scenarios/grid.json"],
    "check": ["check tests/baseline/presets.json"],
    "diff": ["diff tests/golden/data/plan.json tests/baseline/presets.json"],
}

# Plans whose export to JAX is a document too.
EXPORTED = [f"plan {SETTING} --decode-batch 64", "plan --model llama-3-8b --slice 2x2x4 --batch 8",
            f"plan {SETTING} --phase decode --batch 64"]

PRESETS = {"models": "model", "chips": "chip", "calibrations": "calibration",
           "measurements": "measurements", "scenarios": "baseline"}


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


class Schemas:
    """Validators of configs/schemas, which refer to one another by file name."""

    def __init__(self, folder):
        self.documents = {path.name.removesuffix(".schema.json"): load(path)
                          for path in sorted(folder.glob("*.schema.json"))}
        by_id = {document["$id"]: document for document in self.documents.values()}
        for document in self.documents.values():
            jsonschema.Draft202012Validator.check_schema(document)
        try:
            import referencing  # jsonschema 4.18 and later
            registry = referencing.Registry().with_resources(
                (name, referencing.Resource.from_contents(document))
                for name, document in by_id.items())
            options = lambda document: {"registry": registry}
        except ImportError:
            options = lambda document: {
                "resolver": jsonschema.RefResolver.from_schema(document, store=by_id)}
        self.validators = {
            name: jsonschema.Draft202012Validator(document, **options(document))
            for name, document in self.documents.items()}

    def error(self, name, document):
        """What is wrong with the document, or None."""
        error = jsonschema.exceptions.best_match(self.validators[name].iter_errors(document))
        if error is None:
            return None
        path = "/".join(str(step) for step in error.absolute_path)
        return f"/{path}: {error.message[:300]}"


def open_objects(node, path="#"):
    """Places of a schema that describe an object but let unknown keys pass."""
    if isinstance(node, dict):
        if node.get("type") == "object" and "additionalProperties" not in node:
            yield path
        for key, value in node.items():
            yield from open_objects(value, f"{path}/{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from open_objects(value, f"{path}/{index}")


def trimmed(node):
    """The document with one element in each array of objects: all that damaged() visits."""
    if isinstance(node, dict):
        return {key: trimmed(value) for key, value in node.items()}
    if isinstance(node, list) and node and isinstance(node[0], dict):
        return [trimmed(node[0])]
    return node


def damaged(document, path=()):
    """Copies of the document, each with one member removed, added, or of the wrong type.

    Of an array only the first element is visited. Yields what was done and the document.
    """
    node = document
    for step in path:
        node = node[step]

    def edited(change):
        twin = copy.deepcopy(document)
        place = twin
        for step in path:
            place = place[step]
        change(place)
        return twin

    at = "/" + "/".join(str(step) for step in path)
    if isinstance(node, dict):
        def add(place):
            place["not_a_key"] = 1
        yield "extra", f"{at}: an extra key", edited(add)
        for key, value in node.items():
            def remove(place, key=key):
                del place[key]
            yield "missing", f"{at}: no {key}", edited(remove)
            def retype(place, key=key, value=value):
                place[key] = [] if not isinstance(value, list) else {}
            yield "type", f"{at}: {key} of a wrong type", edited(retype)
            if isinstance(value, (dict, list)):
                yield from damaged(document, path + (key,))
    elif isinstance(node, list) and node:
        def retype_first(place):
            place[0] = [place[0]]
        yield "type", f"{at}: element of a wrong type", edited(retype_first)
        if isinstance(node[0], (dict, list)):
            yield from damaged(document, path + (0,))


def is_free_form(what):
    """Sources, terms of a cost and tables of tensors may have any key, and so may lack any."""
    return "/terms:" in what or what.startswith(
        ("/sources:", "/weights:", "/phases/prefill/tensors:", "/phases/decode/tensors:"))


# Keys that a document may lack.
OPTIONAL = {
    "plan": {"/phases: no prefill", "/phases: no decode", "/sweep/phases: no prefill",
             "/sweep/phases: no decode", "/: no sweep"},
    "pareto": {"/phases: no prefill", "/phases: no decode"},
    "chip": {"/: no host_bandwidth"},
    "explain": {"/phases: no prefill", "/phases: no decode"},
    "list": {f"/: no {key}" for key in ("models", "chips", "slices", "calibrations", "layouts")},
    "calibration": {f"/: no {key}"
                    for key in ("schema", "chip", "provenance", "intervals", "range")} |
                   {"/provenance: no fit", "/provenance: no holdout"} |
                   {f"no {key}" for key in ("unit", "standard_error", "status", "meaning",
                                            "source")},
    "measurements": {f"/: no {key}" for key in ("title", "chip", "notes", "figure3", "table1")} |
                    {f"/rows/0: no {key}" for key in (
                        "padded_heads", "context", "fixed_context", "logits", "weights",
                        "activations", "kv_cache", "scope", "mfu", "decode_layers", "note")},
    "model": {"/: no nominal_parameters", "/: no biases", "/: no query_key_norm",
              "/biases: no attention_qkv", "/biases: no attention_output"},
    "capacity": set(),
    "baseline": {"/: no comment", "/: no history", "no accepted", "no decode_batch", "no prefill",
                 "no decode", "no deployment"},
    "jax": {"/phases: no prefill", "/phases: no decode"},
}


def may_lack(name, what):
    allowed = OPTIONAL.get(name, set())
    return (what in allowed or what.split(": ", 1)[1] in allowed or is_free_form(what) or
            "/by_reason:" in what)


class Checker:
    def __init__(self, schemas):
        self.schemas = schemas
        self.failures = []
        self.accepted = 0
        self.rejected = 0
        self.seen = set()

    def accept(self, name, document, origin):
        self.accepted += 1
        self.seen.add(name)
        error = self.schemas.error(name, document)
        if error is not None:
            self.failures.append(f"{origin} does not match {name}.schema.json: {error}")

    def reject_damaged(self, name, document, origin):
        validator = self.schemas.validators[name]
        document = trimmed(document)
        self.accept(name, document, f"{origin}, trimmed,")
        for kind, what, twin in damaged(document):
            if kind == "missing" and may_lack(name, what):
                continue
            if kind == "extra" and is_free_form(what):
                continue
            self.rejected += 1
            if validator.is_valid(twin):
                self.failures.append(f"{origin}, {what}: accepted by {name}.schema.json")


def check_presets(checker, configs):
    for folder, name in PRESETS.items():
        files = sorted((configs / folder).glob("*.json"))
        if not files:
            checker.failures.append(f"configs/{folder} holds no preset")
        for path in files:
            checker.accept(name, load(path), str(path))
        if files:
            checker.reject_damaged(name, load(files[-1]), str(files[-1]))


def check_goldens(checker, folder):
    goldens = sorted(folder.glob("*.json"))
    if not goldens:
        checker.failures.append(f"{folder} holds no JSON")
    for path in goldens:
        document = load(path)
        name = document["schema"].removeprefix("slicewise-").split("/")[0]
        checker.accept(name, document, str(path))


def check_live(checker, source, binary):
    for name, requests in LIVE.items():
        for request in requests:
            args = request.split() + ([] if name in ("calibration", "baseline") else ["--format", "json"])
            run = subprocess.run([binary, *args], cwd=source, capture_output=True, text=True,
                                 check=False)
            if run.returncode not in (0, 3):
                checker.failures.append(f"{request}: exit code {run.returncode}: {run.stderr}")
                continue
            document = json.loads(run.stdout)
            checker.accept(name, document, request)
            if request == requests[0]:
                checker.reject_damaged(name, document, request)


def check_exports(checker, source, binary):
    for request in EXPORTED:
        plan = subprocess.run([binary, *request.split(), "--format", "json"], cwd=source,
                              capture_output=True, check=True)
        run = subprocess.run([binary, "export", "-", "--to", "jax"], input=plan.stdout,
                             capture_output=True, check=False)
        if run.returncode != 0:
            checker.failures.append(f"export of {request}: {run.stderr}")
            continue
        document = json.loads(run.stdout)
        checker.accept("jax", document, f"export of {request}")
        if request == EXPORTED[0]:
            checker.reject_damaged("jax", document, f"export of {request}")


def check_reader_agrees(checker, source, binary):
    """What the binary's own reader accepts of a damaged model, the schema accepts, and vice versa."""
    model = load(source / "configs/models/falcon-40b.json")
    for kind, what, twin in damaged(model):
        if what.startswith("/sources") or kind == "missing":
            continue  # sources must name every number: beyond a schema
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(twin, file)
            file.flush()
            run = subprocess.run([binary, "plan", "--model", file.name, "--slice", "2x2x2"],
                                 capture_output=True, text=True, check=False)
        if (run.returncode == 2) == checker.schemas.validators["model"].is_valid(twin):
            checker.failures.append(f"model, {what}: schema and reader disagree: {run.stderr}")


def main():
    source, binary = pathlib.Path(sys.argv[1]), str(pathlib.Path(sys.argv[2]).resolve())
    schemas = Schemas(source / "configs/schemas")
    checker = Checker(schemas)
    for name, document in schemas.documents.items():
        for place in open_objects(document):
            checker.failures.append(f"{name}.schema.json: {place} lets unknown keys pass")
    check_presets(checker, source / "configs")
    check_goldens(checker, source / "tests/golden/data")
    check_live(checker, source, binary)
    check_exports(checker, source, binary)
    check_reader_agrees(checker, source, binary)
    for name in sorted(set(schemas.documents) - checker.seen):
        checker.failures.append(f"{name}.schema.json describes no document that was seen")
    for failure in checker.failures[:50]:
        print(failure, file=sys.stderr)
    if checker.failures:
        sys.exit(f"{len(checker.failures)} failures")
    print(f"{len(schemas.documents)} schemas: {checker.accepted} documents accepted, "
          f"{checker.rejected} damaged ones rejected")


if __name__ == "__main__":
    main()
