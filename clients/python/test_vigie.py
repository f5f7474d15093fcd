"""Tests of the client against real Unix sockets: servers that misbehave, and, when VIGIE_SOCKET names the socket of a
running daemon, the daemon itself. Run with ``python3 -m unittest -v`` in this folder."""

import datetime
import decimal
import json
import logging
import math
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

import vigie
from fake_daemon import Server, decision_for, hang_up, replies

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "golden" / "assignment.json"
DEADLINE = 0.030
#: What a busy machine may add to a deadline before a test calls it broken. Without the deadline all would hang.
SCHEDULING = 0.150
SIGNAL = {
    "trade_id": "T-1",
    "at": "2025-01-06T15:02:11Z",
    "symbol": "ES",
    "side": "long",
    "confidence": 0.62,
    "features": {"vwap_trend_signal": 0.71, "recent_momentum": None},
}
METRICS = {"exit_at": "2025-01-06T15:40:00Z", "pnl": 137.5, "exit_reason": "take_profit"}


class ScoreTest(unittest.TestCase):
    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)

    def timed(self, client, signal=SIGNAL, deadline=DEADLINE):
        """A score and the proof that it held its deadline."""
        start = time.monotonic()
        decision = client.score(signal, deadline)
        elapsed = time.monotonic() - start
        self.assertLess(elapsed, deadline + SCHEDULING)
        return decision, elapsed

    def assert_neutral(self, decision, reason):
        expected = (False, "T-1", "baseline", 0.62, 0.5, 1.0, None, reason)
        fields = ("ok", "trade_id", "arm", "confidence", "score", "size", "model", "reason")
        self.assertEqual(tuple(getattr(decision, name) for name in fields), expected)
        self.assertIsNotNone(decision.error)

    def neutral_from(self, behave, reason):
        with Server(behave) as server, vigie.Client(server.path) as client:
            decision, elapsed = self.timed(client)
            self.assert_neutral(decision, reason)
            return elapsed

    def test_a_good_answer_is_handed_on_field_by_field(self):
        with Server(replies(decision_for)) as server, vigie.Client(server.path) as client:
            decision, _ = self.timed(client, deadline=5.0)
            self.assertEqual(
                decision, vigie.Decision(True, "T-1", "ml", 0.685, 0.75, 1.5, "ES/14", "ab_test", None)
            )
            sent = server.requests[0]
            self.assertEqual(sent["type"], "score")
            self.assertTrue(0 < sent["deadline_us"] <= 5_000_000)
            self.assertEqual({name: sent[name] for name in SIGNAL}, SIGNAL)

    def test_one_connection_serves_many_signals(self):
        with Server(replies(decision_for)) as server, vigie.Client(server.path, deadline=5.0) as client:
            for number in range(200):
                decision = client.score({**SIGNAL, "trade_id": f"T-{number}"})
                self.assertEqual((decision.ok, decision.trade_id), (True, f"T-{number}"))
            self.assertEqual(len(server.connections), 1)

    def test_no_socket_and_nobody_listening_are_neutral_at_once(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "vigie.sock")
            with vigie.Client(path) as client:
                self.assert_neutral(self.timed(client)[0], "unreachable")
            dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            dead.bind(path)
            dead.close()
            with vigie.Client(path) as client:
                self.assert_neutral(self.timed(client)[0], "unreachable")
            with vigie.Client(os.path.join(folder, "x" * 200)) as client:
                self.assert_neutral(self.timed(client)[0], "unreachable")

    def test_a_silent_server_costs_the_deadline_and_no_more(self):
        elapsed = self.neutral_from(lambda server, _c, file, _n: server.read(file) and server.stopped.wait(), "deadline")
        self.assertGreaterEqual(elapsed, DEADLINE - 0.001)

    def test_a_server_that_never_reads_costs_the_deadline_and_no_more(self):
        def behave(server, connection, file, _number):
            connection.sendall(decision_for(server.read(file)))
            server.stopped.wait()

        big = {**SIGNAL, "extra": {f"x{number}": 0.123456789 for number in range(2500)}}
        with Server(behave) as server, vigie.Client(server.path) as client:
            self.assertTrue(self.timed(client, deadline=5.0)[0].ok)
            # so that the line does not fit into what the kernel holds for the server
            client._signals._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            self.assert_neutral(self.timed(client, big)[0], "deadline")

    def test_byte_by_byte_is_read_when_it_is_in_time_and_dropped_when_it_is_not(self):
        def slowly(pause):
            def behave(server, connection, file, _number):
                for byte in decision_for(server.read(file)):
                    connection.sendall(bytes([byte]))
                    if server.stopped.wait(pause):
                        return

            return behave

        with Server(slowly(0.0001)) as server, vigie.Client(server.path) as client:
            self.assertTrue(self.timed(client, deadline=5.0)[0].ok)
        self.neutral_from(slowly(0.005), "deadline")

    def test_broken_answers_are_neutral(self):
        broken = {
            "garbage": lambda _: b"\x00\xff garbage\n",
            "not an object": lambda _: b"[1]\n",
            "empty line": lambda _: b"\n",
            "bad UTF-8": lambda request: decision_for(request).replace(b"ab_test", b"\xc3\x28"),
            "deep nesting": lambda _: b"[" * 60_000 + b"\n",
            "NaN": lambda request: decision_for(request, size=math.nan),
            "overflow": lambda request: decision_for(request).replace(b"1.5", b"1e999"),
            "wrong id": lambda request: decision_for(request, id=request["id"] + 1),
            "no id": lambda request: decision_for(request, id=None),
            "wrong trade": lambda request: decision_for(request, trade_id="T-2"),
            "unknown arm": lambda request: decision_for(request, arm="both"),
            "confidence of 2": lambda request: decision_for(request, confidence=2),
            "no confidence in the ML arm": lambda request: decision_for(request, confidence=None),
            "score as text": lambda request: decision_for(request, score="0.7"),
            "score of true": lambda request: decision_for(request, score=True),
            "negative size": lambda request: decision_for(request, size=-1),
            "model as number": lambda request: decision_for(request, model=14),
            "no reason": lambda request: decision_for(request, reason=None),
        }
        for name, make in broken.items():
            with self.subTest(name), Server(replies(make)) as server, vigie.Client(server.path) as client:
                self.assert_neutral(self.timed(client, deadline=5.0)[0], "unreachable")

    def test_closing_before_and_in_the_middle_of_an_answer_is_neutral(self):
        def closes_after(count):
            def behave(server, connection, file, _number):
                connection.sendall(decision_for(server.read(file))[:count])
                hang_up(connection)

            return behave

        for count in (0, 40):
            self.neutral_from(closes_after(count), "unreachable")
        self.neutral_from(lambda _s, connection, _f, _n: hang_up(connection), "unreachable")

    def test_a_line_without_end_is_cut_off(self):
        def behave(server, connection, file, _number):
            server.read(file)
            while not server.stopped.is_set():
                connection.sendall(b"x" * 4096)

        with Server(behave) as server, vigie.Client(server.path) as client:
            self.assert_neutral(self.timed(client, deadline=5.0)[0], "unreachable")

    def test_a_full_accept_queue_costs_the_deadline_and_no_more(self):
        with Server(None, backlog=0) as server, vigie.Client(server.path) as client:
            waiting = []
            while True:  # until the queue is full
                filler = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                filler.setblocking(False)
                waiting.append(filler)
                try:
                    filler.connect(server.path)
                except BlockingIOError:
                    break
            self.assert_neutral(self.timed(client)[0], "deadline")
            for filler in waiting:
                filler.close()

    def test_a_late_answer_is_never_taken_for_the_next_one(self):
        arrived = threading.Event()

        def behave(server, connection, file, number):
            request = server.read(file)
            if number == 0:
                arrived.wait(5.0)  # the first client has given up by now
                connection.sendall(decision_for(request, size=9.0))
            else:
                connection.sendall(decision_for(request))

        with Server(behave) as server, vigie.Client(server.path) as client:
            self.assert_neutral(self.timed(client)[0], "deadline")
            arrived.set()
            decision, _ = self.timed(client, {**SIGNAL, "trade_id": "T-2"}, deadline=5.0)
            self.assertEqual((decision.ok, decision.trade_id, decision.size), (True, "T-2", 1.5))

    def test_what_the_server_says_unasked_is_never_an_answer(self):
        sent = threading.Event()

        def behave(server, connection, file, number):
            request = server.read(file)
            following = {**request, "id": request["id"] + 1}
            unasked = decision_for(following, size=9.0) if number == 0 else b""
            connection.sendall(decision_for(request) + unasked)
            sent.set()

        with Server(behave) as server, vigie.Client(server.path, deadline=5.0) as client:
            self.assertEqual(client.score(SIGNAL).size, 1.5)
            self.assertTrue(sent.wait(5.0))
            self.assertEqual(client.score(SIGNAL).size, 1.5)
            self.assertEqual(len(server.connections), 2)

    def test_a_restart_of_the_daemon_between_two_signals_goes_unnoticed(self):
        closed = threading.Event()

        def behave(server, connection, file, _number):
            connection.sendall(decision_for(server.read(file)))
            hang_up(connection)
            closed.set()

        with Server(behave) as server, vigie.Client(server.path, deadline=5.0) as client:
            for _ in range(5):
                closed.clear()
                self.assertTrue(client.score(SIGNAL).ok)
                self.assertTrue(closed.wait(5.0))

    def test_after_several_failures_a_pause_spares_the_trader_the_deadline(self):
        def behave(server, _connection, file, _number):
            while server.read(file) is not None:
                pass

        with Server(behave) as server, vigie.Client(server.path, max_backoff=60.0) as client:
            # by the eighth failure the pause is over half a second long
            while client._pace.failures < 8:
                self.assertFalse(self.timed(client, deadline=0.002)[0].ok)
            tried = len(server.connections)
            decision, elapsed = self.timed(client, deadline=5.0)
            self.assert_neutral(decision, "unreachable")
            self.assertIn("pausing", decision.error["message"])
            self.assertEqual(len(server.connections), tried)

    def test_a_refused_signal_is_neutral_and_says_why(self):
        refusal = {"code": "unknown_field", "message": "sied: unknown field", "field": "sied"}

        def make(request):
            neutral = {"arm": "baseline", "confidence": 0.62, "score": 0.5, "size": 1.0, "model": None}
            return decision_for(request, ok=False, reason="invalid_request", error=refusal, **neutral)

        with Server(replies(make)) as server, vigie.Client(server.path, deadline=5.0) as client:
            for _ in range(2):
                decision = client.score(SIGNAL)
                self.assert_neutral(decision, "invalid_request")
                self.assertEqual(decision.error, refusal)
            self.assertEqual(len(server.connections), 1)  # a refusal is no reason to reconnect

    def test_a_server_that_turns_the_connection_away_is_unreachable(self):
        def behave(_server, connection, _file, _number):
            connection.sendall(b'{"ok":false,"error":{"code":"overloaded","message":"too many connections"}}\n')

        with Server(behave) as server, vigie.Client(server.path, deadline=5.0) as client:
            # either the line is read as a refusal, or its arrival before the request makes the client reconnect
            self.assert_neutral(client.score(SIGNAL), "unreachable")

    def test_a_signal_that_cannot_be_sent_is_neutral_and_logged(self):
        logging.disable(logging.NOTSET)
        circular = {**SIGNAL}
        circular["extra"] = circular
        bad = {
            "NaN": {**SIGNAL, "extra": {"x": math.nan}},
            "infinity": {**SIGNAL, "extra": {"x": math.inf}},
            "not JSON": {**SIGNAL, "extra": {"x": object()}},
            "circular": circular,
            "too long": {**SIGNAL, "extra": {"x" * 70_000: 1.0}},
        }
        with vigie.Client("/nonexistent/vigie.sock") as client:
            for name, signal in bad.items():
                with self.subTest(name), self.assertLogs("vigie", "ERROR"):
                    self.assert_neutral(client.score(signal), "invalid_request")
            for nameless in ({}, {**SIGNAL, "trade_id": "a b"}, {**SIGNAL, "trade_id": 7}, None, [], 5):
                with self.subTest(repr(nameless)), self.assertLogs("vigie", "ERROR"):
                    decision = client.score(nameless)
                    self.assertEqual((decision.ok, decision.reason), (False, "invalid_request"))

    def test_a_deadline_that_is_none_is_neutral(self):
        with Server(replies(decision_for)) as server, vigie.Client(server.path) as client:
            for deadline in (0, -1.0, math.nan):
                self.assert_neutral(client.score(SIGNAL, deadline), "deadline")
            self.assert_neutral(client.score(SIGNAL, "soon"), "invalid_request")
            for deadline in (0, -1.0, math.nan, math.inf, True, "soon"):
                with self.assertRaises(ValueError):
                    vigie.Client(server.path, deadline=deadline)

    def test_threads_that_share_a_client_get_their_own_answers(self):
        with Server(replies(decision_for)) as server, vigie.Client(server.path, deadline=10.0) as client:
            mixed = []

            def trade(name):
                for number in range(100):
                    decision = client.score({**SIGNAL, "trade_id": f"{name}-{number}"})
                    if not decision.ok or decision.trade_id != f"{name}-{number}":
                        mixed.append(decision)

            threads = [threading.Thread(target=trade, args=(name,)) for name in "ABCD"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(mixed, [])

    def test_an_outcome_that_waits_does_not_delay_a_signal(self):
        waiting, failures = threading.Event(), []

        def behave(server, connection, file, _number):
            while (request := server.read(file)) is not None:
                if request["type"] == "score":
                    connection.sendall(decision_for(request))
                else:
                    waiting.set()

        def report(client):
            try:
                client.outcome("T-1", METRICS, timeout=2.0)
            except vigie.NotAcknowledged as error:
                failures.append(error.code)

        with Server(behave) as server, vigie.Client(server.path) as client:
            outcome = threading.Thread(target=report, args=(client,))
            outcome.start()
            self.assertTrue(waiting.wait(5.0))
            self.assertTrue(self.timed(client, deadline=1.0)[0].ok)
            self.assertTrue(outcome.is_alive())
            outcome.join()
            self.assertEqual((failures, len(server.connections)), (["deadline"], 2))


class RecordTest(unittest.TestCase):
    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)

    @staticmethod
    def acknowledge(request, **changes):
        answer = {"ok": True, "id": request["id"], "trade_id": request["trade_id"], "durable": True, **changes}
        return json.dumps(answer).encode() + b"\n"

    @staticmethod
    def refuse(request, code):
        error = {"code": code, "message": "the reason", "field": "outcome_metrics.pnl"}
        return json.dumps({"ok": False, "id": request["id"], "error": error}).encode() + b"\n"

    def test_an_acknowledged_outcome_carries_its_decision(self):
        decision = vigie.Decision(True, "T-1", "ml", 0.685, 0.75, 1.5, "ES/14", "ab_test")
        with Server(replies(self.acknowledge)) as server, vigie.Client(server.path) as client:
            acknowledgement = client.outcome("T-1", METRICS, decision)
            self.assertEqual((acknowledgement.trade_id, acknowledgement.duplicate), ("T-1", False))
            expected = {"type": "outcome", "id": 1, "trade_id": "T-1", "outcome_metrics": METRICS}
            echo = {"trade_id": "T-1", "arm": "ml", "confidence": 0.685, "score": 0.75, "size": 1.5}
            expected["decision"] = {**echo, "model": "ES/14", "reason": "ab_test"}
            self.assertEqual(server.requests[0], expected)

    def test_skips_and_duplicates_are_acknowledged(self):
        with Server(replies(self.acknowledge)) as server, vigie.Client(server.path) as client:
            self.assertFalse(client.skip("T-1", "spread too wide").duplicate)
            self.assertEqual(server.requests[0]["reason"], "spread too wide")
        repeat = lambda request: self.acknowledge(request, duplicate=True, matched=False)
        with Server(replies(repeat)) as server, vigie.Client(server.path) as client:
            acknowledgement = client.outcome("T-1", METRICS)
            self.assertEqual((acknowledgement.duplicate, acknowledgement.matched), (True, False))

    def test_whatever_is_not_an_acknowledgement_raises(self):
        cases = {
            "retry": (lambda request: self.refuse(request, "retry"), "retry", True),
            "conflict": (lambda request: self.refuse(request, "conflict"), "conflict", False),
            "not durable": (lambda request: self.acknowledge(request, durable=False), "unreachable", True),
            "another trade": (lambda request: self.acknowledge(request, trade_id="T-2"), "unreachable", True),
            "another id": (lambda request: self.acknowledge(request, id=99), "unreachable", True),
            "garbage": (lambda _: b"nonsense\n", "unreachable", True),
            "silence": (lambda _: b"", "deadline", True),
        }
        for name, (make, code, temporary) in cases.items():
            with self.subTest(name), Server(replies(make)) as server, vigie.Client(server.path) as client:
                with self.assertRaises(vigie.NotAcknowledged) as caught:
                    client.outcome("T-1", METRICS, timeout=0.1 if name == "silence" else 5.0)
                self.assertEqual((caught.exception.code, caught.exception.temporary), (code, temporary))
        with self.assertRaises(vigie.NotAcknowledged) as caught, vigie.Client("/nonexistent") as client:
            client.skip("T-1", "why")
        self.assertTrue(caught.exception.temporary)

    def test_what_cannot_be_sent_raises_at_once(self):
        with vigie.Client("/nonexistent") as client:
            for trade_id, metrics in (("a b", METRICS), (None, METRICS), ("T-1", {"pnl": math.nan}), ("T-1", object())):
                with self.assertRaises(ValueError):
                    client.outcome(trade_id, metrics)

    def test_reliably_repeats_what_is_temporary_and_nothing_else(self):
        answers = iter(["retry", "overloaded", None])

        def twice_no(request):
            code = next(answers)
            return self.refuse(request, code) if code else self.acknowledge(request)

        with Server(replies(twice_no)) as server, vigie.Client(server.path) as client:
            self.assertEqual(client.outcome_reliably("T-1", METRICS, pause=0.001).trade_id, "T-1")
            self.assertEqual(len(server.requests), 3)
        for code, attempts in (("conflict", 1), ("retry", 3)):
            answer = lambda request: self.refuse(request, code)
            with Server(replies(answer)) as server, vigie.Client(server.path) as client:
                with self.assertRaises(vigie.NotAcknowledged):
                    client.outcome_reliably("T-1", METRICS, attempts=3, pause=0.001)
                self.assertEqual(len(server.requests), attempts)

    def test_an_echoed_decision_is_always_one_the_daemon_can_read(self):
        with vigie.Client("/nonexistent") as client:
            logging.disable(logging.CRITICAL)
            wild = client.score({**SIGNAL, "confidence": 17})
        self.assertEqual((wild.confidence, wild.to_wire()["confidence"]), (17, None))


