//! What goes to standard error, and whether there are colours.

use std::io::{self, IsTerminal, Write};

use crate::results::escape;

use super::args::ColorChoice;

/// One line on standard error. Text from captures and file names is escaped, so that it cannot
/// talk to the terminal.
pub(super) fn complain(kind: &str, text: &str) {
    let line = format!(
        "mqttscope: {kind}: {}\n",
        escape(text.as_bytes()).replace("\\\\", "\\")
    );
    // Nobody is left to tell if this fails.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Whether standard output gets colours.
pub(super) fn colors(choice: ColorChoice) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        }
    }
}
