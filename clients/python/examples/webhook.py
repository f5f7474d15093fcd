"""Receives alerts of TradingView on loopback, asks vigie about each, and prints what to trade.

    python3 webhook.py /run/vigie/vigie.sock                        beside the daemon
    VIGIE_TOKEN=... python3 webhook.py http://127.0.0.1:8178        through the gateway

It trades nothing: put your orders where it prints. A reverse proxy with TLS leads from the internet to 127.0.0.1:8179/alert, for
TradingView's addresses alone; docs/gateway.md has the alert's text and the proxy's lines.
"""

import http.server
import json
import math
import os
import sys
import threading

import vigie

OWN = 2  # contracts that the strategy trades without a model
LARGEST = 4  # contracts that a model may ask for
LONGEST = 64 * 1024  # bytes of an alert
SIDES = {"buy": "long", "sell": "short", "long": "long", "short": "short"}


def known(value):
    """None for what is not known: a plot without a value is written NaN, which is not JSON."""
    if isinstance(value, dict):
        return {name: known(field) for name, field in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def signal_of(text):
    """The alert as the signal that vigie reads; ValueError if it is none."""
    alert = known(json.loads(text))
    if not isinstance(alert, dict) or alert.get("action") not in SIDES:
        raise ValueError("an alert has the action buy or sell")
    signal = {name: alert[name] for name in ("trade_id", "confidence", "features") if name in alert}
    signal["trade_id"] = str(signal.get("trade_id")).replace("!", "")
    signal["at"] = alert.get("at")
    signal["side"] = SIDES[alert["action"]]
    signal["symbol"] = str(alert.get("symbol")).rstrip("1!")  # ES1! is the continuous ES
    return signal


class Alerts(http.server.BaseHTTPRequestHandler):
    """Answers at once, since TradingView waits three seconds and reads no answer."""

    timeout = 5.0
    lookout = None
    one_at_a_time = threading.Lock()

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if self.path != "/alert" or not length.isdecimal() or int(length) > LONGEST:
            return self.send_error(404)
        text = self.rfile.read(int(length))
        try:
            signal = signal_of(text.decode())
        except ValueError as error:
            print(f"an alert that cannot be read: {error}", file=sys.stderr, flush=True)
            return self.send_error(400)
        with self.one_at_a_time:
            decision = self.lookout.score(signal)
            contracts = decision.contracts(OWN, at_most=LARGEST)
            # your order goes here
            print(f"{signal['side']} {contracts} {signal['symbol']} {decision.trade_id} {decision.reason}", flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def main(path, port=8179):
    Alerts.lookout = vigie.Client(path, deadline=1.0, token=os.environ.get("VIGIE_TOKEN") if path.startswith("http") else None)
    # a thread each, so that a connection that says nothing keeps no alert waiting
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Alerts) as server:
        print(f"listening on http://127.0.0.1:{server.server_address[1]}/alert", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
