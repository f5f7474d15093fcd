"""Client of the vigie daemon: one file, standard library only, Python 3.9 or later. It talks over the daemon's Unix socket or, where
there is none, over HTTP with its gateway (docs/gateway.md).

The promise to the trader: :meth:`Client.score` returns within its deadline and raises for nothing. Whatever goes wrong,
its answer is the neutral one, which leaves the strategy exactly as it is. The promise about money:
:meth:`Client.outcome` and :meth:`Client.skip` return only when the daemon has stored the message on disk, and raise
:class:`NotAcknowledged` otherwise; both are idempotent, so the same call may be repeated until it succeeds.

:class:`AsyncClient` is the same for asyncio. :class:`Enhancer` and :class:`AsyncEnhancer` wrap a signal generator.
:func:`read_export` and :func:`write_trades` need pandas, and nothing else here does.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import copy
import dataclasses
import datetime
import decimal
import gzip
import hashlib
import itertools
import json
import logging
import math
import os
import pickle
import re
import select
import socket
import sys
import threading
import time
import weakref
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncIterator,
    Awaitable,
    Callable,
    Deque,
    Dict,
    Generator,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
    TypeVar,
    Union,
)

if TYPE_CHECKING:
    import pandas

__version__ = "0.1.0"
__all__ = [
    "Acknowledgement",
    "AsyncClient",
    "AsyncEnhancer",
    "Client",
    "Decision",
    "Enhancer",
    "NotAcknowledged",
    "RequestFailed",
    "assignment",
    "read_export",
    "write_trades",
]

#: Longest request, in bytes, without its line end.
MAX_LINE = 64 * 1024
#: Longest line that ``vigie import`` reads from a file, in bytes.
MAX_IMPORT = 1024 * 1024
#: Longest answer that is read, in bytes: a thousand alerts or all versions are long, and a decision is short.
MAX_ANSWER = 256 * 1024 * 1024
#: Largest size that is believed: the daemon's configuration allows no larger one.
MAX_SIZE = 10.0

_T = TypeVar("_T")
_log = logging.getLogger("vigie")
#: Longest head of an HTTP answer, in bytes.
_MAX_HEAD = 16 * 1024
#: What a connection is waited for, by the numbers of poll, which Windows has not.
_READ, _WRITE = 1, 4
_ADDRESS = re.compile(r"http://(\[[0-9A-Fa-f:.]+\]|[0-9.]+|localhost):([0-9]{1,5})/?")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,200}")
_KIND = re.compile(r"[a-z_]{1,32}")
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
    """Answer to a signal. ``ok`` is False when the daemon was not heard, or said that the request was at fault."""

    ok: bool
    trade_id: str
    #: ``baseline`` (the strategy as it is) or ``ml``.
    arm: str
    #: Confidence to trade on, 0 to 1: blended already when a model spoke, else the strategy's own; None if it gave none.
    confidence: Optional[float]
    #: The model's score, 0 to 1. 0.5 when no model spoke: a placeholder, not a prediction. See :meth:`blend`.
    score: float
    #: Multiplier of the strategy's own size, 0 to 10; 0 asks for no trade. See :meth:`contracts`.
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

    def contracts(self, own: int, at_most: Optional[int] = None) -> int:
        """Whole contracts to trade where the strategy alone trades ``own``: ``own`` itself when no model spoke, otherwise
        ``own * size`` to the nearest whole number, a half to the smaller one, and no more than ``at_most``."""
        if not self.spoke:
            return own
        wanted = max(0, math.ceil(own * self.size - 0.5))
        return wanted if at_most is None else min(wanted, at_most)

    def at_size(self, size: float) -> Decision:
        """The decision with the multiple of the strategy's own size that was traded, where that is another one: the daemon
        divides the pnl of an outcome by the ``size`` of the decision that comes with it."""
        if not (_is_number(size) and 0 <= size <= MAX_SIZE):
            raise ValueError(f"size must be a number from 0 to {MAX_SIZE}, not {size!r}")
        return dataclasses.replace(self, size=float(size))

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


class _Wait(NamedTuple):
    """What an exchange waits for: that ``connection`` is ready for ``event``, or only for the time if there is none; and
    until when at most, in monotonic seconds."""

    connection: Optional[socket.socket]
    event: int
    until: float


#: Work that stops at each wait: :func:`_run` waits with poll, :func:`_run_async` with the event loop. What is done between
#: the waits is written once.
_Steps = Generator[_Wait, None, _T]


class _Connection:
    """One connection with at most one request in flight. After any fault it is closed, so that an answer which comes late
    dies with it and is never read as the answer to another request."""

    def __init__(self, path: str, max_answer: int = MAX_ANSWER) -> None:
        self._path = path
        self._max_answer = max_answer
        self._socket: Optional[socket.socket] = None
        self._buffer = bytearray()

    def exchange(self, line: bytes, until: float, kind: str) -> _Steps[bytes]:
        """Sends ``line``, a request of that ``kind``, and returns the answer's line, or raises :class:`_Failure` by ``until``
        (monotonic seconds)."""
        try:
            if self._socket is not None and self._is_stale(self._socket):
                self.close()
            if self._socket is None:
                self._socket = yield from self._connect(until)
            try:
                yield from self._send(self._socket, self._framed(line, kind), until)
            except (BrokenPipeError, ConnectionResetError) as closed:
                # the daemon turned the connection away and closed it: what it said first is still there to be read
                answer = yield from self._last_words(until)
                if answer is None:
                    raise closed
                return answer
            answer = yield from self._read_answer(until)
            if answer is None:
                raise _Failure("unreachable", "the daemon closed the connection")
            return answer
        except OSError as error:
            self.close()
            raise _Failure("unreachable", f"{self._path}: {error}") from error
        except BaseException:
            self.close()
            raise

    def _last_words(self, until: float) -> _Steps[Optional[bytes]]:
        try:
            return (yield from self._read_answer(until))
        except (OSError, _Failure):
            return None

    def _framed(self, line: bytes, kind: str) -> bytes:
        return line

    def _read_answer(self, until: float) -> _Steps[Optional[bytes]]:
        return (yield from self.read_line(until))

    def read_line(self, until: float) -> _Steps[Optional[bytes]]:
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
            if not (yield from self._read_more(connection, until)):
                return None

    def _read_more(self, connection: socket.socket, until: float) -> _Steps[bool]:
        """Waits for more bytes; False at the end of the stream between two lines."""
        if len(self._buffer) > self._max_answer:
            raise _Failure("unreachable", f"an answer is longer than {self._max_answer} bytes")
        while True:
            try:
                data = connection.recv(65536)
            except BlockingIOError:
                _check_time(until)
                yield _Wait(connection, _READ, until)
                continue
            if not data:
                if self._buffer:
                    raise _Failure("unreachable", "the daemon closed the connection in the middle of an answer")
                return False
            _check_time(until)  # a peer that sends without pause must not outrun the deadline
            self._buffer += data
            return True

    def close(self) -> None:
        connection, self._socket = self._socket, None
        self._buffer.clear()
        if connection is not None:
            try:
                connection.close()
            except OSError:  # somebody else closed its descriptor
                pass

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

    def _connect(self, until: float) -> _Steps[socket.socket]:
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
                    yield _Wait(None, 0, min(time.monotonic() + pause, until))
                    pause = min(2 * pause, 0.05)
        except BaseException:
            connection.close()
            raise

    @staticmethod
    def _send(connection: socket.socket, line: bytes, until: float) -> _Steps[None]:
        rest = memoryview(line)
        while rest:
            try:
                rest = rest[connection.send(rest) :]
            except BlockingIOError:
                _check_time(until)
                yield _Wait(connection, _WRITE, until)


class _HttpConnection(_Connection):
    """The same with the gateway: the line is the body of a request, and the body of the answer is its line. Whatever the status is,
    the body says what happened; one that is no answer is broken."""

    def __init__(self, address: str, token: str, max_answer: int = MAX_ANSWER) -> None:
        super().__init__(address, max_answer)
        parts = _ADDRESS.fullmatch(address)
        if parts is None or not 0 < int(parts[2]) < 65536:
            raise ValueError(f"{address}: an address is http://, an IP address or localhost, and :PORT; there is no TLS here")
        if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
            raise ValueError("the token has characters that none has; `vigie web trader` prints one")
        self._host = f"{parts[1]}:{parts[2]}"
        self._token = token
        # no name is looked up: that could take longer than any deadline
        name = "127.0.0.1" if parts[1] == "localhost" else parts[1].strip("[]")
        self._family = socket.AF_INET6 if ":" in name else socket.AF_INET
        try:
            socket.inet_pton(self._family, name)
        except OSError as error:
            raise ValueError(f"{address}: this is no IP address") from error
        self._address = (name, int(parts[2]))

    def _framed(self, line: bytes, kind: str) -> bytes:
        if _KIND.fullmatch(kind) is None:
            raise ValueError(f"{kind!r} is no type of a request")
        head = (
            f"POST /v1/{kind} HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(line)}\r\n\r\n"
        )
        return head.encode() + line

    def _read_answer(self, until: float) -> _Steps[Optional[bytes]]:
        status = yield from self._read_head(until)
        if status is None:
            return None
        if re.fullmatch(rb"HTTP/1\.[01] [2-5][0-9][0-9]( .*)?", status) is None:
            raise _Failure("unreachable", "an answer that is not HTTP")
        fields: Dict[bytes, bytes] = {}
        size = len(status)
        while True:
            field = yield from self._read_head(until)
            if not field:
                break
            size += len(field)
            name, colon, value = field.partition(b":")
            name = name.lower()
            if not colon or size > _MAX_HEAD or (name == b"content-length" and name in fields):
                raise _Failure("unreachable", "an answer with a broken head")
            fields[name] = value.strip()
        length = fields.get(b"content-length", b"")
        if field is None or b"transfer-encoding" in fields or re.fullmatch(rb"[0-9]{1,9}", length) is None:
            raise _Failure("unreachable", "an answer without a length")
        if int(length) > self._max_answer:
            raise _Failure("unreachable", f"an answer is longer than {self._max_answer} bytes")
        connection = self._socket
        while connection is not None and len(self._buffer) < int(length):
            if not (yield from self._read_more(connection, until)):
                raise _Failure("unreachable", "the gateway closed the connection in the middle of an answer")
        answer = bytes(self._buffer[: int(length)])
        del self._buffer[: int(length)]
        if fields.get(b"connection", b"").lower() == b"close":
            self.close()
        return answer

    def _read_head(self, until: float) -> _Steps[Optional[bytes]]:
        line = yield from self.read_line(until)
        return None if line is None else line[:-1] if line.endswith(b"\r") else line

    def _connect(self, until: float) -> _Steps[socket.socket]:
        connection = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                connection.connect(self._address)
            except BlockingIOError:
                while not _is_connected(connection):
                    _check_time(until)
                    yield _Wait(connection, _WRITE, until)
            return connection
        except BaseException:
            connection.close()
            raise


def _is_connected(connection: socket.socket) -> bool:
    """Whether a connection that is being made is there; OSError when it never will be."""
    error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))
    try:
        connection.getpeername()
    except OSError:
        return False
    return True


def _connection_to(path: str, token: Optional[str], max_answer: int = MAX_ANSWER) -> _Connection:
    if path.startswith(("http://", "https://")):
        return _HttpConnection(path, token or "", max_answer)
    if token is not None:
        raise ValueError("a token is for an address such as http://127.0.0.1:8178; the socket knows its users")
    return _Connection(path, max_answer)


class _Pace:
    """How often a daemon is tried that fails: the first failure costs nothing, so that a restart of the daemon is hardly
    noticed; then there is a pause of 10 ms, 20 ms, ... in which signals are answered neutrally at once."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self.failures = 0
        self._next_try = 0.0
        self._last_refusal: Optional[str] = None

    def check(self) -> None:
        if time.monotonic() < self._next_try:
            raise _Failure("unreachable", f"pausing after {self.failures} failures in a row")

    def succeeded(self) -> None:
        self.failures = 0
        self._last_refusal = None

    def failed(self) -> None:
        self.failures += 1
        if self.failures > 1:
            pause = 0.010 * 2 ** min(self.failures - 2, 16)
            self._next_try = time.monotonic() + min(pause, self._longest)

    def turned_away(self, refusal: RequestFailed) -> None:
        """The daemon refused the connection and not the signal: the same pause as after any failure, and one log line for
        as long as it says the same."""
        if refusal.code != self._last_refusal:
            _log.error("vigie turned the connection away: %s", refusal)
        self._last_refusal = refusal.code
        self.failed()


