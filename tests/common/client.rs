//! A client of a few lines, on a blocking socket: for tests that need to see every packet.
#![allow(dead_code, reason = "each test uses some of it")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mqttscope::mqtt::{
    HeaderResult, ProtocolLevel, Subscription, parse_fixed_header,
    write::{self, WriteError},
};

/// Longer than anything takes: a test that hangs fails instead.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) level: ProtocolLevel,
    /// What follows the fixed header of the last packet.
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Connects with a clean session and waits for CONNACK 0.
    pub(crate) fn connect(address: SocketAddr, level: ProtocolLevel, client_id: &[u8]) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self {
            stream,
            level,
            body: Vec::new(),
        };
        let packet = write::Connect {
            level,
            clean_start: true,
            keep_alive: 0,
            properties: &[],
            client_id,
            will: None,
            user_name: None,
            password: None,
        };
        client.send(|out| write::connect(out, &packet));
        assert_eq!(client.packet().0, 0x20);
        assert_eq!(client.body[1], 0, "the CONNECT is refused");
        client
    }

    pub(crate) fn send(&mut self, packet: impl FnOnce(&mut Vec<u8>) -> Result<(), WriteError>) {
        let mut bytes = Vec::new();
        packet(&mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    /// Subscribes and waits for SUBACK.
    pub(crate) fn subscribe(&mut self, filter: &[u8], qos: u8) {
        let level = self.level;
        let subscription = Subscription {
            filter,
            options: qos,
        };
        self.send(|out| write::subscribe(out, level, 1, &[], &[subscription]));
        assert_eq!(self.packet().0, 0x90);
        assert_eq!(self.body.last(), Some(&qos));
    }

    pub(crate) fn publish(&mut self, qos: u8, packet_id: u16, topic: &[u8], payload: &[u8]) {
        let packet = write::Publish {
            dup: false,
            qos,
            retain: false,
            topic,
            packet_id,
            properties: &[],
            payload,
        };
        let level = self.level;
        self.send(|out| write::publish(out, level, &packet));
    }

    /// Waits for a packet: its first byte and its remaining length.
    pub(crate) fn packet(&mut self) -> (u8, usize) {
        let mut header = Vec::new();
        loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            header.push(byte[0]);
            if let HeaderResult::Complete(header) = parse_fixed_header(&header) {
                let length = header.remaining_length as usize;
                self.body.resize(length, 0);
                self.stream.read_exact(&mut self.body).unwrap();
                return (header.first_byte, length);
            }
        }
    }
}
