#!/usr/bin/env python3
"""Follows docs/tutorial.md by copy and paste, from a fresh clone in an empty folder, and measures how long a newcomer takes.

    .ci/tutorial.py [--program FOLDER] [--keep]

The commands are those of the page, in its order, in one shell. With --program the programs of that folder are used and nothing
is built. Ends with 0 when a score, a trained model and a rollback were seen and nothing is locked at the end.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

PROJECT = pathlib.Path(__file__).resolve().parent.parent
DONE = "---- done"


def commands():
    """The commands of the page, those too that its test does not run."""
    text = (PROJECT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


class Shell:
    def __init__(self, folder):
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            text=True,
        )

    def run(self, command):
        """What it prints, and how it ends."""
        # a pasted command does not read the next one
        stdin = "" if command.endswith("&") else " </dev/null"
        self.process.stdin.write(f"{{ {command}\n}}{stdin}\necho '{DONE}' $?\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line.startswith(DONE):
                return "".join(lines), int(line.split()[-1])
            lines.append(line)
        raise SystemExit(f"the shell ended at: {command}\n{''.join(lines)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, help="a folder with a built vigie")
    parser.add_argument("--keep", action="store_true", help="leave the folder")
    arguments = parser.parse_args()
    place = pathlib.Path(tempfile.mkdtemp(prefix="tutorial-"))
    seen = {}
    began = time.monotonic()

    def reached(what):
        if what not in seen:
            seen[what] = time.monotonic() - began
            print(f"**** {what}: {seen[what] / 60:.2f} min", flush=True)

    clone = place / "vigie"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(PROJECT), str(clone)], check=True)
    shell = Shell(clone)
    try:
        if arguments.program:
            shell.run(f'export PATH="{arguments.program.resolve()}:$PATH"')
        said = ""
        for command in commands():
            if arguments.program and command.startswith("cargo "):
                continue
            print(f"$ {command}", flush=True)
            said, code = shell.run(command)
            print("\n".join(said.splitlines()[-12:]), flush=True)
            if command.endswith("&"):
                until = time.monotonic() + 30
                while not (clone / "vigie-state" / "vigie.sock").exists():
                    if time.monotonic() > until:
                        raise SystemExit("the daemon does not listen")
                    time.sleep(0.05)
            elif code != 0 and "--reason 'looks good'" not in command and not command.startswith(("wait", "kill")):
                raise SystemExit(f"{command}: exit code {code}\n{said}")
            if command.startswith("cargo build"):
                reached("built")
            if command.startswith("vigie score") and "reason" in said:
                reached("first score")
            if command.startswith("vigie train") and "registered as" in said:
                reached("trained model")
            if command.startswith("vigie top") and "rolled_back" in said:
                reached("rollback seen")
            if command.startswith("vigie status"):
                if "LOCKED" in said:
                    raise SystemExit("it is locked at the end")
                reached("unlocked again")
    finally:
        # the shell ends its daemon, if the page did not
        shell.process.stdin.write("kill $(jobs -p) 2>/dev/null; wait\n")
        shell.process.stdin.close()
        shell.process.wait(30)
        if not arguments.keep:
            shutil.rmtree(place, ignore_errors=True)
    missing = {"first score", "trained model", "rollback seen", "unlocked again"} - seen.keys()
    if missing:
        raise SystemExit(f"never seen: {', '.join(sorted(missing))}")
    print("  ".join(f"{what} {seconds / 60:.2f} min" for what, seconds in seen.items()))


if __name__ == "__main__":
    sys.exit(main())
