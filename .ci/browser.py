#!/usr/bin/env python3
"""The page in a real browser: .ci/browser.py PATH-OF-A-BUILT-VIGIE [FOLDER-FOR-PICTURES]

The program of the page lies beside vigie. Three models are trained, one of them rejected; one is promoted, the next is put under test
beside it, and days of trades pass. What each screen is for is seen on it, light and dark, 390 and 1440 pixels wide, without an error and
without a request that leaves this machine; a person locks and resumes by clicks, and an emergency is seen within a second. Says that it
was skipped where no Chromium is installed.
"""

import collections
import datetime
import gzip
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

SCREENS = {"now": "ES/1 is in production", "signals": "moved the score by", "test": "Evidence against its boundary", "versions": "Gates of",
           "drift": "each input, the furthest first", "learning": "Linear models", "journal": "promote"}
# the examples are few: what they train is put in production by hand, and four losses in a row are an emergency; nothing but that
# takes influence from a version
CONFIG = """server.deadline_us = 1000000
scoring.holdback = 0.0
lifecycle.stage_validated = false
lifecycle.automatic = false
guardian.literal = true
guardian.min_accuracy = 0
guardian.max_loss_streak = 3
guardian.daily_loss_limit = 1000000.0
training.min_test_trades = 100
training.strengths = [1.0, 100.0]
validation.bootstrap = 2
validation.null = 20
validation.importance = 2
experiment.planned_sessions = 12
experiment.first_look = 2
experiment.min_days = 0
experiment.min_win_rate_gain = 0.01
monitor.window = 20
monitor.budget_resamples = 20
health.min_trades = 20
health.years = 1000
health.act_level = 0.000001
health.score_psi = 10
health.variance_factor = 1000
health.alert_budget = 0.0001
health.share_budget = 0.0001
health.retrain_budget = 0.0001
health.rollback_budget = 0.0001
"""
TOKEN = "0123456789abcdef0123456789abcdef"
DAYS, A_DAY = 9, 12


class Daemon:
    """vigie and its page in a folder of their own."""

    def __init__(self, program, folder):
        self.program, self.folder, self.running = program, folder, []
        (folder / "config.toml").write_text(CONFIG)
        project = pathlib.Path(__file__).resolve().parents[1]
        files = ["--config", "config.toml"]
        examples = project / "examples" / "signals.jsonl.gz"
        # the latest of them come again, as if they were new
        self.lines = [json.loads(line) for line in gzip.open(examples, "rt")][-(DAYS * A_DAY + 60):]
        self.sent, self.traded, self.now = 0, collections.Counter(), self.first_day()
        self.command("import", str(examples), *files)
        self.command("train", "--keep", *files)
        self.begin(str(program), "run", *files)
        self.wire = self.until("the daemon", self.connect).makefile("rw")
        self.command("promote", "ES/1", "--to", "production", "--override", "--reason", "the page is tried")
        self.close()
        # trained beside the version in production, which it follows; and one that its validation rejects
        self.command("train", "--keep", "--days", "150", *files)
        self.command("train", "--target", "signal_quality", "--days", "150", *files)
        self.begin(str(program), "run", "--clock", "event", *files)
        self.wire = self.until("the daemon", self.connect).makefile("rw")
        self.command("promote", "ES/2", "--to", "ab_test", "--override", "--reason", "the page is tried")
        page = self.begin(str(program.with_name("vigie-web")), "--listen", "127.0.0.1:0", VIGIE_WEB_TOKEN=TOKEN)
        self.address = page.stdout.readline().split()[2]

    @staticmethod
    def first_day():
        """A Monday morning in New York, in the week after next: days of the messages are days of the daemon."""
        today = datetime.datetime.now(datetime.timezone.utc).replace(hour=15, minute=0, second=0, microsecond=0)
        return today + datetime.timedelta(days=14 - today.weekday())

    def next_day(self):
        self.now = self.now.replace(hour=15, minute=0) + datetime.timedelta(days=3 if self.now.weekday() == 4 else 1)

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
    def until(what, probe, patience=60):
        begin = time.monotonic()
        while time.monotonic() - begin < patience:
            if (found_now := probe()) is not None:
                return found_now
            time.sleep(0.01)
        raise TimeoutError(f"waited in vain for {what}")

    def ask(self, **request):
        self.wire.write(json.dumps(request) + "\n")
        self.wire.flush()
        return json.loads(self.wire.readline())

    def stamp(self):
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    def score(self, lacks=None):
        """The next signal, and what was answered to it."""
        signal = dict(self.lines[self.sent % len(self.lines)], type="score", trade_id=f"WEB-{self.sent}", at=self.stamp())
        signal.pop("outcome_metrics", None)
        if lacks:
            signal["market_structure"] = dict(signal["market_structure"], **{lacks: None})
        self.sent += 1
        self.now += datetime.timedelta(minutes=2)
        return self.ask(**signal)

    def end(self, trade, pnl):
        self.now += datetime.timedelta(minutes=1)
        metrics = {"exit_at": self.stamp(), "pnl": pnl, "exit_reason": "stop_loss" if pnl < 0 else "take_profit"}
        return self.ask(type="outcome", trade_id=trade, outcome_metrics=metrics)

    def live(self, days):
        """Days of trades, of which every second one that heard a version wins."""
        for _ in range(days):
            for number in range(A_DAY):
                answer = self.score("es_nq_correlation" if number == A_DAY - 1 else None)
                holds(answer["ok"], f"a signal is refused: {answer}")
                if answer["size"] > 0:
                    self.traded[answer["model"]] += 1
                    self.end(answer["trade_id"], 60.0 if self.traded[answer["model"]] % 2 else -50.0)
                else:
                    self.ask(type="skip", trade_id=answer["trade_id"], reason="size 0")
            self.next_day()

    def judged(self):
        """Whether the monitor has judged what passed."""
        monitor = self.ask(type="status")["status"].get("monitor")
        return monitor and monitor["waiting"] == 0 or None

    def close(self):
        for child in reversed(self.running):
            child.send_signal(signal.SIGTERM)
            child.wait(20)
        self.running.clear()


