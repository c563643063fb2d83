//! Colours and lines of the figures.
//!
//! Series have the colours of Okabe and Ito ("Color universal design", 2008), which people with
//! any of the common colour vision deficiencies tell apart. Grey print loses them, so every series
//! has a pattern of dashes and a marker of its own too.

use plotters::style::RGBColor;

/// Lines, text and surfaces.
pub(super) const INK: RGBColor = RGBColor(0x1c, 0x21, 0x28);
pub(super) const MUTED: RGBColor = RGBColor(0x57, 0x60, 0x6b);
pub(super) const AXIS: RGBColor = RGBColor(0x8c, 0x95, 0x9f);
pub(super) const GRID: RGBColor = RGBColor(0xe1, 0xe4, 0xe8);
pub(super) const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);

/// Blue, vermillion, bluish green, reddish purple, orange, sky blue.
const SERIES: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xb8, 0x5c, 0x92),
    RGBColor(0xb3, 0x7b, 0x00),
    RGBColor(0x3d, 0x9b, 0xd1),
];

/// Dashes and gaps in tenths of a pixel; the first series is a whole line.
const DASHES: [&[f32]; 6] = [
    &[],
    &[70.0, 40.0],
    &[20.0, 30.0],
    &[110.0, 35.0, 25.0, 35.0],
    &[40.0, 20.0],
    &[150.0, 50.0],
];

/// The colour of the series with this number; they begin again after the last.
pub(super) const fn series(number: usize) -> RGBColor {
    SERIES[number % SERIES.len()]
}

/// What a colour is called in a style sheet, and its dashes if it is a series'.
pub(super) fn role(rgb: (u8, u8, u8)) -> (String, &'static [f32]) {
    let color = RGBColor(rgb.0, rgb.1, rgb.2);
    let named = [
        (INK, "ink"),
        (MUTED, "muted"),
        (AXIS, "axis"),
        (GRID, "grid"),
        (PAPER, "paper"),
    ];
    if let Some((_, name)) = named.iter().find(|(known, _)| *known == color) {
        return ((*name).to_owned(), &[]);
    }
    match SERIES.iter().position(|known| *known == color) {
        Some(number) => (format!("s{}", number + 1), DASHES[number]),
        None => ("ink".to_owned(), &[]),
    }
}

/// Every role with its colour on paper.
pub(super) fn roles() -> Vec<(String, RGBColor)> {
    let series = SERIES.iter().copied();
    [INK, MUTED, AXIS, GRID, PAPER]
        .into_iter()
        .chain(series)
        .map(|color| (role((color.0, color.1, color.2)).0, color))
        .collect()
}
