use proptest::prelude::*;

use super::*;

/// Examples of section 4.7.1 to 4.7.3 and of 4.8.2, and empty levels.
#[test]
fn matching_table() {
    for (filter, name, expected) in [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        (
            "sport/tennis/player1/#",
            "sport/tennis/player1/ranking",
            true,
        ),
        (
            "sport/tennis/player1/#",
            "sport/tennis/player1/score/wimbledon",
            true,
        ),
        ("sport/#", "sport", true),
        ("sport/#", "sports", false),
        ("sport/#", "sport/", true),
        ("#", "sport", true),
        ("#", "/", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+", "sport", true),
        ("+", "/finance", false),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+/tennis/#", "sport/tennis", true),
        ("sport/+/player1", "sport/tennis/player1", true),
        ("#", "$SYS/monitor/Clients", false),
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("$SYS/#", "$SYS/monitor/Clients", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        ("Zuhause//Temperatur", "Zuhause//Temperatur", true),
        ("Zuhause//Temperatur", "Zuhause/Temperatur", false),
        ("Zuhause/+/Temperatur", "Zuhause//Temperatur", true),
        ("Zuhause/#", "Zuhause//", true),
        ("ACCOUNTS", "Accounts", false),
        ("finance", "/finance", false),
        ("a/b", "a/b/", false),
        ("a/b/", "a/b", false),
        // Not valid, so their wildcards match nothing.
        ("#/a", "b/a", false),
        ("#/a", "#/a", false),
        ("a+", "ab", false),
        ("", "", false),
        ("#", "", false),
    ] {
        assert_eq!(
            matches(filter.as_bytes(), name.as_bytes()),
            expected,
            "{filter} {name}"
        );
    }
}

#[test]
fn filter_rules() {
    use Violation as V;
    let broken = |filter: &str, level| {
        filter_violations(filter.as_bytes(), level)
            .iter()
            .collect::<Vec<_>>()
    };
    let v3 = |filter| broken(filter, ProtocolLevel::V3_1_1);
    let v5 = |filter| broken(filter, ProtocolLevel::V5);
    for valid in [
        "#",
        "+",
        "/",
        "//",
        "a b",
        "sport/tennis/#",
        "+/tennis/#",
        "sport/+/player1",
        "/+",
        "$SYS/#",
    ] {
        assert_eq!(v3(valid), [], "{valid}");
        assert_eq!(v5(valid), [], "{valid}");
    }
    // [MQTT-4.7.3-1] "All Topic Names and Topic Filters MUST be at least one character long."
    assert_eq!(v3(""), [V::EmptyFilter]);
    // 4.7.1.2: ""sport/tennis#" is not valid", ""sport/tennis/#/ranking" is not valid".
    for filter in [
        "sport/tennis#",
        "sport/tennis/#/ranking",
        "#/a",
        "a/b#",
        "##",
        "#a",
        "#/#",
    ] {
        assert_eq!(v3(filter), [V::MultiLevelWildcard], "{filter}");
    }
    // 4.7.1.3: ""sport+" is not valid".
    for filter in ["sport+", "+a/b", "a/++", "a/b+/c"] {
        assert_eq!(v3(filter), [V::SingleLevelWildcard], "{filter}");
    }
    assert_eq!(v3("a/+#"), [V::MultiLevelWildcard, V::SingleLevelWildcard]);
    // [MQTT-4.8.2-1], [MQTT-4.8.2-2]: in MQTT 5 only.
    for filter in ["$share/", "$share//a", "$share/group", "$share/group/"] {
        assert_eq!(v5(filter), [V::SharedFilterForm], "{filter}");
        assert_eq!(v3(filter), [], "{filter}");
    }
    assert!(v5("$share/gr+p/a").contains(&V::SharedFilterForm));
    for filter in [
        "$share/group/a",
        "$share/group//",
        "$share/group/#",
        "$share",
        "$shared/x",
    ] {
        assert_eq!(v5(filter), [], "{filter}");
    }
    // [MQTT-4.7.3-3] "they MUST NOT encode to more than 65,535 bytes".
    assert_eq!(v3(&"a".repeat(65_536)), [V::NameTooLong]);
}

#[test]
fn name_rules() {
    use Violation as V;
    let broken = |name: &[u8]| name_violations(name).iter().collect::<Vec<_>>();
    assert_eq!(broken(b"Zuhause//Temperatur"), []);
    assert_eq!(broken("Küche/Wärme".as_bytes()), []);
    assert_eq!(broken(b""), [V::EmptyTopic]);
    assert_eq!(broken(b"a/+/c"), [V::WildcardInTopic]);
    assert_eq!(broken(b"a#"), [V::WildcardInTopic]);
    assert_eq!(broken(b"a\0b"), [V::NullCharacter]);
    assert_eq!(broken(b"a\xff\0"), [V::InvalidUtf8, V::NullCharacter]);
    assert_eq!(broken(&[b'a'; 65_536]), [V::NameTooLong]);
}

#[test]
fn shared_filter_parts() {
    let shared = SharedFilter::parse(b"$share/consumer1/sport/tennis/+").unwrap();
    assert_eq!(shared.group, b"consumer1");
    assert_eq!(shared.filter, b"sport/tennis/+");
    assert_eq!(SharedFilter::parse(b"sport/tennis/+"), None);
}

#[test]
fn empty_levels_are_levels() {
    let split = |name: &'static [u8]| levels(name).collect::<Vec<_>>();
    assert_eq!(split(b"/a//b/"), [&b""[..], b"a", b"", b"b", b""]);
    assert_eq!(split(b""), [b""]);
}

/// 65,535 levels in filter and name, the longest that two bytes of length allow. Quadratic work
/// would take billions of steps.
#[test]
fn many_levels_are_linear() {
    let name = vec![b'/'; 65_535];
    let plus = b"+/".repeat(32_767);
    for _ in 0..200 {
        assert!(matches(&name, &name));
        assert!(!matches(&plus, &name));
        assert!(filter_violations(&plus, ProtocolLevel::V5).is_empty());
    }
    assert_eq!(levels(&name).count(), 65_536);
}

/// The specification read literally, without care for speed.
fn slow_match(filter: &[&str], name: &[&str]) -> bool {
    match (filter, name) {
        (["#"], _) => true,
        ([], []) => true,
        ([wanted, filter @ ..], [level, name @ ..]) => {
            (*wanted == "+" || (wanted == level && *wanted != "#")) && slow_match(filter, name)
        }
        _ => false,
    }
}

fn level() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), Just("a"), Just("b"), Just("$SYS"), Just("ab")]
}

