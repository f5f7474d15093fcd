"""What becomes of signals, whatever they are made of, and of numbers of contracts."""

import asyncio
import collections
import copy
import dataclasses
import decimal
import logging
import os
import pickle
import signal as signals
import threading
import time
import types
import unittest

import vigie
from fake_daemon import Server, decision_for, replies
from test_vigie import SIGNAL


@dataclasses.dataclass(frozen=True)
class Frozen:
    trade_id: str
    confidence: float
    metadata: dict


Named = collections.namedtuple("Named", "trade_id confidence metadata")


class Slotted:
    __slots__ = ("confidence", "metadata", "trade_id")

    def __init__(self, trade_id, confidence, metadata):
        self.trade_id, self.confidence, self.metadata = trade_id, confidence, metadata


def plain(trade_id, confidence, metadata):
    return types.SimpleNamespace(trade_id=trade_id, confidence=confidence, metadata=metadata)


def mapping(trade_id, confidence, metadata):
    return {"trade_id": trade_id, "confidence": confidence, "metadata": metadata}


def field(signal, name):
    return signal[name] if isinstance(signal, dict) else getattr(signal, name)


def snapshot(signal):
    return {**SIGNAL, "trade_id": field(signal, "trade_id"), "confidence": field(signal, "confidence")}


class EnhancerTest(unittest.TestCase):
    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)

    def test_every_kind_of_signal_is_enhanced_in_a_copy(self):
        with Server(replies(decision_for)) as server, vigie.Client(server.path, deadline=5.0) as client:
            for make in (Frozen, Named, Slotted, plain, mapping):
                with self.subTest(make):
                    own = make("T-1", 0.1 + 0.2, {"setup": "green base"})
                    before = copy.deepcopy(own)
                    enhanced = vigie.Enhancer(lambda: own, client, snapshot)()
                    self.assertIs(type(enhanced), type(own))
                    self.assertEqual(field(enhanced, "confidence"), ((0.1 + 0.2) + 0.75) / 2)
                    expected = {"setup": "green base", "ml_confidence": 0.75, "ml_enhanced": True}
                    self.assertEqual(field(enhanced, "metadata"), expected)
                    self.assertEqual(field(own, "confidence"), field(before, "confidence"))
                    self.assertEqual(field(own, "metadata"), field(before, "metadata"))

    def test_a_neutral_answer_gives_the_very_object_back(self):
        baseline = lambda request: decision_for(request, arm="baseline", confidence=0.6, score=0.5, size=1.0, model=None)
        broken = lambda request: decision_for(request, size=11)
        for make in (Frozen, Named, Slotted, plain, mapping):
            own = make("T-1", 1 / 3, {"setup": "x"})
            before = pickle.dumps([field(own, name) for name in ("trade_id", "confidence", "metadata")])
            for answer in (baseline, broken):
                with Server(replies(answer)) as server, vigie.Client(server.path, deadline=5.0) as client:
                    self.assertIs(vigie.Enhancer(lambda: own, client, snapshot)(), own)
            with vigie.Client("/nonexistent/vigie.sock") as client:
                self.assertIs(vigie.Enhancer(lambda: own, client, snapshot)(), own)
                self.assertIsNone(vigie.Enhancer(lambda: None, client, snapshot)())
            after = pickle.dumps([field(own, name) for name in ("trade_id", "confidence", "metadata")])
            self.assertEqual(before, after)

    def test_it_is_switched_off_and_on_while_it_runs(self):
        with Server(replies(decision_for)) as server, vigie.Client(server.path, deadline=5.0) as client:
            own = mapping("T-1", 0.62, None)
            enhancer = vigie.Enhancer(lambda: own, client, snapshot, enabled=False)
            self.assertIs(enhancer(), own)
            self.assertEqual(server.requests, [])
            enhancer.enabled = True
            self.assertEqual(enhancer()["metadata"], {"ml_confidence": 0.75, "ml_enhanced": True})
            enhancer.enabled = False
            self.assertIs(enhancer(), own)
            self.assertEqual(len(server.requests), 1)

    def test_what_fails_beside_the_generator_leaves_the_signal(self):
        def fail(*_):
            raise RuntimeError("a fault in the trader's code")

        class Unwritable:
            trade_id, confidence, metadata = "T-1", 0.62, "no mapping"

        with Server(replies(decision_for)) as server, vigie.Client(server.path, deadline=5.0) as client:
            own = plain("T-1", 0.62, {})
            self.assertIs(vigie.Enhancer(lambda: own, client, fail)(), own)
            self.assertIs(vigie.Enhancer(lambda: own, client)(), own)  # it is no mapping, and there is no snapshot
            stubborn = Unwritable()
            self.assertIs(vigie.Enhancer(lambda: stubborn, client, snapshot)(), stubborn)
            enhanced = vigie.Enhancer(lambda: own, client, snapshot, on_decision=fail)()
            self.assertIs(enhanced.metadata["ml_enhanced"], True)
            with self.assertRaises(RuntimeError):
                vigie.Enhancer(fail, client, snapshot)()
            for weight in (-0.1, 1.1, float("nan"), "half"):
                with self.assertRaises(ValueError):
                    vigie.Enhancer(lambda: own, client, weight=weight)

    def test_the_weight_is_the_documents_or_the_daemons_and_a_difference_is_logged(self):
        logging.disable(logging.NOTSET)
        answer = lambda request: decision_for(request, confidence=0.65)  # blended with another weight than one half
        with Server(replies(answer)) as server, vigie.Client(server.path, deadline=5.0) as client:
            own = mapping("T-1", 0.62, None)
            with self.assertLogs("vigie", "WARNING") as logged:
                self.assertEqual(vigie.Enhancer(lambda: own, client, snapshot)()["confidence"], (0.62 + 0.75) / 2)
            self.assertIn("blend_weight", logged.output[0])
            self.assertEqual(vigie.Enhancer(lambda: own, client, snapshot, weight=None)()["confidence"], 0.65)

    def test_a_decimal_confidence_is_blended_as_the_number_it_is(self):
        with Server(replies(decision_for)) as server, vigie.Client(server.path, deadline=5.0) as client:
            own = mapping("T-1", decimal.Decimal("0.62"), None)
            self.assertEqual(vigie.Enhancer(lambda: own, client, snapshot)()["confidence"], 0.685)

    def test_a_mapping_is_its_own_snapshot_without_its_metadata(self):
        with Server(replies(decision_for)) as server, vigie.Client(server.path, deadline=5.0) as client:
            vigie.Enhancer(lambda: {**SIGNAL, "metadata": {"x": object()}}, client)()
            self.assertNotIn("metadata", server.requests[0])

    def test_the_asynchronous_one_takes_functions_and_coroutines(self):
        own = mapping("T-1", 0.62, None)

        async def coroutine():
            return own

        async def enhance(path):
            async with vigie.AsyncClient(path, deadline=5.0) as client:
                made = []
                for generate in (coroutine, lambda: own):
                    enhancer = vigie.AsyncEnhancer(generate, client, snapshot, on_decision=lambda *told: made.append(told))
                    self.assertEqual((await enhancer())["metadata"]["ml_confidence"], 0.75)
                    enhancer.enabled = False
                    self.assertIs(await enhancer(), own)
                self.assertEqual(len(made), 2)
            async with vigie.AsyncClient("/nonexistent") as client:
                self.assertIs(await vigie.AsyncEnhancer(coroutine, client, snapshot)(), own)

        with Server(replies(decision_for)) as server:
            asyncio.run(enhance(server.path))


