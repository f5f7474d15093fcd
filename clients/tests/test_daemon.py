"""The clients against the real daemon, and everything that their documents show. VIGIE_BINARY names a built vigie."""

import asyncio
import json
import logging
import os
import pathlib
import pickle
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
import uuid

import talkers
import vigie
from talkers import CLIENTS, bits

BINARY = os.environ.get("VIGIE_BINARY")
PROJECT = CLIENTS.parent
SIGNAL = json.loads((PROJECT / "examples" / "signal.json").read_text())
METRICS = {"exit_at": "2025-10-23T17:20:00Z", "pnl": 137.5, "exit_reason": "take_profit"}
LONG = 10.0


class Daemon:
    """A daemon in a folder of its own, with a model in production that answers every signal."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="vigie-daemon-")
        self.socket = os.path.join(self.folder.name, "vigie-state", "vigie.sock")
        # time enough for a machine that is busy with other things, and a model that is not taken down by the tests' trades
        pathlib.Path(self.folder.name, "vigie.toml").write_text(
            "[server]\ndeadline_us = 1000000\n[scoring]\nholdback = 0\n[lifecycle]\nstage_validated = false\n"
            "[guardian]\nliteral = true\nmin_accuracy = 0\nmax_loss_streak = 99\ndaily_loss_factor = 100\n"
        )
        self.vigie("import", PROJECT / "examples" / "signals.jsonl.gz")
        self.vigie("train", "--keep", "--config", "vigie.toml")
        self.start()
        self.vigie("promote", "ES/1", "--to", "production", "--override", "--reason", "the tests of the clients")

    def vigie(self, *arguments):
        return talkers.run([BINARY, *arguments], cwd=self.folder.name)

    def start(self):
        with open(os.path.join(self.folder.name, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "run", "--config", "vigie.toml"], cwd=self.folder.name, stdout=log, stderr=log
            )
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                with vigie.Client(self.socket) as client:
                    client.ping()
                return
            except vigie.RequestFailed:
                time.sleep(0.02)
        raise AssertionError(pathlib.Path(self.folder.name, "log").read_text())

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        ended = self.process.wait(30)
        self.folder.cleanup()
        if ended != 0:
            raise AssertionError(f"the daemon ended with {ended}")


DAEMON = None


def setUpModule():
    global DAEMON
    if BINARY is None:
        raise unittest.SkipTest("VIGIE_BINARY names no built vigie")
    DAEMON = Daemon()


def tearDownModule():
    talkers.Program.end_all()
    if DAEMON is not None:
        DAEMON.end()


def fresh(**fields):
    return {**SIGNAL, "trade_id": f"CL-{uuid.uuid4().hex}", **fields}


class Life:
    """The tests; a subclass names the client."""

    talker = None

    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.client = self.talker(DAEMON.socket)
        self.addCleanup(self.client.close)

    def test_a_model_speaks_and_its_answer_is_handed_on(self):
        said = self.client.score(fresh(), LONG)
        self.assertEqual((said.ok, said.arm, said.model, said.reason), (True, "ml", "ES/1", "production"), said)
        own, blended = SIGNAL["confidence"], talkers.number(said.bits)
        self.assertAlmostEqual(blended, (own + said.score) / 2, delta=1e-12)

    def test_a_life_of_a_trade(self):
        # one of which the model is not heard: its word would be silenced by the outcome that contradicts
        signal = {name: SIGNAL[name] for name in ("symbol", "side", "at", "confidence")} | {"features": {}}
        signal["trade_id"] = fresh()["trade_id"]
        trade_id = signal["trade_id"]
        self.assertTrue(self.client.score(signal, LONG).ok)
        first = self.client.outcome(trade_id, METRICS, LONG, with_decision=True)
        self.assertEqual((first["acknowledged"], first["duplicate"]), (True, False), first)
        again = self.client.outcome(trade_id, METRICS, LONG, with_decision=True)
        self.assertEqual((again["acknowledged"], again["duplicate"]), (True, True), again)
        other = self.client.outcome(trade_id, {**METRICS, "pnl": 1.0}, LONG)
        self.assertEqual((other["acknowledged"], other["code"], other["temporary"]), (False, "conflict", False), other)
        self.assertTrue(self.client.skip(fresh()["trade_id"], "spread too wide", LONG)["acknowledged"])

    def test_a_neutral_answer_keeps_every_bit_and_names_the_fault(self):
        for own in (0.1 + 0.2, 1 / 3, 5e-324, 1 - 2**-53, 0.0):
            said = self.client.score(fresh(symbol="ZZ", confidence=own), LONG)
            self.assertEqual((said.arm, said.reason, said.bits), ("baseline", "unknown_symbol", bits(own)), said)
            said = self.client.score(fresh(sied="long", confidence=own), LONG)
            self.assertEqual((said.ok, said.reason, said.code, said.field, said.bits),
                             (False, "invalid_request", "unknown_field", "sied", bits(own)), said)  # fmt: skip

    def test_two_thousand_signals(self):
        answered = sum(self.client.score(fresh(), LONG).arm == "ml" for _ in range(2000))
        self.assertEqual(answered, 2000)

    def test_a_daemon_that_is_killed_and_started_again(self):
        self.assertTrue(self.client.score(fresh(), LONG).ok)
        DAEMON.kill()
        try:
            for _ in range(50):
                said = self.client.score(fresh(), 0.05)
                got = (said.ok, said.arm, said.bits, said.score, said.size, said.reason)
                self.assertEqual(got, (False, "baseline", bits(SIGNAL["confidence"]), 0.5, 1.0, "unreachable"), said)
                self.assertLess(said.elapsed, 0.3)
            self.assertIs(self.client.outcome("T-1", METRICS)["temporary"], True)
        finally:
            DAEMON.start()
        until = time.monotonic() + 30
        while not (said := self.client.score(fresh(), LONG)).ok:  # a pause of a second at most
            self.assertLess(time.monotonic(), until, said)
            time.sleep(0.01)
        self.assertEqual(said.model, "ES/1")

    def test_a_daemon_that_is_stopped_costs_the_deadline(self):
        self.assertTrue(self.client.score(fresh(), LONG).ok)
        DAEMON.process.send_signal(signal.SIGSTOP)
        try:
            said = self.client.score(fresh(), 0.05)
            self.assertEqual((said.ok, said.reason), (False, "deadline"), said)
            self.assertLess(said.elapsed, 0.3)
        finally:
            DAEMON.process.send_signal(signal.SIGCONT)
        after = fresh()
        said = self.client.score(after, LONG)
        self.assertEqual((said.ok, said.trade_id), (True, after["trade_id"]), said)
        # what a new connection sends soon after a stop may have waited through it, so it counts as late
        until = time.monotonic() + 30
        while self.first_reason() == "deadline":
            self.assertLess(time.monotonic(), until)
            time.sleep(0.01)

    def first_reason(self):
        client = self.talker(DAEMON.socket)
        try:
            return client.score(fresh(), LONG).reason
        finally:
            client.close()


class PythonTest(Life, unittest.TestCase):
    talker = talkers.Python


class AsyncioTest(Life, unittest.TestCase):
    talker = talkers.Asyncio


class CTest(Life, unittest.TestCase):
    talker = talkers.C


class CSharpTest(Life, unittest.TestCase):
    talker = talkers.CSharp


class NewerCSharpTest(Life, unittest.TestCase):
    talker = talkers.NewerCSharp


class HttpPythonTest(Life, unittest.TestCase):
    talker = talkers.HttpPython


class HttpAsyncioTest(Life, unittest.TestCase):
    talker = talkers.HttpAsyncio


class HttpCTest(Life, unittest.TestCase):
    talker = talkers.HttpC


class HttpCSharpTest(Life, unittest.TestCase):
    talker = talkers.HttpCSharp


def code(document, language):
    """The blocks of one language in a document, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


