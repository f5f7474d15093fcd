//! Whether what was printed is what the page says. `...` stands for anything: alone in a line for lines, within one for text.
//! What is measured, and so differs each time, is not compared: times since 2026, and numbers before a unit of time or of size.

/// Units behind a number that was measured.
const UNITS: [&str; 11] = ["us", "ms", "ns", "s", "min", "B", "KiB", "MiB", "GiB", "us,", "s,"];
/// Fields of JSON whose number was measured.
const FIELDS: [&str; 9] =
    ["uptime_s", "took_us", "latency_us", "max_us", "p50_us", "p99_us", "bytes", "age_s", "growth_bytes_a_day"];

/// A line without what is measured.
pub fn settled(line: &str) -> String {
    let line = fields(&times(line.trim_end()));
    let words: Vec<&str> = line.split(' ').collect();
    let mut out: Vec<String> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).copied().unwrap_or_default();
        let is_measured = word.parse::<f64>().is_ok() && UNITS.contains(&next.trim_end_matches([',', ';', ')']));
        out.push(if is_measured { "#".to_owned() } else { (*word).to_owned() });
    }
    // columns are as wide as what stands in them
    out.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Times from 2026 on, which a clock gave, become `TIME`.
fn times(line: &str) -> String {
    let (bytes, mut out, mut at) = (line.as_bytes(), String::new(), 0);
    while at < line.len() {
        match length_of_time(&bytes[at..]) {
            Some(length) => {
                out += "TIME";
                at += length;
            }
            None => {
                let length = line[at..].chars().next().map_or(1, char::len_utf8);
                out += &line[at..at + length];
                at += length;
            }
        }
    }
    out
}

/// How long the time is that begins here, such as 2026-11-28T17:21:31.123Z.
fn length_of_time(bytes: &[u8]) -> Option<usize> {
    let form = b"dddd-dd-ddTdd:dd:dd";
    let fits = bytes.len() > form.len()
        && form.iter().zip(bytes).all(|(form, byte)| if *form == b'd' { byte.is_ascii_digit() } else { form == byte });
    let year: u32 = std::str::from_utf8(bytes.get(..4)?).ok()?.parse().ok()?;
    if !fits || year < 2026 {
        return None;
    }
    let rest = &bytes[form.len()..];
    let fraction = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    (rest.get(fraction) == Some(&b'Z')).then_some(form.len() + fraction + 1)
}

/// The numbers of measured fields become `#`.
fn fields(line: &str) -> String {
    let mut line = line.to_owned();
    for field in FIELDS {
        let name = format!("\"{field}\":");
        let parts: Vec<String> = line
            .split(&name)
            .enumerate()
            .map(|(n, part)| {
                let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
                if n > 0 && digits > 0 { format!("#{}", &part[digits..]) } else { part.to_owned() }
            })
            .collect();
        line = parts.join(&name);
    }
    line
}

/// Whether `actual` is what `expected` says.
pub fn fits(expected: &[String], actual: &[String]) -> bool {
    let settle = |lines: &[String]| lines.iter().map(|line| settled(line)).collect::<Vec<_>>();
    lines_fit(&settle(expected), &settle(actual))
}

fn lines_fit(expected: &[String], actual: &[String]) -> bool {
    match expected.split_first() {
        None => actual.is_empty(),
        Some((line, rest)) if line == "..." => (0..=actual.len()).any(|skip| lines_fit(rest, &actual[skip..])),
        Some((line, rest)) => {
            actual.split_first().is_some_and(|(first, others)| line_fits(line, first) && lines_fit(rest, others))
        }
    }
}

/// Whether a line has the parts between the `...` of `expected` in their order.
pub fn line_fits(expected: &str, actual: &str) -> bool {
    let parts: Vec<&str> = expected.split("...").collect();
    let [first, middle @ .., last] = parts.as_slice() else { return expected == actual };
    let Some(mut rest) = actual.strip_prefix(first) else { return false };
    for part in middle {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}
