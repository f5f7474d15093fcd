//! Streams of scored trades whose truth is known: what every rule and gate is tried on.
//!
//! A stream has no market in it, only what the rules see: scores, wins, money and inputs, session by session. A healthy
//! model keeps its lift; a broken one loses it at a known session. Nothing here says anything about a real market, and
//! nothing that serves may use it.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use vigie_core::stats::normal;

/// Sessions of a quarter.
pub const QUARTER: usize = 63;
/// Sessions of a year.
pub const YEAR: usize = 252;
/// What a trade wins or loses on average where a process says nothing else, in account currency.
const UNIT: f64 = 100.0;
/// How far scores of one side spread around their mean, in both directions.
const SCORE_SPREAD: f64 = 0.04;
/// GARCH(1,1) with a long-run variance of 1: constant, weight of the last square, weight of the last variance.
const GARCH: [f64; 3] = [0.05, 0.10, 0.85];
/// Degrees of freedom of heavy pnl.
const HEAVY_DEGREES: f64 = 2.5;
/// Taken trades that a regime lasts on average, and by how much it moves the win rate.
const REGIME: (f64, f64) = (60.0, 0.15);

/// How trades come about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Process {
    /// Its name in tables.
    pub name: &'static str,
    /// Share of all signals that win, above 0 to below 1.
    pub base_rate: f64,
    /// Correlation of two trades of one session on the scale of the normal that draws a win, 0 to below 1.
    pub rho: f64,
    /// Coefficient of the AR(1) from session to session, 0 to below 1.
    pub phi: f64,
    /// Taken trades of a session: fewest and most, log-uniform between. At least 1.
    pub trades: (usize, usize),
    /// What trades make.
    pub pay: Pay,
    /// Whether win rate and inputs jump between two regimes.
    pub regimes: bool,
}

/// What trades make, in account currency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pay {
    /// A win and a loss of these amounts (both positive) on average, times a factor from 0.5 to 1.5.
    Amounts {
        /// Of a win.
        win: f64,
        /// Of a loss.
        loss: f64,
    },
    /// Student t with 2.5 degrees of freedom and GARCH(1,1) volatility; the sign is that of the win.
    Heavy,
}

/// How the inputs of signals go on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum InputMemory {
    /// Each signal's are new.
    Independent,
    /// AR(1) from signal to signal with this coefficient.
    PerSignal(f64),
    /// AR(1) from session to session with this coefficient; the signals of a session differ a little.
    PerSession(f64),
}

/// What becomes of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fate {
    /// It stays as good as it was.
    Healthy,
    /// Its trades win less by so many points (0.1 is ten) from a session on.
    Falls {
        /// By how much, as a share.
        by: f64,
        /// From this session on.
        from: usize,
    },
    /// The same, bit by bit over a quarter.
    Fades {
        /// By how much in the end, as a share.
        by: f64,
        /// From this session on.
        from: usize,
    },
    /// It says the opposite of what it should: trades it takes win as seldom as those it refused did.
    Reversed {
        /// From this session on.
        from: usize,
    },
    /// It says the same of every signal, so it takes all of them, and its trades win as often as all do.
    Frozen {
        /// From this session on.
        from: usize,
    },
}

/// A stream to draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stream {
    /// How trades come about.
    pub process: Process,
    /// By how much the trades that the model takes win more often than all, and those it refuses less often.
    pub lift: f64,
    /// What becomes of it.
    pub fate: Fate,
    /// How inputs go on.
    pub inputs: InputMemory,
    /// Columns of inputs.
    pub columns: usize,
    /// Sessions to draw.
    pub sessions: usize,
    /// The same seed draws the same session factors, amounts and inputs whatever the fate.
    pub seed: u64,
}

/// A signal that was scored, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The session, from 0.
    pub session: usize,
    /// What the model said, 0 to 1.
    pub score: f64,
    /// Whether the model is for it: its score is at or above the base rate.
    pub taken: bool,
    /// Whether it won.
    pub won: bool,
    /// What it made at the strategy's own size, in account currency.
    pub pnl: f64,
    /// The probability that it wins, before the session's luck.
    pub truth: f64,
    /// Its inputs.
    pub inputs: Vec<f64>,
}

