//! Figures and pages of probes and studies, from directories that are made up.

use std::fs;
use std::path::{Path, PathBuf};

use super::made_up;
use super::{files, os, run, same_as_before};
use crate::tool::mqttscope;

/// A scratch directory with one experiment in it.
struct Made {
    _scratch: tempfile::TempDir,
    path: PathBuf,
}

fn made(make: impl Fn(&Path)) -> Made {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("run");
    make(&path);
    Made {
        _scratch: scratch,
        path,
    }
}

/// The page, with every figure beside it as SVG.
fn reported(directory: &Path) -> (String, Vec<(String, String)>) {
    mqttscope(os(&["report"], &[directory]));
    let all = files(directory).into_iter();
    let figures = all.filter(|(name, _)| name.ends_with(".svg"));
    let figures = figures
        .map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap()))
        .collect();
    let page = fs::read_to_string(directory.join("report.html")).unwrap();
    (page, figures)
}

fn is_well_made(page: &str, figures: &[(String, String)]) {
    for (name, text) in figures
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .chain([("page", page)])
    {
        for broken in ["NaN", "inf ", ">inf", "<script>alert", "\"-inf"] {
            assert!(!text.contains(broken), "{broken} in {name}");
        }
        let unsafe_character = text
            .chars()
            .find(|c| mqttscope::results::is_unsafe(*c) && *c != '\n');
        assert_eq!(unsafe_character, None, "{name}");
    }
    for (name, text) in figures {
        // Ticks, or the words of a drawing, and something that is drawn.
        let labels = text.matches("aria-label=").count();
        assert!(labels >= 5, "{name} has {labels} words");
        let inline = name.trim_start_matches("plots/").trim_end_matches(".svg");
        assert!(
            page.contains(&format!("id=\"figure-{inline}\"")),
            "{name} is not in the page"
        );
    }
    assert_eq!(page.matches("<script").count(), 1);
}

#[test]
fn a_probe_is_told_in_words_and_figures() {
    let made = made(made_up::probe);
    let (page, figures) = reported(&made.path);
    is_well_made(&page, &figures);
    let names: Vec<&str> = figures.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "plots/delay-by-payload.svg",
            "plots/delay-ecdf.svg",
            "plots/delay-percentiles.svg",
            "plots/effects.svg",
            "plots/handshake-legs.svg",
            "plots/loss-by-payload.svg",
            "plots/loss.svg",
            "plots/send-lag.svg",
        ]
    );
    for words in [
        "QoS 0: none of 360 lost (below 0.83 %); median delay ",
        "QoS 2 / QoS 0 2.",
        "3 blocks.",
        "1 of 18 cells is invalid and left out: cell 5 (QoS 2, 16 B): the prober sent late",
        "cell 3: &lt;script&gt;alert(1)&lt;/script&gt;",
    ] {
        assert!(page.contains(words), "{words}");
    }
    same_as_before("probe", &[("report.html", page.as_bytes())]);
    let kept = ["effects", "handshake-legs"].map(|name| format!("plots/{name}.svg"));
    let kept: Vec<(&str, &[u8])> = (figures.iter())
        .filter(|(name, _)| kept.contains(name))
        .map(|(name, text)| (name.as_str(), text.as_bytes()))
        .collect();
    same_as_before("probe", &kept);
}

#[test]
fn a_study_answers_its_question() {
    let made = made(|path| made_up::study(path, &[16, 1_400], 3, 40));
    let (page, figures) = reported(&made.path);
    is_well_made(&page, &figures);
    let names: Vec<&str> = (figures.iter())
        .map(|(name, _)| name.trim_start_matches("plots/").trim_end_matches(".svg"))
        .collect();
    assert_eq!(
        names,
        [
            "combench",
            "correlations",
            "delay-by-payload",
            "delay-ecdf",
            "delay-percentiles",
            "delay-split",
            "effects",
            "handshake-legs",
            "loss-against-delay",
            "loss-by-payload",
            "loss",
            "outage",
            "packet-loss",
            "prober-against-packets",
            "send-lag",
            "testbed",
        ]
    );
    for words in [
        "published values: not available",
        "mechanically coupled",
        "Main matrix: none of 1,440 lost (below 0.21 %); loss does not vary",
        "Packet loss, QoS 0: loss and delay grow together",
        "Outages. Loss: QoS 0: ",
        "undefined: no message was lost in any cell",
        "wireless / wired",
        "nowhere falls with more packet loss",
    ] {
        assert!(page.contains(words), "{words}");
    }
    same_as_before("study", &[("report.html", page.as_bytes())]);
}

