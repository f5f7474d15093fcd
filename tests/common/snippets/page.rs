//! A page, from its first block to its last.

use std::process::Output;

use super::{
    block::{Block, Item, items},
    compare,
    world::World,
};
use crate::common::wait::until;

/// What came of a page.
#[derive(Debug, Default)]
pub struct Ran {
    /// How many blocks were run or read.
    pub run: usize,
    /// Where something else came than the page says, or nothing can.
    pub wrong: Vec<String>,
    /// Blocks that say why they are not run.
    pub not_run: Vec<String>,
    /// Lines of the page that should be others: from, how many, and what came.
    pub corrections: Vec<(usize, usize, Vec<String>)>,
}

struct Running<'a> {
    page: &'a str,
    world: Option<World>,
    ran: Ran,
    /// What the last block printed and the page has not told yet, and where that block stands.
    printed: Option<(usize, Vec<String>)>,
}

/// Runs every block of a page.
pub fn run(page: &str, text: &str) -> Ran {
    let mut running = Running { page, world: None, ran: Ran::default(), printed: None };
    match items(text) {
        Ok(items) => items.iter().for_each(|item| running.item(item)),
        Err(wrong) => running.ran.wrong.push(format!("{page}:{wrong}")),
    }
    running.told();
    running.ran
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    // what draws a bar or a colour has no place on a page
    text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect()
}

impl Running<'_> {
    fn item(&mut self, item: &Item) {
        match item {
            Item::Prepare { line, order } => {
                if let Err(wrong) = self.prepare(order) {
                    self.wrong(*line, &wrong);
                }
            }
            Item::Block(block) => self.block(block),
        }
    }

    fn wrong(&mut self, line: usize, what: &str) {
        self.ran.wrong.push(format!("{}:{line}: {what}", self.page));
    }

    fn prepare(&mut self, order: &str) -> Result<(), String> {
        if let Some(command) = order.strip_prefix("$ ") {
            return self.world()?.succeed(command);
        }
        match order {
            "stop" => self.world()?.stop(),
            "kill -9" => return self.world()?.kill(),
            "daemon" => return self.world()?.start(&["run"]),
            _ => {
                self.world = None; // its daemon ends first
                self.world = Some(World::prepared(order)?);
            }
        }
        Ok(())
    }

    fn world(&mut self) -> Result<&mut World, String> {
        if self.world.is_none() {
            self.world = Some(World::prepared("empty")?);
        }
        self.world.as_mut().ok_or_else(|| "there is no world".to_owned())
    }

    /// What a block prints must stand behind it.
    fn told(&mut self) {
        if let Some((line, _)) = self.printed.take() {
            self.wrong(line, "it prints something, and the next block is no `<!-- output -->`");
        }
    }

    fn block(&mut self, block: &Block) {
        if let Some(why) = &block.not_run {
            let language = if block.language.is_empty() { "" } else { &block.language };
            self.ran.not_run.push(format!("{}:{} {language}: {why}", self.page, block.line));
            return;
        }
        if block.is_output {
            match self.printed.take() {
                Some((_, printed)) => self.compare(block.line + 1, &block.text, &printed, "the block above"),
                None => self.wrong(block.line, "there is nothing that prints this"),
            }
            return;
        }
        self.told();
        let ran = match &*block.language {
            "console" => self.console(block),
            "sh" => self.world().and_then(|world| world.succeed(&format!("set -e\n{}", block.text.join("\n")))),
            "python" => self.python(block),
            "json" if block.is_exchange() => self.exchange(block),
            "json" => serde_json::from_str::<serde_json::Value>(&block.text.join("\n"))
                .map(drop)
                .map_err(|error| error.to_string()),
            "toml" => vigie::config::Config::parse(self.page, &block.text.join("\n"))
                .map(drop)
                .map_err(|errors| errors.to_string()),
            other => Err(format!(
                "a block of {other:?} is not run: say why in a comment above it, <!-- not run: ... -->, or name its language"
            )),
        };
        match ran {
            Ok(()) => self.ran.run += 1,
            Err(wrong) => self.wrong(block.line, &wrong),
        }
    }

    fn compare(&mut self, line: usize, expected: &[String], actual: &[String], of: &str) {
        if !compare::fits(expected, actual) {
            let (expected_text, actual_text) = (expected.join("\n"), actual.join("\n"));
            self.wrong(line, &format!("{of}\n--- the page says\n{expected_text}\n--- it is\n{actual_text}"));
            self.ran.corrections.push((line, expected.len(), actual.to_vec()));
        }
    }

    fn console(&mut self, block: &Block) -> Result<(), String> {
        let mut line = block.line + 1;
        for command in block.commands()? {
            line += command.command.lines().count();
            if command.command.starts_with("vigie run") && !command.command.contains("--help") {
                self.daemon(&command.command, &command.output)?;
            } else {
                let output = self.world()?.shell(&command.command);
                self.compare(line, &command.output, &lines(&output), &command.command);
                if command.output.is_empty() && !output.status.success() {
                    self.wrong(line, &format!("{}: {}", command.command, output.status));
                }
            }
            line += command.output.len();
            // blank lines between commands are no output
            line += block.text[(line - block.line - 1).min(block.text.len())..]
                .iter()
                .take_while(|line| line.trim().is_empty())
                .count();
        }
        Ok(())
    }

    /// `vigie run` stays; what it says at its start must come.
    fn daemon(&mut self, command: &str, output: &[String]) -> Result<(), String> {
        let words: Vec<&str> = command.trim_end_matches('&').split_whitespace().skip(1).collect();
        let world = self.world()?;
        world.start(&words)?;
        if !output.is_empty() {
            until("what a daemon says at its start", || {
                let log: Vec<String> = world.log().lines().map(str::to_owned).collect();
                compare::fits(output, &log).then_some(())
            });
        }
        Ok(())
    }

    fn python(&mut self, block: &Block) -> Result<(), String> {
        let output = self.world()?.python(&block.text.join("\n"));
        let printed = lines(&output);
        if !output.status.success() {
            return Err(format!("{}\n{}", output.status, printed.join("\n")));
        }
        self.printed = Some((block.line, printed)).filter(|(_, printed)| !printed.is_empty());
        Ok(())
    }

    fn exchange(&mut self, block: &Block) -> Result<(), String> {
        let mut wire = self.world()?.connect()?;
        for line in block.exchange() {
            if let Some(request) = line.strip_prefix("> ") {
                if request.contains("...") {
                    return Err(format!("a request must be whole: {request}"));
                }
                wire.send(format!("{request}\n"));
            } else if let Some(expected) = line.strip_prefix("< ") {
                let actual = wire.line().ok_or("the daemon closed the connection")?;
                if !compare::line_fits(&compare::settled(expected), &compare::settled(&actual)) {
                    self.wrong(block.line, &format!("\n--- the page says\n< {expected}\n--- it is\n< {actual}"));
                    let at = block.text.iter().position(|text| text[2.min(text.len())..] == *expected);
                    if let Some(at) = at {
                        self.ran.corrections.push((block.line + 1 + at, 1, vec![format!("< {actual}")]));
                    }
                }
            } else if !line.trim().is_empty() {
                return Err(format!("neither a request nor an answer: {line}"));
            }
        }
        Ok(())
    }
}
