//! Topic names and topic filters (section 4.7) and shared subscriptions (4.8.2).
//!
//! All of it works on bytes, compares them as they are ([MQTT-4.7.3-4]: no normalisation) and
//! takes time linear in their length, however many levels they have.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

use super::{HeaderResult, PacketType, ProtocolLevel, Violation, Violations};
use super::{parse_fixed_header, text};

/// How the filter of a shared subscription begins.
pub const SHARE_PREFIX: &[u8] = b"$share/";

/// The levels of a topic name or filter, which `/` separates: `/a//b` has the four levels
/// empty, `a`, empty, `b`.
#[derive(Clone, Debug)]
pub struct Levels<'a> {
    rest: Option<&'a [u8]>,
}

/// Iterates over the levels of a topic name or filter.
#[must_use]
pub const fn levels(topic: &[u8]) -> Levels<'_> {
    Levels { rest: Some(topic) }
}

impl<'a> Iterator for Levels<'a> {
    type Item = &'a [u8];
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        match split_at_slash(rest) {
            Some((level, after)) => {
                self.rest = Some(after);
                Some(level)
            }
            None => {
                self.rest = None;
                Some(rest)
            }
        }
    }
}

/// What stands before and after the first `/`.
fn split_at_slash(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = bytes.iter().position(|&byte| byte == b'/')?;
    let (before, from_slash) = bytes.split_at_checked(slash)?;
    Some((before, from_slash.split_first()?.1))
}

/// A hash of a topic name for the tables of this process. Its key is another one in every run, so
/// nobody can choose topics that collide.
#[must_use]
#[inline]
#[expect(
    clippy::manual_hash_one,
    reason = "that is not always inlined, and this is done for every PUBLISH"
)]
pub fn name_hash(name: &[u8]) -> u64 {
    let state = SeedableRandomState::with_seed(0, SharedSeed::global_random());
    let mut hasher = state.build_hasher();
    name.hash(&mut hasher);
    hasher.finish()
}

/// The same for a topic that means something within a domain only, such as a broker or a tap.
#[must_use]
#[inline]
pub const fn name_hash_within(domain: u32, name_hash: u64) -> u64 {
    name_hash ^ (domain as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The topic name of the PUBLISH that begins with these bytes, if one does: a guess, for who has
/// not found the boundaries of the packets yet.
#[must_use]
#[inline]
pub fn leading_topic(bytes: &[u8]) -> Option<&[u8]> {
    let HeaderResult::Complete(header) = parse_fixed_header(bytes) else {
        return None;
    };
    if header.packet_type() != PacketType::Publish {
        return None;
    }
    let body = bytes.get(usize::from(header.header_length)..)?;
    let (length, rest) = body.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

/// What a topic name breaks. In a PUBLISH of MQTT 5 an empty one is allowed with a topic alias,
/// which this cannot know.
#[must_use]
pub fn name_violations(name: &[u8]) -> Violations {
    let scan = text::scan(name);
    let mut violations = scan.violations;
    violations.insert_if(name.is_empty(), Violation::EmptyTopic);
    violations.insert_if(scan.wildcard, Violation::WildcardInTopic);
    violations.insert_if(name.len() > usize::from(u16::MAX), Violation::NameTooLong);
    violations
}

/// What a topic filter breaks; the form of a shared subscription is judged in MQTT 5 only, where
/// it is defined.
#[must_use]
pub fn filter_violations(filter: &[u8], level: ProtocolLevel) -> Violations {
    let scan = text::scan(filter);
    let mut violations = scan.violations;
    violations.insert_if(filter.is_empty(), Violation::EmptyFilter);
    violations.insert_if(filter.len() > usize::from(u16::MAX), Violation::NameTooLong);
    if level.is_v5() && filter.starts_with(SHARE_PREFIX) {
        violations.insert_if(
            SharedFilter::parse(filter).is_none(),
            Violation::SharedFilterForm,
        );
    }
    if scan.wildcard {
        check_wildcards(filter, &mut violations);
    }
    violations
}

fn check_wildcards(filter: &[u8], violations: &mut Violations) {
    let mut levels = levels(filter).peekable();
    while let Some(level) = levels.next() {
        let is_last = levels.peek().is_none();
        // [MQTT-4.7.1-2] (5: [MQTT-4.7.1-1]) "The multi-level wildcard character MUST be specified
        // either on its own or following a topic level separator. In either case it MUST be the
        // last character specified in the Topic Filter."
        violations.insert_if(
            level.contains(&b'#') && (level != b"#" || !is_last),
            Violation::MultiLevelWildcard,
        );
        // [MQTT-4.7.1-3] (5: [MQTT-4.7.1-2]) "Where it is used it MUST occupy an entire level of
        // the filter."
        violations.insert_if(
            level.contains(&b'+') && level != b"+",
            Violation::SingleLevelWildcard,
        );
    }
}

/// Whether a topic name matches a topic filter.
///
/// A filter that is not valid matches nothing by its misplaced wildcards. A shared subscription's
/// filter has to be taken apart first, see [`SharedFilter`].
#[must_use]
pub fn matches(filter: &[u8], name: &[u8]) -> bool {
    if filter.is_empty() || name.is_empty() {
        return false;
    }
    // [MQTT-4.7.2-1] "The Server MUST NOT match Topic Filters starting with a wildcard character
    // (# or +) with Topic Names beginning with a $ character."
    if name.starts_with(b"$") && matches!(filter.first(), Some(b'#' | b'+')) {
        return false;
    }
    let mut names = levels(name);
    let mut filters = levels(filter);
    loop {
        match (filters.next(), names.next()) {
            // Also the parent itself: `sport/#` matches `sport` (4.7.1.2).
            (Some(b"#"), _) => return filters.next().is_none(),
            (Some(b"+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// The filter of a shared subscription, `$share/{group}/{filter}` (4.8.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SharedFilter<'a> {
    /// The ShareName.
    pub group: &'a [u8],
    /// The topic filter that names are matched against.
    pub filter: &'a [u8],
}

impl<'a> SharedFilter<'a> {
    /// Takes it apart; `None` for a filter that is not shared or not of the right form:
    /// [MQTT-4.8.2-1] "A Shared Subscription's Topic Filter MUST start with $share/ and MUST
    /// contain a ShareName that is at least one character long." [MQTT-4.8.2-2] "The ShareName
    /// MUST NOT contain the characters "/", "+" or "#", but MUST be followed by a "/" character.
    /// This "/" character MUST be followed by a Topic Filter."
    #[must_use]
    pub fn parse(filter: &'a [u8]) -> Option<Self> {
        let (group, filter) = split_at_slash(filter.strip_prefix(SHARE_PREFIX)?)?;
        let valid = !group.is_empty() && !text::scan(group).wildcard && !filter.is_empty();
        valid.then_some(Self { group, filter })
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]
mod tests;
