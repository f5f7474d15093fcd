// Client of the vigie daemon in one file, for .NET Standard 2.0 and later, .NET 5 and later, and Mono. No packages.
//
// Client.Score returns within its deadline and throws nothing. Whatever goes wrong, its answer is the neutral one: the
// strategy's own confidence with every bit, size 1. Client.Outcome and Client.Skip return only when the daemon has the message
// on disk, and throw NotAcknowledgedException otherwise; both may be repeated until they succeed.
//
// Over the daemon's Unix socket it runs beside the daemon on Linux; over HTTP with its gateway (docs/gateway.md) everywhere.

using System;
using System.Collections;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading;

namespace Vigie
{
    /// <summary>The answer to a signal.</summary>
    public sealed class Decision
    {
        /// <summary>False when the daemon had no say, or said that the request was at fault.</summary>
        public bool Ok { get; internal set; }
        public string TradeId { get; internal set; }
        /// <summary>Whether a model influenced it (arm "ml"). Otherwise trade as if there were no model (arm "baseline").</summary>
        public bool Spoke { get; internal set; }
        /// <summary>Confidence to trade on, 0 to 1; the strategy's own when no model spoke; null if it gave none.</summary>
        public double? Confidence { get; internal set; }
        /// <summary>The model's score, 0 to 1. 0.5 when no model spoke: a placeholder, not a prediction.</summary>
        public double Score { get; internal set; }
        /// <summary>Multiplier of the strategy's own size, 0 to 10; 0 asks for no trade.</summary>
        public double Size { get; internal set; }
        /// <summary>Such as ES/14; null without one.</summary>
        public string Model { get; internal set; }
        /// <summary>Why; docs/protocol.md lists the reasons.</summary>
        public string Reason { get; internal set; }
        /// <summary>What was wrong; null when Ok.</summary>
        public string ErrorCode { get; internal set; }
        public string ErrorMessage { get; internal set; }
        public string ErrorField { get; internal set; }

        internal Decision() { }

        /// <summary>Whole contracts to trade where the strategy alone trades <paramref name="own"/>: that when no model spoke;
        /// otherwise own * Size to the nearest whole number, a half to the smaller one, no more than
        /// <paramref name="atMost"/>.</summary>
        public int Contracts(int own, int atMost = int.MaxValue)
        {
            if (!Spoke) return own;
            double wanted = Math.Ceiling(own * Size - 0.5);
            return wanted > 0 ? (int)Math.Min(wanted, atMost) : 0;
        }

        /// <summary>The decision with the multiple of the strategy's own size that was traded, where that is another one: the
        /// daemon divides the pnl of an outcome by the size of its decision.</summary>
        public Decision AtSize(double size)
        {
            if (!(size >= 0 && size <= Client.MaxSize)) throw new ArgumentOutOfRangeException(nameof(size));
            var copy = (Decision)MemberwiseClone();
            copy.Size = size;
            return copy;
        }

        internal IDictionary<string, object> ToWire()
        {
            bool isProbability = Confidence >= 0 && Confidence <= 1;
            return new Dictionary<string, object>
            {
                ["trade_id"] = TradeId, ["arm"] = Spoke ? "ml" : "baseline",
                ["confidence"] = isProbability ? (object)Confidence.Value : null, ["score"] = Score, ["size"] = Size,
                ["model"] = Model, ["reason"] = Reason,
            };
        }
    }

    /// <summary>The daemon has this message on disk.</summary>
    public sealed class Acknowledgement
    {
        public string TradeId { get; internal set; }
        /// <summary>It had it before; nothing changed.</summary>
        public bool Duplicate { get; internal set; }
        /// <summary>Whether the daemon knew the signal; null when it did not say.</summary>
        public bool? Matched { get; internal set; }

        internal Acknowledgement() { }
    }

    /// <summary>An outcome or a skip that is not known to be stored. Keep it; when Temporary, send it again.</summary>
    public sealed class NotAcknowledgedException : Exception
    {
        public string Code { get; }
        public string Field { get; }
        public bool Temporary { get; }

        internal NotAcknowledgedException(string code, string message, string field) : base(code + ": " + message)
        {
            Code = code;
            Field = field;
            Temporary = Wire.IsTemporary(code);
        }
    }

    /// <summary>Talks to the daemon. Signals travel on one connection and everything else on another, so that an outcome that
    /// waits for the disk never delays a signal. Threads may share a client; their signals then queue behind each other within
    /// their own deadlines.</summary>
    public sealed class Client : IDisposable
    {
        /// <summary>Longest line, in bytes, without its end.</summary>
        public const int MaxLine = 64 * 1024;
        /// <summary>Largest size that is believed: the daemon's configuration allows no larger one.</summary>
        public const double MaxSize = 10.0;

        private readonly TimeSpan deadline;
        private readonly double maxBackoff;
        private readonly Connection signals;
        private readonly Connection records;
        private long lastId;
        private int failures;
        private Deadline nextTry = Deadline.In(0);

