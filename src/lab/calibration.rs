//! Whether a link does what it is set to: measured with plain packets from host to host, before
//! anything else is measured over it.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counters::Counters;
use super::error::LabError;
use super::host::{Direction, Link, Toward};
use super::impairment::{Impairment, Jitter, Loss};
use super::profiles::Profile;
use super::relay::Clock;
use super::testbed::Testbed;
use crate::processors::{self, Schedule};
use crate::stats::{Proportion, wilson};

/// By how much a median delay may miss its setting, in nanoseconds: 0.2 ms.
const DELAY_TOLERANCE_NS: f64 = 200_000.0;
/// The share of packets that may leave the emulator late ([`LATE_NS`](super::LATE_NS)).
const LATE_SHARE: f64 = 0.05;
/// By which share of its setting a rate may miss it.
const RATE_TOLERANCE: f64 = 0.05;
/// The loss that was set has to be in the interval with this normal quantile, of 99.9 %: one sound
/// link in a thousand is refused.
const Z_LOSS: f64 = 3.290_526_731_491_926;
/// IP and UDP headers, in bytes.
const HEADERS: usize = 28;
/// A packet of the rate's measurement, with headers.
const LONG_PACKET: usize = 1_500;
/// Packets that are sent ahead of their time, at most, to fill a transmitter's queue.
const HEAD_START: u32 = 200;
/// Longest wait for a packet that is not on the way any more.
const SILENCE: Duration = Duration::from_millis(200);

/// How a link is measured. Both directions are measured at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalibrationSettings {
    /// Packets per direction.
    pub packets: u32,
    /// Time between two of them.
    pub interval: Duration,
    /// Bytes of each, with IP and UDP headers (48 to 1,500).
    pub packet_bytes: usize,
    /// How long packets are sent to measure a rate; nothing is where a link has none.
    pub rate_for: Duration,
}

impl Default for CalibrationSettings {
    /// 2,000 packets of 128 bytes, 0.5 ms apart; rates for 0.3 s: 1.5 s for a link.
    fn default() -> Self {
        Self {
            packets: 2_000,
            interval: Duration::from_micros(500),
            packet_bytes: 128,
            rate_for: Duration::from_millis(300),
        }
    }
}

/// What was measured of a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkMeasurement {
    /// Which link.
    pub link: Link,
    /// What it was set to.
    pub profile: Profile,
    /// With which seed.
    pub seed: u64,
    /// To the broker, and to the host.
    pub directions: [DirectionMeasurement; 2],
}

/// What was measured of a direction. Outages are left out of the measurement, and jitter out of
/// that of the rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DirectionMeasurement {
    /// Which direction.
    pub direction: Direction,
    /// Packets that a socket sent.
    pub sent: u64,
    /// Packets that a socket received.
    pub received: u64,
    /// What the emulator counted.
    pub counters: Counters,
    /// Packets that the medium lost, of those that came to it, with Wilson's 95 % interval.
    pub loss: Proportion,
    /// The loss that was set, from 0 to 1.
    pub loss_set: f64,
    /// The shortest delay from socket to socket, in nanoseconds; `None` where nothing arrived.
    pub delay_min_ns: Option<i64>,
    /// Its median (nearest rank, as the others).
    pub delay_median_ns: Option<i64>,
    /// Its 99th percentile.
    pub delay_p99_ns: Option<i64>,
    /// The longest.
    pub delay_max_ns: Option<i64>,
    /// The delay that was set: on the way and in the transmitter, and the median jitter.
    pub delay_set_ns: i64,
    /// The rate of IP packets that arrived in a row, in Mbit/s, as the transmitter sent them.
    pub rate_mbit_per_s: Option<f64>,
    /// The rate that was set.
    pub rate_set_mbit_per_s: Option<f64>,
    /// In words, by how much the direction missed its settings; empty where it did not.
    pub trouble: Vec<String>,
}

impl LinkMeasurement {
    /// Whether the link does what it is set to.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.directions.iter().all(|d| d.trouble.is_empty())
    }

    /// Everything that is wrong, a line each.
    pub fn trouble(&self) -> impl Iterator<Item = String> {
        self.directions.iter().flat_map(|measured| {
            let what = format!("{}, {}", self.profile.name, measured.direction);
            measured.trouble.iter().map(move |t| format!("{what}: {t}"))
        })
    }
}

