#!/usr/bin/env python3
"""Tells what a firmware's image is made of.

    report.py sizes IMAGE       flash and static RAM: the whole, and each crate's share of the flash
    report.py guard IMAGE LOG   fails if it takes more than it may; LOG is what it said as it ran
    report.py biggest IMAGE     the largest functions
    report.py files IMAGE       bytes by file and function of the source, wherever they were inlined
    report.py panics IMAGE      calls to panicking functions, by the line that makes them
    report.py allocator IMAGE   fails if the image has a symbol of an allocator

Needs arm-none-eabi-{nm,addr2line,readelf,objdump}: Debian's binutils-arm-none-eabi.
"""
import collections
import functools
import re
import subprocess
import sys

TOOL = "arm-none-eabi-"

# The most that the node on thumbv7m may take, in bytes: flash, and static RAM with the stack at its deepest.
FLASH = 96 * 1024
RAM = 36 * 1024


def run(tool, *words, given=None):
    done = subprocess.run((TOOL + tool,) + words, check=True, capture_output=True, text=True, input=given)
    return done.stdout.splitlines()


def sections(image):
    """Name, address, size and flags of each section that has a place in memory."""
    for line in run("readelf", "-SW", image):
        match = re.match(r"\s*\[ *\d+\] (\S+)\s+\S+\s+(\w+) \w+ (\w+) \w+\s+(\w*)", line)
        if match and "A" in match[4]:
            yield match[1], int(match[2], 16), int(match[3], 16), match[4]


def measure(image):
    """Bytes of flash and of static RAM."""
    flash = ram = 0
    for name, address, size, flags in sections(image):
        if address >= 0x2000_0000:
            ram += size
        # Variables with a first value lie in both.
        if address < 0x2000_0000 or name == ".data":
            flash += size
    return flash, ram


def symbols(image):
    """Address, size and demangled name of each symbol that has a size, in order."""
    for line in run("nm", "-CSn", image):
        match = re.match(r"(\w{8}) (\w{8}) (\w) (.*)", line)
        if match:
            yield int(match[1], 16) & ~1, int(match[2], 16), match[3], match[4]


def origins(image, addresses):
    """For each address the chain of (function, file, line) that it is of, innermost first."""
    given = "".join("{:#x}\n".format(a) for a in addresses)
    chains = []
    lines = iter(run("addr2line", "-afiCe", image, given=given))
    for line in lines:
        if re.fullmatch(r"0x[0-9a-f]{8}", line):
            chains.append([])
        else:
            where = re.match(r"(.*):(\d+|\?)", next(lines))
            chains[-1].append((line, where[1], where[2]))
    return chains


def crate(path):
    match = re.search(r"/registry/src/[^/]+/(.+?)-\d[^/]*/", path)
    if match:
        return match[1]
    for mark, name in (("raet-core/", "raet-core"), ("raet-embedded/src", "raet-embedded"),
                       ("firmware/src", "firmware"), ("compiler-builtins", "compiler_builtins"),
                       ("compiler_builtins", "compiler_builtins"), ("/library/", "core")):
        if mark in path:
            return name
    return "?"


def code(image):
    """The functions of the image: address, size, name."""
    return [(a, s, n) for a, s, kind, n in symbols(image) if kind in "tT" and s]


def sizes(image):
    flash, ram = measure(image)
    print("flash {:6}  static RAM {:6}   {}".format(flash, ram, image))
    addresses = [at for start, size, _ in code(image) for at in range(start, start + size, 4)]
    by_crate = collections.Counter()
    for chain in origins(image, addresses):
        # What `core` and the like do is done for the first crate up the chain that is none of them.
        names = [crate(path) for _, path, _ in chain]
        own = [n for n in names if n not in ("core", "compiler_builtins", "?")]
        by_crate[own[0] if own else names[0] if names else "?"] += 4
    for name, size in by_crate.most_common():
        print("  {:6}  {}".format(size, name))
    print("  {:6}  constants, vectors and variables".format(flash - sum(by_crate.values())))


