//! What the documents say is what the program does: the examples of the README, the options and
//! the columns of the reference.

use std::path::Path;
use std::process::Command;

use mqttscope::results::{
    ConnectionRow, DeliveryRow, ExchangeRow, FindingRow, MessageRow, PacketRow, Row, SessionRow,
    SubscriptionRow, TopicRow,
};

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs what a line of an example says, without a shell: `mqttscope …`, perhaps `| head -N`.
fn printed(line: &str) -> Vec<String> {
    let (line, head) = match line.split_once(" | head -") {
        Some((line, count)) => (line, count.parse().unwrap()),
        None => (line, usize::MAX),
    };
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some("mqttscope"), "{line}");
    let output = Command::new(env!("CARGO_BIN_EXE_mqttscope"))
        .args(words)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().take(head).map(str::to_owned).collect()
}

/// A `…` on a line by itself stands for lines that are left out, there and at the end.
fn assert_shows(command: &str, shown: &[&str], printed: &[String]) {
    let mut rest = printed;
    for (number, part) in shown.split(|line| *line == "…").enumerate() {
        let at = match part {
            [] => continue,
            [first, ..] if number > 0 => rest.iter().position(|line| line == first),
            _ => Some(0),
        };
        let found = at.and_then(|at| rest.get(at..at + part.len()));
        let found = found.unwrap_or_else(|| panic!("{command}: {part:#?} in {rest:#?}"));
        assert_eq!(found, part, "{command}");
        rest = &rest[at.unwrap_or(0) + part.len()..];
    }
    let whole = !shown.contains(&"…");
    assert!(!whole || rest.is_empty(), "{command}: {rest:#?}");
}

#[test]
fn the_examples_of_the_readme_are_what_is_printed() {
    let readme = document("README.md");
    let mut examples = 0;
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let (command, shown) = block.split_once('\n').unwrap();
        let command = command.strip_prefix("$ ").unwrap();
        let shown: Vec<&str> = shown.lines().collect();
        assert_shows(command, &shown, &printed(command));
        examples += 1;
    }
    assert!(examples >= 2, "the README has examples");
}

#[test]
fn the_reference_has_every_option() {
    let reference = document("docs/reference.md");
    let help = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_mqttscope"))
            .args(arguments)
            .arg("--help")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let overview = help(&[]);
    let commands = overview.split("Commands:\n").nth(1).unwrap();
    let commands = commands
        .lines()
        .map_while(|line| line.strip_prefix("  "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help");
    for command in commands {
        assert!(
            reference.contains(&format!("mqttscope {command}")),
            "{command}"
        );
        for line in help(&[command]).lines() {
            // `  -x, --long <VALUE>` or `      --long`.
            let line = line.trim_start();
            let long = match line.split_once(", --") {
                Some((short, long)) if short.len() == 2 => long,
                _ => match line.strip_prefix("--") {
                    Some(long) => long,
                    None => continue,
                },
            };
            let name = long.split([' ', '=']).next().unwrap();
            let known = name == "help" || reference.contains(&format!("--{name}"));
            assert!(known, "{command} --{name} is not in docs/reference.md");
        }
    }
}

#[test]
fn the_reference_has_every_column() {
    let reference = document("docs/reference.md");
    for columns in [
        PacketRow::COLUMNS,
        ConnectionRow::COLUMNS,
        SessionRow::COLUMNS,
        MessageRow::COLUMNS,
        ExchangeRow::COLUMNS,
        DeliveryRow::COLUMNS,
        SubscriptionRow::COLUMNS,
        FindingRow::COLUMNS,
        TopicRow::COLUMNS,
    ] {
        for column in columns {
            assert!(reference.contains(&format!("`{column}`")), "{column}");
        }
    }
}