        /// <summary>What a person should see: signals that cannot be sent, connections that are turned away. May be null.</summary>
        public Action<string> Log { get; set; }

        /// <param name="path">The daemon's socket, or its gateway such as http://127.0.0.1:8178: an IP address or localhost, and
        /// a port; there is no TLS.</param>
        /// <param name="deadline">How long a signal may wait for its answer; 20 ms without it.</param>
        /// <param name="maxBackoffSeconds">The longest pause, after several failures, in which signals are answered neutrally
        /// without a request.</param>
        /// <param name="token">The trader's token, for the gateway.</param>
        public Client(string path, TimeSpan? deadline = null, double maxBackoffSeconds = 1.0, string token = null)
        {
            this.deadline = deadline ?? TimeSpan.FromMilliseconds(20);
            if (this.deadline <= TimeSpan.Zero) throw new ArgumentOutOfRangeException(nameof(deadline));
            maxBackoff = maxBackoffSeconds;
            signals = new Connection(path, token);
            records = new Connection(path, token);
        }

        /// <summary>Closes both connections; the next request opens them again.</summary>
        public void Dispose()
        {
            lock (signals) signals.Close();
            lock (records) records.Close();
        }

        /// <summary>Has the runtime compile what a signal needs, and connects; call it before the first signal, which would
        /// otherwise be compiled within its own deadline and come late. Takes up to two seconds, throws nothing.</summary>
        public void WarmUp()
        {
            const string sound = "{\"ok\":true,\"id\":0,\"trade_id\":\"x\",\"arm\":\"ml\",\"confidence\":0.5,\"score\":0.5,"
                + "\"size\":1.0,\"model\":null,\"reason\":\"\",\"missing\":[\"\\u0041\"]}";
            Deadline until = Deadline.In(2);
            var signal = new Dictionary<string, object>
            {
                ["trade_id"] = "x", ["at"] = DateTimeOffset.UtcNow, ["confidence"] = 0.5, ["side"] = null,
            };
            Wire.Line(signal);
            Score(signal, TimeSpan.FromTicks(1)); // whose time is over: nothing is sent
            lock (signals)
            {
                try
                {
                    Read(Wire.Parse(Encoding.UTF8.GetBytes(sound)), "0", "x", 0.5, false);
                    string id = Interlocked.Increment(ref lastId).ToString(CultureInfo.InvariantCulture);
                    var ping = new Dictionary<string, object> { ["type"] = "ping", ["id"] = new Number(id) };
                    IDictionary<string, object> answer = Wire.Parse(signals.Exchange(Wire.Line(ping), until, "ping"));
                    if (!Wire.IsId(answer, id)) throw new Failure("unreachable", "the answer of another request");
                }
                catch (Failure)
                {
                    signals.Close();
                }
            }
        }

        /// <summary>The daemon's decision on a signal, within the deadline, never an exception. <paramref name="signal"/> is the
        /// signal as docs/protocol.md has it, without type, id and deadline_us: numbers, text, null, DateTimeOffset (or DateTime
        /// in UTC), dictionaries and lists of them.</summary>
        public Decision Score(IDictionary<string, object> signal, TimeSpan? deadline = null)
        {
            Deadline until = Deadline.In((deadline ?? this.deadline).TotalSeconds);
            string tradeId = null;
            double? own = null;
            try
            {
                own = OwnConfidence(signal);
                object named;
                tradeId = signal != null && signal.TryGetValue("trade_id", out named) ? named as string : null;
                return Ask(signal, tradeId, own, until);
            }
            catch (Failure failure)
            {
                return Neutral(tradeId, own, failure.Code, failure.Code, failure.Message);
            }
            catch (ArgumentException fault)
            {
                Tell("a signal could not be sent to vigie: " + fault.Message);
                return Neutral(tradeId, own, "invalid_request", "invalid_request", fault.Message);
            }
            catch (Exception fault)
            {
                Tell("the client of vigie failed: " + fault);
                return Neutral(tradeId, own, "unreachable", "unreachable", fault.Message);
            }
        }

        /// <summary>Reports a closed trade and returns once it is on the daemon's disk. Pass the decision the trade was made on.
        /// Throws NotAcknowledgedException when it is not known to be stored, ArgumentException when it cannot be sent.</summary>
        public Acknowledgement Outcome(string tradeId, IDictionary<string, object> metrics, Decision decision = null,
                                       TimeSpan? timeout = null)
        {
            var fields = new Dictionary<string, object> { ["outcome_metrics"] = metrics };
            if (decision != null) fields["decision"] = decision.ToWire();
            return Record("outcome", tradeId, fields, timeout);
        }

        /// <summary>Reports a signal that was not traded, and why. Same promises as Outcome.</summary>
        public Acknowledgement Skip(string tradeId, string reason, TimeSpan? timeout = null)
        {
            return Record("skip", tradeId, new Dictionary<string, object> { ["reason"] = reason }, timeout);
        }

