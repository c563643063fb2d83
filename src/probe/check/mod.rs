//! What broker is it, and would it fake results? A table of verdicts.
//!
//! Each check is a short conversation on connections of its own, below a topic of its own. What
//! it finds is a [`Verdict`]: an answer, whether it is good, and what to do about it. A check that
//! comes to no answer says so, and the others go on.

mod answers;
mod caller;
mod limits;
mod loss;
mod messages;
mod timing;
mod verdict;

use super::error::LinkError;
use super::target::{Connector, Dialect};

pub use verdict::{Judgement, Verdict};

/// Where and how to ask.
#[derive(Clone, Copy)]
pub struct Site<'s> {
    /// Makes the connections.
    pub connector: &'s dyn Connector,
    /// TLS, user, time-out; its level is the first that is tried.
    pub dialect: &'s Dialect,
    /// What the topics begin with.
    pub topic_prefix: &'s str,
    /// Makes names of clients and topics unlike those of other runs.
    pub run: u32,
}

impl Site<'_> {
    /// What every topic of the checks begins with.
    #[must_use]
    pub fn topic_root(&self) -> String {
        format!("{}/check-{:08x}", self.topic_prefix, self.run)
    }

    fn topic(&self, name: &str) -> String {
        format!("{}/{name}", self.topic_root())
    }
}

/// What takes half a second and everybody has to know who reads a run's numbers: the broker's
/// version, what a subscription is granted, and with QoS 2 when its messages go on.
#[must_use]
pub fn quick(site: &Site<'_>, with_qos2: bool) -> Vec<Verdict> {
    let mut verdicts = vec![messages::granted_qos(site)];
    // Who does not answer that is not waited for any longer.
    if verdicts[0].judgement == Judgement::Unknown {
        return verdicts;
    }
    verdicts.extend(messages::broker(site));
    if with_qos2 {
        verdicts.push(messages::qos2_forwarding(site));
    }
    verdicts
}

/// Asks everything, and tells each verdict as it is found.
///
/// # Errors
///
/// The broker cannot be reached, or lets nobody in at any level.
pub fn check(site: &Site<'_>, mut tell: impl FnMut(&Verdict)) -> Result<Vec<Verdict>, LinkError> {
    let mut verdicts = Vec::new();
    let mut add = |new: Vec<Verdict>| {
        new.iter().for_each(&mut tell);
        verdicts.extend(new);
    };
    let (dialect, levels) = answers::levels(site)?;
    let site = &Site {
        dialect: &dialect,
        ..*site
    };
    add(messages::broker(site));
    add(levels);
    add(limits::limits(site));
    add(vec![
        messages::granted_qos(site),
        messages::retained(site),
        messages::wildcards(site),
        messages::shared(site),
        messages::qos2_forwarding(site),
    ]);
    add(vec![timing::nagle(site)]);
    add(vec![loss::wide_window(site)]);
    Ok(verdicts)
}
