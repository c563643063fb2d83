//! Every link of a plan is measured before it is used.

use std::collections::BTreeMap;

use serde_json::Value;

use super::bed::Bed;
use super::design::Design;
use super::error::StudyError;
use crate::lab::{
    CalibrationSettings, DirectionMeasurement, Link, LinkMeasurement, Profile, Toward,
};
use crate::results::LinkRecord;

/// A link is measured again where something else on the machine was in the way.
const TRIES: u32 = 3;

impl Bed {
    /// Measures every link of the design, in the order of [`Design::links`]; none where there is
    /// nothing to measure. `goes_on` is asked before each, with its number and how many there are.
    ///
    /// # Errors
    ///
    /// A measurement that cannot be made, and [`StudyError::Cell`] with `Interrupted` where
    /// `goes_on` says no. A link that misses its setting is no error: [`LinkRecord::met`] says so,
    /// and the lines that come with the records say by how much.
    pub fn calibrate(
        &self,
        design: &Design,
        seed: u64,
        goes_on: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<(Vec<LinkRecord>, Vec<String>), StudyError> {
        let Self::Emulation(emulation) = self else {
            return Ok((Vec::new(), Vec::new()));
        };
        let links = design.links();
        let (mut records, mut trouble) = (Vec::new(), Vec::new());
        for (number, (link, profile)) in links.iter().enumerate() {
            if !goes_on(number, links.len()) {
                return Err(StudyError::Cell(crate::probe::CellError::Interrupted));
            }
            let measure = |again: u32| {
                let settings = CalibrationSettings::default();
                let seed = seed.wrapping_add(u64::from(again));
                emulation
                    .testbed
                    .measure_link(*link, profile, seed, &settings)
            };
            let mut measured = measure(0)?;
            for again in 1..TRIES {
                if measured.is_valid() {
                    break;
                }
                measured = measure(again)?;
            }
            trouble.extend(measured.trouble());
            records.extend(records_of(&measured));
        }
        Ok((records, trouble))
    }
}

fn records_of(measured: &LinkMeasurement) -> [LinkRecord; 2] {
    let record = |direction: &DirectionMeasurement| {
        let mbit = |rate: Option<f64>| rate.map(|mbit| mbit * 1e6);
        LinkRecord {
            profile: measured.profile.name.clone(),
            source: measured.profile.summary.clone(),
            settings: settings(&measured.profile, direction),
            delay_ns: Some(direction.delay_set_ns),
            measured_delay_ns: direction.delay_median_ns,
            loss_ratio: Some(direction.loss_set),
            measured_loss_ratio: direction.loss.ratio,
            measured_loss_ci_low: direction.loss.ci_low,
            measured_loss_ci_high: direction.loss.ci_high,
            rate_bits_per_s: mbit(direction.rate_set_mbit_per_s),
            measured_rate_bits_per_s: mbit(direction.rate_mbit_per_s),
            met: direction.trouble.is_empty(),
        }
    };
    let [to_broker, to_host] = &measured.directions;
    [record(to_broker), record(to_host)]
}

/// Everything that was set of a direction, and which one it is.
fn settings(profile: &Profile, direction: &DirectionMeasurement) -> BTreeMap<String, Value> {
    let set = match direction.direction.toward {
        Toward::Broker => &profile.to_broker,
        Toward::Host => &profile.to_host,
    };
    let mut settings = match serde_json::to_value(set) {
        Ok(Value::Object(map)) => map.into_iter().collect(),
        _ => BTreeMap::new(),
    };
    let link = match direction.direction.link {
        Link::Publisher => "publisher",
        Link::Subscriber => "subscriber",
    };
    settings.insert("link".into(), link.into());
    settings.insert("direction".into(), direction.direction.to_string().into());
    settings
}
