//! What is found, for who reads of it.

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Allowed, and not what experience advises.
    Note,
    /// Something works badly, or soon may.
    Warning,
    /// A rule is broken, or data is lost.
    Error,
}

impl Severity {
    /// Every one, the lightest first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Note, Self::Warning, Self::Error];

    /// As the tables spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What there is to know of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindingDoc {
    /// The code, in kebab case.
    pub code: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// What was found, in a sentence.
    pub title: &'static str,
    /// Why it matters, in a sentence.
    pub why: &'static str,
    /// What to do, in a sentence.
    pub what_to_do: &'static str,
    /// The statement (`MQTT-…`) or section of the specification, of MQTT 5 first.
    pub clause: &'static str,
}