class DocumentTest(unittest.TestCase):
    """Examples and documents, as a reader would run them."""

    def run_in_daemon(self, command, *arguments, **options):
        return talkers.run([*command, DAEMON.socket, *arguments], **options)

    def test_the_c_example(self):
        built = talkers.compile_c("example.c", *talkers.SANITIZED)
        trade_id = fresh()["trade_id"]
        said = self.run_in_daemon([built], trade_id)
        self.assertRegex(said, r"\A(ml|baseline): confidence 0\.\d{4}, \d contracts, \w+\n")
        self.assertIn("the outcome is on disk\n", said)
        self.assertIn("and was before", self.run_in_daemon([built], trade_id))
        gone = subprocess.run([built, "/nonexistent", trade_id], capture_output=True, text=True)
        self.assertEqual((gone.returncode, gone.stdout), (1, "baseline: confidence 0.6200, 2 contracts, unreachable\n"))
        self.assertIn("send it again later", gone.stderr)

    def test_the_csharp_example(self):
        command = talkers.compile_csharp("example", "Vigie.cs", "Example.cs")
        trade_id = fresh()["trade_id"]
        said = self.run_in_daemon(command, trade_id)
        self.assertRegex(said, r"\A(ml|baseline): confidence 0\.\d{4}, \d contracts, \w+\n")
        self.assertIn("the outcome is on disk", said)
        gone = subprocess.run([*command, "/nonexistent", trade_id], capture_output=True, text=True)
        self.assertEqual(gone.stdout, "baseline: confidence 0.6200, 2 contracts, unreachable\n")

    def test_the_command_lines_of_the_readmes(self):
        for folder, language in (("c", "sh"), ("csharp", "sh")):
            if folder == "csharp" and not shutil.which("mcs"):
                continue
            with tempfile.TemporaryDirectory() as copy:
                for name in os.listdir(CLIENTS / folder):
                    if (CLIENTS / folder / name).is_file():
                        shutil.copy(CLIENTS / folder / name, copy)
                os.symlink(os.path.dirname(DAEMON.socket), os.path.join(copy, "vigie-state"))
                blocks = code(CLIENTS / folder / "README.md", language)
                self.assertTrue(blocks)
                for block in blocks:
                    said = talkers.run(["sh", "-e", "-c", block], cwd=copy)
                    self.assertIn("the outcome is on disk", said)

    def test_the_snippets_of_the_python_readme(self):
        done = []
        for snippet in code(CLIENTS / "python" / "README.md", "python"):
            if "market()" in snippet or "unsent.glob" in snippet:
                continue  # clients/python/test_vigie.py runs these
            with tempfile.TemporaryDirectory() as folder:
                os.symlink(os.path.dirname(DAEMON.socket), os.path.join(folder, "vigie-state"))
                # with time enough for a machine that is busy with other things
                snippet = snippet.replace('"/run/vigie/vigie.sock"', '"vigie-state/vigie.sock", deadline=10.0')
                before = (
                    "import json\n"
                    f"SIGNAL = {fresh()!r}\n"
                    "made = []\n"
                    "def find_signal(bar):\n"
                    "    return dict(SIGNAL, metadata={'setup': 'green base'})\n"
                    "def remember(signal, decision):\n"
                    "    made.append(decision)\n"
                )
                if "read_export" in snippet:
                    if not has_pandas():
                        continue
                    DAEMON.vigie("export", "--what", "snapshots", "--format", "csv", "--output", f"{folder}/snapshots.csv")
                pathlib.Path(folder, "snippet.py").write_text(before + snippet)
                environment = {**os.environ, "PYTHONPATH": str(CLIENTS / "python")}
                done.append(talkers.run([sys.executable, "snippet.py"], cwd=folder, env=environment))
        said = "".join(done)
        self.assertGreaterEqual(len(done), 3 if has_pandas() else 2)
        self.assertIn("production", said)

    def test_the_python_example_of_an_execution_engine(self):
        example = CLIENTS / "python" / "examples" / "execution.py"
        environment = {**os.environ, "PYTHONPATH": str(CLIENTS / "python")}
        said = self.run_in_daemon([sys.executable, str(example)], str(PROJECT / "examples" / "signal.json"), env=environment)
        self.assertRegex(said, r"asked for .* traded \d of 3 contracts")
        self.assertIn("acknowledged", said)

    def test_the_snippets_about_the_gateway(self):
        gateway = talkers.Gateway(DAEMON.socket)
        self.addCleanup(gateway.close)
        [snippet] = code(PROJECT / "docs" / "gateway.md", "python")
        snippet = snippet.replace("http://127.0.0.1:8178", gateway.address).replace("token=", "deadline=10.0, token=")
        program = f"signal = {fresh()!r}\n{snippet}\nprint(decision.reason)"
        environment = {**os.environ, "PYTHONPATH": str(CLIENTS / "python"), "VIGIE_TOKEN": gateway.token}
        self.assertEqual(talkers.run([sys.executable, "-c", program], env=environment), "production\n")
        # the client's command line
        command = [sys.executable, str(CLIENTS / "python" / "vigie.py"), "--socket", gateway.address, "status"]
        self.assertEqual(json.loads(talkers.run(command, env=environment))["status"]["trader"], "tests")

    def test_the_strategy_of_ninjatrader_compiles(self):
        [snippet] = code(PROJECT / "docs" / "gateway.md", "csharp")
        stub = """
            using System; using System.Collections.Generic;
            public enum State { DataLoaded, Realtime, Terminated }
            public class Strategy {
                protected State State; protected DateTime[] Time;
                protected virtual void OnStateChange() { } protected virtual void OnBarUpdate() { }
                protected bool MyOwnRuleSaysBuy() { return true; } protected void EnterLong(int contracts, string name) { }
            }
            static class Program { static void Main() { new WithVigie(); } }
        """
        source = pathlib.Path(talkers.FOLDER.name, "WithVigie.cs")
        source.write_text(stub + snippet)
        talkers.run(talkers.compile_csharp("ninjatrader", "Vigie.cs", str(source)))

    def test_an_alert_of_tradingview_becomes_an_order(self):
        gateway = talkers.Gateway(DAEMON.socket)
        self.addCleanup(gateway.close)
        [text] = code(PROJECT / "docs" / "gateway.md", "json")
        values = {"{{ticker}}": "ES1!", "{{strategy.order.action}}": "sell", "{{timenow}}": SIGNAL["at"]}
        values.update({"{{time}}": f"2025-10-23T17:00:00Z-{uuid.uuid4().hex[:8]}"})
        values.update({'{{plot("volume")}}': "0.6", '{{plot("momentum")}}': "NaN"})
        for name, value in values.items():
            text = text.replace(name, value)
        self.assertNotIn("{{", text)
        example = CLIENTS / "python" / "examples" / "webhook.py"
        environment = {**os.environ, "PYTHONPATH": str(CLIENTS / "python"), "VIGIE_TOKEN": gateway.token}
        for path in (gateway.address, DAEMON.socket):
            process = subprocess.Popen(
                [sys.executable, str(example), path, "0"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            try:
                address = process.stdout.readline().decode().split()[2]
                # they say nothing, and an alert does not wait for them
                silent = [socket.create_connection(("127.0.0.1", int(address.split(":")[2].split("/")[0]))) for _ in range(5)]
                for connection in silent:
                    self.addCleanup(connection.close)
                began = time.monotonic()
                said = []
                for body in (text.encode(), b"{}", b"\xff", b"[1]", text.replace("sell", "hold").encode()):
                    request = urllib.request.Request(address, data=body)
                    try:
                        said.append(urllib.request.urlopen(request, timeout=30).status)
                    except urllib.error.HTTPError as error:
                        said.append(error.code)
                        error.close()
                self.assertEqual(said, [204, 400, 400, 400, 400])
                self.assertLess(time.monotonic() - began, 4.5)
                # two inputs of twelve are too few for the model, which is silent: the strategy trades as it is
                self.assertRegex(process.stdout.readline().decode(), r"\Ashort 2 ES tv-ES1-2025\S+ stale_inputs\n\Z")
            finally:
                process.kill()
                process.wait()
                process.stdout.close()

    def test_a_reader_that_goes_away_is_no_fault_of_the_command_line(self):
        for command in (["status"], ["subscribe", "--from", "1"]):
            read, write = os.pipe()
            os.close(read)
            words = [sys.executable, str(CLIENTS / "python" / "vigie.py"), "--socket", DAEMON.socket, "--timeout", "10", *command]
            done = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, timeout=60)
            os.close(write)
            self.assertEqual((done.returncode, done.stderr), (0, b""), command)

    def test_the_snippet_of_the_readme_of_the_project(self):
        snippet = next(block for block in code(PROJECT / "README.md", "python") if "lookout.score" in block)
        snippet = snippet.replace('vigie.sock")', 'vigie.sock", deadline=10.0)')
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(os.path.dirname(DAEMON.socket), os.path.join(folder, "vigie-state"))
            os.symlink(PROJECT / "examples", os.path.join(folder, "examples"))
            environment = {**os.environ, "PYTHONPATH": str(CLIENTS / "python")}
            said = talkers.run([sys.executable, "-c", snippet], cwd=folder, env=environment)
        self.assertRegex(said, r"\Aml 0\.\d+ 1\.0 production\n\Z")


def has_pandas():
    try:
        import pandas  # noqa: F401
    except ImportError:
        return False
    return True


class EnhancerTest(unittest.TestCase):
    def test_it_enhances_what_a_model_speaks_to_and_leaves_the_rest(self):
        made = []
        with vigie.Client(DAEMON.socket) as client:
            generate = lambda symbol: {**fresh(symbol=symbol), "metadata": {"setup": "x"}}
            enhancer = vigie.Enhancer(generate, client, on_decision=lambda signal, decision: made.append((signal, decision)))
            client.deadline = LONG
            enhanced = enhancer("ES")
            own, decision = made[-1]
            self.assertEqual(own["metadata"], {"setup": "x"})
            self.assertEqual(enhanced["confidence"], (own["confidence"] + decision.score) / 2)
            self.assertEqual(enhanced["confidence"], decision.confidence)
            self.assertEqual(enhanced["metadata"], {"setup": "x", "ml_confidence": decision.score, "ml_enhanced": True})
            self.assertIs(enhancer("ZZ"), made[-1][0])
            enhancer.enabled = False
            asked = len(made)
            self.assertNotIn("ml_enhanced", enhancer("ES")["metadata"])
            self.assertEqual(len(made), asked)

    def test_the_asynchronous_one_does_the_same(self):
        async def enhance():
            async with vigie.AsyncClient(DAEMON.socket, deadline=LONG) as client:
                async def generate():
                    return {**fresh(), "metadata": None}

                return await vigie.AsyncEnhancer(generate, client)()

        self.assertIs(asyncio.run(enhance())["metadata"]["ml_enhanced"], True)


class AsyncioUseTest(unittest.TestCase):
    def test_many_tasks_share_a_client_and_some_are_cancelled(self):
        async def trade():
            async with vigie.AsyncClient(DAEMON.socket, deadline=LONG) as client:
                signals = [fresh() for _ in range(300)]
                tasks = [asyncio.ensure_future(client.score(signal)) for signal in signals]
                await asyncio.sleep(0.01)
                for task in tasks[::7]:
                    task.cancel()
                answers = await asyncio.gather(*tasks, return_exceptions=True)
                for signal, answer in zip(signals, answers):
                    if not isinstance(answer, asyncio.CancelledError):
                        self.assertEqual((answer.ok, answer.trade_id), (True, signal["trade_id"]), answer)
                metrics = [client.outcome(signal["trade_id"], METRICS, timeout=LONG) for signal in signals[:20]]
                self.assertEqual(len(await asyncio.gather(*metrics)), 20)
                self.assertTrue((await client.ping())["ok"])
                self.assertEqual((await client.models())["models"][0]["version"], "ES/1")
                self.assertIsInstance(await client.alerts(), list)
                events = client.subscribe(from_seq=1)
                self.assertIn("seq", await events.__anext__())
                await events.aclose()

        asyncio.run(trade())


class SizeTest(unittest.TestCase):
    def test_the_daemon_takes_the_size_that_was_traded(self):
        with vigie.Client(DAEMON.socket, deadline=LONG) as client:
            signal = fresh()
            decision = client.score(signal)
            stored = client.outcome(signal["trade_id"], METRICS, decision.at_size(2 / 3), timeout=LONG)
            self.assertIs(stored.matched, True)


class PandasTest(unittest.TestCase):
    def setUp(self):
        if not has_pandas():
            self.skipTest("pandas is not installed")

    def test_what_is_exported_and_written_again_is_the_same_to_import(self):
        with tempfile.TemporaryDirectory() as folder:
            forms = ["csv", "jsonl"]
            try:
                import pyarrow  # noqa: F401

                forms.append("parquet")
            except ImportError:
                pass
            state = f"{folder}/vigie-state"
            talkers.run([BINARY, "import", PROJECT / "examples" / "signals.jsonl.gz"], cwd=folder)
            for form in forms:
                talkers.run(
                    [BINARY, "export", "--what", "snapshots", "--format", form, "--output", f"snapshots.{form}"], cwd=folder
                )
                frame = vigie.read_export(f"{folder}/snapshots.{form}")
                self.assertEqual(str(frame["at"].dt.tz), "UTC")
                self.assertEqual(vigie.write_trades(frame, f"{folder}/again.jsonl.gz"), 1100)
                known = json.loads(talkers.run([BINARY, "import", "--json", "again.jsonl.gz"], cwd=folder))
                self.assertEqual((known["duplicates"], known["stored"], known["rejected"]), (1100, 0, 0), form)
                shutil.rmtree(f"{folder}/other", ignore_errors=True)
                talkers.run([BINARY, "import", "--state", "other", "again.jsonl.gz"], cwd=folder)
                talkers.run([BINARY, "export", "--state", "other", "--output", "other.csv"], cwd=folder)
                talkers.run([BINARY, "export", "--output", "matrix.csv"], cwd=folder)
                self.assertEqual(
                    pathlib.Path(folder, "other.csv").read_bytes(), pathlib.Path(folder, "matrix.csv").read_bytes()
                )
            matrix = vigie.read_export(f"{folder}/matrix.csv")
            self.assertEqual(len(matrix), 1100)
            with self.assertRaises(ValueError):
                vigie.write_trades(matrix, f"{folder}/never.jsonl")
            self.assertFalse(os.path.exists(f"{folder}/never.jsonl"))
            self.assertTrue(os.path.isdir(state))

    def test_every_export_is_read_in_every_format_as_the_same_table(self):
        import pandas

        forms = ["csv", "pickle"]
        try:
            import pyarrow  # noqa: F401

            forms.append("parquet")
        except ImportError:
            pass
        with vigie.Client(DAEMON.socket, deadline=LONG) as client:
            signal = fresh()
            client.outcome(signal["trade_id"], METRICS, client.score(signal), timeout=LONG)
        with tempfile.TemporaryDirectory() as folder:
            for what in ("matrix", "decisions", "outcomes", "events"):
                frames = []
                for form in forms:
                    file = f"{folder}/{what}.{form}"
                    DAEMON.vigie("export", "--what", what, "--format", form, "--output", file)
                    frames.append(vigie.read_export(file))
                for frame in frames:
                    self.assertEqual((list(frame.columns), len(frame)), (list(frames[0].columns), len(frames[0])), what)
                    self.assertGreater(len(frame), 0, what)
                    self.assertEqual(str(frame["at"].dt.tz), "UTC")
                    for column in frame.columns:
                        missing = frame[column].isna().tolist()
                        self.assertEqual(missing, frames[0][column].isna().tolist(), f"{what} {column}")
                        if not pandas.api.types.is_datetime64_any_dtype(frame[column]):
                            same = frame[column][~frame[column].isna()].tolist()
                            self.assertEqual(same, frames[0][column][~frames[0][column].isna()].tolist(), f"{what} {column}")
                if what == "decisions":
                    self.assertIn(signal["trade_id"], frames[0]["trade_id"].tolist())

    def test_a_pickle_that_would_run_something_is_refused(self):
        class Bad:
            def __reduce__(self):
                return os.mkdir, (f"{folder}/ran",)

        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "bad.pickle").write_bytes(pickle.dumps({"columns": [], "rows": [Bad()]}))
            with self.assertRaisesRegex(ValueError, "no export of vigie"):
                vigie.read_export(f"{folder}/bad.pickle")
            self.assertFalse(os.path.exists(f"{folder}/ran"))

    def test_a_frame_that_was_written_by_to_csv_is_imported_with_the_map_of_pandas(self):
        import pandas

        frame = pandas.read_csv(PROJECT / "examples" / "csv" / "pandas.csv", index_col=0)
        frame["at"] = pandas.to_datetime(frame["at"], utc=True, format="ISO8601")
        frame["exit_at"] = pandas.to_datetime(frame["exit_at"], utc=True, format="ISO8601")
        with tempfile.TemporaryDirectory() as folder:
            frame.to_csv(f"{folder}/trades.csv")
            frame.to_csv(f"{folder}/plain.csv", index=False, sep=";", decimal=",")
            said = []
            for file in ("trades.csv", "plain.csv"):
                line = talkers.run([BINARY, "import", "--json", "--csv", file, "--map", "pandas"], cwd=folder)
                said.append(json.loads(line))
        self.assertEqual([(one["stored"], one["duplicates"]) for one in said], [(4, 0), (0, 4)], said)

    def test_a_frame_of_features_is_imported(self):
        import pandas

        frame = pandas.DataFrame(
            {
                "trade_id": ["NA", "007", "-1"],
                "at": pandas.to_datetime(["2025-01-06T15:02:11Z", "2025-01-06T16:00:00.123456789Z", "2025-01-07T15:00:00Z"], format="ISO8601"),
                "symbol": "ES",
                "side": ["long", "short", "long"],
                "confidence": [0.62, None, 0.5],
                "vwap_trend_signal": [0.7, 0.1, None],
                "recent_momentum": [None, 0.25, None],
                "pnl": [137.5, -62.5, None],
                "exit_at": pandas.to_datetime(["2025-01-06T15:40:00Z", "2025-01-06T16:30:00Z", None]),
                "exit_reason": ["take_profit", "stop_loss", None],
            }
        )
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(vigie.write_trades(frame, f"{folder}/trades.jsonl"), 3)
            written = pathlib.Path(folder, "trades.jsonl").read_text(encoding="utf-8")
            lines = [json.loads(line) for line in written.splitlines()]
            self.assertEqual(lines[1]["features"], {"vwap_trend_signal": 0.1, "recent_momentum": 0.25})
            self.assertEqual((lines[2]["features"], "outcome_metrics" in lines[2]), ({}, False))
            self.assertNotIn("confidence", lines[1])
            said = json.loads(talkers.run([BINARY, "import", "--json", "trades.jsonl"], cwd=folder))
            self.assertEqual((said["stored"], said["rejected"]), (3, 0), said)
            talkers.run([BINARY, "export", "--what", "snapshots", "--format", "csv", "--output", "s.csv"], cwd=folder)
            self.assertEqual(vigie.read_export(f"{folder}/s.csv")["trade_id"].tolist(), frame["trade_id"].tolist())
            with self.assertRaisesRegex(ValueError, "row 1 .*time zone"):
                naive = frame.assign(at=["2025-01-06T15:02:11Z", pandas.Timestamp("2025-01-06"), "2025-01-06T15:02:11Z"])
                vigie.write_trades(naive, f"{folder}/naive.jsonl")
            self.assertEqual([name for name in os.listdir(folder) if "naive" in name], [])