        private Decision Ask(IDictionary<string, object> signal, string tradeId, double? own, Deadline until)
        {
            Wire.CheckTradeId(tradeId);
            if (until.IsOver) throw new Failure("deadline", "no answer in time");
            string id = Interlocked.Increment(ref lastId).ToString(CultureInfo.InvariantCulture);
            var message = new Dictionary<string, object>(signal);
            message["type"] = "score";
            message["id"] = new Number(id);
            message["deadline_us"] = Math.Max(1L, (long)(Math.Min(until.Left, 3600.0) * 1e6));
            byte[] line = Wire.Line(message);
            if (!Monitor.TryEnter(signals, until.Milliseconds))
                throw new Failure("deadline", "another thread uses this client; give each its own");
            try
            {
                if (!nextTry.IsOver) throw new Failure("unreachable", "pausing after " + failures + " failures in a row");
                try
                {
                    IDictionary<string, object> answer = Wire.Parse(signals.Exchange(line, until, "score"));
                    bool refused = !true.Equals(Wire.Get(answer, "ok"));
                    if (refused && Wire.Get(answer, "id") == null)
                    {
                        Refusal refusal = Refusal.Of(answer);
                        Tell("vigie turned the connection away: " + refusal.Code + ": " + refusal.Message);
                        signals.Close();
                        Failed();
                        return Neutral(tradeId, own, "unreachable", refusal.Code, refusal.Message, refusal.Field);
                    }
                    Decision decision = Read(answer, id, tradeId, own, refused);
                    // the gateway may be there when the daemon is not
                    if (!decision.Ok && (decision.Reason == "deadline" || decision.Reason == "unreachable")) Failed();
                    else failures = 0;
                    return decision;
                }
                catch (Failure)
                {
                    signals.Close();
                    Failed();
                    throw;
                }
            }
            finally
            {
                Monitor.Exit(signals);
            }
        }

        // every field is checked: a broken answer must not reach an order
        private Decision Read(IDictionary<string, object> answer, string id, string tradeId, double? own, bool refused)
        {
            if (!Wire.IsId(answer, id)) throw new Failure("unreachable", "the answer of another request");
            object about = Wire.Get(answer, "trade_id");
            if (refused && (about == null || tradeId.Equals(about)))
            {
                Refusal refusal = Refusal.Of(answer);
                Tell("vigie refused the signal " + tradeId + ": " + refusal.Code + ": " + refusal.Message);
                string said = Wire.Get(answer, "reason") as string;
                string reason = said ?? (Wire.IsTemporary(refusal.Code) ? "unreachable" : "invalid_request");
                return Neutral(tradeId, own, reason, refusal.Code, refusal.Message, refusal.Field);
            }
            if (!tradeId.Equals(about)) throw new Failure("unreachable", "an answer about another trade");
            object arm = Wire.Get(answer, "arm"), model = Wire.Get(answer, "model");
            double? confidence = Wire.Double(Wire.Get(answer, "confidence")), score = Wire.Double(Wire.Get(answer, "score"));
            double? size = Wire.Double(Wire.Get(answer, "size"));
            var reasonText = Wire.Get(answer, "reason") as string;
            bool spoke = "ml".Equals(arm);
            bool sound = (spoke || "baseline".Equals(arm))
                && (IsProbability(confidence) || (Wire.Get(answer, "confidence") == null && !spoke))
                && IsProbability(score) && size >= 0 && size <= MaxSize
                && (model == null || model is string) && reasonText != null;
            if (!sound) throw new Failure("unreachable", "a broken answer");
            return new Decision
            {
                // when no model spoke the strategy's own number stays as it came, not as the daemon read it
                Ok = true, TradeId = tradeId, Spoke = spoke, Confidence = spoke ? confidence : own, Score = score.Value,
                Size = size.Value, Model = (string)model, Reason = reasonText,
            };
        }

        private Acknowledgement Record(string kind, string tradeId, IDictionary<string, object> fields, TimeSpan? timeout)
        {
            Deadline until = Deadline.In((timeout ?? TimeSpan.FromSeconds(2)).TotalSeconds);
            Wire.CheckTradeId(tradeId);
            string id = Interlocked.Increment(ref lastId).ToString(CultureInfo.InvariantCulture);
            fields["type"] = kind;
            fields["id"] = new Number(id);
            fields["trade_id"] = tradeId;
            byte[] line = Wire.Line(fields);
            if (!Monitor.TryEnter(records, until.Milliseconds))
                throw new NotAcknowledgedException("deadline", "another thread uses this client", null);
            try
            {
                IDictionary<string, object> answer = Wire.Parse(records.Exchange(line, until, kind));
                bool ok = true.Equals(Wire.Get(answer, "ok")), isMine = Wire.IsId(answer, id);
                if (!isMine) records.Close();
                if (!ok && (isMine || Wire.Get(answer, "id") == null))
                {
                    Refusal refusal = Refusal.Of(answer);
                    throw new NotAcknowledgedException(refusal.Code, refusal.Message, refusal.Field);
                }
                bool duplicate = true.Equals(Wire.Get(answer, "duplicate"));
                bool isAcknowledged = ok && isMine && tradeId.Equals(Wire.Get(answer, "trade_id"))
                    && (duplicate || true.Equals(Wire.Get(answer, "durable")));
                if (!isAcknowledged) throw new Failure("unreachable", "not the acknowledgement of " + tradeId);
                return new Acknowledgement
                {
                    TradeId = tradeId, Duplicate = duplicate, Matched = Wire.Get(answer, "matched") as bool?,
                };
            }
            catch (Failure failure)
            {
                records.Close();
                throw new NotAcknowledgedException(failure.Code, failure.Message, null);
            }
            finally
            {
                Monitor.Exit(records);
            }
        }

