#!/usr/bin/env python3
"""The architecture test against trees that break its rules: each must be found, and a good one passed."""
import os
import subprocess
import sys
import tempfile

ARCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "arch.py")

PAGE = """
**A protocol outside its folder.** Rows:

| in `src/` | what |
|---|---|
| `proto/registry.c` | its line |
| `node/share_*.c` | links |

### 3.1 Dependency direction

| folder | may use (besides `base`) |
|---|---|
| net, http, node | – |
| proto | net |
| stream | net (a remark about http) |
| cmd | everything |

## 4. Next
"""

GOOD = {
    "docs/ARCHITECTURE.md": PAGE,
    "README.md": "[the map](docs/ARCHITECTURE.md), [elsewhere](https://example.org/)\n",
    "src/base/b.h": "struct b;\n",
    "src/net/n.h": '#include "base/b.h"\nstruct n;\n',
    "src/stream/s.h": '#include "net/n.h"\nint s(struct n *n);\n',
    "src/stream/s.c": '#include "stream/s.h"\n/* strcpy(a, b) */ int s(struct n *n) { return !"system(1)"; }\n',
    "src/cmd/c.c": '#include "stream/s.h"\n#include "http/h.h"\n',
    "src/http/h.h": "struct h;\n",
    "src/proto/registry.c": "const void *const all[] = {&noise_proto};\n",
    "src/proto/noise/noise.c": "int noise_proto;\n",
    "src/proto/noise/nz_in.c": "int nz_in;\n",
    "src/proto/noise/nz_out.c": "int nz_out;\n",
    "src/node/share_n.c": 'const char *scheme = "noise://";\n',
    "src/node/node.c": "/* as noise has it */ int node; // noise, nz_in\nint fuzz_nz, nz;\n",
}

# A program with two commands; `go` has an option that the page below lacks once it is replaced.
PROGRAM = """#!/bin/sh
case $1 in
-h) printf '  go    goes\\n  stay  stays\\n' ;;
go) printf '  -f, --fast N    so fast\\n      --far    so far\\n  -x  X    no name\\n' ;;
esac
"""
MANUAL = '.SS "weir go"\n\\fB\\-f\\fR, \\fB\\-\\-fast\\fR \\fIN\\fR, \\-\\-far, \\-x X\n.SS "weir stay"\n'
GOOD |= {"program": PROGRAM, "docs/manual/weir.1": MANUAL}

# What is added or replaced, the check that must find it, and a word of what it says.
BAD = [
    ("edges", {"src/net/n.c": '#include "stream/s.h"\n'}, "net may not use stream"),
    ("edges", {"src/stream/s.c": '#include "http/h.h"\n'}, "stream may not use http"),
    ("edges", {"src/stream/s.c": '#include "s.h"\n'}, "name the folder"),
    ("edges", {"src/stream/s.c": '#include "net/absent.h"\n'}, "no such header"),
    ("edges", {"src/odd/o.c": '#include "base/b.h"\n'}, "no line in the table"),
    ("cycles", {"src/net/m.h": '#include "net/n.h"\n', "src/net/n.h": '#include "net/m.h"\n'}, "headers go round"),
    ("cycles", {"docs/ARCHITECTURE.md": PAGE.replace("| net, http, node | – |", "| net, http, node | stream |")}, "the table goes round"),
    ("headers", {"src/net/n.h": "int n(struct undeclared u);\n"}, "does not compile alone"),
    ("calls", {"src/net/n.c": "void f(char *a) {\n\tstrcpy(a, a);\n}\n"}, "src/net/n.c:2: strcpy()"),
    ("libcrypto", {"src/net/n.c": "#include <openssl/evp.h>\n"}, "<openssl/evp.h> belongs to"),
    ("protocols", {"src/node/node.c": "int x;\nint a = NOISE_MAX;\n"}, "src/node/node.c:2: names NOISE"),
    ("protocols", {"src/node/node.c": 'const char *at = "http://noise";\n'}, "src/node/node.c:1: names noise"),
    ("protocols", {"src/node/node.c": "int a = info->nz.port;\n"}, "src/node/node.c:1: names ->nz"),
    ("protocols", {"src/node/node.c": "int a = conf.nz;\n"}, "src/node/node.c:1: names .nz"),
    ("protocols", {"src/node/node.c": "\nint a = nz_in;\n"}, "src/node/node.c:2: names nz_"),
    ("protocols", {"src/net/n.c": '#include "proto/noise/noise.h"\n'}, "src/net/n.c:1: names noise"),
    ("protocols", {"src/node/share_n.c": "int none;\n"}, "node/share_*.c names no protocol any more"),
    ("protocols", {"src/proto/registry.c": "int none;\n"}, "no protocols in src/proto/registry.c"),
    ("size", {"src/net/n.c": "\n" * 1000}, "1000 lines"),
    ("manual", {"docs/manual/weir.1": MANUAL.replace("\\-\\-far", "far")}, "`weir go` has --far"),
    ("manual", {"docs/manual/weir.1": MANUAL.replace("\\-x", "x")}, "`weir go` has -x"),
    ("manual", {"docs/manual/weir.1": MANUAL.replace("weir go", "weir stay")}, "`weir go` has --fast"),
    ("links", {"README.md": "[gone](docs/GONE.md)\n"}, "docs/GONE.md"),
]


def run(check, files):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)) or root, exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                f.write(text)
        more = sys.argv[1:] if check == "headers" else []
        if check == "manual":
            more = [os.path.join(root, "program")]
            os.chmod(more[0], 0o700)
        return subprocess.run([sys.executable, ARCH, root, check, *more], capture_output=True, text=True)


def main():
    wrong = []
    for check in sorted({c for c, _, _ in BAD}):
        done = run(check, GOOD)
        if done.returncode != 0:
            wrong.append(f"{check}: a good tree is refused: {done.stdout}{done.stderr}")
    for check, changes, word in BAD:
        done = run(check, GOOD | changes)
        if done.returncode == 0 or word not in done.stdout + done.stderr:
            wrong.append(f"{check}: expected '{word}', got: {done.stdout}{done.stderr}")
    print("\n".join(wrong))
    sys.exit(bool(wrong))


main()
