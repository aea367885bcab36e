#!/usr/bin/env python3
"""arch.py ROOT CHECK [ARGUMENT...] - the rules of docs/ARCHITECTURE.md that a program can look after.

  edges             every #include "x/y.h" in src stands on a line of the layer table (section 3.1)
  cycles            neither the table nor the headers go round in a circle
  headers CC...     every header of src compiles alone
  calls             none of the calls that we do without
  libcrypto         OpenSSL's headers only where the table's remark allows them
  protocols         a protocol is named where the table of section 3 says, and nowhere else
  size              no file has grown beyond MAX_LINES
  options PROGRAM   the option reference is what the schema tables say
  manual PROGRAM    weir(1) has every option that a command's -h has
  links             the relative links of the pages lead somewhere
"""
import fnmatch
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

MAX_LINES = 700

# Folders whose business OpenSSL is; all others go through their interfaces.
OPENSSL = {"crypto", "tls", "cert", "quic"}

BANNED = {
    "strcpy": "no bound; snprintf or memcpy",
    "strcat": "no bound; wr or snprintf",
    "stpcpy": "no bound",
    "sprintf": "no bound; snprintf",
    "vsprintf": "no bound; vsnprintf",
    "gets": "no bound",
    "strtok": "keeps global state; rd or strchr",
    "strncpy": "may leave no end; snprintf or memcpy",
    "atoi": "tells no errors; rd or strtol",
    "atol": "tells no errors",
    "atoll": "tells no errors",
    "alloca": "no bound",
    "system": "a shell; posix_spawn",
    "popen": "a shell; posix_spawn",
    "tmpnam": "a race; mkstemp",
    "mktemp": "a race; mkstemp",
    "rand": "predictable; crypto/random or the loop's",
    "srand": "predictable",
    "random": "predictable",
    "drand48": "predictable",
    "localtime": "keeps global state; localtime_r",
    "gmtime": "keeps global state; gmtime_r",
    "ctime": "keeps global state",
    "asctime": "keeps global state",
    "strerror": "keeps global state; err_text",
    "inet_ntoa": "keeps global state; addr_format",
    "gethostbyname": "blocks, keeps global state",
    "select": "no descriptors above 1023",
    "signal": "unclear semantics; sigaction or signalfd",
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.M)


def sources(root, *suffixes):
    for folder, _, names in sorted(os.walk(os.path.join(root, "src"))):
        for name in sorted(names):
            if name.endswith(suffixes):
                yield os.path.relpath(os.path.join(folder, name), root)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


def without_comments(text, literals=False):
    """Blanks comments, and string and character literals unless these are wanted; lines keep their numbers."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''

    def blank(m):
        if literals and m.group(0)[0] != "/":
            return m.group(0)
        return re.sub(r"[^\n]", " ", m.group(0))

    return re.sub(pattern, blank, text, flags=re.S)


def layers(root):
    """The table of section 3.1: folder -> set of folders that it may include."""
    text = read(root, "docs/ARCHITECTURE.md")
    section = text.split("### 3.1", 1)[1].split("\n## ", 1)[0]
    table = {"base": {"base"}}
    for line in section.splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if not line.startswith("|") or len(cells) < 2 or cells[0] in ("folder", "---"):
            continue
        words = re.findall(r"[a-z0-9]+", re.sub(r"\(.*?\)", "", cells[1]))
        if "everything" in words:
            # `everything above`, `everything`: the lines so far
            words = [w for w in table if w != "base"]
        for folder in re.findall(r"[a-z0-9]+", cells[0]):
            table[folder] = {"base", folder} | set(words)
    for folder, uses in table.items():
        for u in uses - set(table):
            raise SystemExit(f"docs/ARCHITECTURE.md: {folder} may use {u}, which has no line")
    return table


def includes(root):
    for path in sources(root, ".c", ".h"):
        text = read(root, path)
        for m in INCLUDE.finditer(text):
            yield path, text.count("\n", 0, m.start()) + 1, m.group(1)


def check_edges(root):
    table = layers(root)
    for path, line, target in includes(root):
        own, folder = path.split("/")[1], target.split("/")[0]
        if "/" not in target:
            yield f'{path}:{line}: "{target}": name the folder too'
        elif not os.path.exists(os.path.join(root, "src", target)):
            yield f'{path}:{line}: "{target}": no such header in src'
        elif own not in table:
            yield f"{path}:{line}: folder {own} has no line in the table of docs/ARCHITECTURE.md"
        elif folder not in table[own]:
            yield f'{path}:{line}: {own} may not use {folder} ("{target}")'


def circles(graph):
    done, path = set(), []

    def walk(at):
        if at in path:
            yield path[path.index(at):] + [at]
            return
        if at in done:
            return
        path.append(at)
        for to in sorted(graph.get(at, ())):
            yield from walk(to)
        path.pop()
        done.add(at)

    for start in sorted(graph):
        yield from walk(start)


def check_cycles(root):
    allowed = {a: {b for b in bs if b not in ("base", a)} for a, bs in layers(root).items()}
    for c in circles(allowed):
        yield "docs/ARCHITECTURE.md: the table goes round: " + " -> ".join(c)
    headers = {}
    for path, _, target in includes(root):
        if path.endswith(".h"):
            headers.setdefault(path[4:], set()).add(target)
    for c in circles(headers):
        yield "headers go round: " + " -> ".join(c)


def check_headers(root, *cc):
    def compiles(path):
        run = subprocess.run(
            [*cc, "-fsyntax-only", "-std=gnu17", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror",
             "-D_GNU_SOURCE", "-Isrc", "-x", "c", "-"],
            input=f'#include "{path[4:]}"\n', cwd=root, capture_output=True, text=True)
        return None if run.returncode == 0 else f"{path} does not compile alone:\n{run.stderr}"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from filter(None, pool.map(compiles, list(sources(root, ".h"))))


def check_calls(root):
    call = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED))
    for path in sources(root, ".c", ".h"):
        text = without_comments(read(root, path))
        for m in call.finditer(text):
            yield f"{path}:{text.count(chr(10), 0, m.start()) + 1}: {m.group(1)}(): {BANNED[m.group(1)]}"


def check_libcrypto(root):
    for path in sources(root, ".c", ".h"):
        m = re.search(r"^\s*#\s*include\s*<(openssl/[^>]+)>", read(root, path), re.M)
        if m and path.split("/")[1] not in OPENSSL:
            yield f"{path}: <{m.group(1)}> belongs to {', '.join(sorted(OPENSSL))}"


def short_names(root, names):
    """What most files of a protocol's folder begin with, where that is not its name: `ss` of shadowsocks."""
    for name in names:
        folder = os.path.join(root, "src/proto", name)
        files = [f for f in os.listdir(folder) if f.endswith((".c", ".h"))]
        begin = [m.group(1) for m in (re.match(r"([a-z0-9]+)_", f) for f in files) if m]
        for short in set(begin) - set(names):
            if 2 * begin.count(short) > len(files):
                yield short


