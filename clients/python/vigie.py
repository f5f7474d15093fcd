"""Client of the vigie daemon: one file, standard library only, Python 3.9 or later.

The promise to the trader: :meth:`Client.score` returns within its deadline and raises for nothing. Whatever goes wrong,
its answer is the neutral one, which leaves the strategy exactly as it is. The promise about money:
:meth:`Client.outcome` and :meth:`Client.skip` return only when the daemon has stored the message on disk, and raise
:class:`NotAcknowledged` otherwise; both are idempotent, so the same call may be repeated until it succeeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import decimal
import hashlib
import itertools
import json
import logging
import math
import re
import select
import socket
import sys
import threading
import time
from typing import Any, Dict, Iterator, List, Mapping, Optional

__all__ = ["Acknowledgement", "Client", "Decision", "NotAcknowledged", "RequestFailed", "assignment"]

#: Longest request, in bytes, without its line end.
MAX_LINE = 64 * 1024
#: Longest answer that is read, in bytes: a thousand alerts or all versions are long, and a decision is short.
MAX_ANSWER = 256 * 1024 * 1024

_log = logging.getLogger("vigie")
_TRADE_ID = re.compile(r"[A-Za-z0-9._:/-]{1,64}")
_TEMPORARY = frozenset(
    {
        "busy",
        "deadline",
        "half_line",
        "internal_error",
        "journal",
        "journal_unavailable",
        "overloaded",
        "retry",
        "too_many_connections",
        "too_slow",
        "unreachable",
    }
)


class RequestFailed(Exception):
    """The daemon refused a request, or did not answer it.

    ``code`` is the daemon's word for the fault, or ``unreachable`` / ``deadline`` when it said nothing; ``field`` names the
    field at fault, if one is; ``temporary`` says whether the same request may succeed later.
    """

    def __init__(self, code: str, message: str, field: Optional[str] = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.field = field
        self.temporary = code in _TEMPORARY


class NotAcknowledged(RequestFailed):
    """An outcome or a skip that is not known to be stored. Keep it; when ``temporary``, send it again."""


@dataclasses.dataclass(frozen=True)
class Decision:
    """Answer to a signal. ``ok`` is False when the daemon had no say, or said that the request was at fault."""

    ok: bool
    trade_id: str
    #: ``baseline`` (the strategy as it is) or ``ml``.
    arm: str
    #: Confidence to trade on, 0 to 1: blended already when a model spoke, else the strategy's own; None if it gave none.
    confidence: Optional[float]
    #: The model's score, 0 to 1. 0.5 when no model spoke: a placeholder, not a prediction. See :meth:`blend`.
    score: float
    #: Multiplier of the strategy's own size, at least 0; 0 asks for no trade.
    size: float
    #: Name of the model, such as ``ES/14``, if there is one.
    model: Optional[str]
    reason: str
    #: ``{code, message, field}`` when the request was at fault.
    error: Optional[Mapping[str, Any]] = None

    @property
    def spoke(self) -> bool:
        """Whether a model influenced this decision."""
        return self.arm == "ml"

    def blend(self, confidence: Optional[float], weight: float = 0.5) -> Optional[float]:
        """``confidence`` blended with the score: ``(1 - weight) * confidence + weight * score``, or unchanged to the bit
        when no model spoke. For a trader who blends; ``self.confidence`` is what the daemon blended."""
        if not self.spoke or confidence is None:
            return confidence
        return (1.0 - weight) * confidence + weight * self.score

    def to_wire(self) -> Dict[str, Any]:
        """The decision as an outcome may echo it."""
        echo = {name: getattr(self, name) for name in _ECHOED}
        if not _is_probability(self.confidence):
            echo["confidence"] = None  # the strategy's own number, handed back as it came, but not a probability
        return echo


_ECHOED = ("trade_id", "arm", "confidence", "score", "size", "model", "reason")


@dataclasses.dataclass(frozen=True)
class Acknowledgement:
    """The daemon has this message on disk."""

    trade_id: str
    #: It had it before; nothing changed.
    duplicate: bool
    #: Whether the daemon knew the signal; None when it did not say.
    matched: Optional[bool]
    #: The whole answer.
    answer: Mapping[str, Any]


class _Failure(Exception):
    """An exchange that gave no usable answer: ``unreachable`` or ``deadline``, and why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Connection:
    """One connection with at most one request in flight. After any fault it is closed, so that an answer which comes late
    dies with it and is never read as the answer to another request."""

    def __init__(self, path: str, max_answer: int = MAX_ANSWER) -> None:
        self._path = path
        self._max_answer = max_answer
        self._socket: Optional[socket.socket] = None
        self._buffer = bytearray()

    def exchange(self, line: bytes, until: float) -> bytes:
        """Sends ``line`` and returns the answer's line, or raises :class:`_Failure` by ``until`` (monotonic seconds)."""
        try:
            if self._socket is not None and self._is_stale(self._socket):
                self.close()
            if self._socket is None:
                self._socket = self._connect(until)
            try:
                self._send(self._socket, line, until)
            except (BrokenPipeError, ConnectionResetError) as closed:
                # the daemon turned the connection away and closed it: what it said first is still there to be read
                answer = self._last_words(until)
                if answer is None:
                    raise closed
                return answer
            answer = self.read_line(until)
            if answer is None:
                raise _Failure("unreachable", "the daemon closed the connection")
            return answer
        except OSError as error:
            self.close()
            raise _Failure("unreachable", f"{self._path}: {error}") from error
        except BaseException:
            self.close()
            raise

    def _last_words(self, until: float) -> Optional[bytes]:
        try:
            return self.read_line(until)
        except (OSError, _Failure):
            return None

    def read_line(self, until: float) -> Optional[bytes]:
        """The next line without its end; None when the daemon closed the connection between two lines."""
        connection = self._socket
        if connection is None:
            return None
        searched = 0
        while True:
            end = self._buffer.find(b"\n", searched)
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                return line
            searched = len(self._buffer)
            if searched > self._max_answer:
                raise _Failure("unreachable", f"an answer is longer than {self._max_answer} bytes")
            try:
                data = connection.recv(65536)
            except BlockingIOError:
                _wait(connection, select.POLLIN, until)
                continue
            if not data:
                if self._buffer:
                    raise _Failure("unreachable", "the daemon closed the connection in the middle of an answer")
                return None
            _check_time(until)  # a peer that sends without pause must not outrun the deadline
            self._buffer += data

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._buffer.clear()

    def _is_stale(self, connection: socket.socket) -> bool:
        """Between requests nothing may be waiting: neither an answer nobody asked for nor the end of the stream."""
        if self._buffer:
            return True
        try:
            connection.recv(1, socket.MSG_PEEK)
            return True
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _connect(self, until: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            pause = 0.0005
            while True:
                try:
                    connection.connect(self._path)
                    return connection
                except BlockingIOError:
                    # a Unix socket whose queue is full says EAGAIN, and there is nothing to poll for
                    _check_time(until)
                    time.sleep(min(pause, max(0.0, until - time.monotonic())))
                    pause = min(2 * pause, 0.05)
        except BaseException:
            connection.close()
            raise

    @staticmethod
    def _send(connection: socket.socket, line: bytes, until: float) -> None:
        rest = memoryview(line)
        while rest:
            try:
                rest = rest[connection.send(rest) :]
            except BlockingIOError:
                _wait(connection, select.POLLOUT, until)


class Client:
    """Talks to the daemon at the socket ``path``.

    Signals travel on one connection, everything else on a second one, so that an outcome that waits for the disk never
    delays a signal. Each is guarded by a lock: a client may be shared by threads, but signals then queue behind each
    other within their own deadlines; one client per thread is faster. Make a new client after a fork.
    """

    def __init__(self, path: str, deadline: float = 0.020, max_backoff: float = 1.0) -> None:
        """``deadline``: seconds a signal may wait for its answer. ``max_backoff``: the longest pause, in seconds, in which
        signals are answered neutrally without trying the daemon again, after several failures in a row."""
        if not (_is_number(deadline) and deadline > 0):
            raise ValueError(f"deadline must be a number of seconds above 0, not {deadline!r}")
        self.path = path
        self.deadline = float(deadline)
        self._max_backoff = max_backoff
        self._signals = _Connection(path, MAX_LINE)
        self._signals_lock = threading.Lock()
        self._records = _Connection(path)
        self._records_lock = threading.Lock()
        self._ids = itertools.count(1)
        self._failures = 0
        self._next_try = 0.0
        self._last_refusal: Optional[str] = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes both connections; the next request opens them again."""
        with self._signals_lock:
            self._signals.close()
        with self._records_lock:
            self._records.close()

    def score(self, snapshot: Mapping[str, Any], deadline: Optional[float] = None) -> Decision:
        """The daemon's decision on a signal, within ``deadline`` seconds (the client's own if None), never an exception.

        ``snapshot`` is the signal as the daemon reads it, without ``type``, ``id`` and ``deadline_us``. Numbers may be
        Decimal or numpy's, times datetime or pandas' (with a time zone). The neutral answer has the reason ``deadline`` (no
        answer in time), ``unreachable`` (no daemon, a broken answer, a connection that was turned away, or a pause after
        several failures) or ``invalid_request`` (the snapshot cannot be sent or was refused: only a person can mend it, so
        it is logged). ``error`` says why, with the daemon's own code where it gave one, such as ``forbidden``.
        """
        started = time.monotonic()
        try:
            return self._score(snapshot, started + (self.deadline if deadline is None else float(deadline)))
        except _Failure as failure:
            _log.debug("no answer from vigie: %s", failure)
            return _neutral(snapshot, failure.code, str(failure))
        except (TypeError, ValueError) as error:
            _log.error("a signal could not be sent to vigie: %s", error)
            return _neutral(snapshot, "invalid_request", str(error))
        except Exception as error:  # the trader must never fall because of us
            _log.exception("the client of vigie failed")
            return _neutral(snapshot, "unreachable", repr(error))

    def outcome(
        self,
        trade_id: str,
        outcome_metrics: Mapping[str, Any],
        decision: Optional[Decision] = None,
        timeout: float = 2.0,
    ) -> Acknowledgement:
        """Reports a closed trade and returns once it is on the daemon's disk.

        Pass the ``decision`` the trade was made on: it lets the daemon count the trade even if it lost the signal.
        Raises :class:`NotAcknowledged` when it is not known to be stored, ValueError when it cannot be sent at all.
        """
        fields: Dict[str, Any] = {"outcome_metrics": outcome_metrics}
        if decision is not None:
            fields["decision"] = decision.to_wire()
        return self._record("outcome", trade_id, fields, timeout)

    def skip(self, trade_id: str, reason: str, timeout: float = 2.0) -> Acknowledgement:
        """Reports a signal that was not traded, and why. Same promises as :meth:`outcome`."""
        return self._record("skip", trade_id, {"reason": reason}, timeout)

    def outcome_reliably(
        self,
        trade_id: str,
        outcome_metrics: Mapping[str, Any],
        decision: Optional[Decision] = None,
        timeout: float = 2.0,
        attempts: int = 5,
        pause: float = 0.2,
    ) -> Acknowledgement:
        """:meth:`outcome`, repeated up to ``attempts`` times with growing pauses while the fault is temporary.

        Blocks for up to about ``attempts * timeout`` seconds and the pauses: call it away from the trading loop.
        """
        for attempt in range(1, attempts + 1):
            try:
                return self.outcome(trade_id, outcome_metrics, decision, timeout)
            except NotAcknowledged as error:
                if not error.temporary or attempt == attempts:
                    raise
                _log.warning("outcome of %s not acknowledged (%s), attempt %d", trade_id, error, attempt)
                time.sleep(pause * 2 ** (attempt - 1))
        raise ValueError(f"attempts must be at least 1, not {attempts}")

    def ping(self, timeout: float = 2.0) -> Dict[str, Any]:
        """Asks whether the daemon is there. Raises :class:`RequestFailed`, like all requests below."""
        return self.request("ping", timeout)

    def status(self, timeout: float = 2.0) -> Dict[str, Any]:
        """What is served now, and how the daemon feels."""
        return self.request("status", timeout)

    def models(self, timeout: float = 2.0) -> Dict[str, Any]:
        """All model versions and where they stand."""
        return self.request("models", timeout)

    def request(self, kind: str, timeout: float = 2.0, **fields: Any) -> Dict[str, Any]:
        """Sends a request of any type and returns its answer as it came."""
        until = time.monotonic() + timeout
        try:
            with _held(self._records_lock, until):
                request_id = next(self._ids)
                answer = self._records.exchange(_line({**fields, "type": kind, "id": request_id}), until)
                return _answer(self._records, answer, request_id)
        except _Failure as failure:
            raise RequestFailed(failure.code, str(failure)) from failure

    def alerts(
        self,
        limit: int = 100,
        since: Optional[str] = None,
        level: Optional[str] = None,
        timeout: float = 2.0,
    ) -> List[Dict[str, Any]]:
        """The latest alerts, newest last: at most ``limit``, none from before ``since`` (a time with its offset), none less
        urgent than ``level`` (``info``, ``warning`` or ``critical``)."""
        return self.request("alerts", timeout, limit=limit, since=since, level=level)["alerts"]

    def subscribe(
        self, timeout: float = 2.0, from_seq: Optional[int] = None, decisions: bool = False
    ) -> Iterator[Dict[str, Any]]:
        """Yields the daemon's events as they happen, on a connection of its own, until the daemon closes it.

        With ``from_seq`` it begins with the event of that number: after the event you saw last, go on with its ``seq`` + 1.
        An event ``caught_up`` tells that the past is over. With ``decisions`` those are told as well, from now on.
        ``timeout`` bounds the request itself; between events it waits for ever. Closing the generator ends it.
        """
        connection = _Connection(self.path)
        try:
            request_id = next(self._ids)
            line = _line({"type": "subscribe", "id": request_id, "from": from_seq, "decisions": decisions})
            _answer(None, connection.exchange(line, time.monotonic() + timeout), request_id)
            while True:
                event = connection.read_line(math.inf)
                if event is None:
                    return
                told = _parse(event)
                if told.get("ok") is False:  # the daemon says why it tells no more
                    raise _refusal(told)
                yield told
        except (_Failure, OSError) as failure:
            raise RequestFailed(getattr(failure, "code", "unreachable"), str(failure)) from failure
        finally:
            connection.close()

    def _score(self, snapshot: Mapping[str, Any], until: float) -> Decision:
        trade_id = _checked_trade_id(snapshot["trade_id"] if "trade_id" in snapshot else None)
        request_id = next(self._ids)
        _check_time(until)
        budget = {"deadline_us": max(1, int((until - time.monotonic()) * 1e6))}
        own = _own_confidence(snapshot)
        plain = {} if own is None else {"confidence": own}  # of numpy's kinds, a number
        line = _line({**snapshot, **plain, "type": "score", "id": request_id, **budget})
        with _held(self._signals_lock, until):
            if time.monotonic() < self._next_try:
                raise _Failure("unreachable", f"pausing after {self._failures} failures in a row")
            try:
                answer = _answer(self._signals, self._signals.exchange(line, until), request_id, refuse=False)
                if answer.get("id") is None:
                    return self._turned_away(_refusal(answer), snapshot)
                decision = _decision(answer, snapshot, trade_id)
            except _Failure:
                self._signals.close()
                self._back_off()
                raise
            self._failures = 0
            self._last_refusal = None
            return decision

    def _turned_away(self, refusal: RequestFailed, snapshot: Mapping[str, Any]) -> Decision:
        """The daemon refused the connection and not the signal: the same pause as after any failure, and one log line for
        as long as it says the same."""
        if refusal.code != self._last_refusal:
            _log.error("vigie turned the connection away: %s", refusal)
        self._last_refusal = refusal.code
        self._back_off()
        return _neutral(snapshot, "unreachable", refusal.message, refusal.code)

    def _record(self, kind: str, trade_id: str, fields: Dict[str, Any], timeout: float) -> Acknowledgement:
        fields["trade_id"] = _checked_trade_id(trade_id)
        try:
            answer = self.request(kind, timeout, **fields)
        except RequestFailed as error:
            raise NotAcknowledged(error.code, error.message, error.field) from error
        duplicate = answer.get("duplicate") is True
        if answer.get("trade_id") != trade_id or not (duplicate or answer.get("durable") is True):
            raise NotAcknowledged("unreachable", f"not the acknowledgement of {trade_id}: {answer}")
        return Acknowledgement(trade_id, duplicate, answer.get("matched"), answer)

    def _back_off(self) -> None:
        """The first failure costs nothing, so that a restart of the daemon is hardly noticed; then 10 ms, 20 ms, ..."""
        self._failures += 1
        if self._failures > 1:
            pause = 0.010 * 2 ** min(self._failures - 2, 16)
            self._next_try = time.monotonic() + min(pause, self._max_backoff)


def assignment(salt: str, trade_id: str) -> float:
    """Where a trade falls in [0, 1) in the experiment ``salt``: in the ML arm when below the experiment's share.

    BLAKE2b with an 8-byte digest keyed by the salt (its first 64 bytes), the top 53 bits of it over 2^53.
    """
    digest = hashlib.blake2b(trade_id.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def _check_time(until: float) -> None:
    if not time.monotonic() < until:  # written so that NaN is over at once
        raise _Failure("deadline", "no answer in time")


def _wait(connection: socket.socket, event: int, until: float) -> None:
    """Waits until ``connection`` is ready or a part of the time is over; raises when all of it is."""
    _check_time(until)
    poll = select.poll()
    poll.register(connection, event)
    left = until - time.monotonic()
    if left == math.inf:
        poll.poll()
    elif left >= 0.001:
        # whole milliseconds, rounded down: poll would round up, past the deadline
        poll.poll(int(min(left, 3600.0) * 1000))
    elif not poll.poll(0):
        time.sleep(max(0.0, min(left, 0.0001)))


class _held:
    """A lock that is waited for until ``until`` at most."""

    def __init__(self, lock: threading.Lock, until: float) -> None:
        self._lock = lock
        self._until = until

    def __enter__(self) -> None:
        left = self._until - time.monotonic()
        if not self._lock.acquire(timeout=max(0.0, min(left, threading.TIMEOUT_MAX))):
            raise _Failure("deadline", "another thread uses this client; give each thread its own")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _line(message: Mapping[str, Any]) -> bytes:
    """One line of JSON; ValueError for what JSON or the daemon cannot take."""
    try:
        line = json.dumps(message, allow_nan=False, separators=(",", ":"), default=_plain).encode()
    except (TypeError, RecursionError) as error:
        raise ValueError(f"the message is not JSON: {error}") from error
    if len(line) > MAX_LINE:
        raise ValueError(f"the message has {len(line)} bytes, more than the {MAX_LINE} a line may have")
    return line + b"\n"


def _plain(value: Any) -> Any:
    """What JSON does not know, as what it does: Decimal, datetime, and the scalars and arrays of numpy and pandas."""
    if isinstance(value, decimal.Decimal):
        return float(value)  # one that is not finite is refused as NaN is
    if isinstance(value, datetime.datetime):
        if value != value:  # pandas' NaT
            raise ValueError("NaT is no time; send None for what is not known")
        if value.utcoffset() is None:
            raise ValueError(f"the time {value} has no time zone; add one, such as datetime.timezone.utc")
        return value.isoformat()
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        plain = item()  # a scalar of numpy
        if getattr(getattr(value, "dtype", None), "kind", None) == "f":
            return float(plain)  # also a longdouble, whose item is one again
        if isinstance(plain, datetime.datetime) or type(plain) is type(value):
            raise ValueError(f"{value!r} has no time zone; send a datetime that has one")
        if type(value).__name__ == "datetime64":
            raise ValueError(f"{value!r} has no time zone; send a datetime that has one")
        return plain
    tolist = getattr(value, "tolist", None)
    if callable(tolist):
        return tolist()  # an array
    if isinstance(value, Mapping):
        return dict(value)
    if type(value).__name__ == "NAType":
        raise ValueError("pandas.NA is no value; send None for what is not known")
    raise TypeError(f"{type(value).__name__} {value!r} has no form in JSON")


def _parse(line: bytes) -> Dict[str, Any]:
    try:
        answer = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _Failure("unreachable", f"an answer that is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise _Failure("unreachable", "an answer that is not a JSON object")
    return answer


def _answer(connection: Optional[_Connection], line: bytes, request_id: int, refuse: bool = True) -> Dict[str, Any]:
    """The answer to ``request_id``. A refusal is raised as :class:`RequestFailed` if ``refuse``."""
    try:
        answer = _parse(line)
        refused = answer.get("ok") is not True
        # a refusal may come without an id, when the daemon could not take the connection at all
        if answer.get("id") != request_id and not (refused and answer.get("id") is None):
            raise _Failure("unreachable", f"the answer of another request: id {answer.get('id')!r}, not {request_id}")
    except _Failure:
        if connection is not None:
            connection.close()
        raise
    if answer.get("id") is None and connection is not None:
        connection.close()
    if refused and refuse:
        raise _refusal(answer)
    return answer


def _refusal(answer: Mapping[str, Any]) -> RequestFailed:
    error = answer.get("error")
    error = error if isinstance(error, dict) else {}
    field = error.get("field")
    code, message = str(error.get("code", "unreachable")), str(error.get("message", f"refused: {answer}"))
    return RequestFailed(code, message, None if field is None else str(field))


def _decision(answer: Mapping[str, Any], snapshot: Mapping[str, Any], trade_id: str) -> Decision:
    """The answer as a decision, every field checked: a broken one must not reach an order."""
    if answer.get("ok") is not True and answer.get("trade_id") in (None, trade_id):
        refusal = _refusal(answer)
        _log.error("vigie refused the signal %s: %s (field %s)", trade_id, refusal, refusal.field)
        reason = answer.get("reason")
        if not isinstance(reason, str):
            reason = "unreachable" if refusal.temporary else "invalid_request"
        error = {"code": refusal.code, "message": refusal.message, "field": refusal.field}
        return dataclasses.replace(_neutral(snapshot, reason, ""), error=error)
    if answer.get("trade_id") != trade_id:
        raise _Failure("unreachable", f"an answer about {answer.get('trade_id')!r}, not {trade_id}")
    get = answer.get
    confidence, score, size, model = get("confidence"), get("score"), get("size"), get("model")
    sound = (
        get("arm") in ("baseline", "ml")
        and (_is_probability(confidence) or (confidence is None and get("arm") == "baseline"))
        and _is_probability(score)
        and _is_number(size)
        and size >= 0
        and (model is None or isinstance(model, str))
        and isinstance(get("reason"), str)
    )
    if not sound:
        _log.error("vigie gave a broken answer: %s", answer)
        raise _Failure("unreachable", f"a broken answer: {answer}")
    # a daemon that could not read it has none to give back; the strategy's own is never lost
    confidence = _own_confidence(snapshot) if confidence is None else float(confidence)
    return Decision(True, trade_id, answer["arm"], confidence, float(score), float(size), model, answer["reason"])


def _neutral(snapshot: Any, reason: str, message: str, code: Optional[str] = None) -> Decision:
    """The answer that changes nothing."""
    fields = snapshot if isinstance(snapshot, Mapping) else {}
    trade_id = fields.get("trade_id")
    error = {"code": code or reason, "message": message, "field": None}
    name = trade_id if isinstance(trade_id, str) else ""
    return Decision(False, name, "baseline", _own_confidence(fields), 0.5, 1.0, None, reason, error)


def _own_confidence(snapshot: Mapping[str, Any]) -> Optional[float]:
    """The strategy's own confidence as it came; a float of a number that is none of Python's own. None if it is no number."""
    own = snapshot.get("confidence")
    if _is_number(own):
        return own
    try:
        plain = None if isinstance(own, (bool, str, type(None))) else _plain(own)
    except (TypeError, ValueError, ArithmeticError):
        return None
    if isinstance(plain, list) and len(plain) == 1:
        plain = plain[0]  # an array of one number, as models give it
    return plain if _is_number(plain) else None


def _checked_trade_id(trade_id: Any) -> str:
    if isinstance(trade_id, str) and _TRADE_ID.fullmatch(trade_id):
        return trade_id
    raise ValueError(f"trade_id {trade_id!r} is not 1 to 64 characters of A-Z a-z 0-9 . _ : / -")


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond the floats
        return False


def _is_probability(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _main() -> int:
    parser = argparse.ArgumentParser(prog="vigie.py", description="Talk to a running vigie daemon.")
    parser.add_argument("--socket", default="/run/vigie/vigie.sock", help="path of the daemon's socket")
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds to wait for an answer")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("ping", "is it there"), ("status", "what is served"), ("models", "all versions")):
        commands.add_parser(name, help=text)
    commands.add_parser("alerts", help="what a person should know")
    subscribe = commands.add_parser("subscribe", help="print events as they happen")
    subscribe.add_argument("--from", dest="from_seq", type=int, help="begin with the event of this number")
    subscribe.add_argument("--decisions", action="store_true", help="print decisions as well")
    commands.add_parser("score", help="score a signal").add_argument("file", help="JSON file, - for standard input")
    outcome = commands.add_parser("outcome", help="report a closed trade")
    outcome.add_argument("trade_id")
    outcome.add_argument("file", help="JSON file with the outcome_metrics, - for standard input")
    skip = commands.add_parser("skip", help="report a signal that was not traded")
    skip.add_argument("trade_id")
    skip.add_argument("reason")
    arguments = parser.parse_args()
    try:
        return _run(arguments)
    except (RequestFailed, ValueError, OSError) as error:
        print(f"vigie.py: {error}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace) -> int:
    with Client(arguments.socket, deadline=arguments.timeout) as client:
        if arguments.command == "subscribe":
            for event in client.subscribe(arguments.timeout, arguments.from_seq, arguments.decisions):
                print(json.dumps(event), flush=True)
            return 0
        if arguments.command == "score":
            decision = client.score(_read(arguments.file))
            print(json.dumps(dataclasses.asdict(decision)))
            return 0 if decision.ok else 1
        if arguments.command == "outcome":
            answer = client.outcome(arguments.trade_id, _read(arguments.file), timeout=arguments.timeout).answer
        elif arguments.command == "skip":
            answer = client.skip(arguments.trade_id, arguments.reason, arguments.timeout).answer
        else:
            answer = client.request(arguments.command, arguments.timeout)
        print(json.dumps(answer))
        return 0


def _read(name: str) -> Any:
    with sys.stdin if name == "-" else open(name, encoding="utf-8") as file:
        return json.load(file)


if __name__ == "__main__":
    sys.exit(_main())