        // The first failure costs nothing, so that a restart of the daemon is hardly noticed; then there is a pause of 10 ms,
        // 20 ms, ... in which signals are answered neutrally at once.
        private void Failed()
        {
            failures++;
            if (failures > 1) nextTry = Deadline.In(Math.Min(0.010 * Math.Pow(2, Math.Min(failures - 2, 16)), maxBackoff));
        }

        private void Tell(string text)
        {
            try
            {
                Log?.Invoke(text);
            }
            catch (Exception)
            {
                // whoever listens must not cost a signal its answer
            }
        }

        private static Decision Neutral(string tradeId, double? own, string reason, string code, string message,
                                        string field = null)
        {
            return new Decision
            {
                TradeId = tradeId ?? "", Confidence = own, Score = 0.5, Size = 1.0, Reason = reason, ErrorCode = code,
                ErrorMessage = message, ErrorField = field,
            };
        }

        private static double? OwnConfidence(IDictionary<string, object> signal)
        {
            object own;
            if (signal == null || !signal.TryGetValue("confidence", out own)) return null;
            double? number = Wire.Double(own);
            return number.HasValue && !double.IsNaN(number.Value) && !double.IsInfinity(number.Value) ? number : null;
        }

        private static bool IsProbability(double? value)
        {
            return value >= 0 && value <= 1;
        }
    }

    /// <summary>An exchange that gave no usable answer: unreachable or deadline, and why.</summary>
    internal sealed class Failure : Exception
    {
        public string Code { get; }

        public Failure(string code, string message) : base(message)
        {
            Code = code;
        }
    }

    /// <summary>A refusal's code, message and field.</summary>
    internal sealed class Refusal
    {
        public string Code, Message, Field;

        public static Refusal Of(IDictionary<string, object> answer)
        {
            var error = Wire.Get(answer, "error") as IDictionary<string, object> ?? new Dictionary<string, object>();
            return new Refusal
            {
                Code = Wire.Get(error, "code") as string ?? "unreachable",
                Message = Wire.Get(error, "message") as string ?? "refused without a reason",
                Field = Wire.Get(error, "field") as string,
            };
        }
    }

    /// <summary>A point in time of a clock that nobody sets.</summary>
    internal struct Deadline
    {
        private long at;

        public static Deadline In(double seconds)
        {
            double ticks = Math.Max(0.0, Math.Min(seconds, 3600.0)) * Stopwatch.Frequency;
            return new Deadline { at = Stopwatch.GetTimestamp() + (long)ticks };
        }

        public double Left => (at - Stopwatch.GetTimestamp()) / (double)Stopwatch.Frequency;

        public bool IsOver => Stopwatch.GetTimestamp() >= at;

        public int Milliseconds => Math.Max(0, (int)(Left * 1000));
    }

    /// <summary>One connection with at most one request in flight. After any fault it is closed, so that an answer which comes
    /// late dies with it and is never read as the answer to another request.</summary>
    internal sealed class Connection
    {
        private const int LongestHead = 16 * 1024;
        private readonly string path;
        private readonly string token;
        private readonly IPEndPoint gateway; // null: path is that of a Unix socket
        private readonly byte[] buffer;
        private Socket socket;

        public Connection(string path, string token)
        {
            this.path = path;
            this.token = token;
            bool isHttp = path != null && (path.StartsWith("http://", StringComparison.Ordinal)
                || path.StartsWith("https://", StringComparison.Ordinal));
            if (isHttp) gateway = Http.Address(path, token);
            else if (token != null) throw new ArgumentException("a token is for an address such as http://127.0.0.1:8178");
            buffer = new byte[Client.MaxLine + 1 + (isHttp ? LongestHead : 0)];
        }

        public void Close()
        {
            Socket closing = socket;
            socket = null;
            closing?.Dispose();
        }