class SizeTest(unittest.TestCase):
    def test_contracts_are_whole_and_never_more_than_allowed(self):
        spoke = vigie.Decision(True, "T-1", "ml", 0.685, 0.75, 1.0, "ES/14", "production")
        neutral = dataclasses.replace(spoke, arm="baseline")
        self.assertEqual((neutral.contracts(3, at_most=1), neutral.contracts(0)), (3, 0))
        for size, own, wanted in ((0.0, 5, 0), (0.5, 1, 0), (0.5, 3, 1), (0.51, 1, 1), (1.5, 1, 1), (1.6, 1, 2), (10.0, 2, 20)):
            self.assertEqual(spoke.at_size(size).contracts(own), wanted, (size, own))
        self.assertEqual(spoke.at_size(10.0).contracts(2, at_most=4), 4)
        self.assertEqual(spoke.at_size(1 / 3).to_wire()["size"], 1 / 3)
        for size in (-0.1, 10.1, float("nan"), "1", None, True):
            with self.assertRaises(ValueError):
                spoke.at_size(size)


class Hostile(dict):
    """A mapping that fails when it is asked."""

    def get(self, *_):
        raise RuntimeError("no")


class Sly:
    """A value that fails in every way."""

    ndim = 0

    def item(self):
        raise KeyError("no")

    def __repr__(self):
        raise MemoryError("no")


