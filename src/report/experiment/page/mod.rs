//! report.html of an experiment: the verdict in words, then every figure with the table behind it.

mod cells;
mod correlations;
mod delays;
mod effects;
mod loss;
mod settings;
mod study;
mod tester;

use super::{Experiment, verdict};
use crate::report::figure::Figure;
use crate::report::layout::{Cell, document, figure, safe};
use crate::results::{counted, date, grouped, span};
use crate::time::{TimeDelta, Timestamp};
use maud::{Markup, html};

/// A part of the page: what its link is called, and what it holds.
struct Section {
    id: &'static str,
    name: &'static str,
    content: Markup,
}

/// The page, as one HTML document that needs nothing else. `figures` are those of this experiment.
#[must_use]
pub fn page(experiment: &Experiment, figures: &[Figure]) -> String {
    let verdict = verdict::of(experiment);
    let title = title(experiment);
    let sections = sections(experiment, figures);
    let body = html! {
        header {
            p.kicker { "mqttscope " (kind(experiment)) }
            h1 { (safe(&title)) }
            p.lead { (lead(experiment)) }
            div class={ "verdict " (verdict.class) } {
                @for sentence in &verdict.sentences { p { (safe(sentence)) } }
            }
            (tiles(experiment))
        }
        nav aria-label="Sections" { ul {
            @for section in &sections { li { a href={ "#" (section.id) } { (section.name) } } }
        } }
        main {
            @for section in &sections {
                section id=(section.id) { h2 { (section.name) } (section.content) }
            }
        }
        footer {
            "mqttscope " (safe(&experiment.manifest.tool_version)) ". Times are UTC. Intervals are 95 %. "
            "The tables beside this file have every row."
        }
    };
    document(&format!("{title} – mqttscope"), &body)
}

fn sections(experiment: &Experiment, figures: &[Figure]) -> Vec<Section> {
    let mut sections = vec![
        Section {
            id: "delays",
            name: "Delays",
            content: delays::section(experiment, figures),
        },
        Section {
            id: "effects",
            name: "Effects",
            content: effects::section(experiment, figures),
        },
        Section {
            id: "handshakes",
            name: "Handshakes",
            content: delays::handshakes(experiment, figures),
        },
        Section {
            id: "loss",
            name: "Loss",
            content: loss::section(experiment, figures),
        },
        Section {
            id: "tester",
            name: "The tester",
            content: tester::section(experiment, figures),
        },
        Section {
            id: "broker",
            name: "The broker",
            content: tester::broker(experiment),
        },
        Section {
            id: "cells",
            name: "Cells",
            content: cells::section(experiment),
        },
        Section {
            id: "settings",
            name: "Settings",
            content: settings::section(experiment),
        },
    ];
    if experiment.is_study() {
        of_study(experiment, figures, &mut sections);
    }
    sections
}

/// Puts what only a study has where a reader looks for it: the answer first, the packets behind the
/// handshakes, the extensions behind the loss.
fn of_study(experiment: &Experiment, figures: &[Figure], sections: &mut Vec<Section>) {
    let section = |id, name, content| Section { id, name, content };
    let answer = section("answer", "Answer", study::answer(experiment));
    let testbed = section("testbed", "Testbed", study::testbed(experiment, figures));
    sections.splice(0..0, [answer, testbed]);
    let after = |sections: &[Section], id: &str| {
        let place = sections.iter().position(|section| section.id == id);
        place.map_or(sections.len(), |place| place + 1)
    };
    let place = after(sections, "handshakes");
    let packets = section("packets", "Packets", study::packets(experiment, figures));
    sections.insert(place, packets);
    let place = after(sections, "loss");
    let behind = [
        section(
            "correlations",
            "Loss against delay",
            study::correlations(experiment, figures),
        ),
        section(
            "extensions",
            "Extensions",
            study::extensions(experiment, figures),
        ),
        section("combench", "ComBench", study::combench(experiment, figures)),
    ];
    sections.splice(place..place, behind);
}

fn kind(experiment: &Experiment) -> &'static str {
    if experiment.is_study() {
        "study"
    } else {
        "probe"
    }
}

/// What was measured, as a heading.
fn title(experiment: &Experiment) -> String {
    let broker = verdict::broker_name(experiment);
    if experiment.is_study() {
        format!("Loss and delay of MQTT by QoS level, {broker}")
    } else {
        format!("Loss and delay through {broker}")
    }
}

/// When, and how much of it.
fn lead(experiment: &Experiment) -> Markup {
    let manifest = &experiment.manifest;
    html! {
        @if manifest.started_ns > 0 {
            (date(manifest.started_ns)) " UTC"
            @match manifest.ended_ns {
                Some(end) => {
                    ", " (span(Timestamp::from_nanos(end) - Timestamp::from_nanos(manifest.started_ns)))
                },
                None => ", interrupted",
            }
            "; "
        }
        @let finished = experiment.cells.len() as u64;
        @let planned = u64::from(manifest.cells_planned).max(finished);
        (grouped(finished)) " of " (counted(planned, "cell")) " in " (counted(u64::from(manifest.blocks), "block"))
        "; seed " (manifest.seed) "."
    }
}

fn tiles(experiment: &Experiment) -> Markup {
    let tile = |value: String, what: &str| html! { li { b { (value) } span { (what) } } };
    let cells = &experiment.cells;
    let sum = |of: fn(&crate::results::CellRow) -> u64| grouped(cells.iter().map(of).sum());
    let invalid = cells.iter().filter(|cell| !cell.valid).count();
    html! {
        ul.tiles {
            (tile(grouped(cells.len() as u64), "cells"))
            (tile(grouped(invalid as u64), "of them invalid"))
            (tile(sum(|cell| cell.sent), "messages written"))
            (tile(sum(|cell| cell.delivered), "delivered"))
            (tile(sum(|cell| cell.late), "late"))
            (tile(sum(|cell| cell.lost), "lost"))
        }
    }
}

/// The figure of this name with the table behind it, if it was drawn.
fn drawn(figures: &[Figure], name: &str, behind: Option<Markup>) -> Markup {
    let found = figures.iter().find(|figure| figure.name == name);
    html! { @if let Some(found) = found { (figure(found, behind)) } }
}

/// Said where a figure or a table has too little to show.
fn not_enough(why: &str) -> Markup {
    html! { p.none { "Not enough data: " (why) "." } }
}

/// A delay of a table as a cell.
fn delay(value: Option<TimeDelta>) -> Cell {
    Cell::delay(value.map(TimeDelta::as_nanos))
}

/// A share as a cell, in percent.
fn ratio(value: Option<f64>) -> Cell {
    value.map_or_else(Cell::missing, |value| {
        Cell::sorted(format!("{} %", crate::results::percent(value)), value)
    })
}