impl Process {
    /// Sessions without memory.
    pub const INDEPENDENT: Self = Self {
        name: "independent",
        base_rate: 0.5,
        rho: 0.0,
        phi: 0.0,
        trades: (5, 5),
        pay: Pay::Amounts { win: UNIT, loss: UNIT },
        regimes: false,
    };

    /// All of them: those that rules are tuned on.
    pub const ALL: [Self; 8] = [
        Self::INDEPENDENT,
        Self { name: "sessions", rho: 0.2, phi: 0.3, ..Self::INDEPENDENT },
        Self { name: "moods", rho: 0.3, phi: 0.8, ..Self::INDEPENDENT },
        Self { name: "uneven", rho: 0.2, phi: 0.3, trades: (1, 40), ..Self::INDEPENDENT },
        Self { name: "heavy", rho: 0.5, phi: 0.3, pay: Pay::Heavy, ..Self::INDEPENDENT },
        Self { name: "regimes", regimes: true, ..Self::INDEPENDENT },
        Self {
            name: "one-sided, 68 %",
            base_rate: 0.68,
            pay: Pay::Amounts { win: 100.0, loss: 150.0 },
            ..Self::INDEPENDENT
        },
        Self {
            name: "one-sided, 35 %",
            base_rate: 0.35,
            pay: Pay::Amounts { win: 250.0, loss: 100.0 },
            ..Self::INDEPENDENT
        },
    ];

    /// One that no rule was tuned on.
    pub const HELD_OUT: Self = Self { name: "held out", rho: 0.4, phi: 0.6, trades: (2, 2), ..Self::INDEPENDENT };
}

impl Stream {
    /// A healthy model of that `lift` with no inputs.
    pub fn healthy(process: Process, lift: f64, sessions: usize, seed: u64) -> Self {
        let (fate, inputs) = (Fate::Healthy, InputMemory::Independent);
        Self { process, lift, fate, inputs, columns: 0, sessions, seed }
    }

    /// Draws it: the signals of each session in order. Each taken trade comes with a signal that a healthy model refuses,
    /// in an order drawn for each pair.
    pub fn draw(&self) -> Vec<Vec<Scored>> {
        let stream = |number| Pcg64::seed_from_u64(self.seed.wrapping_mul(8).wrapping_add(number));
        let mut draws =
            Draws { luck: stream(0), wins: stream(1), money: stream(2), inputs: stream(3), scores: stream(4) };
        let mut moods = Moods { factor: None, variance: 1.0, up: true, columns: vec![None; self.columns] };
        (0..self.sessions).map(|session| self.session(session, &mut draws, &mut moods)).collect()
    }

    fn session(&self, session: usize, draws: &mut Draws, moods: &mut Moods) -> Vec<Scored> {
        let Process { rho, phi, trades: (fewest, most), .. } = self.process;
        let fresh = normal_draw(&mut draws.luck);
        let factor = moods.factor.map_or(fresh, |last| phi * last + (1.0 - phi * phi).sqrt() * fresh);
        moods.factor = Some(factor);
        let spread = (most as f64 / fewest as f64).ln();
        let count = (fewest as f64 * (spread * draws.luck.random::<f64>()).exp()).round() as usize;
        let day = self.columns_of_session(draws, moods);
        let mut signals = Vec::with_capacity(2 * count);
        for _ in 0..count.clamp(fewest, most) {
            if self.process.regimes && draws.luck.random::<f64>() < 1.0 / REGIME.0 {
                moods.up = !moods.up;
            }
            let first = draws.scores.random::<f64>() < 0.5;
            for good in [first, !first] {
                let idiosyncratic = normal_draw(&mut draws.wins);
                let z = rho.sqrt() * factor + (1.0 - rho).sqrt() * idiosyncratic;
                let luck = normal::cdf(z);
                signals.push(self.signal(session, good, luck, &day, draws, moods));
            }
        }
        signals
    }