class _Question(NamedTuple):
    """A signal, ready to be sent."""

    snapshot: Mapping[str, Any]
    trade_id: str
    request_id: int
    line: bytes
    until: float


class _Core:
    """What the clients share: everything but how they wait."""

    def __init__(self, path: str, deadline: float, max_backoff: float, token: Optional[str]) -> None:
        if not (_is_number(deadline) and deadline > 0):
            raise ValueError(f"deadline must be a number of seconds above 0, not {deadline!r}")
        self.path = path
        self.deadline = float(deadline)
        self._signals = _connection_to(path, token, MAX_LINE)
        self._records = _connection_to(path, token)
        self._ids = itertools.count(1)
        self._pace = _Pace(max_backoff)
        _clients.add(self)

    def _forked(self) -> None:
        """In the child of a fork: the connections are the parent's, and a lock may be held by a thread that is not here."""
        self._signals.close()
        self._records.close()

    def _question(self, snapshot: Mapping[str, Any], started: float, deadline: Optional[float]) -> _Question:
        until = started + (self.deadline if deadline is None else float(deadline))
        trade_id = _checked_trade_id(snapshot["trade_id"] if "trade_id" in snapshot else None)
        request_id = next(self._ids)
        _check_time(until)
        budget = {"deadline_us": max(1, int(min(until - time.monotonic(), 3600.0) * 1e6))}
        own = _own_confidence(snapshot)
        plain = {} if own is None else {"confidence": own}  # of numpy's kinds, a number
        line = _line({**snapshot, **plain, "type": "score", "id": request_id, **budget})
        return _Question(snapshot, trade_id, request_id, line, until)

    def _ask(self, question: _Question) -> _Steps[Decision]:
        self._pace.check()
        try:
            line = yield from self._signals.exchange(question.line, question.until, "score")
            answer = _answer(self._signals, line, question.request_id, refuse=False)
            if answer.get("id") is None:
                refusal = _refusal(answer)
                self._pace.turned_away(refusal)
                return _neutral(question.snapshot, "unreachable", refusal.message, refusal.code)
            decision = _decision(answer, question.snapshot, question.trade_id)
        except _Failure:
            self._signals.close()
            self._pace.failed()
            raise
        if not decision.ok and decision.reason in ("deadline", "unreachable"):
            self._pace.failed()  # the gateway is there, and the daemon is not
        else:
            self._pace.succeeded()
        return decision

    def _request(self, kind: str, fields: Mapping[str, Any], until: float) -> _Steps[Dict[str, Any]]:
        request_id = next(self._ids)
        line = yield from self._records.exchange(_line({**fields, "type": kind, "id": request_id}), until, kind)
        return _answer(self._records, line, request_id)

    def _subscription(self, from_seq: Optional[int], decisions: bool) -> Tuple[int, bytes]:
        if isinstance(self._records, _HttpConnection):
            raise RequestFailed("unknown_type", "the gateway tells no events; they are told on the socket")
        request_id = next(self._ids)
        return request_id, _line({"type": "subscribe", "id": request_id, "from": from_seq, "decisions": decisions})