impl Testbed {
    /// Measures what a link does when it is set to `profile`. Nothing else may use the link
    /// meanwhile; it has to be set again afterwards.
    ///
    /// # Errors
    ///
    /// Sockets that fail, and settings that no link can have.
    pub fn measure_link(
        &self,
        link: Link,
        profile: &Profile,
        seed: u64,
        settings: &CalibrationSettings,
    ) -> Result<LinkMeasurement, LabError> {
        let failed = LabError::network("measuring a link");
        let steady = Profile {
            to_broker: without_outages(&profile.to_broker),
            to_host: without_outages(&profile.to_host),
            ..profile.clone()
        };
        self.set_link(link, &steady, seed)
            .map_err(|error| failed(io::Error::other(error)))?;
        let pace = Pace {
            packets: settings.packets,
            interval: settings.interval,
            bytes: settings.packet_bytes.clamp(48, LONG_PACKET),
            head_start: 0,
        };
        let flights = self.both_ways(link, &pace, &steady).map_err(&failed)?;
        let counters = self.counters().map_err(&failed)?;
        let rates = self.rates(link, &steady, seed, settings).map_err(&failed)?;
        let measured = |toward, at: usize| {
            let direction = direction_of(link, toward);
            let set = match toward {
                Toward::Broker => &steady.to_broker,
                Toward::Host => &steady.to_host,
            };
            judge(
                direction,
                set,
                &flights[at],
                counters.of(direction),
                rates[at],
                pace.bytes,
            )
        };
        Ok(LinkMeasurement {
            link,
            profile: profile.clone(),
            seed,
            directions: [measured(Toward::Broker, 0), measured(Toward::Host, 1)],
        })
    }

    /// The rates of both directions in Mbit/s, corrected for what the medium lost.
    fn rates(
        &self,
        link: Link,
        profile: &Profile,
        seed: u64,
        settings: &CalibrationSettings,
    ) -> io::Result<[Option<f64>; 2]> {
        let mut rates = [None, None];
        for (at, toward) in [Toward::Broker, Toward::Host].into_iter().enumerate() {
            let set = match toward {
                Toward::Broker => &profile.to_broker,
                Toward::Host => &profile.to_host,
            };
            let Some(rate) = set.rate else { continue };
            let plain = Impairment {
                delay_ms: 0.0,
                rate: Some(rate),
                ..Impairment::default()
            };
            let plain = Profile::symmetric(&profile.name, plain);
            self.set_link(link, &plain, seed)
                .map_err(io::Error::other)?;
            let one_ns = LONG_PACKET as f64 * 8e3 / rate.mbit_per_s;
            // As fast as the transmitter, with some in its queue, which is never empty then.
            let count = (settings.rate_for.as_nanos() as f64 / one_ns).clamp(20.0, 20_000.0);
            let pace = Pace {
                packets: count as u32,
                interval: Duration::from_nanos(one_ns as u64),
                bytes: LONG_PACKET,
                head_start: (rate.queue_packets / 2).min(HEAD_START),
            };
            let flight = self.one_way(direction_of(link, toward), &pace, &plain)?;
            rates[at] = flight.rate(LONG_PACKET);
        }
        Ok(rates)
    }

