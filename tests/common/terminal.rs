//! `vigie top` in a terminal that is looked at: a pseudo-terminal with a shell on it, and what its escape sequences show.

use std::{
    collections::HashMap,
    fs::File,
    io::{ErrorKind, Read, Write},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::{
    io::ioctl_fionbio,
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize},
};
use vigie::clock::Stopwatch;

use super::{place::Place, wait::until};

/// Runs the command as a job, lets it go on at a line when it was stopped, and says how it ended. A shell that is not interactive
/// leaves the modes of the terminal as the command left them.
const SHELL: &str = r#"
sh -c 'echo "pid $$."; exec "$0" "$@"' "$0" top --socket "$1"; code=$?
while [ $code -ge 145 ] && [ $code -le 150 ]; do echo "stopped $code"; read line; fg > /dev/null; code=$?; done
echo "ended $code."; read line
"#;

/// A terminal with the command on it.
pub struct Terminal {
    master: File,
    // open until the end, so that the terminal does not hang up
    slave: File,
    shell: Child,
    screen: Screen,
}

impl Terminal {
    /// Starts `vigie top` for the daemon of `place` in a window of `size` columns and rows. `NO_JOBS` in the environment makes a
    /// shell without job control.
    pub fn start(place: &Place, size: (usize, usize), environment: &[(&str, &str)]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        ioctl_fionbio(&master, true).unwrap();
        let slave = File::from(ioctl_tiocgptpeer(&master, flags).unwrap());
        set_size(&slave, size);
        let environment: HashMap<&str, &str> =
            [("TERM", "xterm"), ("NO_COLOR", "")].into_iter().chain(environment.iter().copied()).collect();
        let jobs = if environment.contains_key("NO_JOBS") { "+m" } else { "-m" };
        let mut command = Command::new("setsid");
        command.args(["-c", "sh", jobs, "-c", SHELL, env!("CARGO_BIN_EXE_vigie")]).arg(place.socket());
        command.current_dir(place.folder()).envs(environment);
        for put in [Command::stdin, Command::stdout, Command::stderr] {
            put(&mut command, Stdio::from(slave.try_clone().unwrap()));
        }
        let shell = command.spawn().unwrap();
        Self { master: master.into(), slave, shell, screen: Screen::new(size) }
    }

    /// Gives the window another size.
    pub fn resize(&mut self, size: (usize, usize)) {
        self.read();
        self.screen.resize(size);
        set_size(&self.master, size);
    }

    pub fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Sends a signal to the command, such as `TERM`.
    pub fn signals(&mut self, signal: &str) {
        let pid = self.until("its process id", |screen| screen.pid.clone());
        assert!(Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status().unwrap().success());
    }

    /// Waits until `probe` finds in the window what it looks for.
    pub fn until<T>(&mut self, what: &str, mut probe: impl FnMut(&Screen) -> Option<T>) -> T {
        let mut last = String::new();
        let watch = Stopwatch::start();
        until(what, || {
            self.read();
            let found = probe(&self.screen);
            last = self.screen.lines().join("\n");
            assert!(found.is_some() || watch.elapsed() < Duration::from_secs(25), "waited in vain: {what}\n{last}");
            found
        })
    }

    pub fn shows(&mut self, text: &str) {
        self.until(text, |screen| screen.has(text).then_some(()));
    }

    /// What is in the window now.
    pub fn screen(&mut self) -> &Screen {
        self.read();
        &self.screen
    }

    /// Waits until the command has the terminal: another screen, no cursor, keys that come at once and do not show.
    pub fn is_in_use(&mut self) {
        self.until("a picture", |screen| (screen.alternate && !screen.cursor && screen.has("serving")).then_some(()));
        until("raw modes", || (!self.is_cooked()).then_some(()));
    }

    /// Gives the terminal modes of its own, as an interactive shell does.
    pub fn set_cooked(&mut self) {
        let mut modes = tcgetattr(&self.slave).unwrap();
        modes.local_modes |= LocalModes::ICANON | LocalModes::ECHO;
        tcsetattr(&self.slave, OptionalActions::Now, &modes).unwrap();
    }

    /// The terminal is as it was before.
    pub fn is_given_back(&mut self) {
        let screen = self.screen();
        assert!(!screen.alternate && screen.cursor, "{}", screen.lines().join("\n"));
        assert!(self.is_cooked());
    }

    /// The command ends with `code` and the terminal is as before.
    pub fn ended(&mut self, code: i32) {
        self.until("the end", |screen| (screen.has("ended ") && screen.has(".")).then_some(()));
        let lines = self.screen().lines().join("\n");
        assert!(lines.contains(&format!("ended {code}.")), "{lines}");
        self.is_given_back();
    }

    /// The time from a key to the end.
    pub fn answers_a_key(&mut self, key: &str) -> Duration {
        let watch = Stopwatch::start();
        self.types(key);
        self.shows("ended ");
        watch.elapsed()
    }

    fn is_cooked(&self) -> bool {
        let cooked = LocalModes::ICANON | LocalModes::ECHO;
        tcgetattr(&self.master).unwrap().local_modes.contains(cooked)
    }

