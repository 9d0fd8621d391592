"""Asks cargo what the workspace is made of; .ci/run tells what for.

    workspace.py features     a line `package feature` for each way to build a published crate
    workspace.py direction    fails if a dependency points the wrong way
"""
import json
import subprocess
import sys

# What each crate may know of the others.
MAY_USE = {
    "raet-core": set(),
    "raet-std": {"raet-core"},
    "raet-embedded": {"raet-core"},
    "raet-tests": {"raet-core", "raet-std", "raet-embedded"},
}

# What a sans-IO engine has no use for, at any depth of its dependencies.
NEVER_IN_CORE = {"getrandom", "mio", "quinn-udp", "smoltcp", "socket2", "tokio"}


def cargo(*words):
    return subprocess.run(("cargo",) + words, check=True, capture_output=True, text=True).stdout


def packages():
    return json.loads(cargo("metadata", "--locked", "--no-deps", "--format-version=1"))["packages"]


def features():
    for package in packages():
        if package["publish"] == []:
            continue
        print(package["name"])
        for feature in sorted(package["features"]):
            print(package["name"], feature)


def direction():
    wrong = []
    for package in packages():
        name = package["name"]
        used = {d["name"] for d in package["dependencies"]} & set(MAY_USE)
        wrong += ["{} must not use {}".format(name, far) for far in sorted(used - MAY_USE[name] - {name})]
    tree = cargo("tree", "--locked", "--package", "raet-core", "--all-features", "--edges", "normal",
                 "--prefix", "none", "--format", "{p}")
    under = {line.split()[0] for line in tree.splitlines() if line}
    wrong += ["raet-core draws in {}".format(far) for far in sorted(under & NEVER_IN_CORE)]
    if wrong:
        sys.exit("\n".join(wrong))
    print("raet-core stands on {} crates, none of them an adapter's".format(len(under) - 1))


{"features": features, "direction": direction}[sys.argv[1]]()
