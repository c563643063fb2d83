//! The summary for people: what a terminal shows.

mod number;
mod sections;

pub use number::{bytes, counted, date, delay, grouped, large, percent, span};

use super::text::is_unsafe;
use super::{FindingDoc, Summary};
use std::fmt::Write;

/// No line is longer.
const WIDTH: usize = 100;

/// The summary as text for people, at most 100 columns wide, with a line break at the end.
/// `color` adds ANSI escape sequences (bold headings, yellow warnings); without it the text has
/// no control character but line breaks, whatever the capture held. `docs` say what the codes of
/// findings mean.
#[must_use]
pub fn render_summary<'d>(
    summary: &Summary,
    docs: impl IntoIterator<Item = &'d FindingDoc>,
    color: bool,
) -> String {
    let mut page = Page {
        text: String::new(),
        color,
    };
    page.paragraph(Style::Bold, "", &sections::headline(summary));
    sections::captures(&mut page, summary);
    sections::mqtt(&mut page, summary);
    sections::unread(&mut page, summary);
    sections::exchanges(&mut page, summary);
    sections::deliveries(&mut page, summary);
    sections::delays(&mut page, summary);
    sections::loss(&mut page, summary);
    sections::findings(&mut page, summary, docs);
    sections::attention(&mut page, summary);
    sections::throughput(&mut page, summary);
    page.text
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Bold,
    Warning,
}

/// What has been written so far.
struct Page {
    text: String,
    color: bool,
}

impl Page {
    /// A blank line and a heading.
    fn heading(&mut self, heading: &str) {
        self.text.push('\n');
        self.line(Style::Bold, heading);
    }

    fn line(&mut self, style: Style, line: &str) {
        let line = fitting(line.trim_end(), WIDTH);
        let code = match style {
            Style::Plain => "",
            Style::Bold => "\x1b[1m",
            Style::Warning => "\x1b[33m",
        };
        if self.color && !code.is_empty() {
            self.text.push_str(code);
            self.text.push_str(&line);
            self.text.push_str("\x1b[0m");
        } else {
            self.text.push_str(&line);
        }
        self.text.push('\n');
    }

    /// `label` and what it names, broken between words; further lines are indented to where the
    /// text began.
    fn paragraph(&mut self, style: Style, label: &str, text: &str) {
        let indent = width(label);
        let mut line = label.to_owned();
        let mut empty = true;
        for word in text.split(' ') {
            if !empty && width(&line) + 1 + width(word) > WIDTH {
                self.line(style, &line);
                line = " ".repeat(indent);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        self.line(style, &line);
    }

    /// Rows of cells: the first column to the left, the others to the right. Every row has as
    /// many cells as the first.
    fn table(&mut self, rows: &[Vec<String>]) {
        let columns = rows.first().map_or(0, Vec::len);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| width(cell)).max().unwrap_or(0)
            })
            .collect();
        for row in rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // A write to a string does not fail.
                _ = if column == 0 {
                    write!(line, "  {cell:<width$}")
                } else {
                    write!(line, "  {cell:>width$}")
                };
            }
            self.line(Style::Plain, &line);
        }
    }
}

/// How many columns a text takes, wide characters aside.
fn width(text: &str) -> usize {
    text.chars().count()
}

/// `text` in at most `width` columns, the middle left out where it is longer, without a
/// character that a terminal would act on.
fn fitting(text: &str, width: usize) -> String {
    let characters: Vec<char> = text
        .chars()
        .map(|c| if is_unsafe(c) { '\u{fffd}' } else { c })
        .collect();
    if characters.len() <= width {
        return characters.into_iter().collect();
    }
    let kept = width.saturating_sub(1);
    let end = kept / 2;
    let (start, _) = characters.split_at(kept - end);
    let (_, end) = characters.split_at(characters.len() - end);
    start.iter().chain(&['…']).chain(end).collect()
}

#[cfg(test)]
mod tests;