    fn both_ways(&self, link: Link, pace: &Pace, profile: &Profile) -> io::Result<[Flight; 2]> {
        let one = |toward| self.one_way(direction_of(link, toward), pace, profile);
        std::thread::scope(|scope| {
            let to_broker = scope.spawn(|| one(Toward::Broker));
            let to_host = one(Toward::Host)?;
            match to_broker.join() {
                Ok(flight) => Ok([flight?, to_host]),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Sends packets in one direction and receives them.
    fn one_way(&self, direction: Direction, pace: &Pace, profile: &Profile) -> io::Result<Flight> {
        let sender = self.udp_socket(direction.from(), 0)?;
        let receiver = self.udp_socket(direction.to(), 0)?;
        sender.connect(receiver.local_addr()?)?;
        let patience = longest_way(profile) + SILENCE;
        receiver.set_read_timeout(Some(patience))?;
        std::thread::scope(|scope| {
            let arrivals = scope.spawn(|| receive(&receiver));
            // A thread of its own, since its priority is raised.
            let sent = scope.spawn(|| send(&sender, pace));
            match (sent.join(), arrivals.join()) {
                (Ok(sent), Ok(arrivals)) => Ok(Flight {
                    sent: sent?,
                    arrivals,
                }),
                (Err(panic), _) | (_, Err(panic)) => std::panic::resume_unwind(panic),
            }
        })
    }
}

/// How packets are sent.
struct Pace {
    packets: u32,
    interval: Duration,
    bytes: usize,
    /// So many packets are sent at once to begin with.
    head_start: u32,
}

/// What became of the packets of one direction, as the sockets saw it.
struct Flight {
    sent: u64,
    /// (when received, how long it took), in nanoseconds.
    arrivals: Vec<(i64, i64)>,
}

impl Flight {
    /// Mbit/s from the first packet to the last; the first one's bytes came before its time.
    fn rate(&self, bytes: usize) -> Option<f64> {
        let (first, last) = (self.arrivals.first()?, self.arrivals.last()?);
        let bits = (self.arrivals.len() - 1) as f64 * bytes as f64 * 8.0;
        let nanos = (last.0 - first.0) as f64;
        (nanos > 0.0).then_some(bits * 1e3 / nanos)
    }

    /// The delay that this share of the packets does not exceed.
    fn quantile(sorted: &[i64], share: f64) -> Option<i64> {
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied()
    }
}

/// Before all but the emulator's thread, or as near to that as the system allows.
fn take_precedence() {
    processors::raise_ordinary_priority();
    processors::set_schedule(Schedule::InTurns);
}

fn now_ns() -> i64 {
    Clock { epoch_offset_ns: 0 }.now().as_nanos()
}

/// Sends at absolute times; each packet carries its own.
fn send(socket: &UdpSocket, pace: &Pace) -> io::Result<u64> {
    take_precedence();
    let mut packet = vec![0; pace.bytes - HEADERS];
    let begin = now_ns();
    let mut sent = 0;
    for k in 0..i64::from(pace.packets) {
        let due = begin + (k - i64::from(pace.head_start)) * pace.interval.as_nanos() as i64;
        let left = due - now_ns();
        if left > 0 {
            std::thread::sleep(Duration::from_nanos(left as u64));
        }
        packet[..8].copy_from_slice(&now_ns().to_le_bytes());
        socket.send(&packet)?;
        sent += 1;
    }
    Ok(sent)
}

/// Receives until nothing comes for as long as the socket's timeout.
fn receive(socket: &UdpSocket) -> Vec<(i64, i64)> {
    take_precedence();
    let mut buffer = [0; 2_048];
    let mut arrivals = Vec::new();
    while let Ok(count) = socket.recv(&mut buffer) {
        let now = now_ns();
        if let Some(stamp) = buffer[..count].first_chunk() {
            arrivals.push((now, now - i64::from_le_bytes(*stamp)));
        }
    }
    arrivals
}

fn direction_of(link: Link, toward: Toward) -> Direction {
    Direction { link, toward }
}

fn without_outages(settings: &Impairment) -> Impairment {
    Impairment {
        outages: Vec::new(),
        ..settings.clone()
    }
}

/// The longest time that a packet can be on its way.
fn longest_way(profile: &Profile) -> Duration {
    let ms = [&profile.to_broker, &profile.to_host].map(|set| {
        let jitter = match set.jitter {
            None => 0.0,
            Some(Jitter::Normal { sd_ms, .. }) => 10.0 * sd_ms,
            Some(Jitter::Pareto { at_most_ms, .. }) => at_most_ms,
        };
        let queued = set.rate.map_or(0.0, |rate| {
            f64::from(rate.queue_packets) * LONG_PACKET as f64 * 8e-3 / rate.mbit_per_s
        });
        set.delay_ms + jitter + queued + set.reorder.map_or(0.0, |r| r.by_ms)
    });
    Duration::from_micros((ms[0].max(ms[1]) * 1e3) as u64)
}

/// The middle of what jitter adds, in milliseconds.
fn median_jitter_ms(jitter: Option<Jitter>) -> f64 {
    match jitter {
        None | Some(Jitter::Normal { .. }) => 0.0,
        Some(Jitter::Pareto {
            scale_ms,
            shape,
            at_most_ms,
            ..
        }) => (scale_ms * (2.0_f64.powf(1.0 / shape) - 1.0)).min(at_most_ms),
    }
}

/// How many independent packets say as much about the loss as `n` of these: in bursts, fewer. From
/// the autocorrelation of the two-state chain, whose correlation falls by the same factor with
/// every packet.
fn effective_packets(loss: Option<Loss>, n: u64) -> u64 {
    let Some(
        bursts @ Loss::Bursts {
            enter_percent,
            leave_percent,
            good_percent,
            bad_percent,
        },
    ) = loss
    else {
        return n;
    };
    let (enter, leave) = (enter_percent / 100.0, leave_percent / 100.0);
    let persists = 1.0 - enter - leave;
    let all = bursts.expected();
    if enter + leave <= 0.0 || persists <= 0.0 || all <= 0.0 || all >= 1.0 {
        return n;
    }
    let bad = enter / (enter + leave);
    let between = bad * (1.0 - bad) * ((bad_percent - good_percent) / 100.0).powi(2);
    let share = between / (all * (1.0 - all));
    let inflation = 1.0 + 2.0 * share * persists / (1.0 - persists);
    (n as f64 / inflation) as u64
}

/// Compares what was measured with what was set.
fn judge(
    direction: Direction,
    set: &Impairment,
    flight: &Flight,
    counters: Counters,
    rate: Option<f64>,
    bytes: usize,
) -> DirectionMeasurement {
    let mut delays: Vec<i64> = flight.arrivals.iter().map(|(_, delay)| *delay).collect();
    delays.sort_unstable();
    let transmission_ms = set
        .rate
        .map_or(0.0, |rate| bytes as f64 * 8e-3 / rate.mbit_per_s);
    let delay_ms = set.delay_ms + transmission_ms + median_jitter_ms(set.jitter);
    // What the sockets say: not what the emulator says it did.
    let came = flight.sent - (counters.dropped_queue + counters.dropped_full).min(flight.sent);
    let arrived = flight.arrivals.len() as u64;
    let copies = counters.duplicated.min(arrived);
    let lost = came.saturating_sub(arrived - copies);
    let mut measurement = DirectionMeasurement {
        direction,
        sent: flight.sent,
        received: arrived,
        counters,
        loss: Proportion::new(lost.min(came), came),
        loss_set: set.expected_loss(),
        delay_min_ns: delays.first().copied(),
        delay_median_ns: Flight::quantile(&delays, 0.5),
        delay_p99_ns: Flight::quantile(&delays, 0.99),
        delay_max_ns: delays.last().copied(),
        delay_set_ns: (delay_ms * 1e6).round() as i64,
        rate_mbit_per_s: rate,
        rate_set_mbit_per_s: set.rate.map(|rate| rate.mbit_per_s),
        trouble: Vec::new(),
    };
    let checks = [
        missing(&measurement),
        delay(&measurement, set),
        late(&measurement),
        loss(&measurement, set),
        rate_missed(&measurement),
    ];
    measurement.trouble = checks.into_iter().flatten().collect();
    measurement
}

/// Packets that neither arrived nor were dropped by the emulator.
fn missing(m: &DirectionMeasurement) -> Option<String> {
    let taken = m.counters.received;
    let gone = m.sent.abs_diff(taken) + m.counters.sent.abs_diff(m.received);
    (gone > 0).then(|| {
        format!(
            "{} packets were sent and {taken} came to the emulator, {} left it and {} arrived",
            m.sent, m.counters.sent, m.received
        )
    })
}

/// A median that misses its setting. With jitter the sample's median is no sharp value: lateness
/// stands for it.
fn delay(m: &DirectionMeasurement, set: &Impairment) -> Option<String> {
    let median = m.delay_median_ns?;
    let missed = (median - m.delay_set_ns) as f64;
    let unsteady = set.jitter.is_some() || set.reorder.is_some();
    (!unsteady && missed.abs() > DELAY_TOLERANCE_NS).then(|| {
        format!(
            "the median delay is {:.3} ms, set is {:.3} ms ± {:.1}",
            median as f64 / 1e6,
            m.delay_set_ns as f64 / 1e6,
            DELAY_TOLERANCE_NS / 1e6
        )
    })
}

fn late(m: &DirectionMeasurement) -> Option<String> {
    let share = m.counters.late as f64 / (m.counters.sent.max(1)) as f64;
    (share > LATE_SHARE).then(|| {
        format!(
            "{:.1} % of packets left more than 0.2 ms late, {:.0} % may",
            share * 100.0,
            LATE_SHARE * 100.0
        )
    })
}

fn loss(m: &DirectionMeasurement, set: &Impairment) -> Option<String> {
    let n = effective_packets(set.loss, m.loss.of);
    let ratio = m.loss.ratio?;
    let (low, high) = wilson((ratio * n as f64).round() as u64, n, Z_LOSS);
    (!(low..=high).contains(&m.loss_set)).then(|| {
        format!(
            "{:.2} % of packets were lost, {:.2} % to {:.2} % with 99.9 % confidence; set is {:.2} %",
            ratio * 100.0,
            low * 100.0,
            high * 100.0,
            m.loss_set * 100.0
        )
    })
}

fn rate_missed(m: &DirectionMeasurement) -> Option<String> {
    let set = m.rate_set_mbit_per_s?;
    let Some(rate) = m.rate_mbit_per_s else {
        return Some("no rate could be measured".to_owned());
    };
    ((rate / set - 1.0).abs() > RATE_TOLERANCE).then(|| {
        format!(
            "the rate is {rate:.2} Mbit/s, set is {set} ± {:.0} %",
            RATE_TOLERANCE * 100.0
        )
    })
}
