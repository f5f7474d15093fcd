//! The four questions of `vigie init`.

use std::io::{BufRead, Write};

use anyhow::bail;

use super::{Answers, Instrument, file};
use crate::config::Config;

/// Asks what the options left open. An answer that is not allowed is asked for again.
///
/// # Errors
/// When there are no more answers.
pub(super) fn ask(
    answers: &mut Answers,
    builtin: &Config,
    from: &mut dyn BufRead,
    to: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut questions = Questions { builtin, from, to };
    if answers.symbols.is_empty() {
        let known: Vec<String> = builtin.symbols.keys().map(ToString::to_string).collect();
        let text = format!(
            "1/4 Which instruments? {} are built in; another one is NAME=TICK:VALUE, such as CL=0.01:10.",
            known.join(", ")
        );
        answers.symbols = questions
            .answer(&text, "all that are built in", |text, try_it| {
                let symbols = text.split([' ', ',']).filter(|name| !name.is_empty()).map(str::parse);
                try_it.symbols = symbols.collect::<Result<Vec<Instrument>, String>>()?;
                Ok(())
            })?
            .symbols;
    }
    if answers.zone.is_none() && answers.start.is_none() {
        let (zone, start) = builtin.calendar.turns_at();
        let usual = format!("{} {zone}", start.strftime("%H:%M"));
        let text = "2/4 When does its trading day turn? A local time and a time zone.";
        let answer = questions.answer(text, &usual, |text, try_it| {
            let (start, zone) = text.split_once(' ').ok_or("write both, such as 17:00 America/Chicago")?;
            (try_it.start, try_it.zone) = (Some(start.to_owned()), Some(zone.trim().to_owned()));
            Ok(())
        })?;
        (answers.start, answers.zone) = (answer.start, answer.zone);
    }
    if answers.daily_loss_limit.is_none() {
        let entries = builtin.entries();
        let usual = entries.iter().find(|(key, _)| key == "guardian.daily_loss_limit").map_or("", |(_, value)| value);
        let text =
            "3/4 What may the account lose in a trading day, in its currency? At twice that every model is silenced.";
        answers.daily_loss_limit = questions
            .answer(text, usual, |text, try_it| {
                try_it.daily_loss_limit = Some(text.parse().map_err(|_| format!("{text:?} is no number"))?);
                Ok(())
            })?
            .daily_loss_limit;
    }
    if answers.trader_users.is_empty() {
        let text = "4/4 Which user runs the strategy, where it is not you?";
        answers.trader_users = questions
            .answer(text, "none", |text, try_it| {
                try_it.trader_users =
                    text.split([' ', ',']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
                Ok(())
            })?
            .trader_users;
    }
    Ok(())
}

struct Questions<'q> {
    builtin: &'q Config,
    from: &'q mut dyn BufRead,
    to: &'q mut dyn Write,
}

impl Questions<'_> {
    /// What was answered, alone; nothing where the answer was empty.
    fn answer(
        &mut self,
        text: &str,
        usual: &str,
        take: impl Fn(&str, &mut Answers) -> Result<(), String>,
    ) -> anyhow::Result<Answers> {
        loop {
            write!(self.to, "{text} [{usual}] ")?;
            self.to.flush()?;
            let mut line = String::new();
            if self.from.read_line(&mut line)? == 0 {
                bail!("there was no answer; give options, or --defaults");
            }
            let mut answer = Answers::default();
            if line.trim().is_empty() {
                return Ok(answer);
            }
            let taken = take(line.trim(), &mut answer);
            match taken.and_then(|()| file(&answer, None, self.builtin).map_err(|error| error.to_string())) {
                Ok(_) => return Ok(answer),
                Err(why) => writeln!(self.to, "  {why}")?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(typed: &str, mut answers: Answers) -> (anyhow::Result<Answers>, String) {
        let (builtin, mut said) = (Config::builtin().unwrap(), Vec::new());
        let asked = ask(&mut answers, &builtin, &mut typed.as_bytes(), &mut said);
        (asked.map(|()| answers), String::from_utf8(said).unwrap())
    }

    #[test]
    fn four_questions_are_asked_and_what_is_not_allowed_is_asked_again() {
        let (answers, said) =
            asked("cl\nCL\nCL=0.01:10, ES\n17:00\n18:00 America/New_York\nmuch\n-3\n750\n\n", Answers::default());
        let answers = answers.unwrap();
        assert_eq!(answers.symbols, ["CL=0.01:10".parse().unwrap(), "ES".parse().unwrap()]);
        assert_eq!((answers.start.as_deref(), answers.zone.as_deref()), (Some("18:00"), Some("America/New_York")));
        assert_eq!((answers.daily_loss_limit, answers.trader_users.len()), (Some(750.0), 0));
        let times: Vec<usize> = ["1/4", "2/4", "3/4", "4/4"].iter().map(|mark| said.matches(mark).count()).collect();
        assert_eq!(times, [3, 2, 3, 1], "{said}");
        assert!(said.contains("[17:00 America/Chicago]") && said.contains("--symbol CL=TICK:VALUE"), "{said}");
    }

    #[test]
    fn what_an_option_said_is_not_asked_and_no_answer_is_no_default() {
        let given = Answers { symbols: vec!["ES".parse().unwrap()], daily_loss_limit: Some(5.0), ..Answers::default() };
        let (answers, said) = asked("\n\n", given);
        assert!(answers.is_ok() && !said.contains("1/4") && !said.contains("3/4"), "{said}");
        assert!(asked("\n", Answers::default()).0.is_err());
    }
}
