//! From values to pixels, and which values are marked on an axis.
#![deny(clippy::indexing_slicing)]

use jiff::{ToSpan as _, civil::Date, tz::TimeZone};

use crate::domain::Timestamp;

/// A straight way from a range of values to a range of pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    /// The step its range was widened to.
    step: Option<f64>,
}

impl Scale {
    /// From `low` to `high` on `from` to `to`. A range of no width is widened, so that everything has a place.
    pub(super) fn new(low: f64, high: f64, from: f64, to: f64) -> Self {
        let (low, high) = if high > low { (low, high) } else { (low - 0.5, low + 0.5) };
        Self { low, high, from, to, step: None }
    }

    /// As [`Self::new`] over all finite `values`, from 0 to 1 when there are none.
    pub(super) fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let range = values.filter(|value| value.is_finite()).fold(None, |range: Option<(f64, f64)>, value| {
            let (low, high) = range.unwrap_or((value, value));
            Some((low.min(value), high.max(value)))
        });
        let (low, high) = range.unwrap_or((0.0, 1.0));
        Self::new(low, high, from, to)
    }

    /// The same with its range widened to whole steps.
    pub(super) fn nice(self, count: usize) -> Self {
        let step = step(self.high - self.low, count);
        let (low, high) = ((self.low / step).floor() * step, (self.high / step).ceil() * step);
        Self { low, high, step: Some(step), ..self }
    }

    /// Where `value` lies, in pixels.
    pub(super) fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Whether `value` lies on it.
    pub(super) fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// About `count` round values on it, its ends among them after [`Self::nice`].
    pub(super) fn ticks(&self, count: usize) -> Vec<f64> {
        let step = self.step(count);
        let (first, last) = ((self.low / step - 1e-9).ceil() as i64, (self.high / step + 1e-9).floor() as i64);
        (first..=last).map(|n| n as f64 * step).collect()
    }

    /// How many digits after the point tell `ticks` apart.
    pub(super) fn digits(&self, count: usize) -> usize {
        (-self.step(count).log10().floor()).clamp(0.0, 6.0) as usize
    }

    fn step(&self, count: usize) -> f64 {
        self.step.unwrap_or_else(|| step(self.high - self.low, count))
    }

    /// Times on it to be marked, where values are seconds since 1970, with their labels.
    pub(super) fn time_ticks(&self) -> Vec<(f64, String)> {
        let (Some(first), Some(last)) = (date(self.low), date(self.high)) else { return Vec::new() };
        let days = (self.high - self.low) / 86_400.0;
        let (mut day, span, format) = match days {
            d if d <= 10.0 => (first, 1.day(), "%-d %b"),
            d if d <= 70.0 => (monday(first), 7.days(), "%-d %b"),
            d if d <= 600.0 => (first.first_of_month(), 1.month(), "%b"),
            d if d <= 1600.0 => (first.first_of_year(), 3.months(), "%b"),
            _ => (first.first_of_year(), 1.year(), "%Y"),
        };
        let mut found = Vec::new();
        while day <= last && found.len() < 40 {
            if let Ok(midnight) = day.to_zoned(TimeZone::UTC) {
                let second = midnight.timestamp().as_second() as f64;
                if self.holds(second) {
                    // the year stands at the first mark and at its own beginning
                    let names_year = format == "%b" && (found.is_empty() || day.month() == 1);
                    let format = if names_year { "%b %Y" } else { format };
                    found.push((second, day.strftime(format).to_string()));
                }
            }
            let Ok(next) = day.checked_add(span) else { break };
            day = next;
        }
        found
    }
}

fn date(second: f64) -> Option<Date> {
    Some(Timestamp::from_second(second as i64).ok()?.to_zoned(TimeZone::UTC).date())
}

fn monday(date: Date) -> Date {
    let back = i64::from(date.weekday().to_monday_zero_offset());
    date.checked_sub(back.days()).unwrap_or(date)
}

/// 1, 2 or 5 times a power of ten, so that about `count` of them fill `range`.
fn step(range: f64, count: usize) -> f64 {
    let rough = range / count.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = match rough / power {
        r if r <= 1.0 => 1.0,
        r if r <= 2.0 => 2.0,
        r if r <= 5.0 => 5.0,
        _ => 10.0,
    };
    factor * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let scale = Scale::over([-3.2, f64::NAN, 41.0].into_iter(), 0.0, 100.0).nice(4);
        assert_eq!(scale.ticks(4), [-20.0, 0.0, 20.0, 40.0, 60.0]);
        assert_eq!((scale.at(-20.0), scale.at(60.0)), (0.0, 100.0));
        let tenths = Scale::new(0.0, 0.3, 0.0, 1.0);
        assert_eq!((tenths.ticks(3).len(), tenths.digits(3)), (4, 1));
        // nothing, and one value only, have a place as well
        assert!(Scale::over([].into_iter(), 0.0, 9.0).at(0.5).is_finite());
        assert_eq!(Scale::over([7.0].into_iter(), 0.0, 9.0).at(7.0), 4.5);
    }

    #[test]
    fn times_are_marked_by_days_weeks_months_or_years() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_second() as f64;
        let labels = |from: &str, to: &str| -> Vec<String> {
            let scale = Scale::new(at(from), at(to), 0.0, 1.0);
            scale.time_ticks().into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(labels("2025-01-06T12:00:00Z", "2025-01-08T12:00:00Z"), ["7 Jan", "8 Jan"]);
        assert_eq!(labels("2025-01-07T00:00:00Z", "2025-02-04T00:00:00Z")[0], "13 Jan");
        assert_eq!(labels("2025-01-07T00:00:00Z", "2025-04-04T00:00:00Z"), ["Feb 2025", "Mar", "Apr"]);
        assert_eq!(labels("2020-01-07T00:00:00Z", "2025-04-04T00:00:00Z").len(), 5);
    }
}
