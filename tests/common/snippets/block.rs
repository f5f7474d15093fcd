//! A page as a list of what is to be done with it.

/// What a page asks for, in its order.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// To begin anew, or a command that is not shown.
    Prepare { line: usize, order: String },
    /// A block of code.
    Block(Block),
}

/// A block between fences.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The line of its opening fence, from 1.
    pub line: usize,
    /// The word behind the fence; empty where there is none.
    pub language: String,
    /// Its lines.
    pub text: Vec<String>,
    /// Why it is not run, where it says so.
    pub not_run: Option<String>,
    /// Whether it is what the block before it prints.
    pub is_output: bool,
}

/// One command of a console, and what it prints.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    pub command: String,
    pub output: Vec<String>,
}

/// What a comment says behind `key:`, or nothing for a comment that is just the word.
fn comment<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let inside = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?.trim();
    let rest = inside.strip_prefix(key)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix(':').map(str::trim) }
}

/// What a page asks for.
///
/// # Errors
/// A comment or a fence that cannot be meant, with its line.
pub fn items(text: &str) -> Result<Vec<Item>, String> {
    let lines: Vec<&str> = text.lines().collect();
    let (mut items, mut at) = (Vec::new(), 0);
    while at < lines.len() {
        let (line, number) = (lines[at], at + 1);
        at += 1;
        if let Some(order) = comment(line, "prepare") {
            items.push(Item::Prepare { line: number, order: order.to_owned() });
        }
        let indent = line.len() - line.trim_start().len();
        let Some(language) = line.trim_start().strip_prefix("```") else { continue };
        if language.contains('`') {
            continue; // within a line
        }
        let language = language.split([' ', ',']).next().unwrap_or_default().to_owned();
        let end = lines[at..].iter().position(|line| line.trim() == "```");
        let end = end.ok_or_else(|| format!("{number}: the block has no end"))?;
        let inside = lines[at..at + end].iter().map(|line| line.get(indent..).unwrap_or_default().to_owned()).collect();
        at += end + 1;
        let above = number.checked_sub(2).map(|above| lines[above]).unwrap_or_default();
        let not_run = comment(above, "not run").map(str::to_owned);
        if not_run.as_ref().is_some_and(|why| why.len() < 4) {
            return Err(format!("{number}: the block does not say why it is not run"));
        }
        let is_output = comment(above, "output").is_some();
        items.push(Item::Block(Block { line: number, language, text: inside, not_run, is_output }));
    }
    Ok(items)
}

impl Block {
    /// The commands of a console. A command goes on in the next line behind a `\`.
    ///
    /// # Errors
    /// Output without a command.
    pub fn commands(&self) -> Result<Vec<Command>, String> {
        let (mut found, mut goes_on): (Vec<Command>, bool) = (Vec::new(), false);
        for line in &self.text {
            if let (true, Some(last)) = (goes_on, found.last_mut()) {
                last.command += &format!("\n{line}");
                goes_on = line.ends_with('\\');
            } else if let Some(command) = line.strip_prefix("$ ") {
                goes_on = command.ends_with('\\');
                found.push(Command { command: command.to_owned(), output: Vec::new() });
            } else if let Some(last) = found.last_mut() {
                last.output.push(line.clone());
            } else if !line.trim().is_empty() {
                return Err(format!("{}: output without a command: {line}", self.line));
            }
        }
        for command in &mut found {
            while command.output.last().is_some_and(|line| line.trim().is_empty()) {
                command.output.pop();
            }
        }
        Ok(found)
    }

    /// Whether it is an exchange on the socket.
    pub fn is_exchange(&self) -> bool {
        self.text.iter().any(|line| line.starts_with("> ") || line.starts_with("< "))
    }

    /// The lines of an exchange, each whole: one that goes on is indented by three spaces.
    pub fn exchange(&self) -> Vec<String> {
        self.text.join("\n").replace("\n   ", "").lines().map(str::to_owned).collect()
    }
}
