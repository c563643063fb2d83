//! Small captures made in memory: whole TCP connections that carry given bytes.

/// A pcap with nanosecond times (Ethernet, IPv4), built frame by frame.
pub(crate) struct Recording {
    bytes: Vec<u8>,
    nanos: u64,
    port: u16,
    client_port: u16,
    sequence: [u32; 2],
}

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Client,
    Broker,
}

const SYN: u8 = 0x02;
const FIN: u8 = 0x01;
const ACK: u8 = 0x10;

impl Recording {
    /// An empty capture; connections go to this port.
    pub(crate) fn new(port: u16) -> Self {
        let mut bytes = Vec::new();
        for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, 1] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        Self {
            bytes,
            nanos: 1_700_000_000_000_000_000,
            port,
            client_port: 40_000,
            sequence: [1_000, 9_000],
        }
    }

    /// The handshake of a new connection.
    pub(crate) fn open(mut self) -> Self {
        self.client_port += 1;
        self.sequence = [1_000, 9_000];
        self.frame(From::Client, SYN, &[]);
        self.frame(From::Broker, SYN | ACK, &[]);
        self.frame(From::Client, ACK, &[]);
        self
    }

    /// Bytes of the stream, in segments of at most 60,000.
    pub(crate) fn send(mut self, from: From, bytes: &[u8]) -> Self {
        for part in bytes.chunks(60_000) {
            self.frame(from, ACK, part);
            self.frame(opposite(from), ACK, &[]);
        }
        self
    }

    /// Both sides close, the client first.
    pub(crate) fn close(self) -> Self {
        self.close_from(From::Client)
    }

    /// Both sides close, this one first.
    pub(crate) fn close_from(mut self, from: From) -> Self {
        self.frame(from, FIN | ACK, &[]);
        self.frame(opposite(from), FIN | ACK, &[]);
        self.frame(from, ACK, &[]);
        self
    }

    /// The next frames are this much later, or earlier.
    pub(crate) fn wait(mut self, nanos: i64) -> Self {
        self.nanos = self.nanos.saturating_add_signed(nanos);
        self
    }

    /// The file.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn frame(&mut self, from: From, flags: u8, payload: &[u8]) {
        let (mine, theirs) = if from == From::Client { (0, 1) } else { (1, 0) };
        let (source, destination) = match from {
            From::Client => (self.client_port, self.port),
            From::Broker => (self.port, self.client_port),
        };
        let mut tcp = Vec::new();
        tcp.extend_from_slice(&source.to_be_bytes());
        tcp.extend_from_slice(&destination.to_be_bytes());
        tcp.extend_from_slice(&self.sequence[mine].to_be_bytes());
        tcp.extend_from_slice(&self.sequence[theirs].to_be_bytes());
        tcp.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend_from_slice(payload);
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        let length = u16::try_from(20 + tcp.len()).expect("fits a frame");
        frame.extend_from_slice(&[0x45, 0]);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
        let addresses = [[10, 0, 0, 1], [10, 0, 0, 2]];
        frame.extend_from_slice(&addresses[mine]);
        frame.extend_from_slice(&addresses[theirs]);
        frame.extend_from_slice(&tcp);
        self.nanos += 100_000;
        let seconds = u32::try_from(self.nanos / 1_000_000_000).expect("a time of this century");
        let fraction = (self.nanos % 1_000_000_000) as u32;
        let captured = u32::try_from(frame.len()).expect("a frame");
        for word in [seconds, fraction, captured, captured] {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }
        self.bytes.extend_from_slice(&frame);
        let consumed = u32::from(flags & (SYN | FIN) != 0) + payload.len() as u32;
        self.sequence[mine] = self.sequence[mine].wrapping_add(consumed);
    }
}

const fn opposite(from: From) -> From {
    match from {
        From::Client => From::Broker,
        From::Broker => From::Client,
    }
}

/// A string as MQTT has it: length and bytes.
pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("at most 65,535 bytes");
    [&length.to_be_bytes()[..], bytes].concat()
}

/// A control packet of the first byte and the rest.
pub(crate) fn packet(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    let mut length = body.len();
    loop {
        let more = if length > 127 { 0x80 } else { 0 };
        bytes.push((length % 128) as u8 | more);
        length /= 128;
        if length == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// CONNECT of MQTT 3.1.1 with a user name, a password and a will.
pub(crate) fn connect(client: &[u8], user: &[u8], password: &[u8], will_topic: &[u8]) -> Vec<u8> {
    let mut body = string(b"MQTT");
    body.extend_from_slice(&[4, 0b1100_0110, 0, 60]);
    for field in [client, will_topic, b"gone", user, password] {
        body.extend_from_slice(&string(field));
    }
    packet(0x10, &body)
}

/// PUBLISH at QoS 0, or at QoS 1 with a packet identifier.
pub(crate) fn publish(topic: &[u8], packet_id: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let mut body = string(topic);
    body.extend(packet_id.iter().flat_map(|id| id.to_be_bytes()));
    body.extend_from_slice(payload);
    packet(if packet_id.is_some() { 0x32 } else { 0x30 }, &body)
}

/// SUBSCRIBE to one filter at QoS 1.
pub(crate) fn subscribe(filter: &[u8]) -> Vec<u8> {
    packet(0x82, &[&[0, 9][..], &string(filter), &[1]].concat())
}