class HostileTest(unittest.TestCase):
    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)

    def test_nothing_that_is_given_to_it_makes_score_raise(self):
        deep = []
        for _ in range(100_000):
            deep = [deep]
        odd = [
            Hostile(SIGNAL), {**SIGNAL, "confidence": Sly()}, {**SIGNAL, "extra": Sly()}, {**SIGNAL, "extra": {"x": deep}},
            {**SIGNAL, 5: 6}, {**SIGNAL, (1, 2): 3}, {**SIGNAL, "extra": {"x": 10**400}}, {**SIGNAL, "confidence": 10**400},
            {**SIGNAL, "at": "\ud800"}, {**SIGNAL, "extra": {1, 2}}, {**SIGNAL, "extra": b"bytes"}, {**SIGNAL, "extra": 1j},
            {**SIGNAL, "trade_id": "T-1\n"}, {**SIGNAL, "trade_id": "\u0661"}, {**SIGNAL, "trade_id": Sly()}, Sly(), "text", 7,
        ]  # fmt: skip
        with Server(replies(decision_for)) as server, vigie.Client(server.path, deadline=5.0) as client:
            for at, signal in enumerate(odd):
                decision = client.score(signal)
                self.assertTrue(decision.ok or (decision.score, decision.size, decision.spoke) == (0.5, 1.0, False), at)
            for deadline in (10**400, float("inf"), "x", object(), None):
                self.assertIsInstance(client.score(SIGNAL, deadline), vigie.Decision)

    def test_a_descriptor_that_somebody_closed_costs_one_answer_at_most(self):
        with Server(replies(decision_for)) as server, vigie.Client(server.path, deadline=5.0) as client:
            self.assertTrue(client.score(SIGNAL).ok)
            os.close(client._signals._socket.fileno())
            client.score(SIGNAL)
            self.assertTrue(client.score(SIGNAL).ok)

    def test_signals_of_the_system_do_not_break_an_answer(self):
        def slowly(server, connection, file, _number):
            for byte in decision_for(server.read(file)):
                connection.sendall(bytes([byte]))
                server.stopped.wait(0.0005)

        heard = []
        old = signals.signal(signals.SIGALRM, lambda *_: heard.append(1))
        signals.setitimer(signals.ITIMER_REAL, 0.001, 0.001)
        try:
            with Server(slowly) as server, vigie.Client(server.path, deadline=10.0) as client:
                self.assertTrue(client.score(SIGNAL).ok)
        finally:
            signals.setitimer(signals.ITIMER_REAL, 0)
            signals.signal(signals.SIGALRM, old)
        self.assertGreater(len(heard), 10)

    def test_an_exception_of_a_handler_closes_the_connection_and_is_raised(self):
        def interrupt(*_):
            raise KeyboardInterrupt

        def behave(server, connection, file, number):
            request = server.read(file)
            if number == 0:
                os.kill(os.getpid(), signals.SIGALRM)
                server.stopped.wait(0.2)
            connection.sendall(decision_for(request))

        old = signals.signal(signals.SIGALRM, interrupt)
        try:
            with Server(behave) as server, vigie.Client(server.path, deadline=5.0) as client:
                with self.assertRaises(KeyboardInterrupt):
                    client.score(SIGNAL)
                self.assertTrue(client.score(SIGNAL).ok)
                self.assertEqual(len(server.connections), 2)
        finally:
            signals.signal(signals.SIGALRM, old)

    @unittest.skipUnless(hasattr(os, "fork"), "no fork")
    def test_a_child_of_a_fork_has_connections_of_its_own_also_while_a_lock_is_held(self):
        with Server(replies(decision_for)) as server, vigie.Client(server.path, deadline=5.0) as client:
            self.assertTrue(client.score(SIGNAL).ok)
            self.assertTrue(client._signals_lock.acquire(timeout=1.0))  # as if another thread were in the midst of a score
            child = os.fork()
            if child == 0:
                os._exit(0 if client.score(SIGNAL).ok else 1)
            client._signals_lock.release()
            self.assertEqual(os.waitpid(child, 0)[1], 0)
            self.assertTrue(client.score(SIGNAL).ok)
            self.assertEqual(len(server.connections), 2)


