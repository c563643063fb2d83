//! Loss by kind, each with its interval.

use super::axis::Axis;
use super::canvas::SCALE;
use super::chart::{Frame, chart, fitted, text};
use super::{Figure, theme};
use crate::report::digest::Digest;
use crate::results::{grouped, percent};
use crate::stats::Proportion;
use plotters::element::{PathElement, Polygon};
use plotters::style::Color;
use plotters::style::text_anchor::HPos;

/// Height of a row in pixels.
const ROW: u32 = 44;

/// Each kind of loss that there is something to say of: name, share.
pub(in crate::report) fn kinds(digest: &Digest) -> Vec<(&'static str, Proportion)> {
    let loss = &digest.summary.loss;
    let message = loss.message.as_ref();
    [
        ("messages, all QoS", message.map(|message| message.all)),
        ("messages, QoS 0", message.and_then(|message| message.qos0)),
        ("messages, QoS 1", message.and_then(|message| message.qos1)),
        ("messages, QoS 2", message.and_then(|message| message.qos2)),
        ("exchanges not completed", loss.exchange),
        ("TCP segments sent again", loss.segment),
        ("bytes missing in the capture", loss.capture),
    ]
    .into_iter()
    .filter_map(|(name, share)| Some((name, share.filter(|share| share.of > 0)?)))
    .collect()
}

/// One row of a figure of shares.
pub(super) struct Share {
    pub(super) name: String,
    pub(super) share: Proportion,
    /// Which colour and marker it has.
    pub(super) number: usize,
}

pub(super) fn figure(digest: &Digest) -> Option<Figure> {
    let kinds = kinds(digest);
    if kinds.is_empty() {
        return None;
    }
    let frame = Frame {
        name: "loss".to_owned(),
        title: "Loss by kind".to_owned(),
        caption: "Share lost with its 95 % interval (Wilson; n at the right). An arrow: none was \
                  lost, and the share is below its foot. The kinds are different things and do \
                  not add up."
            .to_owned(),
        description: String::new(),
        legend: Vec::new(),
        height: 0,
    };
    let rows = kinds.iter().enumerate();
    let rows: Vec<Share> = rows
        .map(|(row, (name, share))| Share {
            name: (*name).to_owned(),
            share: *share,
            number: usize::from(row >= 4 || !name.starts_with("mess")),
        })
        .collect();
    Some(shares(frame, ROW, &rows))
}

/// Shares below each other, each row so many pixels high; the frame's height does not matter.
pub(super) fn shares(mut frame: Frame, height: u32, rows: &[Share]) -> Figure {
    frame.height = 92 + height * rows.len() as u32;
    let least = rows.iter().filter_map(|row| match row.share.count {
        0 => row.share.ci_high,
        _ => row.share.ci_low,
    });
    let least = least.fold(0.01, f64::min);
    let mut x = Axis::shares(least);
    // Names to the left and counts to the right have their room in the plot.
    x.widen(0.34, 0.30);
    let low = x.start();
    chart(
        frame,
        (x, "share →"),
        (Axis::rows(rows.len()), ""),
        |plane| {
            let area = plane.plotting_area().strip_coord_spec();
            let (x0, y0) = area.get_base_pixel();
            let (width, _) = area.dim_in_pixel();
            let mut markers = Vec::new();
            for (
                row,
                Share {
                    name,
                    share,
                    number,
                },
            ) in rows.iter().enumerate()
            {
                let middle = row as f64 + 0.5;
                let at = |share: f64| {
                    let (x, y) = plane.backend_coord(&(share.max(low), middle));
                    (x - x0, y - y0)
                };
                let color = theme::series(*number);
                let y = at(1.0).1;
                let name = fitted(name, 13.0, 240.0);
                text(&area, &name, 13, theme::INK, (6, y / SCALE + 5), HPos::Left);
                let (Some(low), Some(high)) = (share.ci_low, share.ci_high) else {
                    continue;
                };
                if share.count == 0 {
                    arrow(&area, at(high), color);
                } else {
                    let line = vec![at(low), at(high)];
                    let whisker = PathElement::new(line, color.stroke_width(14));
                    let drawn = area.draw(&whisker);
                    debug_assert!(drawn.is_ok());
                    let (x, y) = at(share.ratio.unwrap_or(0.0));
                    markers.push((row, (x + x0, y + y0), color));
                }
                let label = format!(
                    "{} % · {} of {}",
                    percent(share.ratio.unwrap_or(0.0)),
                    grouped(share.count),
                    grouped(share.of)
                );
                let right = width as i32 / SCALE - 4;
                let at = (right, y / SCALE + 4);
                text(&area, &label, 12, theme::MUTED, at, HPos::Right);
            }
            markers
        },
    )
}

/// From the interval's end to lower shares.
fn arrow(area: &super::chart::Area<'_>, (x, y): (i32, i32), color: plotters::style::RGBColor) {
    let tip = x - 42 * SCALE;
    let shaft = PathElement::new(vec![(x, y), (tip + 60, y)], color.stroke_width(14));
    let foot = PathElement::new(vec![(x, y - 50), (x, y + 50)], color.stroke_width(14));
    let head = Polygon::new(
        vec![(tip, y), (tip + 80, y - 40), (tip + 80, y + 40)],
        color.filled(),
    );
    let drawn = area
        .draw(&shaft)
        .and_then(|()| area.draw(&foot))
        .and_then(|()| area.draw(&head));
    debug_assert!(drawn.is_ok());
}
