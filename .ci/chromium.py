"""A headless Chromium, driven over its DevTools socket. Python's library and nothing else."""

import base64
import http.client
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import time

PATIENCE = 20.0


def found():
    """The browser of this machine, or None."""
    return next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)


class Browser:
    """One page in a browser of its own, with a profile in `folder`. All its requests are in `requests`."""

    def __init__(self, folder):
        self.folder, self.requests, self.problems, self.last, self.buffer = pathlib.Path(folder), [], [], 0, b""
        self.flags = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-default-browser-check",
            "--remote-debugging-port=0", f"--user-data-dir={self.folder}", "about:blank",
        ]
        self.process = subprocess.Popen([found(), *self.flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port, path = self._port()
        self.socket = self._open(port, self._target(port))
        for domain in ["Page", "Runtime", "Network", "Log"]:
            self.call(f"{domain}.enable")

    def _port(self):
        wanted, begin = self.folder / "DevToolsActivePort", time.monotonic()
        while time.monotonic() - begin < 2 * PATIENCE:
            lines = wanted.read_text().split("\n") if wanted.exists() else []
            if len(lines) > 1:
                return int(lines[0]), lines[1]
            time.sleep(0.02)
        raise TimeoutError("the browser did not begin")

    def _target(self, port):
        begin = time.monotonic()
        while time.monotonic() - begin < PATIENCE:
            listed = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            listed.request("GET", "/json/list")
            pages = [one for one in json.loads(listed.getresponse().read()) if one["type"] == "page"]
            listed.close()
            if pages:
                return pages[0]["webSocketDebuggerUrl"].split(str(port), 1)[1]
            time.sleep(0.02)
        raise TimeoutError("the browser has no page")

    def _open(self, port, path):
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        plain.sendall(f"{head}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += plain.recv(4096)
        assert b" 101 " in answer.split(b"\r\n")[0], answer
        self.buffer = answer.split(b"\r\n\r\n", 1)[1]
        return plain

    def _bytes(self, count):
        while len(self.buffer) < count:
            more = self.socket.recv(1 << 20)
            if not more:
                raise ConnectionError("the browser has gone")
            self.buffer += more
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def _receive(self):
        text = b""
        while True:
            first, second = self._bytes(2)
            length = second & 127
            if length > 125:
                length = struct.unpack(">H" if length == 126 else ">Q", self._bytes(2 if length == 126 else 8))[0]
            text += self._bytes(length)
            if first & 128:
                return json.loads(text)

    def _note(self, message):
        method, of = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(of["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = of["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and of["entry"]["level"] == "error":
            self.problems.append(f'{of["entry"]["text"]} {of["entry"].get("url", "")}')

    def call(self, method, **parameters):
        self.last += 1
        body = json.dumps({"id": self.last, "method": method, "params": parameters}).encode()
        size = struct.pack(">B", 128 | len(body)) if len(body) < 126 else struct.pack(">BH", 254, len(body))
        mask = os.urandom(4)
        self.socket.sendall(b"\x81" + size + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(body)))
        while True:
            message = self._receive()
            if message.get("id") == self.last:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self._note(message)

    def run(self, script):
        """The value of an expression in the page."""
        done = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            raise RuntimeError(done["exceptionDetails"].get("exception", {}).get("description", "it threw"))
        return done["result"].get("value")

    def until(self, what, script, patience=PATIENCE):
        """Waits until an expression in the page is true, and returns the seconds that took."""
        begin = time.monotonic()
        while time.monotonic() - begin < patience:
            if self.run(script):
                return time.monotonic() - begin
            time.sleep(0.01)
        raise TimeoutError(f"waited in vain for {what}; the page says: {self.run('document.body.innerText')[:1500]}")

    def open(self, address):
        self.call("Page.navigate", url=address)
        self.until("the page", "document.readyState === 'complete'")

    def click(self, selector):
        self.until(selector, f"document.querySelector({json.dumps(selector)}) !== null")
        box = self.run(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
                       " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()")
        for kind in ["mousePressed", "mouseReleased"]:
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def type(self, selector, text):
        self.click(selector)
        self.call("Input.insertText", text=text)

    def look(self, width, height, dark):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def picture(self, file):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 6000), "scale": 1}
        # what lies beyond the window may not be painted yet: two pictures must be the same
        last = None
        for _ in range(10):
            done = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
            if done["data"] == last:
                break
            last = done["data"]
        pathlib.Path(file).write_bytes(base64.b64decode(last))

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
