//! The sequence diagram of one connection.

use super::canvas::SCALE;
use super::chart::{Area, Entry, Frame, Mark, fitted, plain, text};
use super::{Figure, theme};
use crate::report::digest::{Ladder, Step};
use crate::results::{counted, date, grouped};
use crate::time::TimeDelta;
use plotters::element::{PathElement, Polygon};
use plotters::style::text_anchor::HPos;
use plotters::style::{Color, RGBColor};

const ROW: i32 = 34;
/// Where the two ends of the connection stand, in pixels.
const CLIENT: i32 = 210;
const BROKER: i32 = 840;

pub(super) fn figure(ladder: &Ladder) -> Option<Figure> {
    if ladder.is_empty() {
        return None;
    }
    let (steps, total) = ladder.steps();
    let start = ladder.start_ns?;
    let omitted = total.saturating_sub(steps.len() as u64);
    let of = ladder.of;
    let client = match ladder.client.as_str() {
        "" => "no client identifier seen".to_owned(),
        id => format!("client {id}"),
    };
    let tap = if of.tap == 0 {
        String::new()
    } else {
        format!("-tap-{}", of.tap)
    };
    let mut caption = format!(
        "{client}, {} from {} UTC. Times are since the connection's first frame: of a request when \
         it began, of an acknowledgment when it was whole. Distances do not follow time. \
         CONNECT, pings and DISCONNECT are in no table.",
        counted(total, "packet"),
        date(start)
    );
    if omitted > 0 {
        caption += &format!(" The {} after these are not drawn.", grouped(omitted));
    }
    let legend = [(0, "to the broker"), (1, "to the client")];
    let frame = Frame {
        name: format!("connection-{}{tap}", of.connection),
        title: format!("Connection {}", of.connection),
        caption,
        description: String::new(),
        legend: legend
            .map(|(number, label)| Entry {
                color: theme::series(number),
                mark: Mark::Line,
                number,
                label: label.to_owned(),
            })
            .to_vec(),
        height: (ROW * (steps.len() as i32 + 3)).unsigned_abs(),
    };
    Some(plain(frame, |area, top| {
        let rows = steps.len() as i32;
        life_lines(area, top, top + ROW * (rows + 2));
        for (row, step) in (1..).zip(&steps) {
            draw_step(area, step, start, top + ROW * row + 14);
        }
        let end = ladder.end_ns.unwrap_or(start);
        let y = top + ROW * (rows + 1) + 14;
        time(area, end, start, y);
        let ended = match omitted {
            0 => format!("ended: {}", ladder.end_reason),
            _ => format!("… and later ended: {}", ladder.end_reason),
        };
        let middle = (CLIENT + BROKER) / 2;
        text(
            area,
            &ended,
            12,
            theme::MUTED,
            (middle, y + 4),
            HPos::Center,
        );
    }))
}

fn life_lines(area: &Area<'_>, top: i32, bottom: i32) {
    for (x, name) in [(CLIENT, "client"), (BROKER, "broker")] {
        text(area, name, 13, theme::INK, (x, top + 14), HPos::Center);
        let line = vec![(x * SCALE, (top + 22) * SCALE), (x * SCALE, bottom * SCALE)];
        let drawn = area.draw(&PathElement::new(line, theme::AXIS.stroke_width(10)));
        debug_assert!(drawn.is_ok());
    }
}

fn draw_step(area: &Area<'_>, step: &Step, start: i64, y: i32) {
    time(area, step.time_ns, start, y);
    let (from, to, number) = if step.to_client {
        (BROKER, CLIENT, 1)
    } else {
        (CLIENT, BROKER, 0)
    };
    arrow(area, (from, to), y, theme::series(number));
    let room = (BROKER - CLIENT - 30) as f32;
    let label = match step.detail.as_str() {
        "" => step.label.clone(),
        detail => format!("{}  {detail}", step.label),
    };
    let label = fitted(&label, 12.0, room);
    let middle = (CLIENT + BROKER) / 2;
    text(area, &label, 12, theme::INK, (middle, y - 5), HPos::Center);
}

fn time(area: &Area<'_>, at: i64, start: i64, y: i32) {
    let since = at.saturating_sub(start);
    // To the microsecond: what matters here are differences.
    let shown = if since.unsigned_abs() < 10_000_000_000 {
        format!("{:.3} ms", since as f64 / 1e6)
    } else {
        format!(
            "{:.3} s",
            TimeDelta::from_nanos(since).as_nanos() as f64 / 1e9
        )
    };
    text(
        area,
        &shown,
        12,
        theme::MUTED,
        (CLIENT - 40, y + 4),
        HPos::Right,
    );
}

fn arrow(area: &Area<'_>, (from, to): (i32, i32), y: i32, color: RGBColor) {
    let (from, to, y) = (from * SCALE, to * SCALE, y * SCALE);
    let back = if to > from { -90 } else { 90 };
    let shaft = PathElement::new(vec![(from, y), (to + back, y)], color.stroke_width(16));
    let head = Polygon::new(
        vec![(to, y), (to + back, y - 42), (to + back, y + 42)],
        color.filled(),
    );
    let drawn = area.draw(&shaft).and_then(|()| area.draw(&head));
    debug_assert!(drawn.is_ok());
}
