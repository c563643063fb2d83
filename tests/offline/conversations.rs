//! What the specification says of sessions and exchanges, as conversations: each file of
//! `tests/conversations/` is sent through the whole pipeline as TCP segments, and everything that
//! the pipeline tells is compared with what the file expects. See `tests/conversations/README.md`.

use crate::conversation::script::Script;
use crate::conversation::{compare, observed, shorthand, wire};
use crate::scripts;

/// `CONVERSATION=name` runs only the scripts whose name contains it.
#[test]
fn every_conversation_is_understood() {
    scripts::all_hold("conversations", "CONVERSATION", |_, script: Script| {
        let steps = shorthand::spelled_out(&script.steps);
        let frames = wire::frames(&steps);
        let seen = observed::analyze(&frames, &wire::connection_names(&steps));
        let difference = compare::difference(&script.expect, &seen);
        (script.about, difference)
    });
}