/// Each table and each record that a part of the page is made of may be missing.
#[test]
fn a_study_does_without_what_it_does_not_have() {
    let made = made(|path| made_up::study(path, &[16, 1_400], 3, 40));
    let cells = fs::read_to_string(made.path.join("cells.csv")).unwrap();
    let kept = |keep: &dyn Fn(&str) -> bool| -> String {
        let mut lines = cells.lines();
        let header = lines.next().unwrap();
        let kept: Vec<&str> = std::iter::once(header)
            .chain(lines.filter(|l| keep(l)))
            .collect();
        kept.join("\n")
    };
    for table in ["samples.csv", "effects.csv", "correlations.csv"] {
        fs::remove_file(made.path.join(table)).unwrap();
    }
    let without_links = fs::read_to_string(made.path.join("manifest.json")).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(&without_links).unwrap();
    manifest["links"] = serde_json::json!([]);
    fs::write(made.path.join("manifest.json"), manifest.to_string()).unwrap();
    for (name, text) in [
        ("main", kept(&|line| line.contains(",main,"))),
        ("outage", kept(&|line| line.contains(",outage,"))),
        ("combench", kept(&|line| line.contains(",combench,"))),
        ("one cell", kept(&|line| line.starts_with("7,"))),
        ("none", kept(&|_| false)),
    ] {
        fs::write(made.path.join("cells.csv"), text).unwrap();
        let (page, figures) = reported(&made.path);
        is_well_made(&page, &figures);
        assert!(page.contains("Not enough data"), "{name}");
    }
}

#[test]
fn what_is_missing_is_said_and_not_drawn() {
    let made = made(made_up::probe);
    for table in ["samples.csv", "effects.csv"] {
        fs::remove_file(made.path.join(table)).unwrap();
    }
    let (page, figures) = reported(&made.path);
    is_well_made(&page, &figures);
    assert!(page.contains("Not enough data") && page.contains("is not in this directory"));
    // A header alone.
    let cells = fs::read_to_string(made.path.join("cells.csv")).unwrap();
    let header = cells.lines().next().unwrap();
    fs::write(made.path.join("cells.csv"), format!("{header}\n")).unwrap();
    let (page, figures) = reported(&made.path);
    assert!(page.contains("Nothing was measured"), "{page}");
    assert!(figures.is_empty(), "earlier figures are gone");
    // Not one valid cell.
    made_up::probe(&made.path);
    let all_invalid: Vec<String> = cells
        .lines()
        .enumerate()
        .map(|(index, line)| match index {
            0 => line.to_owned(),
            _ => line.replace(",0,1,", ",0,0,"),
        })
        .collect();
    fs::write(made.path.join("cells.csv"), all_invalid.join("\n")).unwrap();
    let (page, figures) = reported(&made.path);
    is_well_made(&page, &figures);
    assert!(page.contains("QoS 1: not one valid cell."), "{page}");
}

#[test]
fn what_is_no_experiment_is_refused_in_one_line() {
    let made = made(made_up::probe);
    let said = |arguments: Vec<&std::ffi::OsStr>| {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let compare = said(os(&["report", "--compare"], &[&made.path, &made.path]));
    assert!(
        compare.contains("--compare is for directories of analyze"),
        "{compare}"
    );
    let cells = made.path.join("cells.csv");
    let text = fs::read_to_string(&cells).unwrap();
    fs::write(&cells, text.replacen("\n1,", "\nnone,", 1)).unwrap();
    let broken = said(os(&["report"], &[&made.path]));
    assert!(broken.contains("cells.csv: row 1: column cell"), "{broken}");
    fs::remove_file(&cells).unwrap();
    let missing = said(os(&["report"], &[&made.path]));
    assert!(missing.contains("cells.csv is missing"), "{missing}");
    fs::write(
        made.path.join("manifest.json"),
        "{\"schema\": \"\\u001b[2Jother/1\"}",
    )
    .unwrap();
    let other = said(os(&["report"], &[&made.path]));
    assert!(other.contains(r"\x1b[2Jother/1"), "{other}");
}
