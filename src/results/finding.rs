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

    /// The inverse of [`Severity::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.name() == name)
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

/// The documentation of `code`, if the catalogue has it.
#[must_use]
pub fn finding_doc<'d>(catalogue: &'d [FindingDoc], code: &str) -> Option<&'d FindingDoc> {
    catalogue.iter().find(|doc| doc.code == code)
}

/// How bad `code` is by the catalogue. A code that it does not have counts as an error: a
/// threshold must not hold because nobody knew how bad something was.
#[must_use]
pub fn finding_severity(catalogue: &[FindingDoc], code: &str) -> Severity {
    finding_doc(catalogue, code).map_or(Severity::Error, |doc| doc.severity)
}
