#!/usr/bin/env python3
"""Holds the dependencies against deny.toml: licences, duplicates, wildcards, sources. Python 3.11, nothing else.

cargo-deny reads the same file and does more (advisories), but takes minutes to compile. What counts is what ends up in
the program or builds it: normal and build dependencies on the targets that deny.toml names, no tests.

    .ci/dependencies.py            in the project's folder; prints a summary, lists violations, exits 1 if there are any
    .ci/dependencies.py --test     checks the checker on planted faults
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

KNOWN_KEYS = {
    "graph": {"targets", "exclude-dev"},
    "licenses": {"allow"},
    "bans": {"multiple-versions", "wildcards", "skip"},
    "sources": {"unknown-registry", "unknown-git", "allow-registry"},
}
STRICT = [
    ("bans", "multiple-versions"),
    ("bans", "wildcards"),
    ("sources", "unknown-registry"),
    ("sources", "unknown-git"),
]


class Unusable(Exception):
    """An input that cannot be judged."""


def main():
    if sys.argv[1:] == ["--test"]:
        return self_test()
    if sys.argv[1:]:
        raise Unusable(f"unknown arguments {sys.argv[1:]}; see the head of this file")
    project = pathlib.Path(__file__).resolve().parents[1]
    rules = read_rules((project / "deny.toml").read_text(encoding="utf-8"))
    packages = {}
    for target in rules["graph"]["targets"]:
        packages |= chosen(cargo_metadata(project, target), built(project, target))
    violations = judge(packages, rules)
    for violation in violations:
        print(f"  {violation}")
    sources = {package["source"] for package in packages.values() if package["source"]}
    print(f"dependencies: {len(packages)} crates, {len(sources)} source(s), {len(violations)} violations of deny.toml")
    return 1 if violations else 0


def read_rules(text):
    rules = tomllib.loads(text)
    for section, keys in rules.items():
        unknown = set(keys) - KNOWN_KEYS.get(section, set())
        if unknown:
            raise Unusable(f"deny.toml: [{section}] has {sorted(unknown)}, which this script does not enforce")
    for section, keys in KNOWN_KEYS.items():
        missing = keys - set(rules.get(section, {}))
        if missing:
            raise Unusable(f"deny.toml: [{section}] lacks {sorted(missing)}")
    for section, key in STRICT:
        if rules[section][key] != "deny":
            raise Unusable(f"deny.toml: [{section}] {key} must be \"deny\"")
    if rules["graph"]["exclude-dev"] is not True:
        raise Unusable("deny.toml: [graph] exclude-dev must be true")
    for skip in rules["bans"]["skip"]:
        if set(skip) != {"crate", "reason"} or not skip["reason"].strip():
            raise Unusable(f"deny.toml: a skip needs a crate and a reason, and nothing else: {skip}")
    return rules


def cargo_metadata(project, target):
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    done = subprocess.run(command, cwd=project, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Unusable("cargo metadata failed; see above")
    return json.loads(done.stdout)


def built(project, target):
    """Name and version of each crate that is built for a target, tests aside: metadata lists more, since it unites the features that
    a crate is given on any target."""
    command = ["cargo", "tree", "--locked", "--workspace", "--target", target, "--edges", "normal,build"]
    done = subprocess.run(
        [*command, "--prefix", "none", "--format", "{p}"], cwd=project, stdout=subprocess.PIPE, text=True
    )
    if done.returncode != 0:
        raise Unusable("cargo tree failed; see above")
    return named(done.stdout)


def named(tree):
    """From lines such as `syn v2.0.119 (proc-macro) (*)`."""
    lines = [line.split() for line in tree.splitlines() if line.strip()]
    for line in lines:
        if len(line) < 2 or not line[1].startswith("v"):
            raise Unusable(f"cargo tree says {' '.join(line)!r}")
    return {(line[0], line[1].removeprefix("v")) for line in lines}


def chosen(metadata, names):
    """The packages of those names and versions, by id. All must be known."""
    found = {p["id"]: p for p in metadata["packages"] if (p["name"], p["version"]) in names}
    unknown = names - {(p["name"], p["version"]) for p in found.values()}
    if unknown:
        raise Unusable(f"cargo metadata does not know {sorted(unknown)}")
    return found


def judge(packages, rules):
    """All violations, in words, sorted."""
    violations = licence_violations(packages, set(rules["licenses"]["allow"]))
    violations += duplicate_violations(packages, rules["bans"]["skip"])
    allowed_sources = {f"registry+{registry}" for registry in rules["sources"]["allow-registry"]}
    for package in packages.values():
        name = f"{package['name']} {package['version']}"
        if package["source"] is not None and package["source"] not in allowed_sources:
            violations.append(f"source: {name} comes from {package['source']}")
        if package["source"] is None:
            for dependency in package["dependencies"]:
                if dependency["req"] == "*" and dependency["kind"] != "dev":
                    violations.append(f"wildcard: {name} takes any version of {dependency['name']}")
    return sorted(violations)


def licence_violations(packages, allowed):
    violations, needed = [], set()
    for package in packages.values():
        name = f"{package['name']} {package['version']}"
        if not package["license"]:
            violations.append(f"licence: {name} names none in its manifest")
            continue
        try:
            used = satisfied_by(package["license"], allowed)
        except Unusable as error:
            violations.append(f"licence: {name}: {error}")
            continue
        if used is None:
            violations.append(f"licence: {name} is under {package['license']!r}, not satisfied by {sorted(allowed)}")
        else:
            needed |= used
    violations += [f"licence: {licence} is allowed and no crate has it" for licence in sorted(allowed - needed)]
    return violations


def duplicate_violations(packages, skips):
    versions = {}
    for package in packages.values():
        versions.setdefault(package["name"], set()).add(package["version"])
    violations, unused = [], {skip["crate"] for skip in skips}
    for name, found in sorted(versions.items()):
        if len(found) == 1:
            continue
        skipped = {version: [s["crate"] for s in skips if matches(s["crate"], name, version)] for version in found}
        unused -= {crate for crates in skipped.values() for crate in crates}
        left = sorted(version for version, crates in skipped.items() if not crates)
        if len(left) > 1:
            violations.append(f"duplicate: {name} in the versions {', '.join(sorted(found))}")
    violations += [f"skip: {crate} is not a duplicate any more; remove it from deny.toml" for crate in sorted(unused)]
    return violations


def matches(spec, name, version):
    """Whether a skip such as `syn`, `syn@2.0.1` or `syn:^2` means this version."""
    parsed = re.fullmatch(r"([A-Za-z0-9_-]+)(?:@(\d+\.\d+\.\d+\S*)|:\^(\d+(?:\.\d+){0,2}))?", spec)
    if parsed is None:
        raise Unusable(f"deny.toml: {spec!r} is not understood; write name, name@1.2.3 or name:^1.2")
    spec_name, exact, caret = parsed.groups()
    if spec_name != name:
        return False
    if exact is not None:
        return version == exact
    return caret is None or is_compatible(caret, version)


def is_compatible(caret, version):
    """The caret rule of Cargo: at least that version, and no change in the leftmost part that is not zero."""
    wanted = [int(part) for part in caret.split(".")]
    have = [int(part) for part in re.split(r"[-+]", version)[0].split(".")]
    fixed = next((index + 1 for index, part in enumerate(wanted) if part), len(wanted))
    return have[:fixed] == wanted[:fixed] and have >= wanted


def satisfied_by(expression, allowed):
    """The allowed licences that satisfy an SPDX expression, None if they do not. `/` is the old way to write OR."""
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
    result, rest = parse_or(tokens, allowed)
    if rest:
        raise Unusable(f"licence expression {expression!r} is not understood")
    return result


def parse_or(tokens, allowed):
    result, tokens = parse_and(tokens, allowed)
    while tokens[:1] == ["OR"]:
        other, tokens = parse_and(tokens[1:], allowed)
        result = other if result is None else result if other is None else result | other
    return result, tokens


def parse_and(tokens, allowed):
    result, tokens = parse_one(tokens, allowed)
    while tokens[:1] == ["AND"]:
        other, tokens = parse_one(tokens[1:], allowed)
        result = None if result is None or other is None else result | other
    return result, tokens


def parse_one(tokens, allowed):
    if not tokens or tokens[0] in (")", "OR", "AND", "WITH"):
        raise Unusable("a licence expression that ends or joins too early")
    if tokens[0] == "(":
        result, tokens = parse_or(tokens[1:], allowed)
        if tokens[:1] != [")"]:
            raise Unusable("a licence expression with an open parenthesis")
        return result, tokens[1:]
    licence, tokens = tokens[0], tokens[1:]
    if tokens[:1] == ["WITH"]:
        if len(tokens) < 2:
            raise Unusable("a licence expression that ends after WITH")
        licence, tokens = f"{licence} WITH {tokens[1]}", tokens[2:]
    return ({licence} if licence in allowed else None), tokens


def self_test():
    allowed = {"MIT", "Apache-2.0", "Zlib"}
    for expression, satisfied in [
        ("MIT", True), ("GPL-3.0", False), ("GPL-3.0 OR MIT", True), ("GPL-3.0/MIT", True), ("MIT AND GPL-3.0", False),
        ("MIT AND GPL-3.0 OR Zlib", True), ("MIT AND (GPL-3.0 OR Zlib)", True), ("(MIT OR Zlib) AND GPL-3.0", False),
        ("Apache-2.0 WITH LLVM-exception", False), ("Apache-2.0 WITH LLVM-exception OR MIT", True), ("mit", False),
    ]:
        expect((satisfied_by(expression, allowed) is not None) == satisfied, expression)
    for broken in ["", "MIT OR", "(MIT", "MIT MIT", "AND MIT", "MIT WITH", "MIT)"]:
        try:
            satisfied_by(broken, allowed)
        except Unusable:
            continue
        expect(False, f"{broken!r} must not be understood")
    for spec, version, meant in [
        ("a", "9.9.9", True), ("a@1.2.3", "1.2.3", True), ("a@1.2.3", "1.2.4", False), ("a:^2", "2.9.1", True),
        ("a:^2", "3.0.0", False), ("a:^0.1", "0.1.14", True), ("a:^0.1", "0.2.0", False), ("a:^1.4", "1.3.9", False),
        ("b", "1.0.0", False), ("a:^0.0.3", "0.0.4", False),
    ]:
        expect(matches(spec, "a", version) == meant, f"{spec} and {version}")
    planted_faults_are_found()
    print("dependencies: the checker finds what was planted")
    return 0


def planted_faults_are_found():
    index = "registry+https://github.com/rust-lang/crates.io-index"

    def package(name, version, licence="MIT", source=index, dependencies=()):
        return {"name": name, "version": version, "license": licence, "source": source, "dependencies": dependencies}

    def found(*more, skip=()):
        listed = [package("root", "1.0.0", source=None), *more]
        rules = {"licenses": {"allow": ["MIT"]}, "bans": {"skip": [{"crate": s, "reason": "r"} for s in skip]}}
        rules["sources"] = {"allow-registry": ["https://github.com/rust-lang/crates.io-index"]}
        return [violation.split(":")[0] for violation in judge(dict(enumerate(listed)), rules)]

    two, three = package("a", "1.0.0"), (package("a", "1.0.0"), package("a", "2.0.0"), package("a", "3.0.0"))
    wildcard = {"name": "a", "req": "*", "kind": None}
    for violations, expected in [
        (found(two), []),
        (found(package("a", "1.0.0", "GPL-3.0")), ["licence"]),
        (found(package("a", "1.0.0", None)), ["licence"]),
        (found(package("a", "1.0.0", source="git+https://example.com/a")), ["source"]),
        (found(two, three[1]), ["duplicate"]),
        (found(two, three[1], skip=["a:^1"]), []),
        (found(*three, skip=["a:^1"]), ["duplicate"]),
        (found(two, skip=["a:^1"]), ["skip"]),
        (found(package("own", "1.0.0", source=None, dependencies=[wildcard])), ["wildcard"]),
    ]:
        expect(violations == expected, f"{violations} instead of {expected}")
    only_built_crates_are_judged()


def only_built_crates_are_judged():
    names = named("root v1.0.0 (/somewhere)\nsyn v2.0.1 (proc-macro)\nsyn v2.0.1 (proc-macro) (*)\n\na v1.0.0-rc.1+b\n")
    expect(names == {("root", "1.0.0"), ("syn", "2.0.1"), ("a", "1.0.0-rc.1+b")}, f"what is built: {names}")
    versions = [("root", "1.0.0"), ("syn", "2.0.1"), ("syn", "3.0.0"), ("a", "1.0.0-rc.1+b")]
    packages = [{"id": f"{name} {version}", "name": name, "version": version} for name, version in versions]
    found = set(chosen({"packages": packages}, names))
    expect(found == {"root 1.0.0", "syn 2.0.1", "a 1.0.0-rc.1+b"}, f"what is built: {found}")
    for fault in [lambda: named("nonsense"), lambda: chosen({"packages": packages[1:]}, names)]:
        try:
            fault()
        except Unusable:
            continue
        expect(False, "what it cannot understand")


def expect(condition, what):
    if not condition:
        raise SystemExit(f"dependencies: the checker is wrong about {what}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Unusable as error:
        sys.exit(f"dependencies: {error}")
