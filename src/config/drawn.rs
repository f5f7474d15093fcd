//! What is wrong with a configuration, drawn for people: each fault with its lines.

#![deny(clippy::indexing_slicing)]

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::error::{ConfigError, ConfigErrors, LoadError};

impl LoadError {
    /// Each fault under its line of text, the lines at fault with marks under the values, and what to do. Whatever the file and
    /// its name hold stands in it: what a terminal obeys is to be taken out before it is printed.
    pub fn drawn(&self, renderer: &Renderer) -> String {
        let mut parts = match self {
            Self::Invalid(errors) => errors.drawn(renderer),
            _ => vec![titled(renderer, Level::ERROR, &self.to_string())],
        };
        parts.extend(self.help().map(|help| titled(renderer, Level::HELP, help)));
        parts.join("\n\n")
    }

    fn help(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable { .. } => {
                Some("give the path of a file that this user may read, or no path to run on the built-in defaults")
            }
            Self::Invalid(_) => {
                Some("nothing of this file was taken; the comments of the built-in configuration explain every key")
            }
            Self::NotAFile { .. } | Self::TooLong { .. } | Self::NotUtf8 { .. } => None,
        }
    }
}

impl ConfigErrors {
    fn drawn(&self, renderer: &Renderer) -> Vec<String> {
        let more = (self.left_out() > 0)
            .then(|| titled(renderer, Level::NOTE, &format!("{}: and {} more", self.name(), self.left_out())));
        self.iter().map(|error| error.drawn(renderer)).chain(more).collect()
    }
}

impl ConfigError {
    fn drawn(&self, renderer: &Renderer) -> String {
        let here = AnnotationKind::Primary.span(self.span.clone());
        let places = match &self.other {
            None => vec![here],
            Some(other) => {
                vec![here.label("this"), AnnotationKind::Context.span(other.clone()).label("and this")]
            }
        };
        let lines = Snippet::source(&*self.file.text).annotations(places);
        renderer.render(&[Level::ERROR.secondary_title(self.to_string()).element(lines)])
    }
}

fn titled(renderer: &Renderer, level: Level<'_>, text: &str) -> String {
    renderer.render(&[Group::with_title(level.secondary_title(text))])
}
