//! From what was typed to what is measured.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::args::{LabKind, PlaceArgs, StudyArgs};
use super::failure::StudyFailure;
use crate::cli::error::Failure;
use crate::cli::probe::{ProbeFailure, SecurityArgs, security};
use crate::lab::DeviceKind;
use crate::mqtt::ProtocolLevel;
use crate::probe::{BrokerUrl, Credentials, Dialect, Direct};
use crate::study::{BedSettings, Design, Place, Plan};

/// How long a client waits for an answer when it connects.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Everything that is needed to go on with a run, or to analyse it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RunPlan {
    pub(super) plan: Plan,
    pub(super) place: PlaceArgs,
}

/// Checked settings.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) run: RunPlan,
    pub(super) design: Design,
}

impl Settings {
    pub(super) fn new(arguments: &StudyArgs) -> Result<Self, Failure> {
        let mut plan = match &arguments.plan {
            Some(path) => read(path)?,
            None if arguments.quick => Plan::quick(),
            None => Plan::whole(),
        };
        if let Some(seed) = arguments.seed {
            plan.seed = seed;
        }
        let place = arguments.place.clone();
        if place.broker.is_none() && place.security != SecurityArgs::default() {
            let text = "--ca, --cert, --key and --credentials are for the broker of --broker";
            return Err(ProbeFailure::Plan(text.into()).into());
        }
        let settings = Self::of(RunPlan {
            plan: fit(plan, &place)?,
            place,
        })?;
        let plan = &settings.run.plan;
        settings
            .design
            .check_length(plan)
            .map_err(StudyFailure::Plan)?;
        Ok(settings)
    }

    pub(super) fn of(run: RunPlan) -> Result<Self, Failure> {
        let mut design = Design::new(&run.plan).map_err(StudyFailure::Plan)?;
        if run.place.broker.is_some() {
            for cell in &mut design.cells {
                cell.link = run.place.link.as_str().into();
            }
        }
        Ok(Self { run, design })
    }

    /// What the network is made from.
    pub(super) fn bed(&self, epoch_offset_ns: i64) -> Result<BedSettings, Failure> {
        let place = &self.run.place;
        Ok(BedSettings {
            place: match (self.network()?, place.lab) {
                (Some(broker), _) => Place::Network(broker),
                (None, LabKind::Proxy) => Place::Proxy,
                (None, LabKind::Auto) => Place::Lab(None),
                (None, LabKind::Tun) => Place::Lab(Some(DeviceKind::Tun)),
                (None, LabKind::Veth) => Place::Lab(Some(DeviceKind::Veth)),
            },
            broker: self.run.plan.broker.clone(),
            broker_command: place.broker_command.clone(),
            epoch_offset_ns,
        })
    }

    /// The real network, where that is measured.
    pub(super) fn network(&self) -> Result<Option<Direct>, Failure> {
        let url = self.run.place.broker.as_deref();
        url.map(|url| Ok(direct(&broker_url(url)?))).transpose()
    }

    /// How clients speak with the broker.
    pub(super) fn dialect(&self) -> Result<Dialect, Failure> {
        let place = &self.run.place;
        let (tls, credentials) = match &place.broker {
            Some(url) => security(&broker_url(url)?, &place.security)?,
            None => (None, Credentials::default()),
        };
        Ok(Dialect {
            level: ProtocolLevel::V5,
            tls,
            credentials,
            timeout: ANSWER_WITHIN,
        })
    }

    /// Whether packets are emulated, and namespaces needed.
    pub(super) fn is_emulated(&self) -> bool {
        self.run.place.broker.is_none() && self.run.place.lab != LabKind::Proxy
    }
}

fn read(path: &Path) -> Result<Plan, Failure> {
    let text = fs::read_to_string(path).map_err(|source| StudyFailure::PlanFile {
        path: path.to_owned(),
        source,
    })?;
    Ok(Plan::parse(&text).map_err(StudyFailure::Plan)?)
}

fn broker_url(text: &str) -> Result<BrokerUrl, Failure> {
    let url = |error| StudyFailure::Url {
        text: text.to_owned(),
        error,
    };
    Ok(text.parse().map_err(url)?)
}

fn direct(url: &BrokerUrl) -> Direct {
    Direct {
        host: url.host.clone(),
        port: url.port,
        timeout: ANSWER_WITHIN,
    }
}

/// Leaves out what the network cannot do, and says so.
fn fit(mut plan: Plan, place: &PlaceArgs) -> Result<Plan, Failure> {
    let (left_out, why) = match (&place.broker, place.lab) {
        (Some(_), _) => {
            if let Some(main) = &mut plan.main {
                main.links.truncate(1);
            }
            let parts = [
                plan.packet_loss.take().map(|_| "packet_loss"),
                plan.outage.take().map(|_| "outage"),
                plan.combench.take().map(|_| "combench"),
            ];
            (parts, "a real network does what it does")
        }
        (None, LabKind::Proxy) => {
            let parts = [
                plan.packet_loss.take().map(|_| "packet_loss"),
                plan.combench.take().map(|_| "combench"),
                None,
            ];
            (parts, "a proxy cannot lose packets")
        }
        _ => ([None; 3], ""),
    };
    for part in left_out.into_iter().flatten() {
        crate::cli::terminal::complain("note", &format!("{why}: [{part}] is left out"));
    }
    if plan.main.is_none()
        && plan.outage.is_none()
        && plan.packet_loss.is_none()
        && plan.combench.is_none()
    {
        let text = "nothing is left of the plan that could be measured in this network";
        return Err(StudyFailure::NothingLeft(text).into());
    }
    Ok(plan)
}
