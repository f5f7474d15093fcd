#!/usr/bin/env python3
"""The page in a real browser: .ci/browser.py PATH-OF-A-BUILT-VIGIE [FOLDER-FOR-PICTURES]

The program of the page lies beside vigie. A model is trained and promoted, a person locks and resumes by clicks, an emergency is
seen within a second, and every screen is drawn, light and dark, 390 and 1440 pixels wide, without an error and without a request that
leaves this machine. Says that it was skipped where no Chromium is installed.
"""

import json
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

from chromium import Browser, found

SCREENS = {"now": "ES/1 is in production", "signals": "WEB-", "test": "Holdback", "versions": "Passport of ES/1",
           "drift": "Alerts of drift", "learning": "Ledger", "journal": "promote"}
# the examples are few: what they train is put in production by hand, and four losses in a row are an emergency
CONFIG = """server.deadline_us = 1000000
scoring.holdback = 0.0
lifecycle.stage_validated = false
guardian.literal = true
guardian.min_accuracy = 0
guardian.max_loss_streak = 3
"""
TOKEN = "0123456789abcdef0123456789abcdef"
FEATURES = {name: 0.4 for name in [
    "vwap_trend_signal", "sierra_pattern_strength", "dow_trend_regime", "gamma_levels_proximity", "level_proximity",
    "es_nq_correlation", "volume_confirmation", "options_flow_bias", "market_volatility", "session_time", "bid_ask_spread"]}