    /// One signal: `good` when a healthy model takes it, and `luck` uniform over all sessions.
    fn signal(
        &self,
        session: usize,
        good: bool,
        luck: f64,
        day: &[f64],
        draws: &mut Draws,
        moods: &mut Moods,
    ) -> Scored {
        let base = self.process.base_rate;
        let side = if good { self.lift } else { -self.lift };
        let jitter = SCORE_SPREAD.min(self.lift.abs()) * (2.0 * draws.scores.random::<f64>() - 1.0);
        let mut score = base + side + jitter;
        let regime = if self.process.regimes { if moods.up { REGIME.1 } else { -REGIME.1 } } else { 0.0 };
        let mut truth = base + side + regime;
        match self.fate {
            Fate::Falls { by, from } if session >= from => truth -= by,
            Fate::Fades { by, from } if session >= from => {
                truth -= by * ((session - from + 1) as f64 / QUARTER as f64).min(1.0);
            }
            Fate::Reversed { from } if session >= from => score = 2.0 * base - score,
            Fate::Frozen { from } if session >= from => score = base + self.lift,
            _ => {}
        }
        let truth = truth.clamp(0.001, 0.999);
        let won = luck < truth;
        let pnl = self.money(won, draws, moods);
        let inputs = self.row(day, draws, moods);
        let score = score.clamp(0.0, 1.0);
        Scored { session, score, taken: score >= base, won, pnl, truth, inputs }
    }

    fn money(&self, won: bool, draws: &mut Draws, moods: &mut Moods) -> f64 {
        let factor = 0.5 + draws.money.random::<f64>();
        match self.process.pay {
            Pay::Amounts { win, .. } if won => win * factor,
            Pay::Amounts { loss, .. } => -loss * factor,
            Pay::Heavy => {
                let t = student_draw(&mut draws.money, HEAVY_DEGREES);
                let scaled = t / (HEAVY_DEGREES / (HEAVY_DEGREES - 2.0)).sqrt();
                let size = UNIT * moods.variance.sqrt() * scaled.abs();
                let [constant, square, last] = GARCH;
                // a square without bound would keep the volatility up for years
                moods.variance = constant + moods.variance * (square * scaled.powi(2).min(25.0) + last);
                if won { size } else { -size }
            }
        }
    }

    /// What the inputs of a session have in common.
    fn columns_of_session(&self, draws: &mut Draws, moods: &mut Moods) -> Vec<f64> {
        let InputMemory::PerSession(phi) = self.inputs else { return vec![0.0; self.columns] };
        moods.columns.iter_mut().map(|column| next(column, phi, &mut draws.inputs)).collect()
    }

    fn row(&self, day: &[f64], draws: &mut Draws, moods: &mut Moods) -> Vec<f64> {
        let shift = if self.process.regimes { if moods.up { 0.5 } else { -0.5 } } else { 0.0 };
        let value = |(column, day): (&mut Option<f64>, &f64)| match self.inputs {
            InputMemory::Independent => shift + normal_draw(&mut draws.inputs),
            InputMemory::PerSignal(phi) => shift + next(column, phi, &mut draws.inputs),
            InputMemory::PerSession(_) => shift + day + 0.2 * normal_draw(&mut draws.inputs),
        };
        moods.columns.iter_mut().zip(day).map(value).collect()
    }
}

/// Where random numbers come from, a stream for each concern.
struct Draws {
    luck: Pcg64,
    wins: Pcg64,
    money: Pcg64,
    inputs: Pcg64,
    scores: Pcg64,
}

/// What goes on from one signal or session to the next.
struct Moods {
    factor: Option<f64>,
    variance: f64,
    up: bool,
    columns: Vec<Option<f64>>,
}

/// The next value of a stationary AR(1) with variance 1.
fn next(last: &mut Option<f64>, phi: f64, rng: &mut Pcg64) -> f64 {
    let fresh = normal_draw(rng);
    let value = last.map_or(fresh, |last| phi * last + (1.0 - phi * phi).sqrt() * fresh);
    *last = Some(value);
    value
}

