"""The clients, each behind the same two methods, so that one set of tests holds for all of them.

The Python clients run in this process, those in C and C# as programs of their own (``c/tests/driver.c``,
``csharp/tests/Driver.cs``), which are compiled here.
"""

import asyncio
import atexit
import collections
import functools
import json
import math
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

CLIENTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CLIENTS / "python"))

import vigie  # noqa: E402
from fake_daemon import HttpServer, Server, decision_for, over_http, replies  # noqa: E402

#: A decision, the same for every client; ``bits`` are those of the confidence, None if there is none.
Said = collections.namedtuple("Said", "ok trade_id arm bits score size model reason code field elapsed")
WARM = {"trade_id": "T-1", "confidence": 0.62, "features": {"vwap_trend_signal": 0.71}}
IDLE = {}
FOLDER = tempfile.TemporaryDirectory(prefix="vigie-clients-")
atexit.register(FOLDER.cleanup)


def bits(number):
    return None if number is None else struct.pack(">d", float(number)).hex()


def number(written):
    return struct.unpack(">d", bytes.fromhex(written))[0]


def _said(decision, elapsed):
    error = decision.error or {"code": "", "field": None}
    return Said(
        decision.ok, decision.trade_id, decision.arm, bits(decision.confidence), decision.score, decision.size,
        decision.model or "", decision.reason, error["code"], error["field"] or "", elapsed,
    )  # fmt: skip


def _recorded(send):
    try:
        stored = send()
    except vigie.NotAcknowledged as error:
        return {"acknowledged": False, "code": error.code, "temporary": error.temporary, "field": error.field or ""}
    except ValueError:
        return {"acknowledged": False, "code": "invalid_request", "temporary": False, "field": ""}
    return {"acknowledged": True, "duplicate": stored.duplicate, "code": "", "temporary": False}