    fn read(&mut self) {
        let mut bytes = [0; 4096];
        loop {
            match self.master.read(&mut bytes) {
                Ok(count) => self.screen.take(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // its session ends with it, and the command with that
        let _already_gone = self.shell.kill();
        let _status = self.shell.wait();
    }
}

fn set_size(terminal: &File, (columns, rows): (usize, usize)) {
    let size = Winsize { ws_row: rows as u16, ws_col: columns as u16, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}

/// What is in the window.
pub struct Screen {
    size: (usize, usize),
    cells: Vec<Vec<char>>,
    at: (usize, usize),
    /// The last column is written: the next character would go to the next line.
    full: bool,
    pub alternate: bool,
    pub was_alternate: bool,
    pub cursor: bool,
    /// A colour or weight was sent.
    pub styled: bool,
    /// Characters that went over the end of a line of a picture.
    overflowed: bool,
    /// A whole picture came since the last change of size.
    fresh: bool,
    /// The process id that the shell told.
    pid: Option<String>,
    main: Vec<Vec<char>>,
    unread: Vec<u8>,
}

impl Screen {
    fn new(size: (usize, usize)) -> Self {
        let blank = vec![vec![' '; size.0]; size.1];
        Self {
            size,
            main: blank.clone(),
            cells: blank,
            at: (0, 0),
            full: false,
            alternate: false,
            was_alternate: false,
            cursor: true,
            styled: false,
            overflowed: false,
            fresh: false,
            pid: None,
            unread: Vec::new(),
        }
    }

    fn resize(&mut self, size: (usize, usize)) {
        for cells in [&mut self.cells, &mut self.main] {
            cells.resize(size.1, Vec::new());
            cells.iter_mut().for_each(|line| line.resize(size.0, ' '));
        }
        (self.size, self.at, self.full, self.fresh, self.overflowed) = (size, (0, 0), false, false, false);
    }

    /// The lines without what trails.
    pub fn lines(&self) -> Vec<String> {
        self.cells.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned()).collect()
    }

    pub fn has(&self, text: &str) -> bool {
        self.lines().iter().any(|line| line.contains(text))
    }

    /// Whether a picture was drawn since the window has this size, and none of its lines was too long.
    pub fn drawn_at(&self, size: (usize, usize)) -> bool {
        self.size == size && self.fresh && !self.overflowed
    }

    fn take(&mut self, bytes: &[u8]) {
        self.unread.extend(bytes);
        let taken = std::mem::take(&mut self.unread);
        let whole = std::str::from_utf8(&taken).map_or_else(|error| error.valid_up_to(), str::len);
        let text = String::from_utf8_lossy(&taken[..whole]).into_owned();
        let mut rest = text.as_str();
        while let Some(character) = rest.chars().next() {
            let next = if character == '\u{1b}' { self.escape(rest) } else { Some(self.put(character)) };
            // the end of a sequence is still to come
            let Some(count) = next else { break };
            rest = &rest[count..];
        }
        self.unread = [rest.as_bytes(), &taken[whole..]].concat();
    }

    fn put(&mut self, character: char) -> usize {
        match character {
            '\r' => (self.at.0, self.full) = (0, false),
            '\n' => self.down(),
            _ => {
                if self.full {
                    self.overflowed |= self.alternate;
                    self.at.0 = 0;
                    self.down();
                }
                self.cells[self.at.1][self.at.0] = character;
                self.full = self.at.0 + 1 == self.size.0;
                self.at.0 += usize::from(!self.full);
            }
        }
        character.len_utf8()
    }

    fn down(&mut self) {
        self.full = false;
        if self.at.1 + 1 < self.size.1 {
            self.at.1 += 1;
        } else {
            self.overflowed |= self.alternate;
            self.cells.remove(0);
            self.cells.push(vec![' '; self.size.0]);
        }
        let pid = self.lines().iter().find_map(|line| line.strip_prefix("pid ")?.strip_suffix('.').map(str::to_owned));
        self.pid = self.pid.take().or(pid);
    }

    /// Obeys the sequence at the beginning; its length.
    fn escape(&mut self, text: &str) -> Option<usize> {
        let end = text.find(|character: char| character.is_ascii_alphabetic())?;
        let (x, y) = self.at;
        match &text[1..=end] {
            "[H" => (self.at, self.full, self.overflowed) = ((0, 0), false, false),
            "[K" => self.cells[y][x..].fill(' '),
            "[J" | "[2J" => {
                let (first, from) = if text[1..].starts_with("[2J") { (0, 0) } else { (y, x) };
                self.cells[first][from..].fill(' ');
                self.cells[first + 1..].iter_mut().for_each(|line| line.fill(' '));
                self.fresh = self.alternate;
            }
            "[?25l" => self.cursor = false,
            "[?25h" => self.cursor = true,
            "[?1049h" if !self.alternate => {
                (self.alternate, self.was_alternate) = (true, true);
                self.main = self.cells.clone();
            }
            "[?1049h" => {}
            "[?1049l" => {
                assert!(self.alternate, "it was given back twice");
                self.alternate = false;
                self.cells = self.main.clone();
                self.at = (0, self.size.1 - 1);
                self.down();
            }
            "[0m" => {}
            other if other.ends_with('m') => self.styled = true,
            other => panic!("an escape sequence that no terminal of these tests knows: {other:?}"),
        }
        Some(end + 1)
    }
}