/// Standard normal, by Box and Muller.
fn normal_draw(rng: &mut Pcg64) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// Student t, by Bailey's polar method (1994).
fn student_draw(rng: &mut Pcg64, degrees: f64) -> f64 {
    let u = 1.0 - rng.random::<f64>();
    let radius = (degrees * (u.powf(-2.0 / degrees) - 1.0)).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(signals: &[&Scored], of: impl Fn(&Scored) -> bool) -> f64 {
        signals.iter().filter(|signal| of(signal)).count() as f64 / signals.len() as f64
    }

    #[test]
    fn every_process_wins_as_often_as_it_says_and_the_model_has_its_lift() {
        for process in Process::ALL.into_iter().chain([Process::HELD_OUT]) {
            let sessions = Stream::healthy(process, 0.08, 12_000, 3).draw();
            let signals: Vec<&Scored> = sessions.iter().flatten().collect();
            let taken: Vec<&Scored> = signals.iter().copied().filter(|signal| signal.taken).collect();
            assert_eq!(2 * taken.len(), signals.len());
            let (all, mine) = (share(&signals, |s| s.won), share(&taken, |s| s.won));
            assert!((all - process.base_rate).abs() < 0.015, "{}: {all}", process.name);
            assert!((mine - all - 0.08).abs() < 0.015, "{}: {mine} of {all}", process.name);
            assert!(signals.iter().all(|signal| (signal.pnl > 0.0) == signal.won && signal.pnl.is_finite()));
        }
    }

    #[test]
    fn trades_of_a_session_go_together_as_far_as_the_process_says() {
        // the correlation of two wins at even odds is 2 / pi times the arcsine of that of their normals
        let pairs = |process: Process| {
            let sessions = Stream::healthy(process, 0.0, 20_000, 5).draw();
            let of = |signal: &Scored| if signal.won { 1.0 } else { -1.0 };
            let products: Vec<f64> = sessions.iter().filter_map(|s| Some(of(s.first()?) * of(s.get(1)?))).collect();
            products.iter().sum::<f64>() / products.len() as f64
        };
        let expected = |rho: f64| 2.0 / std::f64::consts::PI * rho.asin();
        for process in [Process::ALL[0], Process::ALL[1], Process::ALL[2], Process::HELD_OUT] {
            let found = pairs(process);
            assert!((found - expected(process.rho)).abs() < 0.03, "{}: {found}", process.name);
        }
    }

    #[test]
    fn a_broken_model_is_as_bad_as_it_is_said_to_be_and_before_that_the_same() {
        let fates = [
            (Fate::Falls { by: 0.1, from: 50 }, 0.55),
            (Fate::Fades { by: 0.1, from: 50 }, 0.55),
            (Fate::Reversed { from: 50 }, 0.35),
            (Fate::Frozen { from: 50 }, 0.5),
        ];
        let healthy = Stream::healthy(Process::INDEPENDENT, 0.15, 4000, 7);
        let before = |stream: Stream| stream.draw().into_iter().take(50).collect::<Vec<_>>();
        for (fate, expected) in fates {
            let stream = Stream { fate, ..healthy };
            assert_eq!(before(stream), before(healthy), "{fate:?}");
            let sessions = stream.draw();
            let taken: Vec<&Scored> = sessions.iter().skip(200).flatten().filter(|signal| signal.taken).collect();
            let found = share(&taken, |signal| signal.won);
            assert!((found - expected).abs() < 0.015, "{fate:?}: {found}");
        }
    }

    #[test]
    fn inputs_have_the_memory_they_should() {
        let correlation = |inputs, gap: usize| {
            let stream = Stream { inputs, columns: 1, ..Stream::healthy(Process::INDEPENDENT, 0.1, 6000, 9) };
            let values: Vec<f64> = stream.draw().iter().flatten().map(|signal| signal.inputs[0]).collect();
            let square = values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64;
            let product = values.iter().zip(values.iter().skip(gap)).map(|(a, b)| a * b).sum::<f64>();
            product / (values.len() - gap) as f64 / square
        };
        assert!(correlation(InputMemory::Independent, 1).abs() < 0.02);
        assert!((correlation(InputMemory::PerSignal(0.98), 1) - 0.98).abs() < 0.01);
        // ten signals a session; 0.04 of the variance is the signal's own
        assert!((correlation(InputMemory::PerSession(0.97), 10) - 0.97 / 1.04).abs() < 0.02);
    }
}
