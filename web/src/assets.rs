//! The files of the page, compiled in: nothing is loaded from elsewhere, and no build step makes them.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};

use crate::answer::refusal;

const JS: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

/// Name, type and contents of each file.
const FILES: [(&str, &str, &str); 17] = [
    ("index.html", "text/html; charset=utf-8", include_str!("../assets/index.html")),
    ("style.css", CSS, include_str!("../assets/style.css")),
    ("icon.svg", "image/svg+xml", include_str!("../assets/icon.svg")),
    ("app.js", JS, include_str!("../assets/app.js")),
    ("live.js", JS, include_str!("../assets/live.js")),
    ("dom.js", JS, include_str!("../assets/dom.js")),
    ("chart.js", JS, include_str!("../assets/chart.js")),
    ("orders.js", JS, include_str!("../assets/orders.js")),
    ("now.js", JS, include_str!("../assets/now.js")),
    ("signals.js", JS, include_str!("../assets/signals.js")),
    ("test.js", JS, include_str!("../assets/test.js")),
    ("versions.js", JS, include_str!("../assets/versions.js")),
    ("drift.js", JS, include_str!("../assets/drift.js")),
    ("learning.js", JS, include_str!("../assets/learning.js")),
    ("journal.js", JS, include_str!("../assets/journal.js")),
    // MIT, version 1.6.32; the licence stands beside it
    ("uplot.css", CSS, include_str!("../assets/uplot/uPlot.min.css")),
    ("uplot.js", JS, include_str!("../assets/uplot/uPlot.iife.min.js")),
];

/// The file of that name.
pub fn get(name: &str) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, text)) => {
            ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "no-cache")], *text).into_response()
        }
        None => refusal(StatusCode::NOT_FOUND, "not_found", "there is no such file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_of_the_page_runs_inline_or_is_loaded_from_elsewhere() {
        for (name, _, text) in FILES.iter().filter(|(name, ..)| *name != "uplot.js") {
            // the name space of SVG is a name, and nothing is loaded from there
            let text = text.replace("http://www.w3.org/", "");
            for forbidden in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"]
            {
                assert!(!text.contains(forbidden), "{name} has {forbidden}");
            }
            for inline in [" style=\"", " onclick=", "<style", "javascript:"] {
                assert!(!text.contains(inline), "{name} has {inline}");
            }
        }
        let index = FILES[0].2;
        assert!(
            index.matches("<script").count()
                == index.matches("<script src=\"/assets/").count()
                    + index.matches("<script type=\"module\" src=\"/assets/").count()
        );
    }
}