def files(image, count=100):
    """What a line of ours makes `core` do is that line's."""
    addresses = [at for start, size, _ in code(image) for at in range(start, start + size, 2)]
    by_file, by_function = collections.Counter(), collections.Counter()
    for chain in origins(image, addresses):
        own = [c for c in chain if crate(c[1]) not in ("core", "compiler_builtins", "?")] or chain
        if own:
            function, path, _ = own[0]
            path = re.sub(r".*/(registry/src/[^/]+/|library/|(?=raet-|firmware/))", "", path)
            by_file[path] += 2
            by_function[path, re.sub(r"<.*>", "", function).split("::")[-1]] += 2
    for path, size in by_file.most_common(count):
        print("{:6} {}".format(size, path))
    for (path, function), size in by_function.most_common(count):
        print("{:6} {} {}".format(size, path, function))


def calls(image, wanted):
    """The addresses of calls and jumps to functions whose names match, with those names."""
    targets = {a: n for a, _, n in code(image) if re.search(wanted, n)}
    name = ""
    for line in run("objdump", "-dC", "--no-show-raw-insn", image):
        match = re.match(r"([0-9a-f]{8}) <(.*)>:", line)
        if match:
            name = match[2]
            continue
        match = re.match(r"\s*([0-9a-f]+):\s+(bl|b|b\.n|b\.w|b[a-z]{2}\.[nw]|bl?x?)\s+([0-9a-f]+) <", line)
        if match and int(match[3], 16) in targets and name not in targets.values():
            yield int(match[1], 16), targets[int(match[3], 16)]


# Every way into a panic that `core` has, but not the handler itself.
PANICS = (r"^(core::panicking::|core::(option|result)::(expect|unwrap)_failed|core::slice::index::.*fail"
          r"|core::str::slice_error_fail|core::cell::panic|.*len_mismatch_fail)")


def panics(image):
    found = collections.defaultdict(list)
    # A function of `core` that calls one of these is itself a way in, unless it was inlined.
    wanted = PANICS
    while True:
        places = list(calls(image, wanted))
        owners = {owner(image, at) for at, _ in places}
        more = sorted(n for n in owners if re.match(r"(core::|<(core::|\[)|compiler_builtins)", n)
                      and not re.search(wanted, n))
        if not more:
            break
        wanted += "".join("|^{}$".format(re.escape(n)) for n in more)
    for (_, target), chain in zip(places, origins(image, [a for a, _ in places])):
        # Who made the call that `core` or a helper made in its name.
        own = [c for c in chain if crate(c[1]) not in ("core", "compiler_builtins", "?")] or chain
        _, path, line = own[0]
        found[crate(path)].append((path.split("/src/")[-1], line, target.split("::")[-1]))
    for name in sorted(found):
        print("{}: {} calls".format(name, len(found[name])))
        for path, line, target in sorted(found[name]):
            print("  {}:{} {}".format(path, line, target))


@functools.cache
def code_by_address(image):
    return code(image)


def owner(image, address):
    """The name of the function that an address lies in."""
    return next((n for a, size, n in code_by_address(image) if a <= address < a + size), "")


def allocator(image):
    found = [n for _, _, _, n in symbols(image) if re.search(r"__rust_alloc|__rg_alloc|alloc::alloc", n)]
    if found:
        sys.exit("symbols of an allocator: " + ", ".join(found))
    print("no symbol of an allocator")


def guard(image, log):
    """Fails if the node has grown beyond what it may take."""
    flash, static = measure(image)
    with open(log) as lines:
        stack = max(int(line.split()[-1]) for line in lines if re.match(r"\s*node: stack \d+$", line))
    ram = static + stack
    print("flash {} of {}, static RAM {} and stack {} of {}".format(flash, FLASH, static, stack, RAM))
    if flash > FLASH or ram > RAM:
        sys.exit("the node has grown: make it smaller, or say in report.py why it may take more")


def biggest(image, count=60):
    for start, size, name in sorted(code(image), key=lambda f: -f[1])[:count]:
        print("{:6} {}".format(size, name))


COMMANDS = {"sizes": sizes, "guard": guard, "biggest": biggest, "files": files, "panics": panics,
            "allocator": allocator}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
