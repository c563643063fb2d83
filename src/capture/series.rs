//! Which files are a rotated series, told by their names.
//!
//! Only names that capturing tools give to rotated files count, since `client1.pcap` and
//! `client2.pcap` may well be two taps:
//!
//! - tcpdump `-C`: a number after the whole name: `x.pcap`, `x.pcap1`, `x.pcap2`; with `-W` from
//!   `x.pcap0` on. The part before the number must end in a capture's extension.
//! - tcpdump `-G` with a time in the name, dumpcap and Wireshark (`x_00001_20240102030405.pcapng`,
//!   or time and number the other way round): a time stamp of 14 digits, of 8 and 6 digits with
//!   one character between, of that with separators (`2024-01-02_03-04-05`), or seconds since
//!   1970 (10 digits); and the counter of five digits or more beside it.
//!
//! A packed file's `.gz` or `.zst` is no part of its name here.

use std::path::{Path, PathBuf};

/// What the names of one series have in common, and the place of one name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RotatedName {
    /// Directory and name, with the changing part cut out.
    pub(crate) common: PathBuf,
    /// Orders the names of a series: the counter, or the time stamp and counter.
    pub(crate) place: (u64, u64),
}

/// The series that a name belongs to, if it is one that a rotating tool gives.
pub(crate) fn rotated_name(path: &Path) -> Option<RotatedName> {
    let name = path.file_name()?.to_str()?;
    let name = name
        .strip_suffix(".gz")
        .or_else(|| name.strip_suffix(".zst"))
        .unwrap_or(name);
    let (common, place) = by_time(name).or_else(|| by_number(name))?;
    Some(RotatedName {
        common: path.with_file_name(common),
        place,
    })
}

/// tcpdump `-C`: digits, or none, after an extension.
fn by_number(name: &str) -> Option<(String, (u64, u64))> {
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = name.get(base.len()..)?;
    let extension = Path::new(base).extension()?.to_str()?;
    if !["pcap", "pcapng", "cap", "dmp", "dump"].contains(&extension) {
        return None;
    }
    // The first file of a series has no number, unless `-W` was given.
    let number = if digits.is_empty() {
        0
    } else {
        digits.parse().ok()?
    };
    Some((format!("{base}\0"), (number, 0)))
}

/// A time stamp in the name, with a counter before or after it.
fn by_time(name: &str) -> Option<(String, (u64, u64))> {
    let runs = digit_runs(name);
    let (first, last, stamp) = time_stamp(name, &runs)?;
    let (mut begin, mut end, mut counter) = (runs.get(first)?.0, runs.get(last)?.1, 0);
    let beside = |at: Option<usize>| at.and_then(|at| runs.get(at)).copied();
    let is_counter = |from: usize, to: usize, gap: usize| gap == 1 && to.saturating_sub(from) >= 5;
    if let Some((from, to)) = beside(first.checked_sub(1))
        && is_counter(from, to, begin.saturating_sub(to))
    {
        counter = name.get(from..to)?.parse().ok()?;
        begin = from;
    } else if let Some((from, to)) = beside(last.checked_add(1))
        && is_counter(from, to, from.saturating_sub(end))
    {
        counter = name.get(from..to)?.parse().ok()?;
        end = to;
    }
    let common = format!("{}\0{}", name.get(..begin)?, name.get(end..)?);
    Some((common, (stamp, counter)))
}

/// Begin and end of each run of ASCII digits.
fn digit_runs(name: &str) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (at, byte) in name.bytes().enumerate() {
        if byte.is_ascii_digit() {
            let after = at.saturating_add(1);
            match runs.last_mut() {
                Some(run) if run.1 == at => run.1 = after,
                _ => runs.push((at, after)),
            }
        }
    }
    runs
}

/// The first runs that make a time stamp: index of the first and last run, and its digits as a
/// number.
fn time_stamp(name: &str, runs: &[(usize, usize)]) -> Option<(usize, usize, u64)> {
    const SHAPES: [&[usize]; 5] = [&[14], &[8, 6], &[4, 2, 2, 2, 2, 2], &[4, 2, 2, 6], &[10]];
    for first in 0..runs.len() {
        for shape in SHAPES {
            let last = first.saturating_add(shape.len()).saturating_sub(1);
            let Some(part) = runs.get(first..=last) else {
                continue;
            };
            let lengths = part.iter().map(|(from, to)| to.saturating_sub(*from));
            let mut pairs = part.iter().zip(part.iter().skip(1));
            let joined = pairs.all(|(a, b)| b.0.saturating_sub(a.1) == 1);
            if !joined || !lengths.eq(shape.iter().copied()) {
                continue;
            }
            let digits: String = part.iter().filter_map(|&(a, b)| name.get(a..b)).collect();
            // Years and seconds of this age; a random number of that length is no time.
            let plausible = if shape == [10] {
                digits.starts_with('1') || digits.starts_with('2')
            } else {
                digits.starts_with("19") || digits.starts_with("20")
            };
            if plausible {
                return Some((first, last, digits.parse().ok()?));
            }
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn common(name: &str) -> Option<PathBuf> {
        rotated_name(Path::new(name)).map(|name| name.common)
    }

    #[test]
    fn names_of_rotating_tools_are_series() {
        for names in [
            &["d/x.pcap", "d/x.pcap1", "d/x.pcap22"][..],
            &["x.pcap00", "x.pcap01.gz"],
            &[
                "x_00001_20240102030405.pcapng",
                "x_00002_20240102040405.pcapng",
            ],
            &[
                "x_20240102030405_00001.pcapng",
                "x_20240102040405_00002.pcapng",
            ],
            &["eth0-20240102-030405.pcap", "eth0-20240102-040000.pcap.zst"],
            &["2024-01-02_03-04-05.pcap", "2024-01-02_03-04-06.pcap"],
            &["2024-01-02T030405.pcap", "2024-01-02T030406.pcap"],
            &["t1704164645.cap", "t1704168245.cap"],
        ] {
            let first = common(names[0]);
            assert!(first.is_some(), "{names:?}");
            for name in names {
                assert_eq!(common(name), first, "{name}");
            }
        }
    }

    #[test]
    fn other_names_are_not() {
        for (one, other) in [
            ("client1.pcap", "client2.pcap"),
            ("eth0.pcapng", "eth1.pcapng"),
            ("host1", "host2"),
            ("a/x.pcap", "b/x.pcap1"),
            (
                "x_00001_20240102030405.pcapng",
                "y_00001_20240102030405.pcapng",
            ),
            ("eth0-20240102-030405.pcap", "eth1-20240102-030405.pcap"),
            ("sensor-9876543210.pcap", "sensor-9876543211.pcap"),
        ] {
            let (one, other) = (common(one), common(other));
            assert!(one.is_none() || one != other, "{one:?}");
        }
    }

    #[test]
    fn places_order_a_series() {
        let place = |name: &str| rotated_name(Path::new(name)).unwrap().place;
        assert!(place("x.pcap") < place("x.pcap1"));
        assert!(place("x.pcap2") < place("x.pcap10"));
        assert!(place("x_00002_20240102030405.pcapng") < place("x_00001_20250102030405.pcapng"));
        assert!(place("x_00001_20240102030405.pcapng") < place("x_00002_20240102030405.pcapng"));
    }
}