def check_protocols(root):
    """The registry's protocols in code and strings (comments may compare) of files without a row."""
    registry = read(root, "src/proto/registry.c")
    names = re.findall(r"&([a-z0-9]+)_proto\b", registry)
    page = read(root, "docs/ARCHITECTURE.md")
    table = page.split("**A protocol outside its folder.**", 1)[1].split("\n### ", 1)[0]
    rows = [p for line in table.splitlines() if line.startswith("| `") for p in re.findall(r"`([^`]+)`", line.split("|")[1])]
    if not names or not rows:
        yield "no protocols in src/proto/registry.c, or no table of them in docs/ARCHITECTURE.md"
    word = re.compile("|".join(names + [rf"\b{s}_|(?:\.|->){s}\b" for s in short_names(root, names)]), re.I)
    used = set()
    for path in sources(root, ".c", ".h"):
        if any(path.startswith(f"src/proto/{n}") for n in names):
            continue
        text = without_comments(read(root, path), literals=True)
        m = word.search(text)
        if not m:
            continue
        allowed = {r for r in rows if fnmatch.fnmatchcase(path[4:], r)}
        used |= allowed
        if not allowed:
            yield f"{path}:{text.count(chr(10), 0, m.start()) + 1}: names {m.group(0)}; behind struct proto, or a row of the table in docs/ARCHITECTURE.md"
    for row in rows:
        if row not in used:
            yield f"docs/ARCHITECTURE.md: {row} names no protocol any more"


def check_size(root):
    for path in sources(root, ".c", ".h"):
        lines = read(root, path).count("\n")
        if lines > MAX_LINES:
            yield f"{path} has {lines} lines: a file that has grown a second subject is two files"


def check_options(root, program):
    printed = subprocess.run([program, "check", "--reference"], capture_output=True, text=True)
    page = "docs/manual/configuration.md"
    if printed.returncode != 0:
        yield f"{program} check --reference: status {printed.returncode}: {printed.stderr.strip()}"
    elif printed.stdout != read(root, page):
        yield f"{page} is not what the schema tables say; `./dev docs` writes it"


def helps(program):
    """Every command that takes options -> what its -h prints."""
    waiting, seen = [[]], {}
    while waiting:
        command = waiting.pop()
        done = subprocess.run([program, *command, "-h"], capture_output=True, text=True, timeout=60)
        seen[" ".join(command)] = done.stdout
        waiting += [command + [w] for w in re.findall(r"^  ([a-z][a-z0-9-]*)  +\S", done.stdout, re.M)]
    return seen


def check_manual(root, program):
    """What -h tells of options stands in weir(1), in a section named after the command."""
    page = "docs/manual/weir.1"
    same_as = {"server": "run", "ssserver": "ss-manager", "config validate": "check",
               "yassp-server": "yassp"}
    sections = {name: text for name, text in re.findall(r'^\.SS "?weir ([^"\n]*?)"?\n(.*?)(?=^\.S|\Z)', read(root, page), re.M | re.S)}
    told = helps(program)
    if len(told) < 2:
        yield f"{program} -h lists no commands"
    for command, text in sorted(told.items()):
        options = re.findall(r"^  (?:-(\w)[, ] |    )(?:--([a-z0-9-]+))?", text, re.M)
        section = sections.get(same_as.get(command, command), "")
        section = re.sub(r"\\f.", " ", section).replace("\\-", "-")
        there = set(re.findall(r"(?<![\w-])--?([\w][\w-]*)", section))
        for letter, name in options:
            wanted = name or letter
            if wanted and wanted not in there:
                yield f"{page}: `weir {command}` has {'--' if name else '-'}{wanted}"


def check_links(root):
    pages = [p for p in os.listdir(root) if p.endswith(".md")]
    for folder, _, names in os.walk(os.path.join(root, "docs")):
        pages += [os.path.relpath(os.path.join(folder, n), root) for n in names if n.endswith(".md")]
    for page in sorted(pages):
        text = re.sub(r"```.*?```", "", read(root, page), flags=re.S)
        for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text):
            where = os.path.join(root, os.path.dirname(page), target)
            if "://" not in target and not target.startswith("mailto:") and not os.path.exists(where):
                yield f"{page}: link to {target}, which is not there"


def main():
    root, name, *arguments = sys.argv[1:]
    wrong = list(globals()["check_" + name](root, *arguments))
    for line in wrong:
        print(line)
    if wrong:
        print(f"{len(wrong)} in all")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
