//! What a check found.

use serde::Serialize;
use serde_json::Value;

use super::LinkError;

/// Whether an answer is a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// Nothing to think of.
    Ok,
    /// To be known when results are read or compared.
    Note,
    /// Results would be other than people think, unless something is done.
    Warning,
    /// The check came to no answer.
    Unknown,
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Which check it was: stable, for programs.
    pub check: &'static str,
    /// What was asked, in few words.
    pub title: &'static str,
    /// Whether the answer is good.
    pub judgement: Judgement,
    /// The answer in words. May hold text of the broker as it came: escape it before it is shown.
    pub answer: String,
    /// The answer for programs: a number, a word, true or false; null where there is none.
    pub value: Value,
    /// What it means and what to do.
    pub advice: Option<&'static str>,
}

impl Verdict {
    pub(super) fn new(
        check: &'static str,
        title: &'static str,
        judgement: Judgement,
        answer: impl Into<String>,
        value: impl Into<Value>,
    ) -> Self {
        Self {
            check,
            title,
            judgement,
            answer: answer.into(),
            value: value.into(),
            advice: None,
        }
    }

    pub(super) fn advise(mut self, advice: &'static str) -> Self {
        self.advice = Some(advice);
        self
    }

    /// The verdict of a conversation that may have broken off.
    pub(super) fn of(
        check: &'static str,
        title: &'static str,
        result: Result<Self, LinkError>,
    ) -> Self {
        result.unwrap_or_else(|error| {
            let answer = format!("not known: {error}");
            Self::new(check, title, Judgement::Unknown, answer, Value::Null)
        })
    }
}
