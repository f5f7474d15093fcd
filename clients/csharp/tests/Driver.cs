// The C# client for the tests in clients/tests: the same requests and answers as clients/c/tests/driver.c, and
//
//     kinds        numbers, times and lists of every kind, and what must be refused
//     threads      four threads share the client

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Threading;
using Vigie;

static class Driver
{
    static readonly CultureInfo Plain = CultureInfo.InvariantCulture;

    static int Main()
    {
        Console.InputEncoding = new UTF8Encoding(false);
        Console.OutputEncoding = new UTF8Encoding(false);
        CultureInfo.CurrentCulture = new CultureInfo("de-DE"); // where a comma is the decimal point
        var client = new Client("/nonexistent");
        Decision decision = null;
        string line;
        while ((line = Console.ReadLine()) != null)
        {
            string[] fields = line.Split('\t');
            var reply = new Dictionary<string, object>();
            if (fields[0] == "open")
            {
                client.Dispose();
                client = new Client(fields[1], token: fields.Length > 2 ? fields[2] : null);
            }
            else if (fields[0] == "score")
            {
                IDictionary<string, object> signal = Numbers(Wire.Parse(Encoding.UTF8.GetBytes(fields[4])));
                signal["trade_id"] = fields[1];
                if (fields[2] != "nan") signal["confidence"] = FromBits(fields[2]);
                long start = Stopwatch.GetTimestamp();
                decision = client.Score(signal, TimeSpan.FromTicks(10 * long.Parse(fields[3], Plain)));
                reply["elapsed_us"] = (Stopwatch.GetTimestamp() - start) * 1e6 / Stopwatch.Frequency;
                Put(reply, decision);
            }
            else if (fields[0] == "outcome" || fields[0] == "skip")
            {
                TimeSpan timeout = TimeSpan.FromTicks(10 * long.Parse(fields[2], Plain));
                Record(reply, () => fields[0] == "skip"
                    ? client.Skip(fields[1], fields[3], timeout)
                    : client.Outcome(fields[1], Numbers(Wire.Parse(Encoding.UTF8.GetBytes(fields[3]))),
                                     fields[4] == "yes" ? decision : null, timeout));
            }
            else if (fields[0] == "kinds")
            {
                Kinds(client, reply);
            }
            else if (fields[0] == "threads")
            {
                reply["own_answers"] = Threads(client);
            }
            else
            {
                return 2;
            }
            Console.Write(Encoding.UTF8.GetString(Wire.Line(reply)));
            Console.Out.Flush();
        }
        return 0;
    }

    static void Kinds(Client client, IDictionary<string, object> reply)
    {
        TimeSpan long_enough = TimeSpan.FromSeconds(5);
        var extra = new Dictionary<string, object>
        {
            ["int"] = 3, ["long"] = 3L, ["short"] = (short)3, ["byte"] = (byte)3, ["uint"] = 3u, ["float"] = 0.5f,
            ["decimal"] = 0.1m, ["double"] = 0.1, ["minus_zero"] = -0.0, ["true"] = true, ["text"] = "\u00e9\"\\\n\ud83d\ude00",
            ["list"] = new[] { 1.5, 2.5 }, ["zone"] = new DateTimeOffset(2025, 1, 6, 9, 2, 11, TimeSpan.FromHours(-6)),
            ["utc"] = new DateTime(2025, 1, 6, 15, 2, 11, DateTimeKind.Utc),
        };
        Func<object, object, Decision> score = (confidence, inside) => client.Score(new Dictionary<string, object>
        {
            ["trade_id"] = "T-1", ["confidence"] = confidence, ["extra"] = inside,
        }, long_enough);
        Put(reply, score(0.62, extra));
        var circle = new Dictionary<string, object>();
        circle["circle"] = circle;
        var refused = new object[]
        {
            double.NaN, double.PositiveInfinity, float.NaN, new object(), "\ud800", circle, new string('x', 70000), Endless(),
            new DateTime(2025, 1, 6), new Dictionary<string, double>(), new Dictionary<int, object>(),
        };
        var reasons = new List<object>();
        foreach (object wrong in refused)
        {
            Decision answer = score(0.62, new Dictionary<string, object> { ["x"] = wrong });
            reasons.Add(answer.Reason + (answer.Confidence == 0.62 ? "" : " and lost its confidence"));
        }
        reply["refused"] = reasons;
        reply["null_signal"] = client.Score(null, long_enough).Reason;
        reply["decimal_confidence"] = score(0.62m, null).Confidence;
        reply["text_confidence"] = score("0.62", null).Confidence;
    }

    static int Threads(Client client)
    {
        int own = 0;
        var threads = new List<Thread>();
        for (int name = 0; name < 4; name++)
        {
            string prefix = "THREAD-" + name.ToString(Plain) + "-";
            threads.Add(new Thread(() =>
            {
                for (int number = 0; number < 100; number++)
                {
                    string tradeId = prefix + number.ToString(Plain);
                    Decision decision = client.Score(
                        new Dictionary<string, object> { ["trade_id"] = tradeId }, TimeSpan.FromSeconds(20));
                    if (decision.Ok && decision.TradeId == tradeId) Interlocked.Increment(ref own);
                }
            }));
        }
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        return own;
    }

    static IEnumerable<object> Endless()
    {
        while (true) yield return 1.0;
    }

    static void Record(IDictionary<string, object> reply, Func<Acknowledgement> send)
    {
        reply["acknowledged"] = reply["duplicate"] = reply["temporary"] = false;
        reply["code"] = reply["message"] = reply["field"] = "";
        try
        {
            Acknowledgement stored = send();
            reply["acknowledged"] = true;
            reply["duplicate"] = stored.Duplicate;
            reply["matched"] = stored.Matched == null ? -1 : stored.Matched.Value ? 1 : 0;
        }
        catch (NotAcknowledgedException fault)
        {
            reply["code"] = fault.Code;
            reply["message"] = fault.Message;
            reply["field"] = fault.Field ?? "";
            reply["temporary"] = fault.Temporary;
        }
        catch (ArgumentException fault)
        {
            reply["code"] = "invalid_request";
            reply["message"] = fault.Message;
        }
    }

    static void Put(IDictionary<string, object> reply, Decision decision)
    {
        reply["ok"] = decision.Ok;
        reply["trade_id"] = decision.TradeId;
        reply["arm"] = decision.Spoke ? "ml" : "baseline";
        reply["confidence_bits"] = decision.Confidence == null
            ? "none" : BitConverter.DoubleToInt64Bits(decision.Confidence.Value).ToString("x16", Plain);
        reply["score"] = decision.Score;
        reply["size"] = decision.Size;
        reply["model"] = decision.Model ?? "";
        reply["reason"] = decision.Reason;
        reply["error_code"] = decision.ErrorCode ?? "";
        reply["error_message"] = decision.ErrorMessage ?? "";
        reply["error_field"] = decision.ErrorField ?? "";
    }

    static double FromBits(string text)
    {
        return BitConverter.Int64BitsToDouble(long.Parse(text, NumberStyles.HexNumber, Plain));
    }

    static IDictionary<string, object> Numbers(IDictionary<string, object> read)
    {
        return new Dictionary<string, object>(read);
    }
}