        public byte[] Exchange(byte[] line, Deadline until, string kind)
        {
            bool done = false;
            byte[] sent = gateway == null ? line : Http.Request(gateway, token, kind, line);
            try
            {
                // between requests nothing may be waiting: neither an answer nobody asked for nor the end of the stream
                if (socket != null && socket.Poll(0, SelectMode.SelectRead)) Close();
                if (socket == null) socket = Connect(until);
                byte[] answer;
                try
                {
                    Send(sent, until);
                    answer = Receive(until);
                }
                catch (SocketException)
                {
                    answer = LastWords(until);
                    if (answer == null) throw;
                }
                done = true;
                return answer;
            }
            catch (SocketException error)
            {
                throw new Failure("unreachable", path + ": " + error.Message);
            }
            catch (ObjectDisposedException error)
            {
                throw new Failure("unreachable", path + ": " + error.Message);
            }
            finally
            {
                if (!done) Close();
            }
        }

        private Socket ConnectToGateway(Deadline until)
        {
            var opened = new Socket(gateway.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                opened.Blocking = false;
                opened.NoDelay = true;
                try
                {
                    opened.Connect(gateway);
                    return opened;
                }
                catch (SocketException error)
                {
                    if (error.SocketErrorCode != SocketError.WouldBlock && error.SocketErrorCode != SocketError.InProgress) throw;
                }
                while (!opened.Poll(until.Left >= 0.002 ? 1000 : 0, SelectMode.SelectWrite))
                {
                    if (opened.Poll(0, SelectMode.SelectError)) break;
                    if (until.IsOver) throw new Failure("deadline", "no answer in time");
                }
                var failed = (int)opened.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error);
                if (failed != 0) throw new SocketException(failed);
                return opened;
            }
            catch
            {
                opened.Dispose();
                throw;
            }
        }