#: The clients there are: a fork must not leave two processes on one connection.
_clients: weakref.WeakSet[_Core] = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_clients):
        client._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Client(_Core):
    """Talks to the daemon at the socket ``path``, or through its gateway.

    Signals travel on one connection, everything else on a second one, so that an outcome that waits for the disk never
    delays a signal. Each is guarded by a lock: a client may be shared by threads, but signals then queue behind each
    other within their own deadlines; one client per thread is faster. After a fork the child opens connections of its own.
    """

    def __init__(
        self, path: str, deadline: float = 0.020, max_backoff: float = 1.0, token: Optional[str] = None
    ) -> None:
        """``path``: the daemon's socket, or the gateway such as ``http://127.0.0.1:8178``, which asks for a ``token``.
        ``deadline``: seconds a signal may wait for its answer. ``max_backoff``: the longest pause, in seconds, in which
        signals are answered neutrally without trying the daemon again, after several failures in a row."""
        super().__init__(path, deadline, max_backoff, token)
        self._signals_lock = threading.Lock()
        self._records_lock = threading.Lock()

    def _forked(self) -> None:
        super()._forked()
        self._signals_lock = threading.Lock()
        self._records_lock = threading.Lock()

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
            question = self._question(snapshot, started, deadline)
            with _held(self._signals_lock, question.until):
                return _run(self._ask(question))
        except Exception as error:  # the trader must never fall because of us
            return _unanswered(snapshot, error)

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
        return self._record("outcome", trade_id, _outcome_fields(outcome_metrics, decision), timeout)

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
        for attempt in _attempts(attempts):
            try:
                return self.outcome(trade_id, outcome_metrics, decision, timeout)
            except NotAcknowledged as error:
                time.sleep(_pause_before_another(error, trade_id, attempt, attempts, pause))
        raise AssertionError  # the last attempt raises

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
                return _run(self._request(kind, fields, until))
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
        return _list_of(self.request("alerts", timeout, limit=limit, since=since, level=level), "alerts")

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
            request_id, line = self._subscription(from_seq, decisions)
            _answer(None, _run(connection.exchange(line, time.monotonic() + timeout, "subscribe")), request_id)
            while True:
                event = _run(connection.read_line(math.inf))
                if event is None:
                    return
                yield _event(event)
        except (_Failure, OSError) as failure:
            raise RequestFailed(getattr(failure, "code", "unreachable"), str(failure)) from failure
        finally:
            connection.close()

    def _record(self, kind: str, trade_id: str, fields: Dict[str, Any], timeout: float) -> Acknowledgement:
        fields["trade_id"] = _checked_trade_id(trade_id)
        try:
            return _acknowledgement(self.request(kind, timeout, **fields), trade_id)
        except RequestFailed as error:
            raise NotAcknowledged(error.code, error.message, error.field) from error


