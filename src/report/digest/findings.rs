//! findings.csv.

use super::top::Top;
use super::{DigestError, Listing, MOST_ROWS, Table, columns};
use crate::results::Severity;
use std::collections::BTreeMap;

/// Most examples of one code, and most codes.
const MOST_EXAMPLES: usize = 5;
const MOST_CODES: usize = 1_000;

/// Of findings.csv.
#[derive(Debug)]
pub(in crate::report) struct Findings {
    /// By code: how bad, how many, the first ones.
    pub(in crate::report) codes: BTreeMap<String, Code>,
    /// The worst first, of equal ones the first.
    pub(in crate::report) listing: Listing<FindingLine>,
}

/// The findings of one code.
#[derive(Clone, Debug)]
pub(in crate::report) struct Code {
    pub(in crate::report) severity: Severity,
    pub(in crate::report) count: u64,
    pub(in crate::report) examples: Vec<FindingLine>,
}

/// One finding to show.
#[derive(Clone, Debug)]
pub(in crate::report) struct FindingLine {
    pub(in crate::report) severity: Severity,
    pub(in crate::report) code: String,
    pub(in crate::report) connection: String,
    pub(in crate::report) file: String,
    pub(in crate::report) frame: String,
    pub(in crate::report) time_ns: Option<i64>,
    pub(in crate::report) topic: String,
    pub(in crate::report) detail: String,
    pub(in crate::report) filter: String,
    pub(in crate::report) tap: u64,
}

pub(super) fn read(mut table: Table<'_>) -> Result<Findings, DigestError> {
    let [
        severity,
        code,
        connection,
        file,
        frame,
        time,
        topic,
        detail,
        filter,
        tap,
    ] = columns!(
        table; severity, code, connection, file, frame, time_ns, topic, detail,
        wireshark_filter, tap);
    let mut codes: BTreeMap<String, Code> = BTreeMap::new();
    let mut top = Top::new(MOST_ROWS);
    while let Some(row) = table.read()? {
        // A word that is not known is not to be overlooked.
        let bad = Severity::from_name(row.name(severity)).unwrap_or(Severity::Error);
        let line = || FindingLine {
            severity: bad,
            code: row.text(code),
            connection: row.text(connection),
            file: row.text(file),
            frame: row.text(frame),
            time_ns: row.integer(time),
            topic: row.text(topic),
            detail: row.text(detail),
            filter: row.text(filter),
            tap: row.count(tap),
        };
        let name = row.name(code);
        if !codes.contains_key(name) && codes.len() < MOST_CODES {
            let new = Code {
                severity: bad,
                count: 0,
                examples: Vec::new(),
            };
            codes.insert(name.to_owned(), new);
        }
        if let Some(known) = codes.get_mut(name) {
            known.count += 1;
            known.severity = known.severity.max(bad);
            if known.examples.len() < MOST_EXAMPLES {
                known.examples.push(line());
            }
        }
        top.push(bad as i64, line);
    }
    Ok(Findings {
        codes,
        listing: top.finish(),
    })
}
