//! The null measurement: the same clients against an embedded broker on the loopback. What it gives
//! is the floor of this tool on this machine, and no broker can be seen to be faster.

use serde::{Deserialize, Serialize};

use crate::cli::error::Failure;
use crate::mqtt::ProtocolLevel;
use crate::probe::design::Design;
use crate::probe::tally::Tally;
use crate::probe::{
    Arrivals, CellPlan, CellProgress, ClientKind, Credentials, Dialect, Extent, run_cell,
};
use crate::results::delay;

use super::args::Forwarding;
use super::failure::ProbeFailure;
use super::site::Site;

const MESSAGES: u32 = 300;
const WARM_UP: u32 = 50;
const RATE_PER_S: f64 = 500.0;
const SECOND_NS: i64 = 1_000_000_000;

/// The floor at one QoS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Floor {
    pub(super) qos: u8,
    pub(super) messages: u64,
    pub(super) payload_bytes: u64,
    pub(super) rate_per_s: f64,
    pub(super) delay_median_ns: Option<i64>,
    pub(super) delay_p95_ns: Option<i64>,
    pub(super) send_lag_p95_ns: Option<i64>,
    /// Why not to trust it.
    pub(super) invalid_reason: Option<String>,
}

/// Measures the floor at every QoS of the design, with its smallest payload.
pub(super) fn measure(
    design: &Design,
    timeout: std::time::Duration,
    goes_on: &dyn Fn() -> bool,
) -> Result<Vec<Floor>, Failure> {
    let site = Site::embedded(Forwarding::Pubrel, timeout)?;
    let client = design.base.client;
    let dialect = Dialect {
        level: match client {
            ClientKind::Measuring => ProtocolLevel::V5,
            ClientKind::Rumqttc => ProtocolLevel::V3_1_1,
        },
        tls: None,
        credentials: Credentials::default(),
        timeout,
    };
    let mut floors = Vec::new();
    for &qos in &design.qos {
        let plan = CellPlan {
            run: design.base.run,
            cell: 0,
            client,
            qos,
            subscriber_qos: qos,
            payload_bytes: design.payload_bytes.iter().min().copied().unwrap_or(16),
            arrivals: Arrivals::Poisson,
            rate: Some(RATE_PER_S),
            extent: Extent::Count(MESSAGES),
            warm_up: WARM_UP,
            seed: design.seed,
            deadline_ns: SECOND_NS,
            drain_ns: 2 * SECOND_NS,
            limits: design.base.limits,
            ..CellPlan::default()
        };
        let mut watch = |_: CellProgress| goes_on();
        let result = run_cell(&plan, &dialect, &site.connector, &mut watch)
            .map_err(ProbeFailure::Baseline)?;
        let tally = Tally::new(&result);
        floors.push(Floor {
            qos,
            messages: tally.written(),
            payload_bytes: plan.payload_bytes as u64,
            rate_per_s: RATE_PER_S,
            delay_median_ns: tally.response.quantile(0.5),
            delay_p95_ns: tally.response.quantile(0.95),
            send_lag_p95_ns: tally.send_lag.quantile(0.95),
            invalid_reason: tally.invalid_reason(),
        });
    }
    Ok(floors)
}

/// For people: `QoS 0 62.1 µs, QoS 1 70.3 µs`.
pub(super) fn render(floors: &[Floor]) -> String {
    let each: Vec<String> = floors
        .iter()
        .map(|floor| {
            let doubt = match floor.invalid_reason {
                Some(_) => " (doubtful)",
                None => "",
            };
            format!("QoS {} {}{doubt}", floor.qos, delay(floor.delay_median_ns))
        })
        .collect();
    format!(
        "\nFloor of this tool on this machine, median against its embedded broker: {}.\n",
        each.join(", ")
    )
}