class WheelTest(unittest.TestCase):
    """The wheel, built and installed into an environment of its own."""

    def test_it_is_built_installed_and_talks_to_the_daemon(self):
        if os.environ.get("VIGIE_WHEEL") != "yes":
            self.skipTest("VIGIE_WHEEL is not yes: building the wheel fetches hatchling into a folder of its own")
        with tempfile.TemporaryDirectory() as folder:
            talkers.run([sys.executable, "-m", "venv", "build"], cwd=folder)
            fetched = subprocess.run(
                ["build/bin/python", "-m", "pip", "install", "--quiet", "hatchling"], cwd=folder, capture_output=True, text=True
            )
            if fetched.returncode != 0:
                self.skipTest(f"hatchling cannot be had: {fetched.stderr.strip().splitlines()[-1]}")
            copy = shutil.copytree(CLIENTS / "python", f"{folder}/python", ignore=shutil.ignore_patterns("__pycache__"))
            talkers.run(
                ["build/bin/python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "wheels", copy],
                cwd=folder,
            )
            (wheel,) = pathlib.Path(folder, "wheels").glob("*.whl")
            self.assertEqual(wheel.name, f"vigie-{vigie.__version__}-py3-none-any.whl")
            talkers.run([sys.executable, "-m", "venv", "--without-pip", "fresh"], cwd=folder)
            into = ["build/bin/python", "-m", "pip", "--python", "fresh/bin/python", "install"]
            talkers.run([*into, "--quiet", "--no-deps", "--no-index", wheel], cwd=folder)
            script = (
                "import sys, json, pathlib, vigie\n"
                "assert pathlib.Path(vigie.__file__).with_name('py.typed').exists()\n"
                "assert 'fresh' in vigie.__file__, vigie.__file__\n"
                "decision = vigie.Client(sys.argv[1], deadline=10.0).score(json.loads(sys.argv[2]))\n"
                "print(decision.arm, decision.model)\n"
            )
            said = talkers.run(["fresh/bin/python", "-I", "-c", script, DAEMON.socket, json.dumps(fresh())], cwd=folder)
            self.assertEqual(said, "ml ES/1\n")
            said = talkers.run(["fresh/bin/vigie-client", "--socket", DAEMON.socket, "ping"], cwd=folder)
            self.assertIs(json.loads(said)["ok"], True)


class VersionTest(unittest.TestCase):
    def test_the_client_has_the_version_of_the_daemon(self):
        said = talkers.run([BINARY, "--version"])
        self.assertEqual(said.split()[-1], vigie.__version__)


if __name__ == "__main__":
    unittest.main()