class AsyncClient(_Core):
    """:class:`Client` for asyncio: the same promises, deadlines, pauses and neutral answers.

    Tasks may share a client; their signals then queue behind each other within their own deadlines. A deadline holds as far
    as the event loop runs: no client can answer while something else blocks the loop. A task that is cancelled while it waits
    closes its connection, and the next signal opens another. Not for several threads at once.
    """

    def __init__(
        self, path: str, deadline: float = 0.020, max_backoff: float = 1.0, token: Optional[str] = None
    ) -> None:
        """As of :class:`Client`."""
        super().__init__(path, deadline, max_backoff, token)
        self._signals_turns = _Turns()
        self._records_turns = _Turns()

    def _forked(self) -> None:
        super()._forked()
        self._signals_turns = _Turns()
        self._records_turns = _Turns()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes both connections; the next request opens them again."""
        async with self._signals_turns.until(math.inf):
            self._signals.close()
        async with self._records_turns.until(math.inf):
            self._records.close()

    async def score(self, snapshot: Mapping[str, Any], deadline: Optional[float] = None) -> Decision:
        """:meth:`Client.score`."""
        started = time.monotonic()
        try:
            question = self._question(snapshot, started, deadline)
            async with self._signals_turns.until(question.until):
                return await _run_async(self._ask(question))
        except Exception as error:  # the trader must never fall because of us
            return _unanswered(snapshot, error)

    async def outcome(
        self,
        trade_id: str,
        outcome_metrics: Mapping[str, Any],
        decision: Optional[Decision] = None,
        timeout: float = 2.0,
    ) -> Acknowledgement:
        """:meth:`Client.outcome`."""
        return await self._record("outcome", trade_id, _outcome_fields(outcome_metrics, decision), timeout)

    async def skip(self, trade_id: str, reason: str, timeout: float = 2.0) -> Acknowledgement:
        """:meth:`Client.skip`."""
        return await self._record("skip", trade_id, {"reason": reason}, timeout)

    async def outcome_reliably(
        self,
        trade_id: str,
        outcome_metrics: Mapping[str, Any],
        decision: Optional[Decision] = None,
        timeout: float = 2.0,
        attempts: int = 5,
        pause: float = 0.2,
    ) -> Acknowledgement:
        """:meth:`Client.outcome_reliably`."""
        for attempt in _attempts(attempts):
            try:
                return await self.outcome(trade_id, outcome_metrics, decision, timeout)
            except NotAcknowledged as error:
                await asyncio.sleep(_pause_before_another(error, trade_id, attempt, attempts, pause))
        raise AssertionError  # the last attempt raises

    async def ping(self, timeout: float = 2.0) -> Dict[str, Any]:
        """:meth:`Client.ping`."""
        return await self.request("ping", timeout)

    async def status(self, timeout: float = 2.0) -> Dict[str, Any]:
        """:meth:`Client.status`."""
        return await self.request("status", timeout)

    async def models(self, timeout: float = 2.0) -> Dict[str, Any]:
        """:meth:`Client.models`."""
        return await self.request("models", timeout)

    async def request(self, kind: str, timeout: float = 2.0, **fields: Any) -> Dict[str, Any]:
        """:meth:`Client.request`."""
        until = time.monotonic() + timeout
        try:
            async with self._records_turns.until(until):
                return await _run_async(self._request(kind, fields, until))
        except _Failure as failure:
            raise RequestFailed(failure.code, str(failure)) from failure

    async def alerts(
        self,
        limit: int = 100,
        since: Optional[str] = None,
        level: Optional[str] = None,
        timeout: float = 2.0,
    ) -> List[Dict[str, Any]]:
        """:meth:`Client.alerts`."""
        return _list_of(await self.request("alerts", timeout, limit=limit, since=since, level=level), "alerts")

    async def subscribe(
        self, timeout: float = 2.0, from_seq: Optional[int] = None, decisions: bool = False
    ) -> AsyncIterator[Dict[str, Any]]:
        """:meth:`Client.subscribe`."""
        connection = _Connection(self.path)
        try:
            request_id, line = self._subscription(from_seq, decisions)
            _answer(None, await _run_async(connection.exchange(line, time.monotonic() + timeout, "subscribe")), request_id)
            while True:
                event = await _run_async(connection.read_line(math.inf))
                if event is None:
                    return
                yield _event(event)
        except (_Failure, OSError) as failure:
            raise RequestFailed(getattr(failure, "code", "unreachable"), str(failure)) from failure
        finally:
            connection.close()

    async def _record(self, kind: str, trade_id: str, fields: Dict[str, Any], timeout: float) -> Acknowledgement:
        fields["trade_id"] = _checked_trade_id(trade_id)
        try:
            return _acknowledgement(await self.request(kind, timeout, **fields), trade_id)
        except RequestFailed as error:
            raise NotAcknowledged(error.code, error.message, error.field) from error


class _Enhancing:
    """What the enhancers share: what becomes of a signal when the decision is known."""

    def __init__(
        self,
        snapshot: Optional[Callable[[Any], Mapping[str, Any]]] = None,
        weight: Optional[float] = 0.5,
        enabled: bool = True,
        on_decision: Optional[Callable[[Any, Decision], Any]] = None,
    ) -> None:
        if weight is not None and not _is_probability(weight):
            raise ValueError(f"weight must be None or a number from 0 to 1, not {weight!r}")
        #: Whether signals are enhanced; may be set at any time.
        self.enabled = enabled
        self._snapshot = snapshot or _signal_itself
        self._weight = weight
        self._on_decision = on_decision

    def _snapshot_of(self, signal: Any) -> Optional[Mapping[str, Any]]:
        if signal is None or not self.enabled:
            return None
        try:
            return self._snapshot(signal)
        except Exception:
            _log.exception("no snapshot could be made of a signal, which stays as it is")
            return None

    def _enhanced(self, signal: Any, decision: Decision) -> Any:
        try:
            if self._on_decision is not None:
                self._on_decision(signal, decision)
        except Exception:
            _log.exception("on_decision failed")
        if not decision.spoke:
            return signal
        try:
            return _with_score(signal, decision, self._weight)
        except Exception:
            _log.exception("the signal %s could not be enhanced and stays as it is", decision.trade_id)
            return signal


class Enhancer(_Enhancing):
    """A signal generator with the daemon's word in its signals.

    ``generate`` is any callable that returns a signal or None: a mapping, a dataclass, a named tuple or another object, with
    ``confidence`` and, if it has one, a mapping ``metadata``. Where a model spoke, the enhancer returns a copy with
    ``confidence = (confidence + ml) / 2`` and with ``ml_confidence`` (the score) and ``ml_enhanced`` (True) in its metadata.
    In every other case it returns the very object that the generator made, untouched. It raises what the generator raises,
    and nothing of its own.

    ``snapshot`` makes of a signal what :meth:`Client.score` takes; without it the signal is a mapping and itself the
    snapshot, without ``metadata``. ``weight`` is that of the score; None takes the confidence as the daemon blended it
    (``scoring.blend_weight``). ``on_decision`` is called with each signal and its decision: keep the decision for the outcome,
    and heed its ``size``. With ``enabled`` False the daemon is not asked.
    """

    def __init__(
        self,
        generate: Callable[..., Any],
        client: Client,
        snapshot: Optional[Callable[[Any], Mapping[str, Any]]] = None,
        weight: Optional[float] = 0.5,
        enabled: bool = True,
        on_decision: Optional[Callable[[Any, Decision], Any]] = None,
    ) -> None:
        super().__init__(snapshot, weight, enabled, on_decision)
        self._generate = generate
        self._client = client

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The generator's next signal, enhanced."""
        return self.enhance(self._generate(*args, **kwargs))

    def enhance(self, signal: Any) -> Any:
        """``signal`` as the class says; None stays None."""
        snapshot = self._snapshot_of(signal)
        return signal if snapshot is None else self._enhanced(signal, self._client.score(snapshot))


