//! What a topic's form says: good practice beyond the rules of the specification.

use crate::mqtt::topic::levels;

use super::catalogue::Own;
use super::thresholds::Thresholds;

/// Whether a glance shows that nothing is found about a topic's name, as is the rule.
#[inline]
pub(super) fn is_plain(name: &[u8], thresholds: &Thresholds) -> bool {
    // Without a stop in between it is many bytes at a time.
    let (mut ascii, mut spaces, mut slashes, mut double) = (true, false, 0_u64, false);
    for (&byte, &next) in name.iter().zip(name.iter().skip(1)) {
        ascii &= byte.is_ascii();
        spaces |= byte == b' ';
        slashes = slashes.wrapping_add(u64::from(byte == b'/'));
        double |= (byte == b'/') & (next == b'/');
    }
    let ends = |end: Option<&u8>| end.is_some_and(|byte| matches!(byte, b'/' | b' ' | 0x80..));
    ascii
        && !spaces
        && !double
        && !ends(name.first())
        && !ends(name.last())
        && name.len() as u64 <= thresholds.topic_bytes
        && slashes < thresholds.topic_levels
}

/// What is found about a topic's name.
#[cold]
pub(super) fn form(name: &[u8], thresholds: &Thresholds) -> impl Iterator<Item = Own> {
    let (mut count, mut inner_empty, mut empty_before) = (0_u64, false, false);
    for level in levels(name) {
        // An empty level is an inner one if something stands on both sides of it.
        inner_empty |= empty_before && count > 1;
        empty_before = level.is_empty();
        count = count.saturating_add(1);
    }
    let longest = name.len() as u64;
    [
        (Own::LeadingSlash, name.starts_with(b"/")),
        (Own::TrailingSlash, name.ends_with(b"/")),
        (Own::EmptyLevel, inner_empty),
        (Own::Space, name.contains(&b' ')),
        (Own::NonAscii, !name.is_ascii()),
        (Own::TooLong, longest > thresholds.topic_bytes),
        (Own::TooDeep, count > thresholds.topic_levels),
    ]
    .into_iter()
    .filter_map(|(own, found)| found.then_some(own))
}

/// Bytes and levels of a filter, if they are above the thresholds for topics.
pub(super) fn size(filter: &[u8], thresholds: &Thresholds) -> Option<(u64, u64)> {
    let (bytes, levels) = (filter.len() as u64, levels(filter).count() as u64);
    let large = bytes > thresholds.topic_bytes || levels > thresholds.topic_levels;
    large.then_some((bytes, levels))
}

/// Longest topic and identifier that are compared: this is for names that people gave.
const LONGEST: usize = 256;

/// Whether a topic contains an identifier, in any case; `None` where that cannot be said.
pub(super) fn names_sender(topic: &[u8], client_id: Option<&[u8]>) -> Option<bool> {
    let id = client_id.filter(|id| !id.is_empty() && id.len() <= LONGEST)?;
    if topic.len() > LONGEST {
        return None;
    }
    let begin = id.first()?.to_ascii_lowercase();
    let mut windows = topic.windows(id.len());
    Some(windows.any(|part| {
        let begins = |first: &u8| first.to_ascii_lowercase() == begin;
        part.first().is_some_and(begins) && part.eq_ignore_ascii_case(id)
    }))
}

/// Whether a filter matches every topic: nothing in it but wildcards, the last of them `#`.
pub(super) fn matches_everything(filter: &[u8]) -> bool {
    let shared = crate::mqtt::topic::SharedFilter::parse(filter);
    let filter = shared.map_or(filter, |shared| shared.filter);
    filter.ends_with(b"#") && levels(filter).all(|level| matches!(level, b"#" | b"+"))
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;

    fn found(name: &str) -> Vec<Own> {
        form(name.as_bytes(), &Thresholds::default()).collect()
    }

    #[test]
    fn names_are_judged_by_their_form() {
        for (name, expected) in [
            ("house/room/temperature", &[][..]),
            ("/house", &[Own::LeadingSlash]),
            ("house/", &[Own::TrailingSlash]),
            ("/", &[Own::LeadingSlash, Own::TrailingSlash]),
            ("a//b", &[Own::EmptyLevel]),
            ("//a", &[Own::LeadingSlash, Own::EmptyLevel]),
            ("a//", &[Own::TrailingSlash, Own::EmptyLevel]),
            (
                "//",
                &[Own::LeadingSlash, Own::TrailingSlash, Own::EmptyLevel],
            ),
            ("living room", &[Own::Space]),
            ("Küche", &[Own::NonAscii]),
            ("1/2/3/4/5/6/7", &[]),
            ("1/2/3/4/5/6/7/8", &[Own::TooDeep]),
        ] {
            assert_eq!(found(name), expected, "{name}");
            let is_plain = is_plain(name.as_bytes(), &Thresholds::default());
            assert_eq!(is_plain, expected.is_empty(), "{name}");
        }
        assert_eq!(found(&"a".repeat(128)), []);
        assert_eq!(found(&"a".repeat(129)), [Own::TooLong]);
        let slashes = "/".repeat(65_000);
        assert!(found(&slashes).contains(&Own::TooDeep));
    }

    #[test]
    fn a_sender_is_looked_for_in_any_case() {
        assert_eq!(
            names_sender(b"plant/Pump-7/on", Some(b"pump-7")),
            Some(true)
        );
        assert_eq!(names_sender(b"plant/on", Some(b"pump-7")), Some(false));
        assert_eq!(names_sender(b"plant/on", Some(b"")), None);
        assert_eq!(names_sender(b"plant/on", None), None);
        assert_eq!(names_sender(&[b'a'; 60_000], Some(b"a")), None);
    }

    #[test]
    fn wildcards_alone_match_everything() {
        for filter in ["#", "+/#", "+/+/#", "$share/g/#"] {
            assert!(matches_everything(filter.as_bytes()), "{filter}");
        }
        for filter in ["a/#", "+", "+/+", "$SYS/#", "$share/g/a/#", ""] {
            assert!(!matches_everything(filter.as_bytes()), "{filter}");
        }
    }
}
