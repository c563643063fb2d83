//! A plain loop over rumqttc 0.25 (MQTT 3.1.1): what somebody who knows it would write to pass as
//! many messages as it can. NODELAY, the window that is asked for, payloads that share one
//! allocation, and nothing but a count of what arrives.

use std::net::Ipv4Addr;
use std::thread;
use std::time::Instant;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, NetworkOptions, Packet, Publish, QoS};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// Where its two clients run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    /// Both on one thread.
    OneThread,
    /// Each on a thread of its own.
    TwoThreads,
}

/// What goes through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) port: u16,
    pub(crate) qos: u8,
    pub(crate) payload_bytes: usize,
    pub(crate) window: u16,
    pub(crate) count: u32,
    /// Sets apart this run's topic and clients.
    pub(crate) run: u64,
}

/// Requests that wait for an event loop.
const REQUESTS: usize = 1_000;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Messages per second from before the first is handed over to the last received.
pub(crate) fn throughput(load: Load, layout: Layout) -> f64 {
    match run(load, layout) {
        Ok(rate) => rate,
        Err(error) => panic!("rumqttc: {error}"),
    }
}

fn run(load: Load, layout: Layout) -> Outcome<f64> {
    let runtime = runtime()?;
    let subscriber = runtime.block_on(subscribe(load))?;
    let publisher = client(load, "publisher");
    let began = Instant::now();
    let last = match layout {
        Layout::OneThread => runtime.block_on(async {
            tokio::spawn(publish(load, publisher));
            count(load, subscriber).await
        })?,
        Layout::TwoThreads => {
            let (over, is_over) = oneshot::channel();
            let publishing = thread::spawn(move || -> Outcome<()> {
                self::runtime()?.block_on(async {
                    tokio::spawn(publish(load, publisher));
                    let _ = is_over.await;
                });
                Ok(())
            });
            let last = runtime.block_on(count(load, subscriber))?;
            let _: Result<(), ()> = over.send(());
            publishing.join().map_err(|_| "the publisher panicked")??;
            last
        }
    };
    Ok(f64::from(load.count) / last.duration_since(began).as_secs_f64())
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn client(load: Load, name: &str) -> (AsyncClient, EventLoop) {
    let id = format!("rumqttc-{name}-{}", load.run);
    let mut options = MqttOptions::new(id, Ipv4Addr::LOCALHOST.to_string(), load.port);
    options.set_inflight(load.window);
    let (requests, mut events) = AsyncClient::new(options, REQUESTS);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    events.set_network_options(network);
    (requests, events)
}

fn topic(load: Load) -> String {
    format!("mqttscope/rumqttc/{}", load.run)
}

const fn qos(load: Load) -> QoS {
    match load.qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

/// A client that is connected and subscribed.
async fn subscribe(load: Load) -> Outcome<(AsyncClient, EventLoop)> {
    let (requests, mut events) = client(load, "subscriber");
    requests.subscribe(topic(load), qos(load)).await?;
    while !matches!(events.poll().await?, Event::Incoming(Packet::SubAck(_))) {}
    Ok((requests, events))
}

/// Waits for all messages; gives when the last one came.
async fn count(load: Load, (_requests, mut events): (AsyncClient, EventLoop)) -> Outcome<Instant> {
    let mut left = load.count;
    while left > 0 {
        if let Event::Incoming(Packet::Publish(_)) = events.poll().await? {
            left -= 1;
        }
    }
    Ok(Instant::now())
}

/// Publishes all messages, as fast as they are taken, by two tasks of the runtime around it.
async fn publish(load: Load, (requests, mut events): (AsyncClient, EventLoop)) {
    tokio::spawn(async move {
        let payload = Publish::new("", QoS::AtMostOnce, vec![b'x'; load.payload_bytes]).payload;
        let topic = topic(load);
        for _ in 0..load.count {
            let payload = payload.clone();
            let request = requests.publish_bytes(topic.as_str(), qos(load), false, payload);
            if request.await.is_err() {
                return;
            }
        }
        // Dropped, the requests would end the event loop.
        std::future::pending::<()>().await;
    });
    while events.poll().await.is_ok() {}
}
