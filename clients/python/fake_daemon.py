"""Servers at a Unix socket, or at an address over HTTP, that behave as a test wants them to, for the tests of all clients."""

import json
import os
import socket
import tempfile
import threading


class Server:
    """Accepts connections and hands each, with its number from 0, to ``behave``; what it sends is up to that."""

    def __init__(self, behave, backlog=16):
        self.folder = tempfile.TemporaryDirectory()
        self.listen(backlog)
        self.stopped = threading.Event()
        self.requests = []
        self.connections = []
        self.threads = []
        self.behave = behave
        if behave is not None:
            self._spawn(self._accept)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(5.0)
        for connection in [self.listener, *self.connections]:
            connection.close()
        self.folder.cleanup()

    def listen(self, backlog):
        self.path = os.path.join(self.folder.name, "vigie.sock")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(backlog)

    def read(self, file):
        """The next request, None at the end."""
        line = file.readline()
        if not line:
            return None
        self.requests.append(json.loads(line))
        return self.requests[-1]

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            number = len(self.connections)
            self.connections.append(connection)
            self._spawn(self._serve, connection, number)

    def _serve(self, connection, number):
        try:
            with connection.makefile("rb") as file:
                self.behave(self, connection, file, number)
        except OSError:
            pass

    def _spawn(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()


class HttpServer(Server):
    """The same in the place of the gateway."""

    def listen(self, backlog):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.path = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.heads = []

    def read(self, file):
        head = []
        while (line := file.readline()) not in (b"\r\n", b""):
            head.append(line.decode().rstrip("\r\n"))
        if not line:
            return None
        self.heads.append(head)
        length = next(int(field.split(":")[1]) for field in head if field.lower().startswith("content-length:"))
        self.requests.append(json.loads(file.read(length)))
        return self.requests[-1]


def over_http(body, status="200 OK", **fields):
    """An answer as the gateway sends it; ``fields`` are further ones of its head, None leaves one out."""
    fields = {"content_length": len(body), "content_type": "application/json", **fields}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body


def decision_for(request, **changes):
    answer = {
        "ok": True,
        "id": request["id"],
        "trade_id": request["trade_id"],
        "arm": "ml",
        "confidence": 0.685,
        "score": 0.75,
        "size": 1.5,
        "model": "ES/14",
        "reason": "ab_test",
    }
    answer.update(changes)
    return json.dumps(answer).encode() + b"\n"


def replies(make):
    """A server that answers every request with the bytes that ``make(request)`` returns."""

    def behave(server, connection, file, _number):
        while (request := server.read(file)) is not None:
            connection.sendall(make(request))

    return behave


def hang_up(connection):
    connection.shutdown(socket.SHUT_RDWR)