        private Socket Connect(Deadline until)
        {
            if (gateway != null) return ConnectToGateway(until);
            EndPoint address;
            try
            {
#if NETCOREAPP2_1_OR_GREATER || NETSTANDARD2_1_OR_GREATER
                address = new UnixDomainSocketEndPoint(path);
#else
                address = new UnixAddress(path);
#endif
            }
            catch (ArgumentException error)
            {
                throw new Failure("unreachable", error.Message);
            }
            while (true)
            {
                var opened = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    opened.Blocking = false;
                    opened.Connect(address);
                    return opened;
                }
                catch (SocketException error)
                {
                    opened.Dispose();
                    // a Unix socket whose queue is full says so, and there is nothing to poll for
                    if (error.SocketErrorCode != SocketError.WouldBlock && error.SocketErrorCode != SocketError.InProgress) throw;
                    if (until.Left < 0.001) throw new Failure("deadline", "no answer in time");
                    Thread.Sleep(1);
                }
                catch
                {
                    opened.Dispose();
                    throw;
                }
            }
        }

        private void Send(byte[] line, Deadline until)
        {
            int sent = 0;
            while (sent < line.Length)
            {
                Wait(SelectMode.SelectWrite, until);
                SocketError error;
                int count = socket.Send(line, sent, line.Length - sent, SocketFlags.None, out error);
                if (error == SocketError.Success) sent += count;
                else if (error != SocketError.WouldBlock && error != SocketError.Interrupted)
                    throw new SocketException((int)error);
            }
        }

        private byte[] Receive(Deadline until)
        {
            int length = 0;
            while (true)
            {
                if (length == buffer.Length) throw new Failure("unreachable", "an answer is too long");
                Wait(SelectMode.SelectRead, until);
                SocketError error;
                int count = socket.Receive(buffer, length, buffer.Length - length, SocketFlags.None, out error);
                if (error == SocketError.WouldBlock || error == SocketError.Interrupted) continue;
                if (error != SocketError.Success) throw new SocketException((int)error);
                if (count == 0) throw new Failure("unreachable", "the daemon closed the connection");
                if (until.IsOver) throw new Failure("deadline", "no answer in time");
                int from = 0, to = Array.IndexOf(buffer, (byte)'\n', length, count), end = to + 1;
                length += count;
                if (gateway != null) end = to = Http.Body(buffer, length, LongestHead, out from);
                if (to < 0) continue;
                var line = new byte[to - from];
                Array.Copy(buffer, from, line, 0, to - from);
                if (end != length) Close(); // it says what nobody asked
                return line;
            }
        }

        // a daemon that turned the connection away and closed it may have said why before
        private byte[] LastWords(Deadline until)
        {
            try
            {
                return Receive(until);
            }
            catch (SocketException)
            {
                return null;
            }
            catch (Failure)
            {
                return null;
            }
        }

        private void Wait(SelectMode what, Deadline until)
        {
            while (true)
            {
                double left = until.Left;
                if (left <= 0) throw new Failure("deadline", "no answer in time");
                // Poll counts in whole milliseconds, so the last one is waited for turn by turn
                if (socket.Poll(left >= 0.001 ? (int)Math.Min(left * 1e6, 1e9) : 0, what)) return;
                if (left < 0.001) Thread.Sleep(0);
            }
        }
    }

    /// <summary>HTTP with the gateway, as far as it is needed: the line is the body of a request, and the body of the answer is its
    /// line. Whatever the status is, the body says what happened.</summary>
    internal static class Http
    {
        public static IPEndPoint Address(string text, string token)
        {
            const string scheme = "http://";
            string rest = text.StartsWith(scheme, StringComparison.Ordinal) ? text.Substring(scheme.Length).TrimEnd('/') : "";
            int colon = rest.LastIndexOf(':');
            string name = colon > 0 ? rest.Substring(0, colon) : "";
            int port;
            bool hasPort = int.TryParse(rest.Substring(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port);
            // no name is looked up: that could take longer than any deadline
            IPAddress address;
            if (name == "localhost") name = "127.0.0.1";
            if (!hasPort || port < 1 || port > 65535 || !IPAddress.TryParse(name, out address))
                throw new ArgumentException(text + ": an address is http://, an IP address or localhost, and :PORT; there is no TLS here");
            bool isToken = !string.IsNullOrEmpty(token) && token.Length <= 200;
            for (int i = 0; isToken && i < token.Length; i++)
            {
                char c = token[i];
                isToken = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
            }
            if (!isToken) throw new ArgumentException("the token has characters that none has; `vigie web trader` prints one");
            return new IPEndPoint(address, port);
        }

        public static byte[] Request(IPEndPoint gateway, string token, string kind, byte[] line)
        {
            string length = line.Length.ToString(CultureInfo.InvariantCulture);
            byte[] head = Encoding.ASCII.GetBytes("POST /v1/" + kind + " HTTP/1.1\r\nHost: " + gateway
                + "\r\nAuthorization: Bearer " + token + "\r\nContent-Type: application/json\r\nContent-Length: " + length
                + "\r\n\r\n");
            var request = new byte[head.Length + line.Length];
            Array.Copy(head, request, head.Length);
            Array.Copy(line, 0, request, head.Length, line.Length);
            return request;
        }

        /// <summary>Where the body ends that begins at <paramref name="from"/>; -1 while more is to come.</summary>
        public static int Body(byte[] buffer, int length, int longestHead, out int from)
        {
            from = 0;
            int line = 0, size = -1;
            while (true)
            {
                int end = Array.IndexOf(buffer, (byte)'\n', line, length - line);
                if (end < 0 && length > longestHead) throw Broken();
                if (end < 0) return -1;
                string text = Encoding.ASCII.GetString(buffer, line, end - line).TrimEnd('\r');
                if (line == 0)
                {
                    bool isStatus = text.Length >= 12 && text.StartsWith("HTTP/1.", StringComparison.Ordinal) && text[8] == ' '
                        && text[9] >= '2' && text[9] <= '5';
                    if (!isStatus) throw Broken();
                }
                else if (text.Length == 0)
                {
                    from = end + 1;
                    break;
                }
                else
                {
                    int colon = text.IndexOf(':');
                    string name = colon < 0 ? "transfer-encoding" : text.Substring(0, colon).ToLowerInvariant();
                    if (name == "transfer-encoding" || (name == "content-length" && size >= 0)) throw Broken();
                    if (name == "content-length" && !int.TryParse(text.Substring(colon + 1).Trim(), NumberStyles.None,
                            CultureInfo.InvariantCulture, out size)) throw Broken();
                }
                line = end + 1;
            }
            if (size < 0 || size > Client.MaxLine) throw Broken();
            return from + size <= length ? from + size : -1;
        }

        private static Failure Broken()
        {
            return new Failure("unreachable", "an answer that is not HTTP with a length");
        }
    }

    /// <summary>The address of a Unix socket, where the framework has none.</summary>
    internal sealed class UnixAddress : EndPoint
    {
        private readonly byte[] path;

        public UnixAddress(string path)
        {
            this.path = Encoding.UTF8.GetBytes(path ?? "");
            if (this.path.Length == 0 || this.path.Length > 107)
                throw new ArgumentException("the path of a socket has 1 to 107 bytes");
        }

        public override AddressFamily AddressFamily => AddressFamily.Unix;

        public override SocketAddress Serialize()
        {
            var address = new SocketAddress(AddressFamily.Unix, 2 + path.Length + 1);
            for (int i = 0; i < path.Length; i++) address[2 + i] = path[i];
            address[2 + path.Length] = 0;
            return address;
        }

        public override EndPoint Create(SocketAddress address)
        {
            return this;
        }
    }

    /// <summary>A number as it is written.</summary>
    internal sealed class Number
    {
        public readonly string Text;

        public Number(string text)
        {
            Text = text;
        }
    }

    /// <summary>JSON, strictly, and the rules of the protocol.</summary>
    internal static class Wire
    {
        private const int Deepest = 64;
        private static readonly UTF8Encoding Utf8 = new UTF8Encoding(false, true);
        private static readonly HashSet<string> Temporary = new HashSet<string>
        {
            "busy", "deadline", "half_line", "internal_error", "retry", "too_many_connections", "too_slow", "unreachable",
        };

        public static bool IsTemporary(string code)
        {
            return Temporary.Contains(code);
        }

        public static void CheckTradeId(string text)
        {
            bool sound = text != null && text.Length >= 1 && text.Length <= 64;
            for (int i = 0; sound && i < text.Length; i++)
            {
                char c = text[i];
                sound = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || "._:/-".IndexOf(c) >= 0;
            }
            if (!sound) throw new ArgumentException("trade_id is not 1 to 64 characters of A-Z a-z 0-9 . _ : / -");
        }

        public static object Get(IDictionary<string, object> fields, string name)
        {
            object value;
            return fields.TryGetValue(name, out value) ? value : null;
        }

        public static bool IsId(IDictionary<string, object> answer, string id)
        {
            var number = Get(answer, "id") as Number;
            return number != null && number.Text == id;
        }

        /// <summary>A number of any kind as a double; null if it is none.</summary>
        public static double? Double(object value)
        {
            if (value is double) return (double)value;
            if (value is float) return (float)value;
            if (value is decimal) return (double)(decimal)value;
            if (value is int) return (int)value;
            if (value is long) return (long)value;
            if (value is short) return (short)value;
            if (value is byte) return (byte)value;
            if (value is uint) return (uint)value;
            var number = value as Number;
            return number == null ? null : Finite(number.Text);
        }

        private static double? Finite(string text)
        {
            double value;
            try
            {
                if (!double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value)) return null;
            }
            catch (OverflowException)
            {
                return null;
            }
            return double.IsNaN(value) || double.IsInfinity(value) ? (double?)null : value;
        }

        public static byte[] Line(IDictionary<string, object> message)
        {
            var text = new StringBuilder();
            Write(text, message, 0);
            text.Append('\n');
            byte[] line;
            try
            {
                line = Utf8.GetBytes(text.ToString());
            }
            catch (EncoderFallbackException)
            {
                throw new ArgumentException("text that is no Unicode");
            }
            if (line.Length - 1 > Client.MaxLine)
                throw new ArgumentException("the message has " + (line.Length - 1) + " bytes, more than a line may have");
            return line;
        }

        private static void Write(StringBuilder text, object value, int depth)
        {
            if (depth > Deepest) throw new ArgumentException("the message is nested too deeply, perhaps in a circle");
            if (value == null) text.Append("null");
            else if (value is bool) text.Append((bool)value ? "true" : "false");
            else if (value is string) Write(text, (string)value);
            else if (value is Number) text.Append(((Number)value).Text);
            else if (value is double || value is float) Write(text, Double(value).Value);
            else if (value is int || value is long || value is short || value is byte || value is uint || value is decimal)
                text.Append(((IFormattable)value).ToString(null, CultureInfo.InvariantCulture));
            else if (value is DateTimeOffset || (value is DateTime && ((DateTime)value).Kind == DateTimeKind.Utc))
                Write(text, ((IFormattable)value).ToString("o", CultureInfo.InvariantCulture));
            else if (value is DateTime)
                throw new ArgumentException("a DateTime that is not UTC has no sure time zone; send a DateTimeOffset");
            else if (value is IDictionary<string, object>) Members(text, (IDictionary<string, object>)value, depth);
            else if (value is IEnumerable && !(value is IDictionary)) Items(text, (IEnumerable)value, depth);
            else throw new ArgumentException(value.GetType().Name + " has no form in JSON");
        }

        private static void Items(StringBuilder text, IEnumerable items, int depth)
        {
            text.Append('[');
            bool first = true;
            foreach (object item in items)
            {
                if (!first) text.Append(',');
                first = false;
                Write(text, item, depth + 1);
                Check(text);
            }
            text.Append(']');
        }

        private static void Members(StringBuilder text, IDictionary<string, object> fields, int depth)
        {
            text.Append('{');
            bool first = true;
            foreach (KeyValuePair<string, object> field in fields)
            {
                if (!first) text.Append(',');
                first = false;
                Write(text, field.Key);
                text.Append(':');
                Write(text, field.Value, depth + 1);
                Check(text);
            }
            text.Append('}');
        }

        // so that a list without end costs no more than a line
        private static void Check(StringBuilder text)
        {
            if (text.Length > Client.MaxLine) throw new ArgumentException("the message is longer than a line may be");
        }

        private static void Write(StringBuilder text, double number)
        {
            if (double.IsNaN(number) || double.IsInfinity(number))
                throw new ArgumentException("a number that is not finite; send null for what is not known");
            bool isMinusZero = number == 0 && double.IsNegativeInfinity(1 / number); // which some runtimes write as 0
            text.Append(isMinusZero ? "-0.0" : number.ToString("G17", CultureInfo.InvariantCulture));
        }

        private static void Write(StringBuilder text, string words)
        {
            text.Append('"');
            foreach (char c in words)
            {
                if (c == '"' || c == '\\') text.Append('\\').Append(c);
                else if (c < 0x20) text.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture));
                else text.Append(c);
            }
            text.Append('"');
        }

        public static IDictionary<string, object> Parse(byte[] line)
        {
            try
            {
                string text = Utf8.GetString(line);
                int at = 0;
                object value = Value(text, ref at, 0);
                Blank(text, ref at);
                var answer = value as IDictionary<string, object>;
                if (at == text.Length && answer != null) return answer;
            }
            catch (ArgumentException)
            {
                // no UTF-8
            }
            catch (FormatException)
            {
                // no JSON
            }
            throw new Failure("unreachable", "an answer that is not one JSON object");
        }

        private static object Value(string text, ref int at, int depth)
        {
            if (depth > Deepest) throw new FormatException();
            Blank(text, ref at);
            switch (Peek(text, at))
            {
                case '{': return Object(text, ref at, depth);
                case '[': return List(text, ref at, depth);
                case '"': return Text(text, ref at);
                case 't': return Word(text, ref at, "true", true);
                case 'f': return Word(text, ref at, "false", false);
                case 'n': return Word(text, ref at, "null", null);
                default: return Numeral(text, ref at);
            }
        }

        private static object Object(string text, ref int at, int depth)
        {
            var fields = new Dictionary<string, object>();
            at++;
            Blank(text, ref at);
            if (Peek(text, at) == '}') { at++; return fields; }
            while (true)
            {
                Blank(text, ref at);
                string name = Text(text, ref at);
                Blank(text, ref at);
                Expect(text, ref at, ':');
                if (fields.ContainsKey(name)) throw new FormatException();
                fields.Add(name, Value(text, ref at, depth + 1));
                Blank(text, ref at);
                if (Peek(text, at) == '}') { at++; return fields; }
                Expect(text, ref at, ',');
            }
        }

        private static object List(string text, ref int at, int depth)
        {
            var items = new List<object>();
            at++;
            Blank(text, ref at);
            if (Peek(text, at) == ']') { at++; return items; }
            while (true)
            {
                items.Add(Value(text, ref at, depth + 1));
                Blank(text, ref at);
                if (Peek(text, at) == ']') { at++; return items; }
                Expect(text, ref at, ',');
            }
        }

        private static string Text(string text, ref int at)
        {
            Expect(text, ref at, '"');
            var read = new StringBuilder();
            while (true)
            {
                char c = Peek(text, at++);
                if (c == '"') break;
                if (c < 0x20) throw new FormatException();
                if (c != '\\') { read.Append(c); continue; }
                c = Peek(text, at++);
                int known = "\"\\/bfnrt".IndexOf(c);
                if (known >= 0) { read.Append("\"\\/\b\f\n\r\t"[known]); continue; }
                if (c != 'u' || at + 4 > text.Length) throw new FormatException();
                int point = 0;
                for (int i = 0; i < 4; i++)
                {
                    int digit = "0123456789abcdef".IndexOf(char.ToLowerInvariant(text[at++]));
                    if (digit < 0) throw new FormatException();
                    point = point * 16 + digit;
                }
                read.Append((char)point);
            }
            string result = read.ToString();
            for (int i = 0; i < result.Length; i++)
            {
                if (!char.IsSurrogate(result[i])) continue;
                if (!char.IsHighSurrogate(result[i]) || i + 1 >= result.Length || !char.IsLowSurrogate(result[i + 1]))
                    throw new FormatException();
                i++;
            }
            return result;
        }

        private static object Numeral(string text, ref int at)
        {
            int from = at;
            if (Peek(text, at) == '-') at++;
            if (Peek(text, at) == '0') at++;
            else Digits(text, ref at);
            if (at < text.Length && text[at] == '.') { at++; Digits(text, ref at); }
            if (at < text.Length && (text[at] == 'e' || text[at] == 'E'))
            {
                at++;
                if (at < text.Length && (text[at] == '+' || text[at] == '-')) at++;
                Digits(text, ref at);
            }
            return new Number(text.Substring(from, at - from));
        }

        private static void Digits(string text, ref int at)
        {
            int from = at;
            while (at < text.Length && text[at] >= '0' && text[at] <= '9') at++;
            if (at == from) throw new FormatException();
        }

        private static object Word(string text, ref int at, string word, object meant)
        {
            if (string.CompareOrdinal(text, at, word, 0, word.Length) != 0) throw new FormatException();
            at += word.Length;
            return meant;
        }

        private static void Expect(string text, ref int at, char wanted)
        {
            if (Peek(text, at) != wanted) throw new FormatException();
            at++;
        }

        private static char Peek(string text, int at)
        {
            if (at >= text.Length) throw new FormatException();
            return text[at];
        }

        private static void Blank(string text, ref int at)
        {
            while (at < text.Length && (text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n')) at++;
        }
    }
}