class NumberTest(unittest.TestCase):
    """Numbers and times of other kinds than Python's own. Those of numpy and pandas are tried where they are installed."""

    def sent(self, **fields):
        with Server(replies(decision_for)) as server, vigie.Client(server.path, deadline=5.0) as client:
            decision = client.score({**SIGNAL, **fields})
            self.assertTrue(decision.ok, decision)
            return server.requests[0]

    def neutral(self, **fields):
        with vigie.Client("/nonexistent/vigie.sock", deadline=5.0) as client:
            return client.score({**SIGNAL, **fields})

    def test_decimals_and_times_are_sent_as_json_has_them(self):
        zone = datetime.timezone(datetime.timedelta(hours=-6))
        at = datetime.datetime(2025, 1, 6, 9, 2, 11, 250_000, zone)
        sent = self.sent(confidence=decimal.Decimal("0.62"), at=at, extra={"x": decimal.Decimal("1.5")})
        expected = (0.62, "2025-01-06T09:02:11.250000-06:00", {"x": 1.5})
        self.assertEqual((sent["confidence"], sent["at"], sent["extra"]), expected)

    def test_a_time_without_zone_is_refused_and_the_reason_says_so(self):
        with self.assertLogs("vigie", "ERROR"):
            decision = self.neutral(at=datetime.datetime(2025, 1, 6, 9, 2))
        self.assertEqual((decision.reason, decision.confidence), ("invalid_request", 0.62))
        self.assertIn("no time zone", decision.error["message"])

    def test_what_is_not_finite_is_refused_whatever_its_kind(self):
        for value in (decimal.Decimal("NaN"), decimal.Decimal("Infinity"), decimal.Decimal("sNaN")):
            with self.assertLogs("vigie", "ERROR"):
                self.assertEqual(self.neutral(extra={"x": value}).reason, "invalid_request")

    def test_a_confidence_is_never_lost(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        for own in (0.62, 1, 17, decimal.Decimal("0.62")):
            self.assertEqual(self.neutral(confidence=own).confidence, float(own))
        for none in (None, "0.62", True, math.nan, decimal.Decimal("NaN"), decimal.Decimal("sNaN"), object()):
            self.assertIsNone(self.neutral(confidence=none).confidence)
        silent = lambda request: decision_for(request, arm="baseline", confidence=None, score=0.5, size=1.0)
        with Server(replies(silent)) as server, vigie.Client(server.path, deadline=5.0) as client:
            self.assertEqual(client.score(SIGNAL).confidence, 0.62)

    def test_a_neutral_score_shifts_no_blend(self):
        spoke = vigie.Decision(True, "T-1", "ml", 0.685, 0.75, 1.5, "ES/14", "production")
        self.assertEqual((spoke.spoke, spoke.blend(0.62), spoke.blend(0.62, 0.0)), (True, 0.685, 0.62))
        for neutral in (self.neutral(), vigie.Decision(True, "T-1", "baseline", 0.62, 0.5, 1.0, None, "holdback")):
            self.assertEqual((neutral.spoke, neutral.blend(0.62), neutral.blend(None)), (False, 0.62, None))

    def test_numpy_scalars_and_arrays_are_sent(self):
        try:
            import numpy
        except ImportError:
            self.skipTest("numpy is not installed")
        sent = self.sent(
            confidence=numpy.float32(0.5), extra={"a": numpy.int64(3), "b": numpy.array([1, 2]), "c": numpy.bool_(True)}
        )
        self.assertEqual((sent["confidence"], sent["extra"]), (0.5, {"a": 3, "b": [1, 2], "c": True}))
        for one in (numpy.float32(0.5), numpy.longdouble("0.5"), numpy.array([0.5]), numpy.array(0.5)):
            self.assertEqual(self.neutral(confidence=one).confidence, 0.5, repr(one))
            self.assertEqual(self.sent(confidence=one)["confidence"], 0.5, repr(one))
        with self.assertLogs("vigie", "ERROR"):
            self.assertEqual(self.neutral(extra={"x": numpy.float32("nan")}).reason, "invalid_request")
        with self.assertLogs("vigie", "ERROR"):
            self.assertEqual(self.neutral(at=numpy.datetime64("2025-01-06T15:02:11")).reason, "invalid_request")

    def test_pandas_timestamps_are_sent_and_what_is_missing_is_refused(self):
        try:
            import pandas
        except ImportError:
            self.skipTest("pandas is not installed")
        sent = self.sent(at=pandas.Timestamp("2025-01-06T15:02:11Z"))
        self.assertEqual(datetime.datetime.fromisoformat(sent["at"]).timestamp(), 1736175731.0)
        for missing in (pandas.NaT, pandas.NA, pandas.Timestamp("2025-01-06")):
            with self.assertLogs("vigie", "ERROR"):
                self.assertEqual(self.neutral(at=missing).reason, "invalid_request")


class TurnedAwayTest(unittest.TestCase):
    """A daemon that says why it takes no connection, and closes it."""

    def server(self, code):
        def behave(_server, connection, _file, _number):
            refusal = {"ok": False, "error": {"code": code, "message": "the reason", "field": None}}
            connection.sendall(json.dumps(refusal).encode() + b"\n")
            hang_up(connection)

        return Server(behave)

    def test_the_code_arrives_as_such_at_every_call(self):
        codes = {"forbidden": False, "too_many_connections": True, "half_line": True, "too_slow": True}
        for code, temporary in codes.items():
            with self.server(code) as server:
                for _ in range(40):
                    with vigie.Client(server.path) as client, self.assertRaises(vigie.RequestFailed) as caught:
                        client.ping(timeout=5.0)
                    self.assertEqual((caught.exception.code, caught.exception.temporary), (code, temporary))

    def test_signals_are_neutral_say_why_pause_and_are_logged_once(self):
        with self.server("forbidden") as server, vigie.Client(server.path, deadline=5.0) as client:
            with self.assertLogs("vigie", "ERROR") as logged:
                until, asked, codes = time.monotonic() + 0.5, 0, set()
                while time.monotonic() < until:
                    decision = client.score(SIGNAL)
                    codes.add(decision.error["code"])
                    self.assertEqual((decision.ok, decision.reason, decision.confidence), (False, "unreachable", 0.62))
                    asked += 1
            self.assertEqual(len(logged.output), 1, logged.output)
            self.assertIn("forbidden", codes)
            self.assertGreater(asked, 100)
            self.assertLess(len(server.connections), 12)  # 10, 20, 40, 80, 160 ms, and the first two at once

    def test_an_outcome_that_found_no_room_is_tried_again(self):
        def behave(server, connection, file, number):
            if number < 2:
                refusal = {"ok": False, "error": {"code": "too_many_connections", "message": "full", "field": None}}
                connection.sendall(json.dumps(refusal).encode() + b"\n")
                return hang_up(connection)
            request = server.read(file)
            answer = {"ok": True, "id": request["id"], "trade_id": "T-1", "durable": True, "duplicate": False}
            connection.sendall(json.dumps(answer).encode() + b"\n")

        with Server(behave) as server, vigie.Client(server.path) as client:
            self.assertFalse(client.outcome_reliably("T-1", METRICS, timeout=5.0, pause=0.001).duplicate)
            self.assertEqual(len(server.connections), 3)


class ReadmeTest(unittest.TestCase):
    def test_the_loop_of_the_readme_runs_also_where_a_signal_has_no_confidence(self):
        text = pathlib.Path(__file__).with_name("README.md").read_text(encoding="utf-8")
        loop = text.split("```python")[1].split("```")[0]
        signals = [{**SIGNAL, "trade_id": "T-1"}, {**SIGNAL, "trade_id": "T-2", "confidence": None}]
        orders, skipped, kept = [], [], {}

        class Event:
            def __init__(self, snapshot, is_signal):
                self.snapshot, self.trade_id, self.is_signal = snapshot, snapshot["trade_id"], is_signal
                self.is_closed_trade, self.outcome_metrics = not is_signal, METRICS

        class Skips:
            put = skipped.append

        def place_order(event, contracts):
            orders.append((event.trade_id, contracts))

        with tempfile.TemporaryDirectory() as folder:
            for model_speaks in (False, True):
                make = lambda request: decision_for(
                    request,
                    **({} if model_speaks else {"arm": "baseline", "confidence": request["confidence"], "size": 1.0}),
                )
                with Server(replies(make)) as server:
                    # with time enough for a machine that is busy with other things
                    code = loop.replace('"/run/vigie/vigie.sock"', f'"{server.path}", deadline=5.0').replace(
                        'Path("unsent")', f"Path({folder!r}) / 'unsent'"
                    )
                    events = [Event(signal, kind) for signal in signals for kind in (True, False)]
                    world = {"market": lambda: events, "THRESHOLD": 0.6, "CONTRACTS": 2, "place_order": place_order}
                    world.update(remember=kept.__setitem__, recall=kept.__getitem__, skips=Skips)
                    exec(compile(code, "README.md", "exec"), world)
            unsent = [json.loads(path.read_text()) for path in pathlib.Path(folder, "unsent").glob("*.json")]
        self.assertEqual(orders, [("T-1", 2), ("T-2", 2), ("T-1", 3), ("T-2", 3)])
        self.assertEqual((len(unsent), skipped), (4, []))


class ReadTest(unittest.TestCase):
    def test_an_answer_may_be_longer_than_a_request_and_a_decision_may_not(self):
        long = lambda request: json.dumps({"ok": True, "id": request["id"], "alerts": ["x" * 1000] * 1000}).encode() + b"\n"
        with Server(replies(long)) as server, vigie.Client(server.path, deadline=5.0) as client:
            self.assertEqual(len(client.alerts(1000, timeout=10.0)), 1000)
            logging.disable(logging.CRITICAL)
            self.addCleanup(logging.disable, logging.NOTSET)
            self.assertEqual(client.score(SIGNAL).reason, "unreachable")

    def test_reads_return_the_answer_or_raise(self):
        def make(request):
            if request["type"] == "models":
                error = {"code": "forbidden", "message": "not for you"}
                return json.dumps({"ok": False, "id": request["id"], "error": error}).encode() + b"\n"
            return json.dumps({"ok": True, "id": request["id"], "kind": request["type"]}).encode() + b"\n"

        with Server(replies(make)) as server, vigie.Client(server.path) as client:
            self.assertEqual((client.ping()["kind"], client.status()["kind"]), ("ping", "status"))
            with self.assertRaises(vigie.RequestFailed) as caught:
                client.models()
            self.assertEqual(caught.exception.code, "forbidden")

    def test_a_subscription_yields_events_until_the_server_ends_it(self):
        def behave(server, connection, file, _number):
            request = server.read(file)
            answer = json.dumps({"ok": True, "id": request["id"]}).encode() + b"\n"
            connection.sendall(answer + b'{"event":"started"}\n{"event":"al')
            connection.sendall(b'ert"}\n')
            hang_up(connection)

        with Server(behave) as server, vigie.Client(server.path) as client:
            self.assertEqual([event["event"] for event in client.subscribe()], ["started", "alert"])

    def test_a_subscription_that_the_daemon_ends_says_why(self):
        def behave(server, connection, file, _number):
            request = server.read(file)
            answer = {"ok": True, "id": request["id"], "from": request["from"]}
            refusal = {"ok": False, "error": {"code": "too_slow", "message": "subscribe again from 7", "field": None}}
            lines = [answer, {"seq": 5, "event": "decision"}, refusal]
            connection.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
            hang_up(connection)

        with Server(behave) as server, vigie.Client(server.path) as client:
            events = client.subscribe(from_seq=5, decisions=True)
            self.assertEqual(next(events)["seq"], 5)
            with self.assertRaises(vigie.RequestFailed) as caught:
                next(events)
            self.assertEqual(caught.exception.code, "too_slow")

    def test_the_command_line_prints_the_answer_and_exits_by_it(self):
        script = pathlib.Path(vigie.__file__)
        with Server(replies(decision_for)) as server, tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(SIGNAL, file)
            file.flush()
            command = [sys.executable, str(script), "--socket", server.path, "score", file.name]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, json.loads(done.stdout)["arm"]), (0, "ml"), done.stderr)
        command[3] = "/nonexistent"
        self.assertEqual(subprocess.run(command, capture_output=True, timeout=60).returncode, 1)


