//! The topics with most bytes, as bars.

use super::canvas::SCALE;
use super::chart::{Frame, WIDTH, fitted, plain, text};
use super::{Figure, theme};
use crate::report::digest::Digest;
use crate::results::{bytes, grouped};
use plotters::element::Rectangle;
use plotters::style::Color;
use plotters::style::text_anchor::HPos;

const ROW: i32 = 30;
const NAMES: i32 = 330;
const VALUES: i32 = 190;

pub(super) fn figure(digest: &Digest) -> Option<Figure> {
    let topics = digest.topics.as_ref()?;
    let seconds = digest.slices.seconds();
    if topics.busiest.is_empty() || seconds <= 0.0 {
        return None;
    }
    let shown: u64 = topics.busiest.iter().map(|topic| topic.bytes).sum();
    let others = topics.bytes.saturating_sub(shown);
    let mut rows: Vec<(String, u64, String)> = topics
        .busiest
        .iter()
        .map(|topic| {
            let name = if topic.topic.is_empty() {
                "(empty)"
            } else {
                &topic.topic
            };
            let messages = format!("n = {}", grouped(topic.messages));
            (name.to_owned(), topic.bytes, messages)
        })
        .collect();
    let more = topics.listing.total.saturating_sub(rows.len() as u64);
    if more > 0 {
        rows.push((
            format!("{} more topics", grouped(more)),
            others,
            String::new(),
        ));
    }
    // What many topics have together would leave no length for the bar of a single one.
    let busiest = topics.busiest.iter().map(|topic| topic.bytes);
    let most = busiest.max()?.max(1);
    let frame = Frame {
        name: "topics".to_owned(),
        title: "Throughput by topic".to_owned(),
        caption: "Payload bytes per second of all PUBLISH packets of a topic, both ways, over the \
                  whole time of the capture; n is packets. The topics with most bytes."
            .to_owned(),
        description: String::new(),
        legend: Vec::new(),
        height: (rows.len() as i32 * ROW + 30).unsigned_abs(),
    };
    Some(plain(frame, |area, top| {
        let width = WIDTH as i32 - NAMES - VALUES - 40;
        for (index, (name, amount, messages)) in rows.iter().enumerate() {
            let y = top + index as i32 * ROW;
            let other = messages.is_empty();
            let color = if other { theme::MUTED } else { theme::INK };
            let name = fitted(name, 13.0, (NAMES - 34) as f32);
            text(area, &name, 13, color, (20, y + 19), HPos::Left);
            let rate = format!("{}/s", bytes(*amount as f64 / seconds));
            if other {
                let at = (NAMES, y + 19);
                let rate = format!("{rate} together");
                text(area, &rate, 12, theme::MUTED, at, HPos::Left);
                continue;
            }
            let length = (f64::from(width * SCALE) * (*amount as f64 / most as f64)) as i32;
            let left = NAMES * SCALE;
            let corners = [
                (left, (y + 6) * SCALE),
                (left + length.max(SCALE), (y + 22) * SCALE),
            ];
            let bar = Rectangle::new(corners, theme::series(0).filled());
            let drawn = area.draw(&bar);
            debug_assert!(drawn.is_ok());
            let at = (NAMES + length / SCALE + 10, y + 19);
            text(area, &rate, 12, theme::INK, at, HPos::Left);
            let right = (WIDTH as i32 - 20, y + 19);
            text(area, messages, 12, theme::MUTED, right, HPos::Right);
        }
    }))
}
