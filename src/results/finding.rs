//! What is known of a finding beside its row: how bad it is, why it matters and what to do.

/// How much a finding matters, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Against good practice.
    Note,
    /// Likely to cause trouble.
    Warning,
    /// Trouble, or a rule of the specification broken.
    Error,
}

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Note, Self::Warning, Self::Error];

    /// As findings.csv spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The inverse of [`Severity::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.name() == name)
    }
}

/// The documentation of one finding's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindingDoc {
    /// The code, as in findings.csv.
    pub code: &'static str,
    /// `info`, `note`, `warning` or `error`.
    pub severity: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What a person can do about it.
    pub what_to_do: &'static str,
    /// The clause of the specification; empty where it is practice, not rule.
    pub clause: &'static str,
}

/// The documentation of `code`, if the catalogue has it.
#[must_use]
pub fn finding_doc<'d>(catalogue: &'d [FindingDoc], code: &str) -> Option<&'d FindingDoc> {
    catalogue.iter().find(|doc| doc.code == code)
}

/// How bad `code` is by the catalogue. A code that it does not have counts as an error: a
/// threshold must not hold because nobody knew how bad something was.
#[must_use]
pub fn finding_severity(catalogue: &[FindingDoc], code: &str) -> Severity {
    finding_doc(catalogue, code)
        .and_then(|doc| Severity::from_name(doc.severity))
        .unwrap_or(Severity::Error)
}