class AssignmentTest(unittest.TestCase):
    def test_golden_vectors_hold(self):
        cases = json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]
        self.assertGreaterEqual(len(cases), 40)
        for case in cases:
            self.assertEqual(vigie.assignment(case["salt"], case["trade_id"]), case["position"], case)

    def test_positions_are_uniform_and_salts_independent(self):
        ids = [f"ES-20250106-{number:05}" for number in range(20_000)]
        first = [vigie.assignment("one", trade_id) < 0.5 for trade_id in ids]
        both = sum(vigie.assignment("two", trade_id) < 0.5 for trade_id, ml in zip(ids, first) if ml)
        self.assertLess(abs(sum(first) / 20_000 - 0.5), 0.02)
        self.assertLess(abs(both / sum(first) - 0.5), 0.02)


@unittest.skipUnless(os.environ.get("VIGIE_SOCKET"), "set VIGIE_SOCKET to the socket of a running daemon")
class DaemonTest(unittest.TestCase):
    """Against a daemon that runs, with the symbol ES configured."""

    def setUp(self):
        self.path = os.environ["VIGIE_SOCKET"]
        self.client = vigie.Client(self.path, deadline=2.0)
        self.addCleanup(self.client.close)
        self.trade_id = f"PY-{uuid.uuid4().hex}"
        self.signal = {**SIGNAL, "trade_id": self.trade_id}

    def test_it_answers_ping_status_and_models(self):
        for answer in (self.client.ping(), self.client.status(), self.client.models()):
            self.assertIs(answer["ok"], True)

    def test_a_signal_gets_a_decision(self):
        decision = self.client.score(self.signal)
        self.assertTrue(decision.ok, decision)
        if decision.arm == "baseline":
            self.assertEqual((decision.confidence, decision.score, decision.size), (0.62, 0.5, 1.0))

    def test_an_outcome_is_acknowledged_once_repeated_freely_and_never_changed(self):
        decision = self.client.score(self.signal)
        first = self.client.outcome(self.trade_id, METRICS, decision)
        self.assertFalse(first.duplicate)
        self.assertTrue(self.client.outcome(self.trade_id, METRICS, decision).duplicate)
        with self.assertRaises(vigie.NotAcknowledged) as caught:
            self.client.outcome(self.trade_id, {**METRICS, "pnl": -1.0}, decision)
        self.assertEqual((caught.exception.code, caught.exception.temporary), ("conflict", False))

    def test_an_alert_is_told_to_a_subscriber_and_to_who_asks(self):
        events = self.client.subscribe()
        self.assertEqual(next(events)["event"], "caught_up")
        self.client.outcome(self.trade_id, METRICS)
        with self.assertRaises(vigie.NotAcknowledged):
            self.client.outcome(self.trade_id, {**METRICS, "pnl": -1.0})
        told = next(event for event in events if event["event"] == "alert")
        self.assertIn(self.trade_id, told["message"])
        self.assertEqual(self.client.alerts(limit=1)[0]["seq"], told["seq"])
        events.close()
        again = self.client.subscribe(from_seq=told["seq"])
        self.assertEqual(next(again), told)
        again.close()

    def test_an_outcome_of_an_unknown_signal_is_stored_unmatched(self):
        self.assertIs(self.client.outcome(self.trade_id, METRICS).matched, False)

    def test_a_skip_is_acknowledged(self):
        self.client.score(self.signal)
        self.assertEqual(self.client.skip(self.trade_id, "spread too wide").trade_id, self.trade_id)

    def test_a_typo_is_named_and_the_connection_lives(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        decision = self.client.score({**self.signal, "sied": "long"})
        self.assertEqual((decision.ok, decision.arm, decision.confidence), (False, "baseline", 0.62))
        self.assertEqual((decision.error["code"], decision.error["field"]), ("unknown_field", "sied"))
        self.assertTrue(self.client.score(self.signal).ok)

    def test_pipelined_requests_are_answered_in_order(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10.0)
            connection.connect(self.path)
            lines = []
            for number in range(30):
                request = {"type": "ping"} if number % 3 else {**self.signal, "type": "score"}
                lines.append(json.dumps({**request, "id": number}) + "\n")
            connection.sendall("".join(lines).encode())
            with connection.makefile("rb") as file:
                self.assertEqual([json.loads(file.readline())["id"] for _ in range(30)], list(range(30)))


if __name__ == "__main__":
    unittest.main()
