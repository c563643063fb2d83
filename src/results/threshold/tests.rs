use super::*;
use crate::results::{MessageLoss, finding_severity};

const CATALOGUE: [FindingDoc; 2] = [
    FindingDoc {
        code: "late_delivery",
        severity: Severity::Warning,
        title: "",
        why: "",
        what_to_do: "",
        clause: "",
    },
    FindingDoc {
        code: "leading_slash",
        severity: Severity::Note,
        title: "",
        why: "",
        what_to_do: "",
        clause: "",
    },
];

fn severity(code: &str) -> Severity {
    finding_severity(&CATALOGUE, code)
}

fn summary() -> Summary {
    let mut summary = Summary::default();
    summary.delays.insert(
        "delivery_qos1".to_owned(),
        DelaySummary {
            count: 310,
            max_ns: Some(61_000_000),
            p90_ns: Some(50_000_000),
            ..DelaySummary::default()
        },
    );
    summary.loss.message = Some(MessageLoss {
        all: Proportion::new(1, 1_000),
        qos0: None,
        qos1: Some(Proportion::new(1, 1_000)),
        qos2: Some(Proportion::new(0, 0)),
    });
    summary.findings.insert("leading_slash".to_owned(), 3);
    summary
}

fn broken(expression: &str) -> Option<String> {
    Threshold::parse(expression, &CATALOGUE)
        .expect("an expression")
        .broken(&summary(), &severity)
}

#[test]
fn what_holds_says_nothing() {
    for expression in [
        "delivery_qos1.p90>50ms",
        "delivery_qos1.max > 61 ms",
        "delivery_qos1.max>=0.0611s",
        "delivery_qos1.max<50ms",
        "loss.qos1>0.1%",
        "loss.message>0.001",
        "finding>=warning",
        "finding=late_delivery",
    ] {
        assert_eq!(broken(expression), None, "{expression}");
    }
}

#[test]
fn what_is_broken_says_the_value_and_n() {
    for (expression, said) in [
        (
            "delivery_qos1.p90>=50ms",
            "delivery_qos1.p90>=50ms: it is 50.0 ms (50000000 ns; n = 310)",
        ),
        (
            "delivery_qos1.max>60999us",
            "delivery_qos1.max>60999us: it is 61.0 ms (61000000 ns; n = 310)",
        ),
        (
            "delivery_qos1.max<100000000ns",
            "delivery_qos1.max<100000000ns: it is 61.0 ms (61000000 ns; n = 310)",
        ),
        (
            "loss.qos1>=0.1%",
            "loss.qos1>=0.1%: it is 0.10 % (1 of n = 1000)",
        ),
        (
            "finding>=note",
            "finding>=note: 3 found, of severity note or worse: 3 leading_slash",
        ),
        (
            "finding=leading_slash",
            "finding=leading_slash: leading_slash was found 3 times",
        ),
    ] {
        assert_eq!(broken(expression).as_deref(), Some(said));
    }
}

#[test]
fn what_does_not_exist_breaks_it() {
    for (expression, said) in [
        ("delivery_qos1.p99<1h", None),
        (
            "delivery_qos1.p99>50ms",
            Some(
                "delivery_qos1.p99>50ms: delivery_qos1 has no p99: fewer than ten of the \
                 observations are beyond it (n = 310)",
            ),
        ),
        (
            "puback.to_broker.max>1s",
            Some("puback.to_broker.max>1s: there is no puback.to_broker to measure (n = 0)"),
        ),
        (
            "loss.qos2>0",
            Some("loss.qos2>0: there is nothing that loss.qos2 is a share of (n = 0)"),
        ),
        (
            "loss.segment>0",
            Some("loss.segment>0: there is nothing that loss.segment is a share of (n = 0)"),
        ),
    ] {
        match said {
            // Hours are no unit here.
            None => assert!(Threshold::parse(expression, &CATALOGUE).is_err()),
            Some(said) => assert_eq!(broken(expression).as_deref(), Some(said)),
        }
    }
}

#[test]
fn an_unknown_code_counts_as_an_error() {
    let mut summary = Summary::default();
    summary.findings.insert("from_the_future".to_owned(), 1);
    let threshold = Threshold::parse("finding>=error", &CATALOGUE).expect("an expression");
    assert!(threshold.broken(&summary, &severity).is_some());
}

#[test]
fn what_is_wrong_is_said_with_the_names_that_are_known() {
    for (expression, word) in [
        ("", "comparison"),
        ("delivery_qos1.p99", "comparison"),
        ("delivery_qos3.p99>1ms", "delivery_qos2"),
        ("delivery_qos1.p98>1ms", "p999"),
        ("delivery_qos1.p99=1ms", ">="),
        ("delivery_qos1.p99>50", "unit"),
        ("delivery_qos1.p99>>50ms", ">>"),
        ("delivery_qos1.p99>xms", "duration"),
        ("loss.qos3>1%", "exchange"),
        ("loss.qos1>%", "share"),
        ("loss.qos1>1ms", "share"),
        ("loss>1%", "loss.KIND"),
        ("finding>warning", "finding>=SEVERITY"),
        ("finding>=grave", "warning"),
        ("finding=leading_slush", "leading_slash"),
        ("finding=nothing", "findings.md"),
    ] {
        let error = Threshold::parse(expression, &CATALOGUE).expect_err(expression);
        assert!(error.to_string().contains(word), "{error}");
    }
}