class Daemon:
    """vigie and its page in a folder of their own."""

    def __init__(self, program, folder):
        self.program, self.folder, self.running = program, folder, []
        (folder / "config.toml").write_text(CONFIG)
        project = pathlib.Path(__file__).resolve().parents[1]
        files = ["--config", "config.toml"]
        self.command("import", str(project / "examples" / "signals.jsonl.gz"), *files)
        self.command("train", "--keep", *files)
        self.begin(str(program), "run", *files)
        self.wire = self.until("the daemon", self.connect).makefile("rw")
        self.command("promote", "ES/1", "--to", "production", "--override", "--reason", "the page is tried")
        page = self.begin(str(program.with_name("vigie-web")), "--listen", "127.0.0.1:0", VIGIE_WEB_TOKEN=TOKEN)
        self.address = page.stdout.readline().split()[2]

    def command(self, *words):
        done = subprocess.run([self.program, *words], cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"browser: vigie {' '.join(words)} failed: {done.stderr}")

    def begin(self, *words, **environment):
        log = open(self.folder / "log", "a")
        child = subprocess.Popen(words, cwd=self.folder, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        self.running.append(child)
        return child

    def connect(self):
        plain = socket.socket(socket.AF_UNIX)
        try:
            plain.connect(str(self.folder / "vigie-state" / "vigie.sock"))
            return plain
        except OSError:
            return None

    @staticmethod
    def until(what, probe):
        begin = time.monotonic()
        while time.monotonic() - begin < 60:
            if (found_now := probe()) is not None:
                return found_now
            time.sleep(0.01)
        raise TimeoutError(f"waited in vain for {what}")

    def ask(self, **request):
        self.wire.write(json.dumps(request) + "\n")
        self.wire.flush()
        return json.loads(self.wire.readline())

    def score(self, number):
        return self.ask(type="score", trade_id=f"WEB-{number}", at="2026-11-02T15:02:11Z", symbol="ES", side="long", confidence=0.62,
                        features=FEATURES)

    def lose(self, number):
        metrics = {"exit_at": "2026-11-02T15:40:00Z", "pnl": -50.0, "exit_reason": "stop_loss"}
        return self.ask(type="outcome", trade_id=f"WEB-{number}", outcome_metrics=metrics)

    def close(self):
        for child in reversed(self.running):
            child.send_signal(signal.SIGTERM)
            child.wait(20)


def holds(condition, what):
    if not condition:
        raise SystemExit(f"browser: {what}")


def order(browser, name, reason):
    """Gives an order as a person does, and returns how long the page took to show what it did."""
    browser.click(f"#do-{name}")
    browser.type("#order input[name=reason]", reason)
    browser.type("#order input[name=confirm]", name)
    if browser.run("document.querySelector('#order input[name=token]') !== null"):
        browser.type("#order input[name=token]", TOKEN)
    browser.click("#order-go")


def serving(browser, words):
    return browser.until(words, f"document.documentElement.dataset.serving?.includes({json.dumps(words)})")


def all_screens(browser, address, pictures):
    for width in [1440, 390]:
        for dark in [False, True]:
            browser.look(width, 900 if width > 600 else 844, dark)
            browser.open(address)
            serving(browser, "serving")
            for name, words in SCREENS.items():
                browser.run(f"location.hash = {json.dumps(name)}")
                browser.until(f"{words!r} on {name}", f"document.getElementById('screen').innerText.includes({json.dumps(words)})")
                wide = browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                holds(wide <= 0, f"{name} at {width} px is {wide} px too wide")
                theme = browser.run("document.documentElement.dataset.theme")
                holds(theme == ("dark" if dark else "light"), f"{name} is {theme}")
                if pictures:
                    time.sleep(0.6)
                    browser.picture(pathlib.Path(pictures) / f"{name}-{width}-{theme}.png")


def tried(daemon, browser, pictures):
    for number in range(8):
        holds(daemon.score(number)["arm"] == "ml", "a signal does not hear the model")
    all_screens(browser, daemon.address, pictures)
    browser.look(1440, 900, False)
    browser.open(daemon.address)
    serving(browser, "serving")

    # without the token nothing changes, and the page says why
    said = browser.run("fetch('/api/order', {method: 'POST', headers: {'Content-Type': 'application/json'},"
                       " body: '{\"order\":\"lock\",\"reason\":\"x\",\"confirm\":\"lock\"}'}).then((answer) => answer.status)")
    holds(said == 401, f"an order without the token is answered {said}")
    browser.problems.clear()

    order(browser, "lock", "a click in a test")
    serving(browser, "locked")
    holds(daemon.score(100)["reason"] == "locked", "the page says locked and the daemon does not")
    browser.until("the end of the dialog", "document.querySelector('dialog') === null")
    order(browser, "resume", "it is over")
    serving(browser, "serving")
    holds(daemon.score(101)["arm"] == "ml", "the page says serving and the daemon does not")
    browser.until("the end of the dialog", "document.querySelector('dialog') === null")

    # keys choose a screen, and what stands in a reason is text
    daemon.ask(type="lock", reason="<img src=x onerror=document.title=1>")
    daemon.ask(type="resume", reason="<b>over</b>")
    for kind in ["keyDown", "keyUp"]:
        browser.call("Input.dispatchKeyEvent", type=kind, key="7", code="Digit7")
    browser.until("the reason as text", "document.getElementById('screen').innerText.includes('<img src=x')")
    holds(browser.run("document.querySelectorAll('main img, main b').length") == 0, "a reason became markup")
    browser.run("location.hash = 'now'")
    browser.until("the screen", "document.getElementById('serving')?.innerText.includes('ES/1 is in production')")

    for number in range(4):
        answer = daemon.lose(number)
    begin = time.monotonic()
    holds(answer.get("silenced") == ["ES/1"], f"no emergency: {answer}")
    serving(browser, "silenced: ES")
    browser.until("the emergency", "document.getElementById('serving').innerText.includes('silenced by an emergency')")
    took = time.monotonic() - begin
    holds(took < 1.0, f"the emergency was seen after {took:.2f} s")
    if pictures:
        browser.picture(pathlib.Path(pictures) / "emergency-1440-light.png")
    away = {url for url in browser.requests if urllib.parse.urlsplit(url).hostname not in ("127.0.0.1", None)}
    holds(not away, f"requests left this machine: {sorted(away)}")
    holds(not browser.problems, f"the browser complains: {browser.problems[:5]}")
    print(f"browser: locked and resumed by clicks, an emergency seen after {took * 1000:.0f} ms, 28 pictures in order, "
          f"{len(browser.requests)} requests, none of which left this machine")


def main(arguments):
    if not 1 <= len(arguments) <= 2:
        raise SystemExit(__doc__)
    if found() is None:
        print("browser: skipped: no Chromium is installed (apt-get install chromium)")
        return
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        daemon = browser = None
        try:
            daemon = Daemon(pathlib.Path(arguments[0]).resolve(), pathlib.Path(folder))
            browser = Browser(profile)
            tried(daemon, browser, arguments[1] if len(arguments) > 1 else None)
        finally:
            for part in [browser, daemon]:
                if part is not None:
                    part.close()


if __name__ == "__main__":
    main(sys.argv[1:])
