#!/usr/bin/env python3
"""Makes signals.jsonl.gz and signal.json: SYNTHETIC closed trades of a market that never was. Standard library only.

    python3 make_signals.py        writes both files beside this script, always with the same content

A random walk with the daily rhythm of an index future is traded by a rule that enters at random; whether a trade reaches
its target before its stop is drawn with a probability that depends mildly on what is known at the signal (`planted`), so
that a model has something to learn and nothing to marvel at. Prices, features and outcomes agree with each other. No
row comes from a real market, and nothing learned here says anything about one.
"""

import gzip
import json
import math
import pathlib
import random
from datetime import date, datetime, timedelta, timezone

SEED = 20250106
TRADES = 1100
FIRST_DAY = date(2025, 1, 6)
TICK = 0.25
TICK_VALUE = 12.5
COSTS = 4.5
#: Chicago is at UTC-6, and at UTC-5 from this day on (as far as these data go).
SUMMER_TIME = date(2025, 3, 10)
SESSION_MINUTES = 1380
BARS_SHOWN = 12
LONGEST_TRADE = 40


def sigma(x):
    return 1.0 / (1.0 + math.exp(-x))


def clip(x, low, high):
    return max(low, min(high, x))


def to_tick(price):
    return round(price / TICK) * TICK


class Bar:
    """A stretch of trading; `minute` counts from the start of the session to its end."""

    def __init__(self, minute, length, prices, volume):
        self.minute, self.length, self.volume = minute, length, volume
        self.open, self.close, self.high, self.low = prices[0], prices[-1], max(prices), min(prices)
        self.prices = prices


class Market:
    """A price path, one session at a time."""

    def __init__(self, rng):
        self.rng = rng
        self.price = 5950.0
        self.log_volatility = 0.0
        self.vix = 17.0
        self.correlation = 0.94
        self.bars = []
        self.previous = []

    def open_session(self):
        """A new session, with its own mood."""
        rng = self.rng
        self.previous = self.bars
        self.log_volatility = 0.9 * self.log_volatility + rng.gauss(0, 0.13)
        self.vix = clip(17.0 * math.exp(0.6 * self.log_volatility + rng.gauss(0, 0.03)), 10.5, 45.0)
        self.correlation = clip(0.94 + 0.8 * (self.correlation - 0.94) + rng.gauss(0, 0.012), 0.5, 0.995)
        self.price = to_tick(self.price + rng.gauss(0, 4))
        self.bars = []

    def next_bar(self):
        """Extends the session by one bar, None when it is over."""
        rng = self.rng
        minute = self.bars[-1].minute if self.bars else 0
        busy = activity(minute)
        length = max(2, round(rng.gauss(14, 3) / busy))
        if minute + length > SESSION_MINUTES:
            return None
        step = 2.2 * math.exp(self.log_volatility)
        prices = [self.price]
        for _ in range(8):
            prices.append(to_tick(prices[-1] + rng.gauss(0, step / math.sqrt(2))))
        bar = Bar(minute + length, length, prices, max(200, round(rng.lognormvariate(9.6, 0.35) * busy ** 0.5)))
        self.price = bar.close
        self.bars.append(bar)
        return bar

    def atr(self):
        """Mean true range of the last 14 bars, in points."""
        bars = self.bars[-15:]
        ranges = [max(b.high, a.close) - min(b.low, a.close) for a, b in zip(bars, bars[1:])]
        return max(4 * TICK, sum(ranges) / len(ranges))


def activity(minute):
    """How busy the market is: 15.5 hours into the session New York opens."""
    if minute < 930:
        return 0.5
    return 1.8 if minute < 990 or minute > 1260 else 1.2


def phase(minute):
    if minute < 930:
        return "overnight"
    if minute < 990:
        return "open"
    if minute < 1260:
        return "regular"
    return "close" if minute < 1335 else "after_hours"


def vwap(bars):
    volume = sum(bar.volume for bar in bars)
    return sum((bar.high + bar.low + bar.close) / 3 * bar.volume for bar in bars) / volume


def since(bars, minutes):
    return [bar for bar in bars if bar.minute > bars[-1].minute - minutes]


def session_start(day):
    """17:00 in Chicago on the calendar day before."""
    hour = 22 if day >= SUMMER_TIME else 23
    return datetime(day.year, day.month, day.day, hour, tzinfo=timezone.utc) - timedelta(days=1)


def stamp(day, minute, rng):
    at = session_start(day) + timedelta(minutes=minute, milliseconds=rng.randrange(1000))
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def regime(bars):
    move = (bars[-1].close - bars[0].open) / (sum(b.high - b.low for b in bars) / len(bars))
    return "trend_up" if move > 2.0 else "trend_down" if move < -2.0 else "range"


