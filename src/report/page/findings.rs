//! Findings, the worst first.

use super::moment_cell;
use crate::report::digest::{Digest, FindingLine};
use crate::report::layout::{Cell, Column, absent, cut, safe, table};
use crate::results::{FindingDoc, Severity, counted, finding_doc, grouped};
use maud::{Markup, html};

pub(super) fn section(digest: &Digest, catalogue: &[FindingDoc]) -> Markup {
    html! {
        section #findings {
            h2 { "Findings" }
            @match &digest.findings {
                None => {
                    (absent("findings.csv"))
                    (from_summary(digest, catalogue))
                }
                Some(findings) if findings.codes.is_empty() => {
                    p { "Nothing was found that needs attention." }
                }
                Some(findings) => {
                    // The table has the first of each code, the summary counts all.
                    @let count = |code: &str, rows: u64| {
                        digest.summary.findings.get(code).map_or(rows, |all| rows.max(*all))
                    };
                    @let mut codes: Vec<_> = findings.codes.iter()
                        .map(|(code, known)| (code, known, count(code, known.count)))
                        .collect();
                    @let () = codes.sort_by(|(a, m, all_m), (b, n, all_n)| {
                        n.severity.cmp(&m.severity).then(all_n.cmp(all_m)).then(a.cmp(b))
                    });
                    @let rows: u64 = codes.iter().map(|(_, known, _)| known.count).sum();
                    @let all: u64 = codes.iter().map(|(_, _, count)| *count).sum();
                    @for (code, known, count) in &codes {
                        (one(code, known.severity, *count, &known.examples, catalogue))
                    }
                    h3 { "Every finding" }
                    @if all > rows {
                        p.small {
                            "Of " (counted(all, "finding")) ", " code { "findings.csv" } " has the first "
                            (grouped(rows)) ": of each code no more than it keeps."
                        }
                    }
                    (cut(findings.listing.rows.len(), findings.listing.total, "worst", "findings.csv"))
                    details {
                        summary { "Table of " (counted(findings.listing.rows.len() as u64, "finding")) }
                        (list(&findings.listing.rows))
                    }
                }
            }
            (violations(digest))
        }
    }
}

fn badge(severity: Severity) -> Markup {
    html! { span class={ "badge " (severity.name()) } { (severity.name()) } }
}

/// A filter for Wireshark; the script adds a button to copy it.
fn filter(filter: &str) -> Markup {
    html! { @if !filter.is_empty() { code.filter { (safe(filter)) } } }
}

fn one(
    code: &str,
    severity: Severity,
    count: u64,
    examples: &[FindingLine],
    catalogue: &[FindingDoc],
) -> Markup {
    let doc = finding_doc(catalogue, code);
    let title = doc.map_or_else(|| code.replace('_', " "), |doc| doc.title.to_owned());
    html! {
        article.finding {
            h3 {
                (badge(severity)) " " span { (safe(&title)) }
                span.mono { (safe(code)) " × " (grouped(count)) }
            }
            @if let Some(doc) = doc {
                dl {
                    @if !doc.why.is_empty() { dt { "Why it matters" } dd { (doc.why) } }
                    @if !doc.what_to_do.is_empty() { dt { "What to do" } dd { (doc.what_to_do) } }
                    @if !doc.clause.is_empty() { dt { "Clause" } dd { (doc.clause) } }
                }
            }
            @let most = examples.len() as u64;
            @if most > 0 {
                details open[count <= 2 || severity >= Severity::Warning] {
                    summary {
                        @if most < count { "The first " (grouped(most)) " of " (grouped(count)) }
                        @else { "Where" }
                    }
                    (examples_table(examples))
                }
            }
        }
    }
}

fn examples_table(lines: &[FindingLine]) -> Markup {
    use Column::{Number, Text, Word};
    let columns = [
        Word("time (UTC)"),
        Number("connection"),
        Number("frame"),
        Text("what"),
        Text("Wireshark display filter"),
    ];
    table(
        "",
        &columns,
        lines.iter().map(|line| {
            vec![
                moment_cell(line.time_ns),
                Cell::text(&line.connection),
                Cell::text(&line.frame),
                Cell::text(&what(line)),
                Cell::markup(filter(&line.filter)),
            ]
        }),
    )
}

fn what(line: &FindingLine) -> String {
    match (line.topic.as_str(), line.detail.as_str()) {
        ("", detail) => detail.to_owned(),
        (topic, "") => topic.to_owned(),
        (topic, detail) => format!("{topic}: {detail}"),
    }
}

fn list(lines: &[FindingLine]) -> Markup {
    use Column::{Number, Text, Word};
    let columns = [
        Word("severity"),
        Word("code"),
        Word("time (UTC)"),
        Number("connection"),
        Text("file"),
        Number("frame"),
        Text("what"),
        Number("tap"),
    ];
    table(
        "",
        &columns,
        lines.iter().map(|line| {
            let mut severity = Cell::sorted(String::new(), f64::from(line.severity as u8));
            severity.show(badge(line.severity));
            vec![
                severity,
                Cell::text(&line.code),
                moment_cell(line.time_ns),
                Cell::text(&line.connection),
                Cell::text(line.file.rsplit('/').next().unwrap_or_default()),
                Cell::text(&line.frame),
                Cell::text(&what(line)),
                Cell::count(line.tap),
            ]
        }),
    )
}

/// Where there is no table, the summary has counts.
fn from_summary(digest: &Digest, catalogue: &[FindingDoc]) -> Markup {
    let counts = digest
        .summary
        .findings
        .iter()
        .filter(|(_, count)| **count > 0);
    html! {
        @for (code, count) in counts {
            (one(code, digest.severity(code, catalogue), *count, &[], catalogue))
        }
    }
}

fn violations(digest: &Digest) -> Markup {
    let violations = &digest.summary.violations;
    html! {
        @if violations.values().any(|count| *count > 0) {
            h3 { "Rules of the specification that packets broke" }
            (table("", &[Column::Word("rule"), Column::Number("packets")],
                violations.iter().filter(|(_, count)| **count > 0).map(|(code, count)| {
                    vec![Cell::text(code), Cell::count(*count)]
                })))
            p.small { "Each packet's note is in the output of " code { "mqttscope decode" } "." }
        }
    }
}