fn filter_level() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => level(), 2 => Just("+"), 1 => Just("#")]
}

proptest! {
    #[test]
    fn agrees_with_the_literal_reading(
        filter in prop::collection::vec(filter_level(), 1..6),
        name in prop::collection::vec(level(), 1..6),
    ) {
        let (filter_text, name_text) = (filter.join("/"), name.join("/"));
        prop_assume!(!filter_text.is_empty() && !name_text.is_empty());
        let dollar = name_text.starts_with('$') && filter_text.starts_with(['+', '#']);
        let expected = !dollar && slow_match(&filter, &name);
        prop_assert_eq!(matches(filter_text.as_bytes(), name_text.as_bytes()), expected);
    }

    /// The eight-bytes-at-a-time scan against one character at a time.
    #[test]
    fn scan_agrees_with_characters(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "[a-z+#/]{0,40}".prop_map(String::into_bytes),
        "\\PC{0,12}[\u{0}-\u{9f}]{0,2}[a-z]{0,9}[\u{fdd0}\u{ffff}+]?".prop_map(String::into_bytes),
    ]) {
        let mut expected = Violations::NONE;
        match String::from_utf8(bytes.clone()) {
            Err(_) => {
                expected.insert(Violation::InvalidUtf8);
                expected.insert_if(bytes.contains(&0), Violation::NullCharacter);
            }
            Ok(text) => for c in text.chars() {
                let code = u32::from(c);
                expected.insert_if(code == 0, Violation::NullCharacter);
                expected.insert_if(
                    (1..=0x1f).contains(&code)
                        || (0x7f..=0x9f).contains(&code)
                        || (0xfdd0..=0xfdef).contains(&code)
                        || code % 0x1_0000 >= 0xfffe,
                    Violation::DiscouragedCharacter,
                );
            },
        }
        let scan = text::scan(&bytes);
        prop_assert_eq!(scan.violations, expected);
        prop_assert_eq!(scan.wildcard, bytes.iter().any(|byte| b"+#".contains(byte)));
    }
}
