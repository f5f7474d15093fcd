//! Parts of a picture in the room that a window has.
#![deny(clippy::indexing_slicing)]

use super::super::terminal::{harmless, on_one_line};

/// How a text stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Head,
    Quiet,
    Good,
    Warn,
    Bad,
}

/// A text on one line and its tone.
pub(super) type Line = (Tone, String);

/// A line of the picture: its texts from left to right.
pub(super) type Row = Vec<Line>;

/// Lines that belong together.
pub(super) type Item = Vec<Line>;

/// A title and what stands under it, the most important first.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) tone: Tone,
    /// What is said where there are no items.
    pub(super) none: String,
    pub(super) items: Vec<Item>,
    /// Whether there may be more than `items`.
    pub(super) of_more: bool,
    /// So many items come before any other part has more than its own least.
    pub(super) least: usize,
    /// A line of an item is told on at most so many.
    pub(super) lines: usize,
}

/// From here on a window may have two columns.
const TWO_COLUMNS: usize = 120;
/// Between two columns.
const GAP: usize = 2;
/// Lines that one of the head is told on.
const HEAD_LINES: usize = 3;

/// The picture: `news` and `head`, then the parts, the first of which matters most. A window that is wide has them in two columns where
/// that shows more.
pub(super) fn arranged(news: Vec<Line>, head: Vec<Line>, parts: Vec<Part>, width: usize, height: usize) -> Vec<Row> {
    let parts: Vec<Part> =
        parts.into_iter().map(|part| Part { items: part.items.into_iter().map(safe).collect(), ..part }).collect();
    // the parts have half of the window, whatever the head says
    let most = if parts.is_empty() { height } else { height.div_ceil(2) };
    let mut rows: Vec<Row> = headed(safe(news.into_iter().chain(head).collect()), width, most);
    let room = height.saturating_sub(rows.len());
    let one = filled(&parts, width, room);
    let mut body: Vec<Row> = one.lines.into_iter().map(|line| vec![line]).collect();
    if width >= TWO_COLUMNS && one.hidden > 0 {
        let half = (width - GAP) / 2;
        let split = |at: usize| {
            let (left, right) = parts.split_at(at);
            (filled(left, half, room), filled(right, half, room))
        };
        let two = (1..parts.len()).map(split).min_by_key(|(left, right)| left.hidden + right.hidden);
        if let Some((left, right)) = two.filter(|(left, right)| left.hidden + right.hidden < one.hidden) {
            body = beside(left.lines, right.lines, half);
        }
    }
    rows.append(&mut body);
    rows.truncate(height);
    rows
}

/// Lines that a terminal obeys nothing in.
fn safe(lines: Vec<Line>) -> Vec<Line> {
    lines.into_iter().map(|(tone, line)| (tone, harmless(&on_one_line(&line)).into_owned())).collect()
}

/// The head in `most` lines: each of it whole if there is room, else cut.
fn headed(head: Vec<Line>, width: usize, most: usize) -> Vec<Row> {
    let told = (1..=HEAD_LINES).rev().map(|lines| wrapped(&head, width, lines)).find(|told| told.len() <= most);
    let mut told = told.unwrap_or_else(|| wrapped(&head, width, 1));
    if told.len() > most {
        let kept = most.saturating_sub(1);
        let more = format!("({} more)", told.len() - kept);
        told.truncate(kept);
        told.push((Tone::Bad, cut(&more, width)));
    }
    told.into_iter().map(|line| vec![line]).collect()
}

fn beside(left: Vec<Line>, right: Vec<Line>, half: usize) -> Vec<Row> {
    let rows = left.len().max(right.len());
    let (mut left, mut right) = (left.into_iter(), right.into_iter());
    let row = |_| {
        let mut row: Row = left.next().into_iter().collect();
        if let Some(text) = right.next() {
            let taken = row.iter().map(|(_, text)| text.chars().count()).sum::<usize>();
            row.push((Tone::Plain, " ".repeat((half + GAP).saturating_sub(taken))));
            row.push(text);
        }
        row
    };
    (0..rows).map(row).collect()
}

/// Parts in a room, and the items that it has no room for.
struct Filled {
    lines: Vec<Line>,
    hidden: usize,
}

/// What a part shows: so many items, a line of them on so many. Nothing of it, not even its title, is `None`.
type Shown = Option<(usize, usize)>;

fn filled(parts: &[Part], width: usize, room: usize) -> Filled {
    let shown = shares(parts, width, room);
    let is_left_out =
        |shown: &[Shown]| parts.iter().zip(shown).any(|(part, shown)| shown.is_none() && !part.items.is_empty());
    if !is_left_out(&shown) {
        return told(parts, &shown, width);
    }
    // a line says what is left out
    let shown = shares(parts, width, room.saturating_sub(1));
    let mut filled = told(parts, &shown, width);
    let left_out = parts.iter().zip(&shown).filter(|(part, shown)| shown.is_none() && !part.items.is_empty());
    let counts: Vec<String> = left_out.map(|(part, _)| format!("{} {}", part.name, count(part, 0))).collect();
    if room > 0 && !counts.is_empty() {
        filled.lines.push((Tone::Quiet, cut(&format!("more: {}", counts.join(", ")), width)));
    }
    filled
}

