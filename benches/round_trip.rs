//! Round trips through the socket against a bare blocking echo, in one run: two server processes, this one the client.
//!
//! `cargo bench --bench round_trip` prints, for both servers, the median and the 99th percentile of a round trip and the
//! CPU time a request costs the server, and then the ratios; then how many requests a second eight connections get.
//! Put `taskset -c 0` before it to pin everything to one core: an idle virtual core takes longer to wake up than a
//! request takes.
//!
//! With `-- --busy` it compares vigie with itself instead: with nothing else to do, and while a training is under way and the
//! monitor is asked for all its figures, every 10 ms and without a pause.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vigie::clock::Stopwatch;

const VIGIE: &str = env!("CARGO_BIN_EXE_vigie");
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signals.jsonl.gz");
/// Blocks are taken in turn, so that a machine that slows down slows down both.
const BLOCKS: usize = 10;
const REQUESTS_PER_BLOCK: usize = 5_000;
const CONNECTIONS: usize = 8;
const REQUESTS_PER_CONNECTION: usize = 10_000;
/// Trainings that are measured beside, and round trips of a block of that.
const TRAININGS: usize = 4;
const REQUESTS_BESIDE: usize = 500;
const BLOCKS_BESIDE: usize = 16;
/// Pause between two questions for drift.
const DRIFT_PAUSE: Duration = Duration::from_millis(10);
/// A training that takes its time.
const LONG: &str = "[validation]\nbootstrap = 1500\nnull = 500\n";

const CONFIG: &str = "[training]\nmin_trades = 100\nmin_test_trades = 50\n[scoring]\nholdback = 0\n[lifecycle]\nstage_validated = false\n";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Server {
    child: Child,
    socket: PathBuf,
}

