// Asks the daemon about one signal, trades it as the answer says, and reports the outcome.
//
//     mcs -out:example.exe Vigie.cs Example.cs && mono example.exe vigie-state/vigie.sock

using System;
using System.Collections.Generic;
using Vigie;

static class Example
{
    static int Main(string[] arguments)
    {
        string tradeId = arguments.Length > 1 ? arguments[1] : "CS-20251104-001";
        using (var client = new Client(arguments[0]))
        {
            client.Log = Console.Error.WriteLine;
            client.WarmUp(); // before the market opens
            Decision decision = client.Score(new Dictionary<string, object>
            {
                ["trade_id"] = tradeId,
                ["at"] = new DateTimeOffset(2025, 11, 4, 15, 2, 11, TimeSpan.Zero),
                ["symbol"] = "ES",
                ["side"] = "long",
                ["confidence"] = 0.62,
                ["features"] = new Dictionary<string, object>
                {
                    ["vwap_trend_signal"] = 0.71,
                    ["level_proximity"] = 0.55,
                    ["recent_momentum"] = null, // not known: null, never 0 or NaN
                },
            });
            int contracts = decision.Contracts(own: 2, atMost: 4);
            Console.WriteLine("{0}: confidence {1:F4}, {2} contracts, {3}", decision.Spoke ? "ml" : "baseline",
                              decision.Confidence, contracts, decision.Reason);
            try
            {
                if (contracts == 0)
                {
                    client.Skip(tradeId, "the model asks for no trade");
                    return 0;
                }
                // ... the trade is made and closed ...
                var metrics = new Dictionary<string, object>
                {
                    ["exit_at"] = new DateTimeOffset(2025, 11, 4, 15, 40, 0, TimeSpan.Zero),
                    ["pnl"] = 137.5,
                    ["exit_reason"] = "take_profit",
                };
                // the size that was traded, as a multiple of the strategy's own 2 contracts
                Acknowledgement stored = client.Outcome(tradeId, metrics, decision.AtSize(contracts / 2.0));
                Console.WriteLine("the outcome is on disk{0}", stored.Duplicate ? ", and was before" : "");
                return 0;
            }
            catch (NotAcknowledgedException fault)
            {
                Console.Error.WriteLine("{0}; keep it{1}", fault.Message, fault.Temporary ? " and send it again later" : "");
                return 1;
            }
        }
    }
}
