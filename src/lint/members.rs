//! How many different clients there are: exactly while they are few, then by a sketch.

/// So many are counted exactly.
const FEW: usize = 64;
/// Registers of the sketch: a standard error of 1.04/√1024 = 3.3 %.
const REGISTERS: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 10;

/// Different clients, given as hashes.
#[derive(Debug, Default)]
pub(super) struct Members {
    set: Set,
}

#[derive(Debug)]
enum Set {
    /// Without memory of its own.
    One(u64),
    Few(Vec<u64>),
    /// HyperLogLog (Flajolet et al. 2007): per register the longest run of zeros.
    Many(Box<[u8; REGISTERS]>),
    /// No room is left for more, so this is the least there are. Boxed, since it is rare, and all
    /// of it then takes no more than a vector.
    #[expect(clippy::box_collection)]
    Full(Box<Vec<u64>>),
}

impl Default for Set {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Members {
    /// Adds one; tells whether it is certainly new. `room` is how many bytes may still be
    /// allocated by all sets together.
    #[inline]
    pub(super) fn insert(&mut self, member: u64, room: &mut usize) -> bool {
        match &mut self.set {
            Set::One(known) => {
                let known = *known;
                known != member && self.add_second([known, member], room)
            }
            Set::Few(known) if known.is_empty() => {
                self.set = Set::One(member);
                true
            }
            Set::Few(known) if known.contains(&member) => false,
            Set::Few(known) if known.len() < FEW => {
                let before = known.capacity();
                if before == known.len() {
                    let Some(left) = room.checked_sub(before.saturating_mul(8)) else {
                        self.set = Set::Full(Box::new(std::mem::take(known)));
                        return false;
                    };
                    *room = left;
                    known.reserve_exact(before);
                }
                known.push(member);
                true
            }
            Set::Few(known) => {
                let Some(left) = room.checked_sub(REGISTERS) else {
                    self.set = Set::Full(Box::new(std::mem::take(known)));
                    return false;
                };
                *room = left;
                let mut registers = Box::new([0; REGISTERS]);
                for &known in known.iter().chain([&member]) {
                    note(&mut registers, known);
                }
                self.set = Set::Many(registers);
                true
            }
            Set::Many(registers) => {
                note(registers, member);
                false
            }
            Set::Full(_) => false,
        }
    }

    #[cold]
    fn add_second(&mut self, both: [u64; 2], room: &mut usize) -> bool {
        // What a vector takes at least.
        let Some(left) = room.checked_sub(size_of::<[u64; 4]>()) else {
            let [known, _] = both;
            self.set = Set::Full(Box::new(vec![known]));
            return false;
        };
        *room = left;
        let mut known = Vec::with_capacity(4);
        known.extend(both);
        self.set = Set::Few(known);
        true
    }

    /// How many, exactly up to 64, else estimated.
    pub(super) fn count(&self) -> u64 {
        match &self.set {
            Set::One(_) => 1,
            Set::Few(known) => known.len() as u64,
            Set::Full(known) => known.len() as u64,
            Set::Many(registers) => estimate(registers).max(FEW as u64),
        }
    }

    /// None was added.
    pub(super) const fn is_empty(&self) -> bool {
        matches!(&self.set, Set::Few(known) if known.is_empty())
    }

    /// More may have been there than are counted.
    pub(super) const fn is_full(&self) -> bool {
        matches!(self.set, Set::Full(_))
    }
}

fn note(registers: &mut [u8; REGISTERS], member: u64) {
    // The finalizer of MurmurHash3: every bit of the input reaches every bit.
    let mut hash = member ^ (member >> 33);
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    let index = (hash >> (64 - INDEX_BITS)) as usize;
    let run = (hash << INDEX_BITS).leading_zeros().min(64 - INDEX_BITS) as u8;
    if let Some(register) = registers.get_mut(index) {
        *register = (*register).max(run.saturating_add(1));
    }
}

fn estimate(registers: &[u8; REGISTERS]) -> u64 {
    let m = REGISTERS as f64;
    let sum: f64 = registers.iter().map(|&run| (-f64::from(run)).exp2()).sum();
    let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
    let empty = registers.iter().filter(|&&run| run == 0).count();
    // Small numbers are told better by how many registers are empty.
    let estimate = if raw <= 2.5 * m && empty > 0 {
        m * (m / empty as f64).ln()
    } else {
        raw
    };
    estimate.round() as u64
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;

    #[test]
    fn few_are_counted_exactly_and_many_nearly() {
        let mut members = Members::default();
        let mut room = 1 << 20;
        for count in 1..=20_000_u64 {
            let is_new = members.insert(count.wrapping_mul(0x9e37_79b9_7f4a_7c15), &mut room);
            assert_eq!(is_new, count <= FEW as u64 + 1);
            assert!(!members.insert(count.wrapping_mul(0x9e37_79b9_7f4a_7c15), &mut room));
            let counted = members.count();
            if count <= FEW as u64 {
                assert_eq!(counted, count);
            } else {
                let error = counted.abs_diff(count) as f64 / count as f64;
                assert!(error < 0.12, "{counted} for {count}");
            }
        }
        assert!(room > (1 << 20) - 4096);
    }

    #[test]
    fn without_room_the_count_stays_a_lower_bound() {
        let mut members = Members::default();
        let mut room = 16;
        assert!(members.insert(1, &mut room));
        assert!(!members.insert(2, &mut room));
        assert!(!members.insert(3, &mut room));
        assert_eq!((members.count(), members.is_full()), (1, true));
    }
}
