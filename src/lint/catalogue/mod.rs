//! Every code there is, with what to know of it. `docs/findings.md` is written from it.

mod conversation;
mod own;
mod violations;

use crate::mqtt::{MalformedReason, Violation};
use crate::results::FindingDoc;
use crate::session::SessionViolation;

use conversation::CONVERSATION;
use own::OWN;
pub use own::Own;
use violations::VIOLATIONS;

/// How many codes there are.
pub(super) const COUNT: usize = VIOLATIONS.len() + CONVERSATION.len() + OWN.len();

const FIRST_CONVERSATION: usize = VIOLATIONS.len();
const FIRST_OWN: usize = FIRST_CONVERSATION + CONVERSATION.len();

// A code's number is one byte, and those of topics stand in a set of one word.
const _: () = assert!(COUNT <= 256 && OWN.len() <= 64);
const _: () = assert!(VIOLATIONS.len() == Violation::ALL.len());

/// A code: what is found, as a number into the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(u8);

impl Code {
    /// Every code, in the order of the catalogue.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).take(COUNT).map(Self)
    }

    /// The code of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|code| code.doc().code == name)
    }

    /// What is to be known of it.
    #[must_use]
    #[allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "numbers are made below, and stand for one entry each"
    )]
    pub const fn doc(self) -> &'static FindingDoc {
        let index = self.index();
        if index < FIRST_CONVERSATION {
            &VIOLATIONS[index]
        } else if index < FIRST_OWN {
            &CONVERSATION[index - FIRST_CONVERSATION]
        } else {
            &OWN[index - FIRST_OWN]
        }
    }

    /// What one finding is counted by: `packet`, `topic`, …
    #[must_use]
    pub fn counted_by(self) -> &'static str {
        let own = self.index().checked_sub(FIRST_OWN);
        own.and_then(|index| Own::ALL.get(index))
            .map_or("packet", |own| own.counted_by())
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl From<Own> for Code {
    fn from(own: Own) -> Self {
        Self(FIRST_OWN.saturating_add(own as usize) as u8)
    }
}

impl From<Violation> for Code {
    fn from(violation: Violation) -> Self {
        Self(violation as u8)
    }
}

impl From<SessionViolation> for Code {
    fn from(violation: SessionViolation) -> Self {
        Self(FIRST_CONVERSATION.saturating_add(violation as usize) as u8)
    }
}

impl From<MalformedReason> for Code {
    fn from(reason: MalformedReason) -> Self {
        Self::from(match reason {
            MalformedReason::PastPacket => Own::MalformedPastPacket,
            MalformedReason::PastProperties => Own::MalformedPastProperties,
            MalformedReason::VariableByteInteger => Own::MalformedInteger,
            MalformedReason::UnknownProperty => Own::MalformedProperty,
        })
    }
}

/// What there is to know of every code, in the order of [`Code::all`].
pub fn catalogue() -> impl Iterator<Item = &'static FindingDoc> {
    Code::all().map(Code::doc)
}

/// `docs/findings.md` without its introduction: the catalogue in three parts.
#[must_use]
pub fn markdown() -> String {
    let parts = [
        ("Rules that a packet breaks by itself", VIOLATIONS),
        (
            "Rules that a packet breaks in its conversation",
            CONVERSATION,
        ),
        ("Packets, deliveries, devices, topics and payloads", OWN),
    ];
    let mut page = String::new();
    for (heading, docs) in parts {
        page.push_str(&format!("\n## {heading}\n"));
        for doc in docs {
            let counted_by = Code::named(doc.code).map_or("packet", Code::counted_by);
            page.push_str(&format!(
                "\n### `{}`\n\n{}\n\n- Severity: {}; counted by {counted_by}\n- Why it matters: {}\n\
                 - What to do: {}\n- Specification: {}\n",
                doc.code,
                doc.title,
                doc.severity.name(),
                doc.why,
                doc.what_to_do,
                doc.clause
            ));
        }
    }
    page
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_has_its_own_entry() {
        for violation in Violation::ALL {
            assert_eq!(Code::from(*violation).doc().code, violation.code());
        }
        assert_eq!(CONVERSATION.len(), SessionViolation::ALL.len());
        for violation in SessionViolation::ALL {
            assert_eq!(Code::from(*violation).doc().code, violation.code());
        }
        for (own, doc) in Own::ALL.iter().zip(OWN) {
            assert_eq!(Code::from(*own).doc(), doc);
        }
        for reason in [
            MalformedReason::PastPacket,
            MalformedReason::PastProperties,
            MalformedReason::VariableByteInteger,
            MalformedReason::UnknownProperty,
        ] {
            let code = Code::from(reason).doc().code;
            assert_eq!(code.strip_prefix("malformed-"), Some(reason.code()));
        }
    }

    #[test]
    fn names_are_unique_and_lead_back() {
        let names: BTreeSet<&str> = catalogue().map(|doc| doc.code).collect();
        assert_eq!(names.len(), COUNT);
        for code in Code::all() {
            assert_eq!(Code::named(code.doc().code), Some(code));
        }
        assert_eq!(Code::named("no-such-code"), None);
    }

    #[test]
    fn entries_are_sentences() {
        for doc in catalogue() {
            for text in [doc.title, doc.why, doc.what_to_do] {
                assert!(
                    text.ends_with(['.', '?']) && text.len() < 200,
                    "{}: {text}",
                    doc.code
                );
            }
        }
    }
}
