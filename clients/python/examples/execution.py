"""An execution engine's side of a decision: how many contracts to trade, and what to report afterwards.

    python3 execution.py vigie-state/vigie.sock signal.json

It trades nothing: the fill below is invented.
"""

import json
import sys
import uuid

import vigie

OWN = 3  # contracts that the strategy trades without a model
LARGEST = 5  # contracts that a model may ask for


def main(socket: str, file: str) -> int:
    with open(file, encoding="utf-8") as opened:
        signal = json.load(opened)
    signal["trade_id"] = f"EXEC-{uuid.uuid4().hex}"
    with vigie.Client(socket) as lookout:
        decision = lookout.score(signal)
        contracts = decision.contracts(OWN, at_most=LARGEST)
        print(f"{decision.reason}: asked for {decision.size:.2f} times {OWN}, traded {contracts} of {OWN} contracts")
        if contracts == 0:
            lookout.skip(decision.trade_id, "the model asks for no trade")
            return 0
        metrics = {"exit_at": "2025-10-23T17:20:00Z", "pnl": 45.0 * contracts, "exit_reason": "take_profit"}
        # whole contracts are not quite the size that was asked for, and the daemon divides the pnl by the size
        stored = lookout.outcome(decision.trade_id, metrics, decision.at_size(contracts / OWN))
        print(f"acknowledged, matched: {stored.matched}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