class Gateway:
    """The real gateway before the daemon at the socket ``path``."""

    def __init__(self, path):
        program = os.path.join(os.path.dirname(os.environ.get("VIGIE_BINARY", "")), "vigie-web")
        if not os.access(program, os.X_OK):
            raise unittest.SkipTest("no vigie-web beside vigie; `cargo build -p vigie-web` builds it")
        self.token = token_of(program)
        self.process = subprocess.Popen(
            [program, "gateway", "--listen", "127.0.0.1:0", "--socket", path, "--traders", f"{FOLDER.name}/traders"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.address = self.process.stdout.readline().decode().split()[2].removesuffix("/v1/")

    def close(self):
        self.process.kill()
        self.process.stdout.close()
        self.process.wait()


@functools.lru_cache(maxsize=None)
def token_of(program):
    return run([program, "trader", "tests", "--traders", f"{FOLDER.name}/traders"]).strip()


class Python:
    """The blocking client."""

    make = staticmethod(vigie.Client)

    def __init__(self, path, token=None):
        self.client = self.make(path, token=token)
        self.decision = None
        self.pid = os.getpid()

    def close(self):
        self.client.close()

    def score(self, signal, deadline):
        start = time.monotonic()
        self.decision = self.client.score(signal, deadline)
        return _said(self.decision, time.monotonic() - start)

    def outcome(self, trade_id, metrics, timeout=2.0, with_decision=False):
        decision = self.decision if with_decision else None
        return _recorded(lambda: self.client.outcome(trade_id, metrics, decision, timeout))

    def skip(self, trade_id, reason, timeout=2.0):
        return _recorded(lambda: self.client.skip(trade_id, reason, timeout))


class Asyncio(Python):
    """The client for asyncio."""

    make = staticmethod(vigie.AsyncClient)

    def __init__(self, path, token=None):
        self.loop = asyncio.new_event_loop()
        super().__init__(path, token)

    def close(self):
        self.loop.run_until_complete(self.client.aclose())
        self.loop.close()

    def score(self, signal, deadline):
        start = time.monotonic()
        self.decision = self.loop.run_until_complete(self.client.score(signal, deadline))
        return _said(self.decision, time.monotonic() - start)

    def outcome(self, trade_id, metrics, timeout=2.0, with_decision=False):
        decision = self.decision if with_decision else None
        return _recorded(
            lambda: self.loop.run_until_complete(self.client.outcome(trade_id, metrics, decision, timeout))
        )

    def skip(self, trade_id, reason, timeout=2.0):
        return _recorded(lambda: self.loop.run_until_complete(self.client.skip(trade_id, reason, timeout)))


class Program:
    """A client in another language: a program that reads requests from its standard input."""

    command = ()
    environment = {}

    def __init__(self, path, token=None):
        idle = IDLE.setdefault(type(self), [])
        self.process = idle.pop() if idle else self.start()
        self.pid = self.process.pid
        self.open(path, token)

    def open(self, path, token=None):
        self.ask("open", path, *([] if token is None else [token]))

    def start(self):
        self.process = subprocess.Popen(
            self.build(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=FOLDER.name,
            env={**os.environ, **self.environment},
        )  # fmt: skip
        # a runtime that compiles while it runs must have seen everything once before a deadline is measured
        for kind, make, token in (
            (Server, decision_for, None), (HttpServer, lambda request: over_http(decision_for(request)), "x")
        ):  # fmt: skip
            with kind(replies(make)) as server:
                self.open(server.path, token)
                for _ in range(20):
                    self.score(WARM, 10.0)
                self.skip("T-1", "x", 10.0)
            self.open(server.path, token)
            self.score(WARM, 10.0)
        self.open(server.path.replace("http://", "/nonexistent/"))
        self.score(WARM, 10.0)
        return self.process

    def close(self):
        """Leaves the program to the next test, without a connection."""
        self.ask("open", "/nonexistent/vigie.sock")
        IDLE[type(self)].append(self.process)

    @staticmethod
    def end_all():
        """The sanitizers have their last word when a program ends."""
        for program in [program for idle in IDLE.values() for program in idle]:
            program.stdin.close()
            program.stdout.close()
            if program.wait(60) != 0:
                raise AssertionError(f"{program.args} ended with {program.returncode}")
        IDLE.clear()

    def ask(self, *fields):
        self.process.stdin.write("\t".join(fields).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the program of the client ended with {self.process.wait(30)}")
        return json.loads(line)

    def score(self, signal, deadline):
        members = dict(signal)
        trade_id, confidence = members.pop("trade_id"), members.pop("confidence", None)
        said = self.ask(
            "score", trade_id, bits(confidence) or "nan", str(math.floor(deadline * 1e6)), json.dumps(members)
        )
        own = said["confidence_bits"]
        return Said(
            said["ok"], said["trade_id"], said["arm"],
            None if own == "none" or math.isnan(struct.unpack(">d", bytes.fromhex(own))[0]) else own,
            said["score"], said["size"], said["model"], said["reason"], said["error_code"], said["error_field"],
            said["elapsed_us"] / 1e6,
        )  # fmt: skip

    def outcome(self, trade_id, metrics, timeout=2.0, with_decision=False):
        fields = (trade_id, str(int(timeout * 1e6)), json.dumps(metrics), "yes" if with_decision else "no")
        return self.ask("outcome", *fields)

    def skip(self, trade_id, reason, timeout=2.0):
        return self.ask("skip", trade_id, str(int(timeout * 1e6)), reason)


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-g")
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@functools.lru_cache(maxsize=None)
def compile_c(source, *options):
    """The program that a C file of clients/c makes; skips where no compiler is."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        raise unittest.SkipTest("no C compiler")
    built = f"{FOLDER.name}/{pathlib.Path(source).stem}-{len(options)}"
    run([compiler, *STRICT, *options, "-o", built, CLIENTS / "c" / source, "-lm"])
    return built


@functools.lru_cache(maxsize=None)
def compile_csharp(name, *sources, define=""):
    """The command that runs what these files of clients/csharp make; skips where no compiler is."""
    compiler, runtime = shutil.which("mcs"), shutil.which("mono")
    if compiler is None or runtime is None:
        raise unittest.SkipTest("no C# compiler (mcs and mono; Debian has mono-mcs and mono-runtime)")
    built = f"{FOLDER.name}/{name}.exe"
    files = [CLIENTS / "csharp" / source for source in sources]
    defined = [f"-d:{define}", "-r:System.Core.dll"] if define else []
    run([compiler, "-warn:4", "-warnaserror", *defined, f"-out:{built}", *files])
    return [runtime, built]


class C(Program):
    """The C client, with the sanitizers looking on."""

    def build(self):
        return [compile_c("tests/driver.c", *SANITIZED)]


class InterruptedC(C):
    """The same, interrupted by a signal every millisecond."""

    environment = {"VIGIE_TEST_INTERRUPT": "1"}


class PlainC(C):
    """Optimised and without sanitizers, whose own memory would hide a leak."""

    def build(self):
        return [compile_c("tests/driver.c", "-O2")]


class CSharp(Program):
    """The C# client, as for .NET Standard 2.0."""

    define = ""

    def build(self):
        return compile_csharp(f"driver{self.define}", "Vigie.cs", "tests/Driver.cs", define=self.define)


class NewerCSharp(CSharp):
    """The same with the framework's own address of a Unix socket, as for .NET Standard 2.1 and .NET 5."""

    define = "NETSTANDARD2_1_OR_GREATER"


class OverHttp:
    """A client before the real gateway, and that before the daemon at ``path``."""

    def __init__(self, path):
        self.gateway = Gateway(path)
        try:
            super().__init__(self.gateway.address, self.gateway.token)
        except BaseException:
            self.gateway.close()
            raise

    def close(self):
        super().close()
        self.gateway.close()


class HttpPython(OverHttp, Python):
    pass


class HttpAsyncio(OverHttp, Asyncio):
    pass


class HttpC(OverHttp, C):
    pass


class HttpCSharp(OverHttp, CSharp):
    pass