class AsyncioTest(unittest.TestCase):
    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)

    def test_a_deadline_is_as_hard_as_the_blocking_clients_and_other_tasks_run_on(self):
        turns = []

        async def others():
            while True:
                turns.append(1)
                await asyncio.sleep(0.001)

        async def trade(path):
            other = asyncio.ensure_future(others())
            client, took = vigie.AsyncClient(path, max_backoff=0.0), []
            for _ in range(20):
                start = time.monotonic()
                self.assertEqual((await client.score(SIGNAL, 0.020)).reason, "deadline")
                took.append(time.monotonic() - start)
            other.cancel()
            await client.aclose()
            return took

        def silent(server, _connection, file, _number):
            server.read(file)
            server.stopped.wait()

        with Server(silent) as server:
            took = asyncio.run(trade(server.path))
        self.assertGreaterEqual(min(took), 0.0199)
        self.assertLess(min(took), 0.0260)  # the quickest of twenty: the machine may be busy, the rule is not
        self.assertGreater(len(turns), 40)

    def test_a_cancelled_signal_takes_its_connection_along_and_no_turn(self):
        arrived = threading.Event()

        def behave(server, connection, file, number):
            request = server.read(file)
            arrived.set()
            if number == 0:
                server.stopped.wait(0.3)
                connection.sendall(decision_for({**request, "id": request["id"] + 2}, size=9.0))
            else:
                connection.sendall(decision_for(request))

        async def trade(path):
            async with vigie.AsyncClient(path, deadline=5.0) as client:
                first = asyncio.ensure_future(client.score(SIGNAL))
                await asyncio.sleep(0)
                queued = asyncio.ensure_future(client.score({**SIGNAL, "trade_id": "T-2"}))
                third = asyncio.ensure_future(client.score({**SIGNAL, "trade_id": "T-3"}))
                await asyncio.get_running_loop().run_in_executor(None, arrived.wait)
                queued.cancel()
                first.cancel()
                decision = await third
                self.assertEqual((decision.ok, decision.trade_id, decision.size), (True, "T-3", 1.5))
                for cancelled in (first, queued):
                    with self.assertRaises(asyncio.CancelledError):
                        await cancelled

        with Server(behave) as server:
            asyncio.run(trade(server.path))

    def test_a_turn_that_comes_with_the_end_of_its_task_goes_on_to_the_next(self):
        async def wait():
            turns, taken = vigie._Turns(), []

            async def take(name):
                await turns.take(time.monotonic() + 5.0)
                taken.append(name)

            await take("first")
            second, third = asyncio.ensure_future(take("second")), asyncio.ensure_future(take("third"))
            await asyncio.sleep(0)
            turns.give()  # to the second, which is not to see it
            second.cancel()
            await third
            self.assertEqual(taken, ["first", "third"])
            turns.give()
            await take("fourth")

        asyncio.run(wait())

    def test_a_turn_that_never_comes_costs_the_deadline(self):
        def silent(server, _connection, file, _number):
            server.read(file)
            server.stopped.wait()

        async def trade(path):
            async with vigie.AsyncClient(path) as client:
                slow = asyncio.ensure_future(client.score(SIGNAL, 0.3))
                await asyncio.sleep(0)
                start = time.monotonic()
                decision = await client.score(SIGNAL, 0.02)
                self.assertLess(time.monotonic() - start, 0.2)
                self.assertIn("another task", decision.error["message"])
                self.assertEqual((await slow).reason, "deadline")

        with Server(silent) as server:
            asyncio.run(trade(server.path))

    def test_one_client_serves_one_loop_after_another(self):
        with Server(replies(decision_for)) as server:
            client = vigie.AsyncClient(server.path, deadline=5.0)
            for _ in range(3):
                self.assertTrue(asyncio.run(client.score(SIGNAL)).ok)
            self.assertEqual(len(server.connections), 1)
            asyncio.run(client.aclose())

    def test_outcomes_are_repeated_while_the_fault_is_temporary(self):
        answers = iter(["retry", "too_many_connections", None])

        def make(request):
            code = next(answers)
            if code is None:
                return b'{"ok":true,"id":%d,"trade_id":"T-1","durable":true}\n' % request["id"]
            return b'{"ok":false,"id":%d,"error":{"code":"%s","message":"x"}}\n' % (request["id"], code.encode())

        async def report(path):
            async with vigie.AsyncClient(path) as client:
                return await client.outcome_reliably("T-1", {"pnl": 1.0}, timeout=5.0, pause=0.001)

        with Server(replies(make)) as server:
            self.assertEqual(asyncio.run(report(server.path)).trade_id, "T-1")
            self.assertEqual(len(server.requests), 3)


if __name__ == "__main__":
    unittest.main()
