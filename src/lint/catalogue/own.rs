//! What is found beyond single rules of the specification: packets that cannot be read, trouble
//! with deliveries, devices, topics and payloads.

use crate::results::{FindingDoc, Severity};

macro_rules! codes {
    ($( $name:ident, $code:literal, $severity:ident, $counted:literal,
        $title:literal, $why:literal, $what_to_do:literal, $clause:literal; )*) => {
        /// A code that is no rule of one packet or of a conversation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Own { $( #[doc = $title] $name, )* }

        impl Own {
            /// Every one there is, in order.
            pub const ALL: &'static [Self] = &[$( Self::$name, )*];

            /// What one of them is counted by.
            #[must_use]
            pub const fn counted_by(self) -> &'static str {
                match self { $( Self::$name => $counted, )* }
            }
        }

        /// In the order of [`Own`].
        pub(super) const OWN: &[FindingDoc] = &[$(
            FindingDoc {
                code: $code,
                severity: Severity::$severity,
                title: $title,
                why: $why,
                what_to_do: $what_to_do,
                clause: $clause,
            },
        )*];
    };
}

codes! {
    MalformedPastPacket, "malformed-past-packet", Error, "packet",
        "A field runs past the end of its packet.",
        "Nothing behind the field can be read, and a receiver has to close the connection.",
        "Mend how the sender computes lengths; where other packets of it are broken too, look at the first one.",
        "section 4.13; the field's section";
    MalformedPastProperties, "malformed-past-properties", Error, "packet",
        "A property runs past the end of the properties.",
        "The rest of the packet cannot be read, and a receiver has to close the connection.",
        "Mend how the sender computes the property length.",
        "section 2.2.2.1";
    MalformedInteger, "malformed-variable-byte-integer", Error, "packet",
        "A variable byte integer within a packet has more than four bytes.",
        "The rest of the packet cannot be read.",
        "Mend the sender's encoder.",
        "section 1.5.5";
    MalformedProperty, "malformed-unknown-property", Error, "packet",
        "A property has an identifier that is not defined.",
        "Its length is unknown, so nothing behind it can be read.",
        "Send only properties of the specification; for own data there are user properties.",
        "section 2.2.2.2";
    MalformedLength, "malformed-remaining-length", Error, "packet",
        "The remaining length has more than four bytes.",
        "Where the next packet begins cannot be known: the rest of the stream is lost.",
        "Mend the sender's encoder, or look whether it is MQTT at all.",
        "MQTT-1.5.5-1; 3.1.1: section 2.2.3";

    Unfinished, "packet-unfinished", Warning, "packet",
        "A connection ended within a packet.",
        "Its receiver never got the whole, and cannot tell what was meant.",
        "Look why the sender stopped: it crashed, was cut off, or announced a wrong length.",
        "section 4.2";

    Unacknowledged, "exchange-unacknowledged", Warning, "exchange",
        "A QoS 1 or 2 message was not acknowledged to its end.",
        "Its sender keeps it, and may stop sending when too many wait.",
        "Look at the receiver: is it overloaded, or does it handle the message before it acknowledges?",
        "sections 4.3.2 and 4.3.3";
    Interrupted, "exchange-interrupted", Warning, "exchange",
        "The connection ended before a QoS 1 or 2 message was acknowledged, and no later one went on with it.",
        "Without a session that is kept, nobody sends the message again: it may be lost.",
        "Keep the session (clean start 0, in MQTT 5 with an expiry), or repeat the message in the application.",
        "section 4.4";
    Rejected, "publish-rejected", Warning, "exchange",
        "A message was refused with a reason code.",
        "The broker did not take it, and nobody gets it.",
        "Do what the reason says: rights of the client, quota, or form of the payload.",
        "sections 3.4.2.1 and 3.5.2.1";
    Resent, "resent-without-need", Warning, "packet",
        "A PUBLISH was sent again on the same connection.",
        "TCP had delivered it or would have: the repetition costs time and bandwidth, and MQTT 5 forbids it.",
        "Send again only after a reconnect; set the client's retry interval to never.",
        "MQTT-4.4.0-1; 3.1.1: section 4.4";
    Lost, "message-lost", Error, "delivery",
        "A subscriber did not get a message that it should have.",
        "The application misses data, whatever the acknowledgments say.",
        "Look at the broker's queues and log, at the subscriber's connection, and at the QoS on both sides.",
        "sections 3.3.5 and 4.3";
    Late, "message-late", Warning, "delivery",
        "A subscriber got a message after the deadline.",
        "For control and alarms, late can be as bad as lost.",
        "Look at the broker's load, at the subscriber's receive maximum, and at TCP's retransmissions.",
        "section 4.3";
    Duplicate, "message-duplicate", Note, "delivery",
        "A subscriber got a message more than once.",
        "QoS 1 allows it; an application that counts or switches must know.",
        "Let the application recognise repetitions, or use QoS 2.",
        "section 4.3.2";
    DeliveredLower, "delivery-qos-lower", Warning, "delivery",
        "A message came with a lower QoS than published and granted.",
        "It can be lost where publisher and subscriber both asked for more.",
        "Look at bridges and at the broker's limits between the two.",
        "section 3.8.4";

    DeliveredHigher, "delivery-qos-higher", Error, "delivery",
        "A message came with a higher QoS than published and granted.",
        "The subscriber has to acknowledge what it asked to get without, and a small device may not be able to.",
        "Mend the broker, or switch off what raises the QoS there (upgrade_outgoing_qos of mosquitto).",
        "MQTT-3.8.4-8; 3.1.1: MQTT-3.8.4-6";
    PropertiesAltered, "properties-altered", Error, "delivery",
        "The broker did not pass on a property of a message as it was published.",
        "The receiver cannot answer a request, or misreads the payload.",
        "Look at the broker and at bridges between publisher and subscriber: some drop properties, or speak MQTT 3.1.1 to each other.",
        "MQTT-3.3.2-4, MQTT-3.3.2-15 to MQTT-3.3.2-18, MQTT-3.3.2-20";

    SubscriptionRefused, "subscription-refused", Warning, "subscription",
        "The broker refused a subscription.",
        "The client waits for messages that never come; many do not look at the code.",
        "Do what the code says: rights of the client, or the form of the filter.",
        "section 3.9.3";
    GrantedLower, "subscription-qos-lower", Note, "subscription",
        "The broker granted a lower QoS than asked for.",
        "Messages arrive with less certainty than the client counts on.",
        "Look at the broker's maximum QoS for this client.",
        "section 3.8.4";
    EverythingFilter, "subscription-to-everything", Warning, "subscription",
        "A client subscribes to everything.",
        "Every message crosses the network again; one such client can slow the broker down and sees all data.",
        "Subscribe to what is needed; leave # to tests and to tools on the broker's host.",
        "section 4.7.1.2";

    LargeFilter, "filter-too-large", Note, "subscription",
        "A topic filter is longer, or has more levels, than the thresholds for topics.",
        "No topic of that form is likely, and brokers limit the depth; thousands of levels have crashed some.",
        "Subscribe to a shorter filter, with # at its end.",
        "section 4.7.1.1";
    RequestUnanswered, "request-unanswered", Warning, "connection",
        "The broker did not answer a SUBSCRIBE or a PINGREQ.",
        "The client waits, and takes the connection for dead after a while.",
        "Look at the broker: is it overloaded, or does it stop reading?",
        "MQTT-3.8.4-1 and MQTT-3.12.4-1";

    KeepAliveExceeded, "keep-alive-exceeded", Warning, "connection",
        "A client was silent for more than one and a half times its keep-alive.",
        "The broker has to take it for dead: it closes the connection and publishes the will.",
        "Let the client send PINGREQ in time, also while it is busy or asleep, or name a longer keep-alive.",
        "MQTT-3.1.2-20; 3.1.1: MQTT-3.1.2-23";
    KeepAliveNotEnforced, "keep-alive-not-enforced", Warning, "connection",
        "The broker did not close a connection that had been silent for too long.",
        "A client that is gone looks alive, and its will is not published.",
        "Look at the broker's settings; some check only now and then.",
        "MQTT-3.1.2-22; 3.1.1: MQTT-3.1.2-24";
    KeepAliveOff, "keep-alive-off", Note, "connection",
        "A client connects with a keep-alive of 0, which is none.",
        "A dead client is noticed only when TCP gives up, which may take hours.",
        "Name a keep-alive, a minute for example.",
        "section 3.1.2.10";
    ClosedByBroker, "closed-by-broker", Warning, "connection",
        "The broker closed a connection, and did not say why.",
        "The client did not ask for it: it broke a rule, lost its rights, or the broker stopped. MQTT 5 has DISCONNECT to say which.",
        "Look at what the client sent last, and into the broker's log.",
        "section 4.13; 3.1.1: section 4.8";
    ConnectUnanswered, "connect-unanswered", Warning, "connection",
        "A CONNECT was not answered.",
        "The device is off the network and was not told why.",
        "Closed by the broker: look what is wrong with the CONNECT. Open: look whether the broker is overloaded.",
        "section 3.1.4";
    DisconnectMissing, "disconnect-missing", Note, "connection",
        "A client's connection ended without DISCONNECT.",
        "The broker publishes the will, and cannot tell an end on purpose from a failure.",
        "Send DISCONNECT before the connection is closed; else look why it broke.",
        "sections 3.14 and 3.1.2.5";
    Refused, "connect-refused", Warning, "connection",
        "The broker refused a connection.",
        "The device is off the network until somebody mends the cause.",
        "Do what the reason says: credentials, client identifier, protocol version, or the broker's state.",
        "section 3.2.2.2; 3.1.1: section 3.2.2.3";
    ReconnectStorm, "reconnect-storm", Warning, "burst",
        "A client connects again and again within a short time.",
        "It hardly gets anything done, and many such clients bring a broker down.",
        "Look why the connection ends (keep-alive, refusals, taken over); let the client wait longer after each failure.",
        "section 3.1.4";
    IdCollision, "client-id-collision", Error, "client",
        "Two devices use the same client identifier: they take the connection from each other.",
        "Each connection closes the other's, so both lose messages.",
        "Give every device an identifier of its own.",
        "MQTT-3.1.4-3; 3.1.1: MQTT-3.1.4-2";
    ClearText, "clear-text-credentials", Warning, "connection",
        "A user name or a password crosses the network unencrypted.",
        "Whoever can listen can log in.",
        "Use TLS (port 8883), and change what has been sent in the clear.",
        "section 5.4";
    EncryptedUnread, "encrypted-unread", Info, "connection",
        "A connection is encrypted, and what it carries was not read.",
        "The counts of this analysis are without it.",
        "Give the keys of the session, or capture where the traffic is not encrypted.",
        "–";
    DecryptionEnded, "tls-decryption-ended", Warning, "connection",
        "A connection could not be decrypted, or not to its end.",
        "What it carried from there on is in no count of this analysis.",
        "The detail says why: complete the key log, or capture without losses; cipher suites without AEAD are not decrypted.",
        "–";
    WebSocketUnread, "websocket-unread", Info, "connection",
        "A connection carries WebSocket or HTTP, and MQTT in it was not read.",
        "The counts of this analysis are without it.",
        "The column unread of connections.csv says why; switch permessage-deflate off, or capture where MQTT is spoken plainly.",
        "section 6";
    WebSocketText, "websocket-text-frame", Error, "connection",
        "MQTT was sent in text frames of WebSocket.",
        "A receiver has to close the connection; one that takes the frames for UTF-8 breaks the packets.",
        "Send binary frames.",
        "MQTT-6.0.0-1";
    WebSocketSubprotocol, "websocket-subprotocol", Error, "connection",
        "Client and server did not agree on the WebSocket subprotocol mqtt.",
        "Browsers and proxies close the connection where the server selects what was not offered.",
        "Let the client offer mqtt in Sec-WebSocket-Protocol, and the server select it; mqttv3.1 is for MQTT 3.1.",
        "MQTT-6.0.0-3 and MQTT-6.0.0-4";

    LeadingSlash, "topic-leading-slash", Note, "topic",
        "A topic begins with a slash.",
        "Its first level is empty: /a and a are two topics, and a filter for one misses the other.",
        "Leave the first slash out.",
        "section 4.7.3";
    TrailingSlash, "topic-trailing-slash", Note, "topic",
        "A topic ends with a slash.",
        "Its last level is empty: a/ and a are two topics.",
        "Leave the last slash out.",
        "section 4.7.3";
    EmptyLevel, "topic-empty-level", Note, "topic",
        "A topic has an empty level between two slashes.",
        "Mostly a name that was left empty when the topic was put together; + matches it, so nobody notices.",
        "Fill the level, or leave it out.",
        "section 4.7.1.1";
    Space, "topic-space", Note, "topic",
        "A topic contains a space.",
        "It is hard to see and to type, and tools split the topic there.",
        "Use - or _ instead.",
        "section 4.7.3";
    NonAscii, "topic-non-ascii", Note, "topic",
        "A topic contains characters beyond ASCII.",
        "The same letter can be written in two ways, which do not match; some clients cannot type it.",
        "Keep to letters, digits, - and _, and put names for people into the payload.",
        "MQTT-4.7.3-4";
    TooLong, "topic-too-long", Note, "topic",
        "A topic is longer than the threshold.",
        "It is sent with every message, often longer than what it carries.",
        "Shorten the levels, or use topic aliases (MQTT 5).",
        "section 4.7.3";
    TooDeep, "topic-too-deep", Note, "topic",
        "A topic has more levels than the threshold.",
        "Filters for it are hard to write, and brokers limit the depth.",
        "Use fewer levels; what is no choice of a subscriber belongs into the payload.",
        "section 4.7.1.1";
    WithoutSender, "topic-without-sender", Info, "topic",
        "A topic does not contain the identifier of the client that publishes to it.",
        "Who sent a message can then only be told from the payload, and rights cannot be given by client.",
        "Make the client identifier a level of the topic, where there is one sender per topic.",
        "section 5.4.2";
    SharedByMany, "topic-shared-by-many", Note, "topic",
        "More clients than the threshold publish to one topic.",
        "Nobody can subscribe to one of them; retained, each message replaces another client's.",
        "Give each sender a level of its own below it.",
        "section 4.7.1.1";
    ReservedTopic, "topic-reserved", Note, "topic",
        "A client publishes to a topic that begins with $.",
        "These are the broker's: it may drop the message, and # does not match it.",
        "Use another first level, unless the broker asks for this one.",
        "section 4.7.2";

    TrailingNul, "payload-trailing-nul", Note, "topic",
        "Payloads of a topic are text that ends with a NUL.",
        "Receivers compare or parse one byte too many: \"on\" is not \"on\\0\", and JSON with it is none.",
        "Send the length without the NUL that ends the string in memory.",
        "section 3.3.3";
    ContentType, "payload-content-type", Warning, "topic",
        "A payload is not what its content type says.",
        "A receiver that trusts the content type fails.",
        "Send the content type of what is sent, or none.",
        "section 3.3.2.3.9";
    SchemaMismatch, "payload-schema-mismatch", Warning, "topic",
        "A payload is no message of the Protobuf type that was named for its topic.",
        "Its receivers cannot decode it, or the topic was given the wrong type.",
        "Compare the sender's version of the schema, and look at --protobuf.",
        "–";
    LargePayload, "payload-large", Note, "topic",
        "A payload is larger than the threshold.",
        "While it is sent, everything else on the connection waits, and each subscriber gets it.",
        "Send a reference to the data, or split it.",
        "section 3.3.3";
    VolatileRetained, "retained-volatile", Note, "topic",
        "A topic that changes fast is published with RETAIN.",
        "The broker stores every single one, and a new subscriber gets one that is old at once.",
        "Retain states, not measurements that come anyway.",
        "section 3.3.1.3";
}