def holds(condition, what):
    if not condition:
        raise SystemExit(f"browser: {what}")


def order(browser, name, reason, seconds=None):
    """Gives an order as a person does."""
    browser.click(f"#do-{name}")
    if seconds:
        browser.run(f"document.querySelector('#order select[name=for_s]').value = '{seconds}'")
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
            for name in SCREENS:
                screen(browser, name)
                wide = browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                holds(wide <= 0, f"{name} at {width} px is {wide} px too wide")
                theme = browser.run("document.documentElement.dataset.theme")
                holds(theme == ("dark" if dark else "light"), f"{name} is {theme}")
                if pictures:
                    time.sleep(0.6)
                    browser.picture(pathlib.Path(pictures) / f"{name}-{width}-{theme}.png")


def screen(browser, name):
    browser.run(f"location.hash = {json.dumps(name)}")
    browser.until(f"{SCREENS[name]!r} on {name}", f"document.getElementById('screen').innerText.includes({json.dumps(SCREENS[name])})")


def shows(browser, what, script):
    browser.until(what, script)


def count(selector):
    return f"document.querySelectorAll({json.dumps(selector)}).length"


def text(selector):
    return f"[...document.querySelectorAll({json.dumps(selector)})].map((node) => node.textContent).join(' ')"


def what_screens_are_for(browser):
    """Each screen with what it is for, on a day on which a version is in production and another under test."""
    screen(browser, "now")
    shows(browser, "the line of the accuracy", f"{text('main')}.includes('line at') && {text('main')}.includes('ES/2 is under test')")

    screen(browser, "signals")
    shows(browser, "what moved two scores", f"{text('#signal h3')}.match(/What moved the score of ES/g)?.length === 2")
    shows(browser, "an input that was carried forward", f"{count('#signal tr[data-from=carried]')} >= 2")
    shows(browser, "how much each input moved a score", f"{count('#signal tr[data-from] .lean-track i')} >= 10")
    # a row is chosen by key
    browser.run("document.querySelectorAll('tr[data-seq]')[3].focus()")
    chosen = browser.run("document.activeElement.children[1].textContent")
    for kind in ["keyDown", "keyUp"]:
        browser.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13)
    shows(browser, "the signal that a key chose", f"document.querySelector('#signal h2').textContent === {json.dumps(chosen)}")
    shows(browser, "the focus where it was", "document.activeElement.dataset.seq !== undefined")

    screen(browser, "test")
    views = {view: f'[data-version="ES/2"] [data-look={view}]' for view in ["paired", "randomised"]}
    # beside another version only the arms can be compared
    shows(browser, "the evidence of the view that decides, drawn", f"{count(views['randomised'] + ' canvas')} === 1")
    shows(browser, "that the other has none", f"{text(views['paired'])}.includes('no trades to compare')")
    shows(browser, "weeks to go and power", f"{text('main')}.includes('weeks') && {text('main')}.includes('power at the planned end')")
    browser.run(f"document.querySelector({json.dumps(views['randomised'] + ' details')}).open = true")
    sessions = browser.run("fetch('/api/experiment?version=ES%2F2&looks=true').then((answer) => answer.json()).then(({trials}) => trials[0].looks.length)")
    holds(sessions >= DAYS - 2, f"only {sessions} looks at the test")
    shows(browser, "a row a look", f"{count(views['randomised'] + ' .figures tbody tr')} === {sessions}")

    screen(browser, "versions")
    second, third = '[data-lineage="ES/2"]', '[data-lineage="ES/3"]'
    browser.run(f"document.querySelector({json.dumps(second)}).click()")
    shows(browser, "what ES/2 followed", f"{text(second)}.includes('ES/1') && {text('#passport')}.includes('Passport of ES/2')")
    shows(browser, "its gates", f"{text('#gates h2')}.includes('ES/2') && {count('#gates tr[data-gate]')} > 15")
    shows(browser, "what it differs in", f"{text('#compared th')}.includes('ES/1') && {text('#compared')}.includes('data hash')")
    browser.run(f"document.querySelector({json.dumps(third)}).click()")
    shows(browser, "the gates of the rejected one", f"{text('#passport')}.includes('rejected') && {text('#gates h2')}.includes('ES/3') && {text('#gates')}.includes('not passed')")
    shows(browser, "what its score rests on", f"{count('#importance .lean')} > 5")

    screen(browser, "drift")
    shows(browser, "the course of each input", f"{count('[data-inputs] [data-input]')} > 8 && {count('[data-inputs] canvas')} >= 6")
    shows(browser, "the course of the score", f"{count('[data-chart^=Score] canvas')} === 2")
    labels = browser.run("[...document.querySelectorAll('[data-chart] [role=img]')].map((node) => node.getAttribute('aria-label'))")
    holds(labels and all(", in " in label and label.endswith(", over trading day") for label in labels), f"an axis without its unit or zone: {labels}")

    screen(browser, "learning")
    shows(browser, "four decision points", f"{count('#phases [data-level]')} === 4 && {text('#phases summary')}.includes('NO-GO')")
    shows(browser, "importance over versions", f"{text('#weights th')}.includes('ES/1') && {text('#weights th')}.includes('ES/3') && {count('#weights .lean')} > 20")
    shows(browser, "the ledger", f"{count('#ledger tbody tr')} === 3")
    shows(browser, "the decision point of each version, drawn", f"{count('[data-chart^=Decision] canvas')} === 1")

    screen(browser, "journal")
    kinds = "[...document.querySelectorAll('main tbody tr')].map((row) => row.children[2].textContent)"
    browser.run("{ const kind = document.querySelector('select[name=kind]'); kind.value = 'judged'; kind.dispatchEvent(new Event('change')); }")
    shows(browser, "judged days and nothing else", f"{kinds}.length >= {DAYS - 1} && {kinds}.every((kind) => kind === 'judged')")
    browser.run("{ const since = document.querySelector('input[name=since]'); since.value = '2099-01-01T00:00:00'; since.dispatchEvent(new Event('input')); }")
    shows(browser, "nothing from a time to come", "document.getElementById('screen').innerText.includes('Nothing matches')")
    rows = browser.run("fetch(document.querySelector('a[href*=\".csv\"]').href).then((answer) => answer.text()).then((sheet) => sheet.trim().split('\\r\\n').length)")
    holds(rows == 1, f"the export has {rows} rows and not the head alone: it is not what matches")
    holds(not browser.problems, f"the browser complains: {browser.problems[:5]}")


