//! What pages are made of: the document, tables, figures.

use crate::report::figure::Figure;
use crate::results::{grouped, is_unsafe};
use crate::time::TimeDelta;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// SHA-256 of the two, in base64: the browser runs nothing else. A test holds them to the files.
const STYLE_HASH: &str = "i1CUREirReHbePfDEurvqbFIWHBrWu4JvrdrigmYrLE=";
const SCRIPT_HASH: &str = "3D20WOYYQuxTjgONEO42FApOEkSHEuE1IF8cKAw5WMI=";

/// A whole document. Nothing is loaded from anywhere, and a browser is told to refuse to.
pub(super) fn document(title: &str, body: &Markup) -> String {
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{STYLE_HASH}'; script-src 'sha256-{SCRIPT_HASH}'; \
         img-src data:; base-uri 'none'; form-action 'none'"
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (safe(title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// Text that may come from a network, without characters that turn the direction of what
/// follows or that a document may not have. Tables are read without them; paths and reasons of
/// the summary are made so here.
pub(super) fn safe(text: &str) -> String {
    if !text.chars().any(is_unsafe) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_unsafe(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// Short text, which stays on one line.
    Word(&'static str),
    /// Text of any length, from the network.
    Text(&'static str),
    /// Numbers, to the right.
    Number(&'static str),
}

/// A cell: what it shows, and what it is sorted by if that is another thing.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    shown: Markup,
    sort: Option<String>,
}

impl Cell {
    pub(super) fn text(text: &str) -> Self {
        Self {
            shown: html! { (safe(text)) },
            sort: None,
        }
    }

    /// A topic: a line of it ends behind a slash where it can.
    pub(super) fn topic(topic: &str) -> Self {
        let shown = safe(topic);
        Self {
            shown: html! {
                @for level in shown.split_inclusive('/') {
                    (level) @if level.ends_with('/') { wbr; }
                }
            },
            sort: None,
        }
    }

    pub(super) fn markup(shown: Markup) -> Self {
        Self { shown, sort: None }
    }

    pub(super) fn count(count: u64) -> Self {
        Self {
            shown: html! { (grouped(count)) },
            sort: Some(count.to_string()),
        }
    }

    /// 0 is written small: it is the usual case.
    pub(super) fn trouble(count: u64) -> Self {
        let mut cell = Self::count(count);
        if count == 0 {
            cell.shown = html! { span.dim { "0" } };
        }
        cell
    }

    pub(super) fn maybe(count: Option<i64>) -> Self {
        match count {
            Some(count) => Self {
                shown: html! { (count) },
                sort: Some(count.to_string()),
            },
            None => Self::missing(),
        }
    }

    pub(super) fn delay(nanos: Option<i64>) -> Self {
        match nanos {
            Some(nanos) => Self {
                shown: html! { (TimeDelta::from_nanos(nanos)) },
                sort: Some(nanos.to_string()),
            },
            None => Self::missing(),
        }
    }

    pub(super) fn sorted(shown: String, by: f64) -> Self {
        Self {
            shown: html! { (shown) },
            sort: Some(by.to_string()),
        }
    }

    /// Shows something else than what it is sorted by.
    pub(super) fn show(&mut self, shown: Markup) {
        self.shown = shown;
    }

    pub(super) fn missing() -> Self {
        Self {
            shown: html! { span.dim { "–" } },
            sort: Some(String::new()),
        }
    }
}

/// A sortable table. `caption` says what a row is.
pub(super) fn table(
    caption: &str,
    columns: &[Column],
    rows: impl IntoIterator<Item = Vec<Cell>>,
) -> Markup {
    let class = |column: &Column| match column {
        Column::Word(_) => "k",
        Column::Text(_) => "x",
        Column::Number(_) => "n",
    };
    html! {
        div.scroll {
            table.sort {
                @if !caption.is_empty() { caption { (caption) } }
                thead { tr {
                    @for column in columns {
                        @let (Column::Word(name) | Column::Text(name) | Column::Number(name)) = column;
                        th scope="col" class=(class(column)) { (name) }
                    }
                } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (column, cell) in columns.iter().zip(row) {
                                @match cell.sort {
                                    Some(sort) => td class=(class(column)) data-v=(sort) { (cell.shown) },
                                    None => td class=(class(column)) { (cell.shown) },
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Says where the rest is, where a table shows a part.
pub(super) fn cut(shown: usize, total: u64, which: &str, file: &str) -> Markup {
    html! {
        @if total > shown as u64 {
            p.small {
                "The " (grouped(shown as u64)) " " (which) " of " (grouped(total)) "; all are in "
                code { (file) } "."
            }
        } @else {
            p.small { "All rows of " code { (file) } "." }
        }
    }
}

/// Said where a directory does not have a table.
pub(super) fn absent(file: &str) -> Markup {
    html! { p.none { code { (file) } " is not in this directory." } }
}

/// A figure, and the table behind it where there is one.
pub(super) fn figure(figure: &Figure, behind: Option<Markup>) -> Markup {
    html! {
        figure.fig id={ "figure-" (figure.name) } {
            (PreEscaped(figure.inline()))
            @if !figure.description.is_empty() || behind.is_some() {
                figcaption {
                    (safe(&figure.description))
                    @if let Some(behind) = behind {
                        details { summary { "The numbers" } (behind) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use sha2::{Digest as _, Sha256};

    /// A browser refuses what the hashes do not name.
    #[test]
    fn the_hashes_are_those_of_the_files() {
        for (text, hash) in [(STYLE, STYLE_HASH), (SCRIPT, SCRIPT_HASH)] {
            let digest = Sha256::digest(text.as_bytes());
            let expected = base64::prelude::BASE64_STANDARD.encode(digest);
            assert_eq!(hash, expected);
        }
    }

    #[test]
    fn what_came_from_a_network_is_text() {
        let hostile = "<script>alert(1)</script>\u{202e}\u{0}\"'&";
        let cell = Cell::text(hostile);
        let page = document(hostile, &table("", &[Column::Text("t")], [vec![cell]]));
        assert!(!page.contains("<script>alert"));
        assert!(!page.contains('\u{202e}') && !page.contains('\0'));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}\\u{0}&quot;"));
    }
}