class AsyncEnhancer(_Enhancing):
    """:class:`Enhancer` for asyncio, with a generator that may be a coroutine function."""

    def __init__(
        self,
        generate: Callable[..., Union[Any, Awaitable[Any]]],
        client: AsyncClient,
        snapshot: Optional[Callable[[Any], Mapping[str, Any]]] = None,
        weight: Optional[float] = 0.5,
        enabled: bool = True,
        on_decision: Optional[Callable[[Any, Decision], Any]] = None,
    ) -> None:
        super().__init__(snapshot, weight, enabled, on_decision)
        self._generate = generate
        self._client = client

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The generator's next signal, enhanced."""
        signal = self._generate(*args, **kwargs)
        return await self.enhance(await signal if hasattr(signal, "__await__") else signal)

    async def enhance(self, signal: Any) -> Any:
        """``signal`` as :class:`Enhancer` says; None stays None."""
        snapshot = self._snapshot_of(signal)
        return signal if snapshot is None else self._enhanced(signal, await self._client.score(snapshot))


def assignment(salt: str, trade_id: str) -> float:
    """Where a trade falls in [0, 1) in the experiment ``salt``: in the ML arm when below the experiment's share.

    BLAKE2b with an 8-byte digest keyed by the salt (its first 64 bytes), the top 53 bits of it over 2^53.
    """
    digest = hashlib.blake2b(trade_id.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
#: Columns of exports that are text, whatever their cells look like.
_TEXT = (
    "trade_id",
    "symbol",
    "side",
    "battle_navale_analysis.base.kind",
    "battle_navale_analysis.golden_rule",
    "battle_navale_analysis.trend_regime",
    "execution_context.entry_reason",
    "execution_context.session_phase",
    "execution_context.volatility_regime",
    "outcome_metrics.exit_reason",
    # of decisions, outcomes and events
    "arm",
    "reason",
    "model",
    "opinions",
    "source",
    "exit_reason",
    "acted_on_arm",
    "acted_on_model",
    "event",
    "version",
    "level",
    "code",
    "message",
    "fields",
)
_TIMES = ("at", "exit_at", "received_at", "outcome_metrics.exit_at")
_LISTS = ("battle_navale_analysis.boules",)
_FEATURES = (
    "vwap_trend_signal",
    "sierra_pattern_strength",
    "dow_trend_regime",
    "gamma_levels_proximity",
    "level_proximity",
    "es_nq_correlation",
    "volume_confirmation",
    "options_flow_bias",
    "market_volatility",
    "session_time",
    "bid_ask_spread",
    "recent_momentum",
)
_METRICS = (
    "exit_at",
    "exit_reason",
    "pnl",
    "mfe_bars",
    "entry_price",
    "exit_price",
    "slippage_ticks",
    "bars_held",
    "mfe_ticks",
    "mae_ticks",
)
#: Short names of columns, and where they belong in a line.
_PLACES = {**{name: f"features.{name}" for name in _FEATURES}, **{name: f"outcome_metrics.{name}" for name in _METRICS}}
_SECTIONS = ("market_state", "battle_navale_analysis", "market_structure", "execution_context")


class _Plain(pickle.Unpickler):
    """Reads lists, dicts, numbers and text, and nothing that would run."""

    def find_class(self, module: str, name: str) -> Any:
        raise ValueError(f"no export of vigie: it names {module}.{name}")


def read_export(path: Union[str, os.PathLike[str]]) -> pandas.DataFrame:
    """An export of ``vigie export`` as a DataFrame (needs pandas; for Parquet pyarrow too).

    Takes the matrix, snapshots, decisions, outcomes and events as ``.csv``, ``.parquet``, ``.pickle`` and ``.jsonl``; ``.csv``
    and ``.jsonl`` also with ``.gz``. Times are in UTC, ids and other text are text, numbers are exact, and a field of a snapshot
    has the dotted name of its place. A pickle with anything but plain values is refused, and never run.
    """
    import pandas

    frame: pandas.DataFrame
    name = os.fspath(path)
    if name.endswith(".parquet"):
        frame = pandas.read_parquet(name)
        return frame
    if name.endswith((".pickle", ".pkl")):
        with open(name, "rb") as file:
            table = _Plain(file).load()
        columns, rows = table["columns"], table["rows"]
        if rows and isinstance(rows[0], dict):  # the matrix, whose values stand apart
            columns = ["trade_id", "at", "exit_at", *columns]
            rows = [[row["trade_id"], row["at"], row["exit_at"], *row["values"]] for row in rows]
        frame = pandas.DataFrame(rows, columns=columns)
    elif name.endswith((".jsonl", ".jsonl.gz")):
        with gzip.open(name, "rt", encoding="utf-8") if name.endswith(".gz") else open(name, encoding="utf-8") as file:
            frame = pandas.DataFrame([dict(_flat(json.loads(line))) for line in file])
    elif name.endswith((".csv", ".csv.gz")):
        # read as text, so that no id becomes a number or a missing value, and no number loses a digit
        frame = pandas.read_csv(name, dtype=str, keep_default_na=False, na_values=[""])
        for column in frame.columns:
            if column not in _TIMES and column not in _LISTS:
                numbers = None if column in _TEXT else _numbers(frame[column].tolist())
                # an apostrophe keeps spreadsheets from taking a text for a formula
                plain = frame[column].str.replace(r"\A'(?=[=+\-@\t\r\n])", "", regex=True)
                frame[column] = plain if numbers is None else numbers
    else:
        raise ValueError(f"{name} is neither .csv, .parquet, .pickle nor .jsonl")
    for column in set(_TIMES) & set(frame.columns):
        frame[column] = pandas.to_datetime(frame[column], utc=True, format="ISO8601")
    return frame


def write_trades(frame: pandas.DataFrame, path: Union[str, os.PathLike[str]]) -> int:
    """Writes past trades for ``vigie import``, one a row, and returns how many (needs pandas).

    Columns are named as the fields of a snapshot, with dots (``market_state.vwap.m15``), as :func:`read_export` names them.
    The twelve features and the fields of ``outcome_metrics`` may go without their prefix: ``vwap_trend_signal``, ``pnl``.
    Columns that ``vigie import`` does not know are sent all the same, and refused by name there. A cell without a value is
    left out; a row without any outcome is a signal that was not traded. A path that ends in ``.gz`` is compressed. The file
    takes its place when it is whole. ValueError names the row that cannot be written.
    """
    import pandas

    targets = [str(column) for column in frame.columns if str(column).startswith("target:")]
    if targets:
        raise ValueError(
            "this is a training matrix, whose inputs were carried forward and turned to the side of the trade; "
            "write what `vigie export --what snapshots` gives"
        )
    places = [_PLACES.get(str(column), str(column)) for column in frame.columns]
    if len(set(places)) < len(places):
        twice = sorted(place for place, count in collections.Counter(places).items() if count > 1)
        raise ValueError(f"columns for the same field: {', '.join(twice)}")
    columns = [frame[column].astype(object).tolist() for column in frame.columns]
    missing = [pandas.isna(frame[column]).tolist() for column in frame.columns]
    name = os.fspath(path)
    beside = f"{name}.new"
    try:
        with gzip.open(beside, "wb") if name.endswith(".gz") else open(beside, "wb") as file:
            for row in range(len(frame)):
                cells = {
                    place: None if missing[at][row] else columns[at][row] for at, place in enumerate(places)
                }
                try:
                    file.write(_line(_trade(cells), MAX_IMPORT))
                except ValueError as error:
                    raise ValueError(f"row {row} ({cells.get('trade_id')}): {error}") from error
        os.replace(beside, name)
    except BaseException:
        if os.path.exists(beside):
            os.remove(beside)
        raise
    return len(frame)


def _trade(cells: Mapping[str, Any]) -> Dict[str, Any]:
    """The line of a past trade; what is None is left out."""
    known = {place.partition(".")[0] for place, value in cells.items() if value is not None}
    if known & set(_SECTIONS):
        known.update(_SECTIONS)  # a snapshot has all of them
    else:
        known.add("features")  # all of which may be missing
    trade: Dict[str, Any] = {}
    for place, value in cells.items():
        *above, last = place.split(".")
        if above and above[0] not in known:
            continue
        part = trade
        for name in above:
            part = part.setdefault(name, {})
        if value is not None:
            part[last] = json.loads(value) if place in _LISTS and isinstance(value, str) else value
    return trade


def _numbers(cells: List[Any]) -> Optional[List[float]]:
    """The cells of a CSV file as numbers, whole ones if all are; None if one is text."""
    known = [cell for cell in cells if isinstance(cell, str)]
    if not all(_NUMBER.fullmatch(cell) for cell in known):
        return None
    if len(known) == len(cells) and all(cell.lstrip("-").isdigit() for cell in known):
        return [int(cell) for cell in cells]
    return [float(cell) if isinstance(cell, str) else math.nan for cell in cells]


def _flat(value: Mapping[str, Any], above: str = "") -> Iterator[Tuple[str, Any]]:
    for name, field in value.items():
        if isinstance(field, dict):
            yield from _flat(field, f"{above}{name}.")
        else:
            yield f"{above}{name}", json.dumps(field) if isinstance(field, list) else field


def _run(steps: _Steps[_T]) -> _T:
    """Carries out ``steps`` and waits with poll."""
    try:
        wait = next(steps)
        while True:
            try:
                _wait(wait)
            except BaseException as error:  # a signal's handler may raise
                wait = steps.throw(error)
            else:
                wait = next(steps)
    except StopIteration as done:
        result: _T = done.value
        return result


async def _run_async(steps: _Steps[_T]) -> _T:
    """Carries out ``steps`` and lets the event loop wait."""
    try:
        wait = next(steps)
        while True:
            try:
                await _wait_async(wait)
            except BaseException as error:  # a task that is cancelled
                wait = steps.throw(error)
            else:
                wait = next(steps)
    except StopIteration as done:
        result: _T = done.value
        return result


def _check_time(until: float) -> None:
    if not time.monotonic() < until:  # written so that NaN is over at once
        raise _Failure("deadline", "no answer in time")


def _wait(wait: _Wait) -> None:
    """Waits until the connection is ready or a part of the time is over."""
    left = wait.until - time.monotonic()
    if wait.connection is None:
        time.sleep(max(0.0, left))
        return
    if not hasattr(select, "poll"):  # Windows
        pause = 0.0 if left < 0.001 else min(left - 0.0005, 3600.0)
        reading, writing = ([wait.connection], []) if wait.event == _READ else ([], [wait.connection])
        select.select(reading, writing, writing, pause)
        return
    poll = select.poll()
    poll.register(wait.connection, wait.event)
    if left == math.inf:
        poll.poll()
    elif left >= 0.001:
        # whole milliseconds, rounded down: poll would round up, past the deadline
        poll.poll(int(min(left, 3600.0) * 1000))
    elif not poll.poll(0):
        time.sleep(max(0.0, min(left, 0.0001)))


async def _wait_async(wait: _Wait) -> None:
    """The same without holding up other tasks."""
    left = wait.until - time.monotonic()
    if wait.connection is None or left < 0.001:
        # the last millisecond is waited for turn by turn: the loop's own timers may be a millisecond late
        await asyncio.sleep(0 if wait.connection is not None else max(0.0, left))
        return
    loop = asyncio.get_running_loop()
    descriptor, ready = wait.connection.fileno(), loop.create_future()
    timer = None if left == math.inf else loop.call_later(min(left, 3600.0) - 0.001, _settle, ready, None)
    reading = wait.event == _READ
    (loop.add_reader if reading else loop.add_writer)(descriptor, _settle, ready, None)
    try:
        await ready
    finally:
        (loop.remove_reader if reading else loop.remove_writer)(descriptor)
        if timer is not None:
            timer.cancel()


def _settle(future: asyncio.Future[_T], result: _T) -> None:
    if not future.done():
        future.set_result(result)


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


class _Turns:
    """A lock of tasks that is waited for until a time at most; first come, first served."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: Deque[asyncio.Future[bool]] = collections.deque()

    def until(self, until: float) -> _Turn:
        return _Turn(self, until)

    async def take(self, until: float) -> None:
        if not self._taken:
            self._taken = True
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(turn)
        left = until - time.monotonic()
        timer = None if left == math.inf else loop.call_later(max(0.0, left), _settle, turn, False)
        try:
            mine = await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.result():
                self.give()  # it came, and with it the end of this task
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if not mine:
            raise _Failure("deadline", "another task uses this client; give each its own")

    def give(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(True)
                return
        self._taken = False


class _Turn:
    def __init__(self, turns: _Turns, until: float) -> None:
        self._turns = turns
        self._until = until

    async def __aenter__(self) -> None:
        await self._turns.take(self._until)

    async def __aexit__(self, *_: object) -> None:
        self._turns.give()


def _line(message: Mapping[str, Any], longest: int = MAX_LINE) -> bytes:
    """One line of JSON; ValueError for what JSON or the daemon cannot take."""
    try:
        line = json.dumps(message, allow_nan=False, separators=(",", ":"), default=_plain).encode()
    except (TypeError, RecursionError) as error:
        raise ValueError(f"the message is not JSON: {error}") from error
    if len(line) > longest:
        raise ValueError(f"the message has {len(line)} bytes, more than the {longest} a line may have")
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
        answer = json.loads(line.decode(), parse_constant=_refuse_constant, object_pairs_hook=_object)
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
        reason: Any = answer.get("reason")
        if not _is_text(reason):
            reason = "unreachable" if refusal.temporary else "invalid_request"
        error = {"code": refusal.code, "message": refusal.message, "field": refusal.field}
        return dataclasses.replace(_neutral(snapshot, reason, ""), error=error)
    if answer.get("trade_id") != trade_id:
        raise _Failure("unreachable", f"an answer about {answer.get('trade_id')!r}, not {trade_id}")
    get: Callable[[str], Any] = answer.get
    confidence, score, size, model = get("confidence"), get("score"), get("size"), get("model")
    sound = (
        get("arm") in ("baseline", "ml")
        and (_is_probability(confidence) or (confidence is None and get("arm") == "baseline"))
        and _is_probability(score)
        and _is_number(size)
        and 0 <= size <= MAX_SIZE
        and (model is None or _is_text(model))
        and _is_text(get("reason"))
    )
    if not sound:
        _log.error("vigie gave a broken answer: %s", answer)
        raise _Failure("unreachable", f"a broken answer: {answer}")
    # when no model spoke the strategy's own number stays as it came; what the daemon read of it is not handed back
    confidence = _own_confidence(snapshot) if answer["arm"] == "baseline" else float(confidence)
    return Decision(True, trade_id, answer["arm"], confidence, float(score), float(size), model, answer["reason"])


def _unanswered(snapshot: Any, error: Exception) -> Decision:
    """The neutral answer when ``error`` is all that came of a signal."""
    if isinstance(error, _Failure):
        _log.debug("no answer from vigie: %s", error)
        return _neutral(snapshot, error.code, str(error))
    if isinstance(error, (TypeError, ValueError)):
        _log.error("a signal could not be sent to vigie: %s", error)
        return _neutral(snapshot, "invalid_request", str(error))
    _log.error("the client of vigie failed", exc_info=error)
    return _neutral(snapshot, "unreachable", repr(error))


def _neutral(snapshot: Any, reason: str, message: str, code: Optional[str] = None) -> Decision:
    """The answer that changes nothing."""
    fields = snapshot if isinstance(snapshot, Mapping) else {}
    trade_id = _field(fields, "trade_id")
    error = {"code": code or reason, "message": message, "field": None}
    name = trade_id if isinstance(trade_id, str) else ""
    return Decision(False, name, "baseline", _own_confidence(fields), 0.5, 1.0, None, reason, error)


def _own_confidence(snapshot: Mapping[str, Any]) -> Optional[float]:
    """The strategy's own confidence as it came; a float of a number that is none of Python's own. None if it is no number."""
    own = _field(snapshot, "confidence")
    if _is_number(own):
        number: float = own
        return number
    try:
        plain = None if isinstance(own, (bool, str, type(None))) else _plain(own)
    except Exception:  # whatever it is, it is no number
        return None
    if isinstance(plain, list) and len(plain) == 1:
        plain = plain[0]  # an array of one number, as models give it
    return plain if _is_number(plain) else None


def _field(fields: Mapping[str, Any], name: str) -> Any:
    try:
        return fields.get(name)
    except Exception:  # a mapping of the trader's own making
        return None


def _signal_itself(signal: Any) -> Mapping[str, Any]:
    if not isinstance(signal, Mapping):
        raise TypeError(f"a {type(signal).__name__} is no mapping; give the enhancer a `snapshot` that makes one of it")
    return {name: value for name, value in signal.items() if name != "metadata"}


def _with_score(signal: Any, decision: Decision, weight: Optional[float]) -> Any:
    """A copy of ``signal`` with the blended confidence, and the score in its metadata."""
    is_mapping = isinstance(signal, Mapping)
    own = _own_confidence({"confidence": signal["confidence"] if is_mapping else signal.confidence})
    confidence = decision.confidence if weight is None else decision.blend(own, weight)
    if confidence is None:
        raise ValueError("it has no confidence")
    if not math.isclose(confidence, decision.confidence or 0.0, rel_tol=0.0, abs_tol=1e-9):
        _log.warning(
            "the confidence of %s is %r and %r as the daemon blended and recorded it: compare `weight` with its "
            "scoring.blend_weight",
            decision.trade_id,
            confidence,
            decision.confidence,
        )
    known = signal.get("metadata") if is_mapping else getattr(signal, "metadata", None)
    metadata = {**(known or {}), "ml_confidence": decision.score, "ml_enhanced": True}
    changes = {"confidence": confidence, "metadata": metadata}
    if is_mapping:
        return {**signal, **changes}
    if isinstance(signal, tuple):
        return signal._replace(**changes)  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(signal) and not isinstance(signal, type):
        return dataclasses.replace(signal, **changes)
    enhanced = copy.copy(signal)
    for name, value in changes.items():
        setattr(enhanced, name, value)
    return enhanced


def _outcome_fields(outcome_metrics: Mapping[str, Any], decision: Optional[Decision]) -> Dict[str, Any]:
    fields: Dict[str, Any] = {"outcome_metrics": outcome_metrics}
    if decision is not None:
        fields["decision"] = decision.to_wire()
    return fields


def _acknowledgement(answer: Mapping[str, Any], trade_id: str) -> Acknowledgement:
    duplicate = answer.get("duplicate") is True
    if answer.get("trade_id") != trade_id or not (duplicate or answer.get("durable") is True):
        raise NotAcknowledged("unreachable", f"not the acknowledgement of {trade_id}: {answer}")
    return Acknowledgement(trade_id, duplicate, answer.get("matched"), answer)


def _attempts(attempts: int) -> range:
    if attempts < 1:
        raise ValueError(f"attempts must be at least 1, not {attempts}")
    return range(1, attempts + 1)


def _pause_before_another(
    error: NotAcknowledged, trade_id: str, attempt: int, attempts: int, pause: float
) -> float:
    """Seconds to wait before the next attempt; raises ``error`` if there is to be none."""
    if not error.temporary or attempt == attempts:
        raise error
    _log.warning("outcome of %s not acknowledged (%s), attempt %d", trade_id, error, attempt)
    return pause * 2.0 ** (attempt - 1)


def _list_of(answer: Mapping[str, Any], name: str) -> List[Dict[str, Any]]:
    listed = answer.get(name)
    if not isinstance(listed, list):
        raise RequestFailed("unreachable", f"an answer without {name}")
    return listed


def _event(line: bytes) -> Dict[str, Any]:
    told = _parse(line)
    if told.get("ok") is False:  # the daemon says why it tells no more
        raise _refusal(told)
    return told


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


def _is_text(value: Any) -> bool:
    """Whether it is text that can be sent again: half a surrogate pair cannot."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field comes twice")
    return fields


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _main() -> int:
    parser = argparse.ArgumentParser(prog="vigie.py", description="Talk to a running vigie daemon.")
    parser.add_argument(
        "--socket",
        default="/run/vigie/vigie.sock",
        help="path of the daemon's socket, or the gateway such as http://127.0.0.1:8178 with its token in VIGIE_TOKEN",
    )
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
        return _perform(arguments)
    except (RequestFailed, ValueError, OSError) as error:
        print(f"vigie.py: {error}", file=sys.stderr)
        return 1


