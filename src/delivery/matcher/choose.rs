//! Which of several equal messages a packet is.

use crate::time::TimeDelta;

use super::super::queue::{Cursor, Queue};
use super::super::slab::NONE;
use super::{Deliveries, Fit, Found, LOOK_AHEAD};

/// The first of several equal messages that a packet can be, by order and time.
pub(super) fn choose(
    queue: &mut Queue,
    party: u32,
    usual: Option<TimeDelta>,
    fit: impl Fn(u32) -> Fit,
    age: impl Fn(u32) -> TimeDelta,
) -> Option<Found> {
    let mut cursor = queue.cursors.remove(&party).unwrap_or_default();
    let found = choose_from(queue, &mut cursor, usual, fit, age);
    queue.cursors.insert(party, cursor);
    found
}

fn choose_from(
    queue: &Queue,
    cursor: &mut Cursor,
    usual: Option<TimeDelta>,
    fit: impl Fn(u32) -> Fit,
    age: impl Fn(u32) -> TimeDelta,
) -> Option<Found> {
    let next_expected = |from: u64| {
        let mut position = from;
        for _ in 0..LOOK_AHEAD {
            let (here, place) = queue.at_or_after(position)?;
            if let Fit::Expected(party) = fit(place) {
                return Some((here, place, party));
            }
            position = here.saturating_add(1);
        }
        None
    };
    let (mut chosen, mut unexpected, mut other) = (None, None, None);
    let mut position = cursor.next;
    for _ in 0..LOOK_AHEAD {
        let Some((here, place)) = queue.at_or_after(position) else {
            break;
        };
        position = here.saturating_add(1);
        match fit(place) {
            Fit::Expected(party) => {
                chosen = Some((here, place, party));
                break;
            }
            Fit::Unexpected => {
                unexpected.get_or_insert((here, place));
            }
            Fit::No if unexpected.is_none() && other.is_none() => cursor.next = position,
            Fit::No => {}
            // Payloads that were cut may be equal in all but what is seen of them.
            Fit::Other => {
                other.get_or_insert(here);
            }
        }
    }
    if let Some((mut here, mut place, mut party)) = chosen {
        while let Some(later) = next_expected(here.saturating_add(1)) {
            if !is_stale(age(place), age(later.1), usual) {
                break;
            }
            cursor.skip(here);
            (here, place, party) = later;
        }
        let (mut candidates, mut last) = (1_u8, here);
        while candidates < Deliveries::MOST_CANDIDATES
            && let Some((after, ..)) = next_expected(last.saturating_add(1))
        {
            candidates = candidates.saturating_add(1);
            last = after;
        }
        cursor.next = other.map_or(here, |other| here.min(other));
        return Some(Found {
            place,
            party,
            candidates,
        });
    }
    // One that was passed over comes after all.
    while let Some(position) = cursor.skipped.pop_front() {
        let place = queue.at(position);
        if let Some((place, Fit::Expected(party))) = place.map(|place| (place, fit(place))) {
            return Some(Found {
                place,
                party,
                candidates: 1,
            });
        }
    }
    let (_, place) = unexpected?;
    Some(Found {
        place,
        party: NONE,
        candidates: 1,
    })
}

/// Whether the older of two equal messages was most likely lost, and a packet is the younger: the
/// older one would have taken far longer than usual, and the younger one would not.
fn is_stale(older: TimeDelta, younger: TimeDelta, usual: Option<TimeDelta>) -> bool {
    const FAR: i64 = 10;
    const FLOOR: i64 = 100_000;
    let (older, younger) = (older.as_nanos(), younger.as_nanos());
    if younger < 0 {
        return false;
    }
    match usual {
        Some(usual) => {
            let far = usual.as_nanos().max(FLOOR).saturating_mul(FAR);
            older > far && younger <= far
        }
        // Nothing is known yet: they were published much further apart than it takes.
        None => older.saturating_sub(younger) > younger.max(FLOOR).saturating_mul(FAR),
    }
}
