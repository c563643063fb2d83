//! Topic matching against a plain reference. Input: filter, a 0xff byte (which no topic may
//! hold), name.

use mqttscope::mqtt::topic::{SharedFilter, filter_violations, levels, matches, name_violations};
use mqttscope::mqtt::{ProtocolLevel, Violation};

/// For the mutator.
pub const TOKENS: &[&[u8]] = &[
    b"/",
    b"+",
    b"#",
    b"/+",
    b"/#",
    b"+/",
    b"$",
    b"$SYS/",
    b"$share/",
    b"\xff",
    b"//",
    b"\xc3\xa9",
    b"\0",
];

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut parts = data.splitn(2, |&byte| byte == 0xff);
    let filter = parts.next().unwrap_or_default();
    let name = parts.next().unwrap_or_default();

    let split: Vec<&[u8]> = name.split(|&byte| byte == b'/').collect();
    assert!(levels(name).eq(split.iter().copied()), "levels of {name:?}");

    let found = matches(filter, name);
    let well_formed = |level| {
        let violations = filter_violations(filter, level);
        !violations.contains(Violation::MultiLevelWildcard)
            && !violations.contains(Violation::SingleLevelWildcard)
            && !violations.contains(Violation::EmptyFilter)
    };
    let name_is_valid = !name_violations(name).contains(Violation::WildcardInTopic);
    let form = well_formed(ProtocolLevel::V3_1_1);
    assert_eq!(form, wildcards_in_place(filter), "form of {filter:?}");
    assert_eq!(form, well_formed(ProtocolLevel::V5));
    assert_eq!(name_is_valid, !name.iter().any(|byte| b"+#".contains(byte)));
    if form && name_is_valid {
        assert_eq!(
            found,
            matches_slowly(filter, name),
            "filter {filter:?}, name {name:?}"
        );
    }
    if name_is_valid && !name.is_empty() {
        assert!(matches(name, name), "{name:?} does not match itself");
        let all: &[u8] = b"#";
        assert_eq!(matches(all, name), name[0] != b'$');
    }
    shared(filter);
}

fn shared(filter: &[u8]) {
    let parts: Vec<&[u8]> = filter.splitn(3, |&byte| byte == b'/').collect();
    let expected = match parts[..] {
        [b"$share", group, inner]
            if !group.is_empty()
                && !inner.is_empty()
                && !group.iter().any(|byte| b"+#".contains(byte)) =>
        {
            Some((group, inner))
        }
        _ => None,
    };
    let parsed = SharedFilter::parse(filter).map(|shared| (shared.group, shared.filter));
    assert_eq!(parsed, expected, "{filter:?}");
}

/// `#` only alone in the last level, `+` only alone in its level, and at least one byte.
fn wildcards_in_place(filter: &[u8]) -> bool {
    let parts: Vec<&[u8]> = filter.split(|&byte| byte == b'/').collect();
    let last = parts.len() - 1;
    !filter.is_empty()
        && parts.iter().enumerate().all(|(index, part)| {
            (!part.contains(&b'#') || (*part == b"#" && index == last))
                && (!part.contains(&b'+') || *part == b"+")
        })
}

/// Section 4.7 level by level, by recursion.
fn matches_slowly(filter: &[u8], name: &[u8]) -> bool {
    if filter.is_empty() || name.is_empty() {
        return false;
    }
    if name[0] == b'$' && (filter[0] == b'#' || filter[0] == b'+') {
        return false;
    }
    let filters: Vec<&[u8]> = filter.split(|&byte| byte == b'/').collect();
    let names: Vec<&[u8]> = name.split(|&byte| byte == b'/').collect();
    rest_matches(&filters, &names)
}

fn rest_matches(filters: &[&[u8]], names: &[&[u8]]) -> bool {
    match (filters, names) {
        ([b"#"], _) => true,
        ([b"+", filters @ ..], [_, names @ ..]) => rest_matches(filters, names),
        ([filter, filters @ ..], [name, names @ ..]) => {
            filter == name && rest_matches(filters, names)
        }
        ([], []) => true,
        _ => false,
    }
}