def tried(daemon, browser, pictures):
    daemon.live(DAYS)
    holds(daemon.score()["arm"] == "ml" and daemon.score("es_nq_correlation")["arm"] == "ml", "a signal does not hear a model")
    daemon.until("the monitor", daemon.judged, 240)
    browser.look(1440, 900, False)
    browser.open(daemon.address)
    serving(browser, "serving")
    what_screens_are_for(browser)
    all_screens(browser, daemon.address, pictures)
    daemon.ask(type="rollback", version="ES/2", reason="it was tried")
    browser.look(1440, 900, False)
    browser.open(daemon.address)
    serving(browser, "serving")

    # without the token nothing changes, and the page says why
    said = browser.run("fetch('/api/order', {method: 'POST', headers: {'Content-Type': 'application/json'},"
                       " body: '{\"order\":\"lock\",\"reason\":\"x\",\"confirm\":\"lock\"}'}).then((answer) => answer.status)")
    holds(said == 401, f"an order without the token is answered {said}")
    browser.problems.clear()

    order(browser, "lock", "a click in a test", 7200)
    serving(browser, "locked")
    shows(browser, "until when it is locked", "document.getElementById('serving').innerText.includes('Locked to the baseline until')")
    holds(daemon.score()["reason"] == "locked", "the page says locked and the daemon does not")
    browser.until("the end of the dialog", "document.querySelector('dialog') === null")
    order(browser, "resume", "it is over")
    serving(browser, "serving")
    holds(daemon.score()["arm"] == "ml", "the page says serving and the daemon does not")
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

    heard = [answer["trade_id"] for answer in (daemon.score() for _ in range(30)) if answer["arm"] == "ml" and answer["size"] > 0]
    holds(len(heard) >= 4, f"a model takes only {len(heard)} of 30 signals")
    for trade in heard[:4]:
        answer = daemon.end(trade, -50.0)
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