def _perform(arguments: argparse.Namespace) -> int:
    token = os.environ.get("VIGIE_TOKEN") if arguments.socket.startswith("http") else None
    with Client(arguments.socket, deadline=arguments.timeout, token=token) as client:
        if arguments.command == "subscribe":
            for event in client.subscribe(arguments.timeout, arguments.from_seq, arguments.decisions):
                _print(event)
            return 0
        if arguments.command == "score":
            decision = client.score(_read(arguments.file))
            _print(dataclasses.asdict(decision))
            return 0 if decision.ok else 1
        if arguments.command == "outcome":
            answer = client.outcome(arguments.trade_id, _read(arguments.file), timeout=arguments.timeout).answer
        elif arguments.command == "skip":
            answer = client.skip(arguments.trade_id, arguments.reason, arguments.timeout).answer
        else:
            answer = client.request(arguments.command, arguments.timeout)
        _print(answer)
        return 0


def _print(value: Any) -> None:
    try:
        print(json.dumps(value), flush=True)
    except BrokenPipeError:
        # nobody reads any more, which is no fault; what is left in the buffer must not fail at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _read(name: str) -> Any:
    with sys.stdin if name == "-" else open(name, encoding="utf-8") as file:
        return json.load(file)


if __name__ == "__main__":
    sys.exit(_main())