def market_state(market, rng):
    bars, atr, price = market.bars, market.atr(), market.price
    average = sum(bar.volume for bar in bars[-20:]) / len(bars[-20:])
    ticks_wide = 1 if rng.random() < 0.93 else rng.choice([2, 2, 3])
    last = bars[-1]
    earlier = last.prices[int(len(last.prices) * max(0.0, 1 - 5 / last.length))] if last.length > 5 else last.open
    return {
        "price": price,
        "volume": {
            "session": sum(bar.volume for bar in bars),
            "recent": last.volume,
            "average": round(average, 1),
        },
        "bid_ask": {
            "bid": price,
            "ask": price + ticks_wide * TICK,
            "bid_size": rng.randrange(5, 180),
            "ask_size": rng.randrange(5, 180),
        },
        "vwap": {
            "session": round(vwap(bars), 3),
            "m15": round(vwap(since(bars, 15)), 3),
            "h1": round(vwap(since(bars, 60)), 3),
        },
        "atr": round(atr, 4),
        "vix": round(market.vix, 2),
        "price_5m_ago": earlier,
    }


def analysis(market, rng, side):
    shown = market.bars[-BARS_SHOWN:]
    names = ["long_down_up_bar", "long_up_down_bar", "color_down_setting"]
    patterns = {name: round(rng.random(), 4) if rng.random() < 0.25 else 0.0 for name in names}
    base = market.bars[-6:-2]
    return {
        "boules": [[bar.open, bar.high, bar.low, bar.close, bar.volume] for bar in shown],
        "patterns": patterns,
        "base": {
            "kind": rng.choices(["neutral", "green" if side > 0 else "red"], [0.65, 0.35])[0],
            "high": max(bar.high for bar in base),
            "low": min(bar.low for bar in base),
            "quality": round(clip(rng.gauss(0.3, 0.09), 0.02, 0.9), 4),
        },
        "golden_rule": "intact" if rng.random() < 0.95 else "broken",
        "confluence_score": rng.choices([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [2, 8, 25, 38, 20, 7])[0],
        "trend_regime": regime(shown),
        "signal_strength": round(clip(rng.lognormvariate(-0.5, 0.8), 0.03, 1.0), 4),
    }


def market_structure(market, rng):
    before, wall = market.previous, 50.0
    middle = vwap(before)
    spread = math.sqrt(sum((bar.close - middle) ** 2 for bar in before) / len(before))
    put_wall = math.floor(market.price / wall) * wall
    return {
        "gamma_levels": {"call_wall": put_wall + wall, "put_wall": put_wall},
        "value_area": {
            "vah": to_tick(middle + spread),
            "val": to_tick(middle - spread),
            "poc": to_tick(middle + rng.gauss(0, spread / 3)),
        },
        "previous_session": {
            "high": max(bar.high for bar in before),
            "low": min(bar.low for bar in before),
            "close": before[-1].close,
        },
        "es_nq_correlation": round(market.correlation, 4),
        "options_flow": {"put_call_ratio": round(rng.lognormvariate(-0.05, 0.35), 3)},
    }


def volatility_regime(market):
    level = math.exp(market.log_volatility)
    return "low" if level < 0.75 else "normal" if level < 1.3 else "high" if level < 1.8 else "extreme"


def make_signal(market, rng, day, number):
    """A snapshot of now without an outcome, and the direction as a number."""
    side = rng.choice([1, -1])
    seen = analysis(market, rng, side)
    minute = market.bars[-1].minute
    ticks = max(8, round(2 * market.atr() / TICK))
    confidence = clip(0.5 + 0.18 * seen["confluence_score"] + rng.gauss(0, 0.09), 0.3, 0.9)
    signal = {
        "trade_id": f"EX-{day:%Y%m%d}-{number:03}",
        "at": stamp(day, minute, rng),
        "symbol": "ES",
        "side": "long" if side > 0 else "short",
        "confidence": round(confidence, 4),
        "market_state": market_state(market, rng),
        "battle_navale_analysis": seen,
        "market_structure": market_structure(market, rng),
        "execution_context": {
            "entry_reason": f"synthetic_{'long' if side > 0 else 'short'}",
            "session_phase": phase(minute),
            "session_fraction": round(minute / SESSION_MINUTES, 4),
            "volatility_regime": volatility_regime(market),
            "risk_parameters": {
                "contracts": 1,
                "stop_ticks": ticks,
                "target_ticks": ticks,
                "daily_loss_limit": 1500.0,
            },
        },
    }
    return signal, side


def planted(signal, side):
    """The probability that the target is reached before the stop, and the whole secret of these data: with the session's
    and the options' flow it is likelier, and with agreement of the strategy's own clues; the other features are noise."""
    state, seen = signal["market_state"], signal["battle_navale_analysis"]
    windows = state["vwap"]
    trend = 0.5 * (state["price"] - windows["session"]) / state["atr"]
    trend += (windows["m15"] - windows["h1"]) / state["atr"]
    flow = math.tanh(-math.log(signal["market_structure"]["options_flow"]["put_call_ratio"]))
    z = 0.9 * side * (2 * sigma(trend) - 1) + 1.3 * side * flow
    z += 1.4 * (seen["confluence_score"] - 0.55)
    volume = state["volume"]["recent"] / state["volume"]["average"]
    z += 1.5 * (volume / (1 + volume) - 0.5)
    return sigma(z)


def trade(market, rng, day, signal, side):
    """Lets the market run until the trade is closed and returns its outcome. The draw of who wins comes first; the path is
    then the first of many that agrees with it."""
    risk = signal["execution_context"]["risk_parameters"]
    wins = rng.random() < planted(signal, side)
    bars, price = list(market.bars), market.price
    for _ in range(60):
        market.bars, market.price = list(bars), price
        outcome = run(market, rng, side, risk["stop_ticks"] * TICK)
        if (outcome["points"] > 0) == wins:
            break
    points, reason, held, best, worst = (outcome[key] for key in ("points", "reason", "held", "best", "worst"))
    slipped = rng.choice([0, 0, 1]) if reason == "stop_loss" else 0
    points -= slipped * TICK
    return {
        "exit_at": stamp(day, market.bars[-1].minute, rng),
        "entry_price": price,
        "exit_price": price + side * points,
        "pnl": round(points / TICK * TICK_VALUE - COSTS, 2),
        "slippage_ticks": slipped,
        "exit_reason": reason,
        "bars_held": held,
        "mfe_ticks": best / TICK,
        "mae_ticks": worst / TICK,
        "mfe_bars": outcome["best_held"],
    }


def run(market, rng, side, distance):
    """One possible future of a position: what it makes in points, why and when it ends, its best and worst, and the bar of
    the best."""
    entry, best, worst, held, best_held = market.price, 0.0, 0.0, 0, 0
    longest = LONGEST_TRADE if rng.random() < 0.95 else rng.randrange(2, 8)
    while True:
        bar = market.next_bar()
        if bar is None:
            return ended(side * (market.price - entry), "session_end", max(held, 1), best, worst, best_held)
        held += 1
        for price in bar.prices[1:]:
            gain = side * (price - entry)
            best_held = held if gain > best else best_held
            best, worst = max(best, gain), max(worst, -gain)
            if gain >= distance:
                return ended(distance, "take_profit", held, best, worst, best_held)
            if gain <= -distance:
                return ended(-distance, "stop_loss", held, best, worst, best_held)
        if held >= longest:
            reason = "time" if longest == LONGEST_TRADE else "signal"
            return ended(side * (market.price - entry), reason, held, best, worst, best_held)


def ended(points, reason, held, best, worst, best_held):
    return {"points": points, "reason": reason, "held": held, "best": best, "worst": worst, "best_held": best_held}


def forget(signal, rng):
    """Takes away what a feed loses now and then. What is lost was known to the market all the same."""
    for share, section, *path in [
        (0.04, "market_state", "vix"),
        (0.06, "market_structure", "options_flow", "put_call_ratio"),
        (0.03, "market_state", "price_5m_ago"),
        (0.03, "market_state", "vwap", "h1"),
        (0.02, "market_structure", "es_nq_correlation"),
        (0.02, "market_structure", "gamma_levels", "call_wall"),
        (0.10, "market_state", "bid_ask", "bid_size"),
        (0.03, "outcome_metrics", "mfe_ticks"),
    ]:
        if rng.random() < share and section in signal:
            place = signal[section]
            for name in path[:-1]:
                place = place[name]
            place[path[-1]] = None


def trading_days():
    day = FIRST_DAY
    while True:
        if day.weekday() < 5:
            yield day
        day += timedelta(days=1)


def make_trades(rng):
    """The trades in the order in which they fired, then one more signal without outcome."""
    market = Market(rng)
    market.open_session()
    while market.next_bar() is not None:
        pass  # a session to look back on
    made = 0
    for day in trading_days():
        market.open_session()
        number = 0
        while (bar := market.next_bar()) is not None:
            quiet = len(market.bars) < 15 or bar.minute > SESSION_MINUTES - 30
            if quiet or rng.random() > 0.21 * activity(bar.minute):
                continue
            number += 1
            signal, side = make_signal(market, rng, day, number)
            if made < TRADES:
                signal["outcome_metrics"] = trade(market, rng, day, signal, side)
            forget(signal, rng)
            yield signal
            made += 1
            if made > TRADES:
                return


def main():
    folder = pathlib.Path(__file__).resolve().parent
    signals = list(make_trades(random.Random(SEED)))
    lines = [json.dumps(signal, separators=(",", ":"), allow_nan=False) + "\n" for signal in signals[:-1]]
    packed = gzip.compress("".join(lines).encode(), compresslevel=9, mtime=0)
    (folder / "signals.jsonl.gz").write_bytes(packed)
    (folder / "signal.json").write_text(json.dumps(signals[-1], indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
