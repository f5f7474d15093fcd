#!/usr/bin/env python3
"""Makes a small Debian of its own in a folder, without a network: .ci/clean_root.py ROOT PACKAGE...

It holds the named packages and all they depend on, as they are installed here, with their entries in dpkg's database, and nothing else of this
machine: no other program, user or configuration. Root alone can make it.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

BASE = ("base-files", "base-passwd", "bash", "coreutils", "dash", "diffutils", "dpkg", "findutils", "grep", "gzip", "libc-bin", "sed", "tar", "xz-utils", "util-linux")
INFO = pathlib.Path("/var/lib/dpkg/info")


def stanzas():
    """The entry of each installed package in dpkg's database."""
    found = {}
    for text in pathlib.Path("/var/lib/dpkg/status").read_text(encoding="utf-8").split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", text, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            found[fields["Package"]] = (text, fields)
    return found


def closure(known, wanted):
    """Those and all they depend on; of alternatives the first that is here."""
    provided = {}
    for name, (_, fields) in known.items():
        for virtual in re.split(r",\s*", fields.get("Provides", "")):
            provided.setdefault(virtual.split(" ")[0], name)
    needed, left = set(), list(wanted)
    while left:
        name = left.pop()
        if name in needed:
            continue
        if name not in known:
            sys.exit(f"clean_root: {name} is not installed here")
        needed.add(name)
        fields = known[name][1]
        for group in re.split(r",\s*", ", ".join(fields[key] for key in ("Pre-Depends", "Depends") if key in fields)):
            names = [re.split(r"[ (:]", choice.strip())[0] for choice in group.split("|")]
            here = [choice if choice in known else provided.get(choice) for choice in names]
            left.extend([choice for choice in here if choice][:1])
    return sorted(needed)


def main(root, *wanted):
    root = pathlib.Path(root)
    known = stanzas()
    packages = closure(known, [*BASE, *wanted])
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "proc", "run", "tmp", "root", "etc", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"):
        (root / name).mkdir(parents=True, exist_ok=True)
    listed = subprocess.run(["dpkg-query", "-L", *packages], check=True, capture_output=True, text=True).stdout
    paths = set(listed.split("\n"))
    for package in packages:
        for file in [*INFO.glob(f"{package}.*"), *INFO.glob(f"{package}:*.*")]:
            shutil.copy2(file, root / "var/lib/dpkg/info")
    # documents and texts in other languages are large, and no program needs them
    kept = sorted(path[1:] for path in paths if os.path.lexists(path) and path not in ("", "/.", "/bin", "/sbin", "/lib", "/lib64")
                  and not path.startswith(("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/etc/alternatives")))
    pack = subprocess.Popen(["tar", "-C", "/", "--no-recursion", "-cf", "-", "-T", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    unpack = subprocess.Popen(["tar", "-C", str(root), "--keep-directory-symlink", "-xpf", "-"], stdin=pack.stdout)
    pack.stdin.write("\n".join(kept).encode())
    pack.stdin.close()
    if unpack.wait() != 0 or pack.wait() != 0:
        sys.exit("clean_root: the files could not be copied")
    (root / "var/lib/dpkg/status").write_text("\n\n".join(known[name][0].strip("\n") for name in packages) + "\n\n", encoding="utf-8")
    for name in ("passwd", "group"):
        shutil.copy(f"/usr/share/base-passwd/{name}.master", root / "etc" / name)
    (root / "tmp").chmod(0o1777)
    for name, minor in (("null", 3), ("zero", 5), ("urandom", 9)):
        os.mknod(root / "dev" / name, 0o020666, os.makedev(1, minor))
        os.chmod(root / "dev" / name, 0o666)
    subprocess.run(["chroot", root, "/sbin/ldconfig"], check=True)
    print(f"a root of its own with {len(packages)} packages")


if __name__ == "__main__":
    main(*sys.argv[1:])