/// The share of each part: first a part's least, in order; then the lines of these on as many as they take; then item by item in turn;
/// and then the lines of those.
fn shares(parts: &[Part], width: usize, room: usize) -> Vec<Shown> {
    let mut shown: Vec<Shown> = vec![None; parts.len()];
    let mut left = room;
    let grow = |part: &Part, shown: &mut Shown, left: &mut usize, to: (usize, usize)| {
        let before = shown.map_or(0, |shown| size(part, shown, width));
        let fits = size(part, to, width).checked_sub(before).is_none_or(|more| more <= *left);
        if fits {
            *left = (*left + before).saturating_sub(size(part, to, width));
            *shown = Some(to);
        }
        fits
    };
    for (part, shown) in parts.iter().zip(&mut shown) {
        for items in (0..=part.least.min(part.items.len())).rev() {
            // a title alone says how many are under it
            if grow(part, shown, &mut left, (items, 1)) {
                break;
            }
        }
    }
    for round in 0..2 {
        for (part, shown) in parts.iter().zip(&mut shown) {
            let items = shown.map_or(0, |(items, _)| items);
            let _widest = (2..=part.lines).rev().find(|lines| grow(part, shown, &mut left, (items, *lines)));
        }
        let mut grows = round == 0;
        while grows {
            grows = false;
            for (part, shown) in parts.iter().zip(&mut shown) {
                if let Some((items, lines)) = shown.filter(|(items, _)| *items < part.items.len()) {
                    grows |= grow(part, shown, &mut left, (items + 1, lines));
                }
            }
        }
    }
    shown
}

fn size(part: &Part, shown: (usize, usize), width: usize) -> usize {
    1 + items(part, shown, width).count()
}

/// The first `items` of the part, the bad ones before the others.
fn items(part: &Part, (items, lines): (usize, usize), width: usize) -> impl Iterator<Item = Line> {
    let is_bad = |item: &&Item| item.iter().any(|(tone, _)| *tone == Tone::Bad);
    let (mut shown, others): (Vec<&Item>, Vec<&Item>) = part.items.iter().take(items).partition(is_bad);
    shown.extend(others);
    shown.into_iter().flat_map(move |item| wrapped(item, width, lines))
}

fn told(parts: &[Part], shown: &[Shown], width: usize) -> Filled {
    let mut filled = Filled { lines: Vec::new(), hidden: 0 };
    for (part, shown) in parts.iter().zip(shown) {
        let count_shown = shown.map_or(0, |(items, _)| items);
        filled.hidden += part.items.len() - count_shown;
        let Some(shown) = *shown else { continue };
        let title = match part.items.is_empty() {
            true => format!("{}: {}", part.name, part.none),
            false if count_shown < part.items.len() => format!("{} ({} more)", part.name, count(part, count_shown)),
            false => part.name.to_owned(),
        };
        filled.lines.push((part.tone, cut(&harmless(&on_one_line(&title)), width)));
        filled.lines.extend(items(part, shown, width));
    }
    filled
}

/// How many are not shown, with a plus where there may be more than were asked for.
fn count(part: &Part, shown: usize) -> String {
    format!("{}{}", part.items.len() - shown, if part.of_more { "+" } else { "" })
}

/// The lines, none longer than `width`: each is continued on up to `lines`, and what is longer than that loses its middle.
fn wrapped(item: &[Line], width: usize, lines: usize) -> Vec<Line> {
    item.iter().flat_map(|(tone, line)| wrap(line, width, lines).into_iter().map(|line| (*tone, line))).collect()
}

fn wrap(line: &str, width: usize, lines: usize) -> Vec<String> {
    let indent = line.chars().take_while(|character| *character == ' ').count() + 2;
    // narrower than this no word fits
    if lines <= 1 || line.chars().count() <= width || width < 2 * indent + 8 {
        return vec![cut(line, width)];
    }
    let mut told: Vec<String> = Vec::new();
    let mut rest: Vec<char> = line.chars().collect();
    while !rest.is_empty() {
        let margin = if told.is_empty() { 0 } else { indent };
        let room = width - margin;
        if rest.len() <= room || told.len() + 1 == lines {
            told.push(" ".repeat(margin) + &cut(&rest.iter().collect::<String>(), room));
            break;
        }
        // at the last blank that leaves half a line, else in a word
        let end = rest
            .iter()
            .take(room + 1)
            .rposition(|character| *character == ' ')
            .filter(|end| 2 * end > room)
            .unwrap_or(room);
        let next: Vec<char> = rest.split_off(end).into_iter().skip_while(|character| *character == ' ').collect();
        told.push(" ".repeat(margin) + &rest.into_iter().collect::<String>());
        rest = next;
    }
    told
}

/// The line, with three dots in its middle where it is longer than there is room: its end often says what to do.
fn cut(line: &str, width: usize) -> String {
    let length = line.chars().count();
    if length <= width {
        return line.to_owned();
    }
    let kept = width.saturating_sub(3);
    let (begin, end) = (kept.div_ceil(2), kept / 2);
    let dots = "...".chars().take(width);
    line.chars().take(begin).chain(dots).chain(line.chars().skip(length - end)).collect()
}