#[derive(Default)]
struct Figures {
    micros: Vec<f64>,
    /// By the name of the thread.
    cpu_ns: BTreeMap<String, u64>,
    requests: usize,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, echo, socket, reply_bytes] = arguments.as_slice()
        && echo == "--echo"
    {
        return echo_forever(Path::new(socket), reply_bytes.parse()?);
    }
    let folder = std::env::temp_dir().join(format!("vigie-round-trip-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let busy = arguments.iter().any(|argument| argument == "--busy");
    let result = if busy { measure_busy(&folder) } else { measure(&folder) };
    fs::remove_dir_all(&folder)?;
    result
}

fn measure(folder: &Path) -> Result<()> {
    let vigie = start_vigie(folder)?;
    let (request_bytes, reply_bytes) = sizes(&vigie.socket)?;
    let echo = start_echo(folder, reply_bytes)?;
    println!(
        "request {request_bytes} bytes, reply {reply_bytes} bytes, {} round trips each",
        BLOCKS * REQUESTS_PER_BLOCK
    );
    let (mut of_echo, mut of_vigie) = (Figures::default(), Figures::default());
    let mut serial = 0;
    for _ in 0..BLOCKS {
        block(&echo, &mut of_echo, &mut serial)?;
        block(&vigie, &mut of_vigie, &mut serial)?;
    }
    let (echo_figures, vigie_figures) = (of_echo.print("echo"), of_vigie.print("vigie"));
    let names = ["p50", "p99", "CPU per request"];
    for ((name, echo), vigie) in names.into_iter().zip(echo_figures).zip(vigie_figures) {
        println!("ratio of {name}: {:.2}", vigie / echo);
    }
    for server in [(&echo, "echo"), (&vigie, "vigie")] {
        println!("{}: {:.0} requests a second on {CONNECTIONS} connections", server.1, throughput(server.0)?);
    }
    Ok(())
}

/// Idle and busy in turn, so that a machine that slows down slows down both.
fn measure_busy(folder: &Path) -> Result<()> {
    let vigie = start_vigie(folder)?;
    fs::write(folder.join("config.toml"), format!("{CONFIG}{LONG}"))?;
    let mut operator = Connection::open(&vigie.socket)?;
    operator.ask("{\"type\":\"reload\"}\n")?;
    let (mut idle, mut busy, mut flooded, mut serial) = (Figures::default(), Figures::default(), Figures::default(), 0);
    for training in 0..TRAININGS {
        for _ in 0..BLOCKS_BESIDE {
            some(&vigie, &mut idle, &mut serial, REQUESTS_BESIDE)?;
        }
        let (figures, pause) =
            if training % 2 == 0 { (&mut busy, DRIFT_PAUSE) } else { (&mut flooded, Duration::ZERO) };
        let asked = beside(&vigie, &mut operator, figures, &mut serial, pause)?;
        println!("training {}: {} round trips beside it and {asked} answers to drift", training + 1, figures.requests);
    }
    let of_idle = idle.print("idle");
    for (figures, name) in [(busy, "a training, drift every 10 ms"), (flooded, "a training, drift without a pause")] {
        let figures = figures.print(name);
        for ((figure, idle), now) in ["p50", "p99", "CPU per request"].into_iter().zip(of_idle).zip(figures) {
            println!("ratio of {figure}: {:.2}", now / idle);
        }
    }
    Ok(())
}

/// Round trips while a training is under way and drift is asked for; says how often that was answered. Returns when the
/// training is over.
fn beside(
    vigie: &Server,
    operator: &mut Connection,
    figures: &mut Figures,
    serial: &mut usize,
    pause: Duration,
) -> Result<u64> {
    let is_training = |operator: &mut Connection| -> Result<bool> {
        Ok(operator.ask("{\"type\":\"status\"}\n")?.contains("\"training\":"))
    };
    operator.ask("{\"type\":\"train\",\"symbol\":\"ES\",\"reason\":\"bench\"}\n")?;
    let over = AtomicBool::new(false);
    let asked = thread::scope(|scope| -> Result<u64> {
        let drifts = scope.spawn(|| ask_for_drift(&vigie.socket, &over, pause));
        let measured = (0..BLOCKS_BESIDE).try_for_each(|_| {
            let mut block = Figures::default();
            some(vigie, &mut block, serial, REQUESTS_BESIDE)?;
            // a block counts only when the training was under way until its end
            if is_training(operator)? {
                figures.take(block);
            }
            Ok(())
        });
        over.store(true, Ordering::Release);
        let asked = drifts.join().map_err(|_| "the connection that asks for drift broke")?;
        measured.map(|()| asked)
    })?;
    while is_training(operator)? {
        thread::sleep(Duration::from_millis(50));
    }
    Ok(asked)
}

fn ask_for_drift(socket: &Path, over: &AtomicBool, pause: Duration) -> u64 {
    let Ok(mut connection) = Connection::open(socket) else { return 0 };
    let mut answers = 0;
    while !over.load(Ordering::Acquire) && connection.ask("{\"type\":\"drift\"}\n").is_ok() {
        answers += 1;
        thread::sleep(pause);
    }
    answers
}

fn start_vigie(folder: &Path) -> Result<Server> {
    let state = folder.join("state");
    let socket = folder.join("vigie.sock");
    let vigie = |arguments: &[&str]| -> Result<()> {
        let status = Command::new(VIGIE).args(arguments).stdout(Stdio::null()).status()?;
        status.success().then_some(()).ok_or_else(|| format!("vigie {arguments:?} failed").into())
    };
    let (state_text, socket_text) = (state.to_string_lossy(), socket.to_string_lossy());
    let config = folder.join("config.toml");
    fs::write(&config, CONFIG)?;
    vigie(&["import", "--state", &state_text, EXAMPLES])?;
    vigie(&["train", "--keep", "--state", &state_text, "--config", &config.to_string_lossy()])?;
    let child = Command::new(VIGIE)
        .args(["run", "--state", &state_text, "--socket", &socket_text, "--config", &config.to_string_lossy()])
        .stderr(Stdio::null())
        .spawn()?;
    let server = Server { child, socket: socket.clone() };
    wait_for(&server.socket)?;
    vigie(&["promote", "ES/1", "--to", "production", "--override", "--reason", "bench", "--socket", &socket_text])?;
    server.settle()?;
    Ok(server)
}

fn start_echo(folder: &Path, reply_bytes: usize) -> Result<Server> {
    let socket = folder.join("echo.sock");
    let this = std::env::current_exe()?;
    let child = Command::new(this).args(["--echo", &socket.to_string_lossy(), &reply_bytes.to_string()]).spawn()?;
    wait_for(&socket)?;
    Ok(Server { child, socket })
}

fn wait_for(socket: &Path) -> Result<()> {
    let start = Stopwatch::start();
    while UnixStream::connect(socket).is_err() {
        if start.elapsed() > Duration::from_secs(10) {
            return Err(format!("nobody listens at {}", socket.display()).into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Reads lines and answers each with as many bytes as vigie's answer has.
fn echo_forever(socket: &Path, reply_bytes: usize) -> Result<()> {
    for stream in UnixListener::bind(socket)?.incoming() {
        let mut stream = stream?;
        thread::spawn(move || {
            let mut reply = vec![b'x'; reply_bytes - 1];
            reply.push(b'\n');
            let mut buffer = [0; 4096];
            let mut line_open = 0;
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                line_open += count;
                if buffer[count - 1] == b'\n' && line_open > 0 {
                    line_open = 0;
                    if stream.write_all(&reply).is_err() {
                        return;
                    }
                }
            }
        });
    }
    Ok(())
}

fn request(serial: usize) -> String {
    format!(
        "{{\"type\":\"score\",\"id\":{serial},\"trade_id\":\"BENCH-{serial:09}\",\"at\":\"2026-01-05T15:02:11Z\",\"symbol\":\"ES\",\
         \"side\":\"long\",\"confidence\":0.62,\"features\":{{\"vwap_trend_signal\":0.71,\"sierra_pattern_strength\":0.4,\
         \"dow_trend_regime\":1,\"gamma_levels_proximity\":0.31,\"level_proximity\":0.22,\"es_nq_correlation\":0.93,\
         \"volume_confirmation\":0.55,\"options_flow_bias\":0.1,\"market_volatility\":0.2,\"session_time\":0.64,\
         \"bid_ask_spread\":0.0,\"recent_momentum\":0.35}}}}\n"
    )
}

struct Connection {
    reader: BufReader<UnixStream>,
    answer: String,
}

impl Connection {
    fn open(socket: &Path) -> Result<Self> {
        Ok(Self { reader: BufReader::new(UnixStream::connect(socket)?), answer: String::new() })
    }

    fn ask(&mut self, request: &str) -> Result<&str> {
        self.reader.get_mut().write_all(request.as_bytes())?;
        self.answer.clear();
        // as the clients wait, who have a deadline; in a read it would be woken for nothing when its request is taken
        poll(&mut [PollFd::new(self.reader.get_ref().as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
        self.reader.read_line(&mut self.answer)?;
        Ok(&self.answer)
    }
}

fn sizes(socket: &Path) -> Result<(usize, usize)> {
    let mut connection = Connection::open(socket)?;
    let request = request(0);
    let answer = connection.ask(&request)?;
    if !answer.contains("\"arm\":\"ml\"") {
        return Err(format!("the model does not speak: {answer}").into());
    }
    println!("{}{answer}", request);
    Ok((request.len(), answer.len()))
}

fn block(server: &Server, figures: &mut Figures, serial: &mut usize) -> Result<()> {
    some(server, figures, serial, REQUESTS_PER_BLOCK)
}

fn some(server: &Server, figures: &mut Figures, serial: &mut usize, requests: usize) -> Result<()> {
    let mut connection = Connection::open(&server.socket)?;
    let warm_up = 200;
    for _ in 0..warm_up {
        *serial += 1;
        connection.ask(&request(*serial))?;
    }
    let cpu_before = server.cpu_ns()?;
    for _ in 0..requests {
        *serial += 1;
        let line = request(*serial);
        let start = Stopwatch::start();
        connection.ask(&line)?;
        figures.micros.push(start.elapsed().as_secs_f64() * 1e6);
    }
    for (thread, ns) in server.cpu_ns()? {
        *figures.cpu_ns.entry(thread.clone()).or_default() += ns - cpu_before.get(&thread).copied().unwrap_or_default();
    }
    figures.requests += requests;
    Ok(())
}

fn throughput(server: &Server) -> Result<f64> {
    let start = Stopwatch::start();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|client| {
            let socket = server.socket.clone();
            thread::spawn(move || {
                let Ok(mut connection) = Connection::open(&socket) else { return false };
                (0..REQUESTS_PER_CONNECTION).all(|n| connection.ask(&request((client + 1) * 10_000_000 + n)).is_ok())
            })
        })
        .collect();
    for client in clients {
        if !client.join().unwrap_or(false) {
            return Err("a connection broke".into());
        }
    }
    Ok((CONNECTIONS * REQUESTS_PER_CONNECTION) as f64 / start.elapsed().as_secs_f64())
}

impl Server {
    /// Waits until it has nothing left to do: a version that goes into service is looked at once by the monitor, which is no
    /// part of what a request costs.
    fn settle(&self) -> Result<()> {
        // the monitor may not have begun yet; it answers once it has looked
        let drift = Connection::open(&self.socket)?.ask("{\"type\":\"drift\"}\n")?.to_owned();
        if !drift.contains("\"ok\":true") {
            return Err(format!("the monitor does not answer: {drift}").into());
        }
        let start = Stopwatch::start();
        loop {
            let before = self.cpu_ns()?;
            thread::sleep(Duration::from_millis(300));
            if self.cpu_ns()?.values().sum::<u64>() - before.values().sum::<u64>() < 3_000_000 {
                return Ok(());
            }
            if start.elapsed() > Duration::from_secs(60) {
                return Err("the daemon does not come to rest".into());
            }
        }
    }

    /// Time the threads of the server spent on a processor, by the scheduler's count, those of a name together.
    fn cpu_ns(&self) -> Result<BTreeMap<String, u64>> {
        let mut threads = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let task = task?.path();
            let text = fs::read_to_string(task.join("schedstat"))?;
            let name = fs::read_to_string(task.join("comm"))?.trim().to_owned();
            *threads.entry(name).or_default() += text.split(' ').next().unwrap_or("0").parse::<u64>()?;
        }
        Ok(threads)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_reaped = self.child.wait();
    }
}

impl Figures {
    fn take(&mut self, other: Self) {
        self.micros.extend(other.micros);
        other.cpu_ns.into_iter().for_each(|(thread, ns)| *self.cpu_ns.entry(thread).or_default() += ns);
        self.requests += other.requests;
    }

    fn print(mut self, name: &str) -> [f64; 3] {
        self.micros.sort_by(f64::total_cmp);
        let at = |share: f64| self.micros[((self.micros.len() - 1) as f64 * share) as usize];
        let each = |ns: u64| ns as f64 / self.requests as f64 / 1e3;
        let figures = [at(0.5), at(0.99), each(self.cpu_ns.values().sum())];
        println!("{name}: p50 {:.1} us, p99 {:.1} us, CPU {:.1} us a request", figures[0], figures[1], figures[2]);
        for (thread, ns) in self.cpu_ns.iter().filter(|(_, ns)| each(**ns) >= 0.05) {
            println!("    thread {thread}: {:.1} us", each(*ns));
        }
        figures
    }
}
