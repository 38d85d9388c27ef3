"""A room includes only rooms of lower rank (docs/contributing.md), and files stay within bounds."""

import pathlib
import re
import sys

RANK = {"units": 0, "hardware": 1, "model": 1, "workload": 1, "layout": 2, "program": 3, "cost": 4,
        "emulator": 4, "search": 5, "calibrate": 5, "config": 6, "report": 6, "cli": 7}
MAX_HEADER_LINES = 200
MAX_SOURCE_LINES = 800


def offences(root):
    for base in ("include/slicewise", "src"):
        for path in sorted((root / base).rglob("*")):
            if path.suffix not in (".h", ".cc"):
                continue
            room = path.relative_to(root / base).parts[0]
            text = path.read_text()
            for included in re.findall(r'#include "slicewise/(\w+)/', text):
                # A room's own headers are its own; equal rank is another room.
                if included != room and RANK[included] >= RANK[room]:
                    yield f"{path.relative_to(root)}: {room} includes {included}"
            limit = MAX_HEADER_LINES if path.suffix == ".h" else MAX_SOURCE_LINES
            if len(text.splitlines()) > limit:
                yield f"{path.relative_to(root)}: more than {limit} lines"
            if path.parts[-2] != "main" and re.search(r"\bstd::(cout|cerr|exit)\b|\bgetenv\b", text):
                yield f"{path.relative_to(root)}: libraries neither print, exit nor read the environment"


def main():
    found = list(offences(pathlib.Path(sys.argv[1])))
    print("\n".join(found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
