//! What somebody who mistyped a name probably meant.

#![deny(clippy::indexing_slicing)]

/// Likeness from which a name is worth suggesting: two wrong letters in six.
const ALIKE: f64 = 0.6;

/// Names longer than this are no typing errors, and are not compared.
const LONGEST: usize = 64;

/// The word of `known` most like `word`, if one is like it at all.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let likeness = |known: &'a str| (strsim::normalized_damerau_levenshtein(word, known), known);
    let (alike, best) = known.map(likeness).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (alike >= ALIKE).then_some(best)
}

/// The nearest word as a question.
pub(super) fn suggest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(did_you_mean)
}

/// The question whether `name` was meant.
pub(super) fn did_you_mean(name: &str) -> String {
    format!("did you mean {name}?")
}
