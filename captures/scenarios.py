"""What is recorded: one function per file, each against a broker started for it alone."""

import ssl
import time
from dataclasses import dataclass, field
from typing import Callable

import fleet
from clients import V31, V311, V5, Client, RawClient, TlsContext, connect_packet, properties_of
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions
from testnet import (BROKER_IPV4, BROKER_IPV6, SECURE_WEB_SOCKET_PORT, TLS_PORT, WEB_SOCKET_PORT,
                     Authority, dynamic_security_plugin)

# The file of a scenario's directory that its clients write their TLS secrets to.
KEY_LOG = "key.log"
LEVEL_NAMES = {V31: "3.1", V311: "3.1.1", V5: "5"}
# Around the places where the remaining length and the payload change their form.
SIZES = (0, 1, 16, 100, 127, 128, 300)


@dataclass
class Scenario:
    """A recording: its file name, what it shows, and what is done while tcpdump runs."""
    name: str
    shows: str
    play: Callable
    # Recorded at: "broker", "client", "any" (the broker host's pseudo-interface), "both".
    tap: str = "broker"
    broker: Callable = lambda directory: ("allow_anonymous true",)
    tcpdump: tuple = ()
    # Done before the recording starts, for captures that begin in mid-stream.
    prepare: Callable = field(default=lambda log, directory: None)


def payload(number, size):
    """Readable, different for every message, of exactly `size` bytes."""
    line = f"message {number} of {size} bytes; ".encode()
    return (line * (size // len(line) + 1))[:size]


def one_way(level, qos, address, sizes=SIZES):
    """A publisher, a subscriber, one message of each size."""
    def play(log, _prepared):
        subscriber = Client(log, "subscriber", level, address).connect()
        subscriber.subscribe(("house/#", qos))
        publisher = Client(log, "publisher", level, address).connect()
        for number, size in enumerate(sizes, 1):
            publisher.publish(f"house/room{number}/temperature", payload(number, size), qos)
        subscriber.received(len(sizes))
        time.sleep(0.05)
        publisher.disconnect()
        subscriber.disconnect()
    return play


def every_qos_v31(log, _prepared):
    subscriber = Client(log, "subscriber", V31).connect()
    subscriber.subscribe(("old/+", 2))
    publisher = Client(log, "publisher", V31).connect()
    for qos in (0, 1, 2):
        for number in (1, 2, 3):
            publisher.publish(f"old/qos{qos}", payload(number, 20 * number), qos)
    subscriber.received(9)
    time.sleep(0.05)
    publisher.disconnect()
    subscriber.disconnect()


def v5_properties(log, _prepared):
    subscriber = Client(log, "subscriber", V5, BROKER_IPV6).connect(properties_of(
        PacketTypes.CONNECT, SessionExpiryInterval=60, ReceiveMaximum=10, TopicAliasMaximum=5,
        MaximumPacketSize=4096, RequestProblemInformation=1,
        UserProperty=[("site", "Werk Süd")]))
    subscriber.subscribe(("plant/#", SubscribeOptions(qos=2, retainAsPublished=True)),
                         properties=properties_of(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=7))
    # An empty client identifier: the broker assigns one and says so in CONNACK.
    publisher = Client(log, "publisher", V5, BROKER_IPV6, client_id="").connect()

    def publish(number, qos, topic, on_wire_topic=None, **values):
        publisher.publish(topic, payload(number, 30), qos, on_wire_topic=on_wire_topic,
                          properties=properties_of(PacketTypes.PUBLISH, **values))
    publish(1, 0, "plant/line1/speed", TopicAlias=1)
    publish(2, 0, "plant/line1/speed", on_wire_topic="", TopicAlias=1)
    publish(3, 1, "plant/line2/speed", TopicAlias=1)
    publish(4, 2, "plant/line2/speed", on_wire_topic="", TopicAlias=1)
    publish(5, 1, "plant/request", ResponseTopic="plant/answer", CorrelationData=b"\x00\x01\xfe",
            UserProperty=[("unit", "m/s"), ("unit", "km/h")])
    publish(6, 2, "plant/document", PayloadFormatIndicator=1, MessageExpiryInterval=120,
            ContentType="text/plain; charset=utf-8")
    # Nobody listens: PUBACK with reason code 0x10, "no matching subscribers".
    publish(7, 1, "elsewhere")
    subscriber.received(6)
    time.sleep(0.05)
    subscriber.unsubscribe("plant/#", "never/subscribed")
    publisher.disconnect()
    subscriber.disconnect(properties=properties_of(
        PacketTypes.DISCONNECT, SessionExpiryInterval=0))


def retained_and_will(log, _prepared):
    publisher = Client(log, "publisher").connect()
    publisher.publish("state/lamp", b"on", 1, retain=True)
    publisher.publish("state/door", b"closed", 0, retain=True)
    late = Client(log, "late-subscriber").connect()
    late.subscribe(("state/+", 1), ("will/#", 2))
    late.received(2)
    # A retained message of zero bytes deletes the one that was kept.
    publisher.publish("state/lamp", b"", 1, retain=True)
    late.received(3)
    for level, name in ((V311, "mortal"), (V5, "mortal-v5")):
        mortal = Client(log, name, level)
        options = {} if level == V311 else {"properties": properties_of(
            PacketTypes.WILLMESSAGE, WillDelayInterval=0, ContentType="text/plain")}
        mortal.paho.will_set(f"will/{name}", b"gone", 1, retain=False, **options)
        mortal.connect()
        mortal.vanish()
    late.received(5)
    publisher.disconnect()
    late.disconnect()


def refuse_secrets(directory):
    """A broker that refuses one filter and the publishes below it."""
    configuration = directory / "dynamic-security.json"
    configuration.write_text("""{
      "defaultACLAccess": {"publishClientSend": true, "publishClientReceive": true,
                           "subscribe": true, "unsubscribe": true},
      "anonymousGroup": "everybody",
      "groups": [{"groupname": "everybody", "roles": [{"rolename": "no-secrets"}]}],
      "roles": [{"rolename": "no-secrets", "acls": [
        {"acltype": "subscribePattern", "topic": "secret/#", "priority": 10, "allow": false},
        {"acltype": "publishClientSend", "topic": "secret/#", "priority": 10, "allow": false}]}],
      "clients": []}""")
    return ("allow_anonymous true", f"plugin {dynamic_security_plugin()}",
            f"plugin_opt_config_file {configuration}")


def subscriptions(log, _prepared):
    several = Client(log, "several").connect()
    several.subscribe(("Zuhause//Temperatur", 0), ("Zuhause/+/Temperatur", 1), ("Zuhause/#", 2),
                      ("/", 0), ("secret/plans", 1))
    overlapping = Client(log, "overlapping-v5", V5).connect()
    overlapping.subscribe(("Zuhause/Küche/#", SubscribeOptions(qos=1, noLocal=True)))
    overlapping.subscribe(("+/+/Temperatur", 2), ("secret/#", 2))
    shared = [Client(log, f"shared{number}", V5).connect().subscribe(("$share/team/job", 1))
              for number in (1, 2)]
    publisher = Client(log, "publisher", V5).connect()
    publisher.publish("Zuhause//Temperatur", b"empty level", 1)
    publisher.publish("Zuhause/Küche/Temperatur", b"21.5", 2)
    publisher.publish("/", b"two empty levels", 0)
    publisher.publish("job", b"first", 1)
    publisher.publish("job", b"second", 1)
    publisher.publish("secret/plans", b"refused: PUBACK 0x87", 1)
    overlapping.publish("Zuhause/Küche/Licht", b"to myself: No Local", 1)
    time.sleep(0.1)
    several.unsubscribe("Zuhause/#", "Zuhause/+/Temperatur")
    publisher.publish("Zuhause/Bad/Temperatur", b"19.0", 0)
    time.sleep(0.1)
    for client in (several, overlapping, *shared, publisher):
        client.disconnect()


def closed_broker(directory):
    """A broker that wants a password which nobody in the recording has."""
    (directory / "passwords").write_text("")
    return ("allow_anonymous false", f"password_file {directory / 'passwords'}")


def return_codes(log, _prepared):
    for name, what, data in (
        ("level6", "CONNECT with protocol level 6", connect_packet("level6", 6)),
        ("unnamed", "3.1.1 CONNECT, no client identifier, clean session 0",
         bytes.fromhex("100c00044d5154540400003c0000")),
        ("unnamed-v31", "3.1 CONNECT without client identifier",
         connect_packet("", 3, protocol_name="MQIsdp")),
        ("wrong-name", "CONNECT with protocol name MQTX",
         connect_packet("wrong-name", 4, protocol_name="MQTX")),
        ("auth-v5", "v5 CONNECT with an authentication method",
         connect_packet("auth-v5", 5, properties=b"\x15\x00\x04TEST")),
    ):
        raw = RawClient(log, name)
        raw.send(what, data)
        raw.read()
        raw.close()
    for level in (V31, V311, V5):
        client = Client(log, f"stranger-{LEVEL_NAMES[level]}", level)
        client.paho.username_pw_set("nobody", "not-a-real-password")
        client.connect()
        client.paho.loop_stop()


def connect_before(log, _directory):
    """Both connections exist, and the subscription too, before the recording begins."""
    subscriber = Client(log, "subscriber").connect().subscribe(("late/#", 2))
    return subscriber, Client(log, "publisher").connect()


def midstream(log, prepared):
    subscriber, publisher = prepared
    log.write("recording_begins", "")
    for qos in (0, 1, 2):
        publisher.publish(f"late/qos{qos}", payload(qos, 40), qos)
    subscriber.received(3)
    time.sleep(0.05)
    publisher.disconnect()
    subscriber.disconnect()


def many_clients(log, _prepared):
    collector = Client(log, "collector", V5).connect().subscribe(("sensor/+/value", 2))
    sensors = []
    for number in range(15):
        level = (V31, V311, V5)[number % 3]
        address = (BROKER_IPV4, BROKER_IPV6)[number % 2]
        sensors.append(Client(log, f"sensor{number:02}", level, address).connect())
    for number, sensor in enumerate(sensors):
        sensor.publish(f"sensor/{number:02}/value", payload(number, 12), number % 3)
    collector.received(len(sensors))
    time.sleep(0.05)
    for client in (*sensors, collector):
        client.disconnect()


def resumed_session(log, _prepared):
    """A client that is away, comes back, and gets what it missed; and one that never
    acknowledges, so that the broker sends again with DUP on the next connection."""
    options = {"clean": False}
    away = Client(log, "traveller", **options).connect()
    away.subscribe(("post/+", 2))
    publisher = Client(log, "publisher").connect()
    publisher.publish("post/1", b"while here", 2)
    away.received(1)
    time.sleep(0.05)
    away.disconnect()
    publisher.publish("post/2", b"QoS 0 while away: not queued", 0)
    publisher.publish("post/3", b"QoS 1 while away", 1)
    publisher.publish("post/4", b"QoS 2 while away", 2)
    away = Client(log, "traveller", manual_ack=True, **options).connect()
    away.received(2)
    time.sleep(0.05)
    away.vanish()
    back = Client(log, "traveller", **options).connect()
    back.received(4)
    # The same client identifier once more: the broker closes the older connection.
    back.awaiting("disconnected", lambda: Client(log, "traveller", **options).connect().vanish())
    publisher.disconnect()


def keep_alive(log, _prepared):
    pinging = Client(log, "pinging", keep_alive=1).connect()
    silent = [RawClient(log, "silent"), RawClient(log, "silent-v5")]
    silent[0].send("CONNECT, keep alive 1 s", connect_packet("silent", 4, 1))
    silent[1].send("CONNECT, keep alive 1 s", connect_packet("silent-v5", 5, 1, properties=b""))
    for raw in silent:
        raw.read()
    for raw in silent:
        # mosquitto 2.0.11 closes without the DISCONNECT 0x8D that MQTT 5 would allow.
        while raw.read():
            pass
        raw.close()
    pinging.disconnect()


def tls_broker(*settings, port=TLS_PORT):
    """A broker with a certificate of an authority made for it alone."""
    def configure(directory):
        return ("allow_anonymous true", f"listener {port} {BROKER_IPV4}",
                *Authority(directory).settings(*settings))
    return configure


def tls_context(version, certificate=False):
    """What the clients need to speak TLS with that broker."""
    def prepare(_log, directory):
        authority = Authority.__new__(Authority)
        authority.directory, authority.certificate = directory, directory / "ca.pem"
        return TlsContext(authority, directory / KEY_LOG, version, certificate, ("mqtt",))
    return prepare


def through(port, web_socket=False, again=False):
    """Every QoS, small messages and one of several records, through TLS, WebSocket or both;
    with `again`, a second connection that resumes the first one's TLS session."""
    def play(log, context):
        options = {"port": port, "tls": context, "web_socket": web_socket}
        subscriber = Client(log, "subscriber", V5, **options).connect()
        subscriber.subscribe(("inside/#", 2))
        publisher = Client(log, "publisher", V311, **options).connect()
        sizes = (1, 20, 126, 300, 1500, 17000)
        for number, size in enumerate(sizes):
            publisher.publish(f"inside/{number}", payload(number, size), number % 3)
        subscriber.received(len(sizes))
        time.sleep(0.05)
        publisher.disconnect()
        if again:
            context.resume = True
            back = Client(log, "publisher-again", V311, **options).connect()
            back.publish("inside/again", b"in a resumed TLS session", 1)
            subscriber.received(len(sizes) + 1)
            back.disconnect()
        subscriber.disconnect()
    return play


def matrix():
    """Each QoS at both current levels, over both address families."""
    for qos in (0, 1, 2):
        for level, family, address in ((V311, "ipv4", BROKER_IPV4), (V5, "ipv6", BROKER_IPV6)):
            name = f"qos{qos}-v{LEVEL_NAMES[level].replace('.', '')}-{family}.pcap"
            yield Scenario(
                name, f"QoS {qos}, MQTT {LEVEL_NAMES[level]}, IPv{family[-1]}: seven messages of "
                f"{SIZES[0]} to {SIZES[-1]} bytes, publisher to subscriber",
                one_way(level, qos, address), tap=("broker", "client")[qos == 1])


SCENARIOS = (
    *matrix(),
    Scenario("v31-ipv4.pcap", "MQTT 3.1 (`MQIsdp`), QoS 0, 1 and 2", every_qos_v31),
    Scenario("v5-properties-ipv6.pcap", "topic alias set, used and bound anew; user properties, "
             "content type, response topic, correlation data, message expiry, subscription "
             "identifier, assigned client identifier, reason codes in PUBACK, UNSUBACK and "
             "DISCONNECT", v5_properties),
    Scenario("retained-will.pcap", "retained messages kept, sent at subscription and deleted; "
             "wills at 3.1.1 and 5 of clients whose connection is reset", retained_and_will),
    Scenario("subscriptions.pcap", "wildcards, empty levels, several filters in one SUBSCRIBE, "
             "overlapping, shared and No Local subscriptions, refused filters (0x80, 0x87), a "
             "refused PUBLISH, UNSUBSCRIBE", subscriptions, broker=refuse_secrets),
    Scenario("return-codes.pcap", "connections refused: protocol level 6, no client identifier, "
             "wrong protocol name, unknown authentication method, bad password at 3.1, 3.1.1 "
             "and 5 (the password is invented)", return_codes, broker=closed_broker),
    Scenario("keep-alive.pcap", "PINGREQ and PINGRESP; two clients that fall silent and lose "
             "their connection to the broker's patience", keep_alive),
    Scenario("resumed-session.pcap", "a persistent session: messages queued while the client is "
             "away, resent with DUP after a connection without acknowledgements, then taken over",
             resumed_session),
    Scenario("midstream.pcap", "the recording begins after CONNECT and SUBSCRIBE", midstream,
             prepare=connect_before),
    Scenario("many-clients.pcap", "15 publishers of all levels, both address families and every "
             "QoS, one collector", many_clients),
    Scenario("fleet.pcap", "seven clients of a house at once, 3.1.1 and 5, every QoS: JSON, "
             "Protobuf (`tutorial.proto`) and text; retained messages, wills, wildcards, empty levels, "
             "overlapping, shared, No Local and Retain As Published subscriptions, a session "
             "that catches up on what it missed, the same payload fast, refused logins, a "
             "client identifier taken over", fleet.fleet, broker=fleet.home_broker),
    Scenario("loss.pcap", "messages that the broker acknowledged and then lost: its queue full "
             "for a slow subscriber and for one that is away, larger than a subscriber takes, denied "
             "by a rule, dropped because a subscriber does not read", fleet.loss,
             broker=fleet.tight_broker),
    Scenario("large-message.pcap", "one message of 9,000 bytes over several segments, QoS 2",
             one_way(V311, 2, BROKER_IPV4, (9000,))),
    Scenario("snaplen-96.pcap", "every frame cut to 96 bytes (`tcpdump -s 96`)",
             one_way(V5, 1, BROKER_IPV4), tcpdump=("-s", "96")),
    Scenario("tls13.pcap", "TLS 1.3 (AES-256-GCM) with client certificates, server name and "
             "ALPN; payloads up to 17,000 bytes, over several records; `tls13.keylog` has its "
             "secrets", through(TLS_PORT), prepare=tls_context(ssl.TLSVersion.TLSv1_3, True),
             broker=tls_broker("tls_version tlsv1.3", "require_certificate true")),
    Scenario("tls12-gcm.pcap", "TLS 1.2 (AES-128-GCM), the last connection resumes a session; "
             "`tls12-gcm.keylog`", through(TLS_PORT, again=True),
             prepare=tls_context(ssl.TLSVersion.TLSv1_2),
             broker=tls_broker("tls_version tlsv1.2", "ciphers ECDHE-ECDSA-AES128-GCM-SHA256")),
    Scenario("tls12-chacha20.pcap", "TLS 1.2 (ChaCha20-Poly1305); `tls12-chacha20.keylog`",
             through(TLS_PORT), prepare=tls_context(ssl.TLSVersion.TLSv1_2),
             broker=tls_broker("tls_version tlsv1.2", "ciphers ECDHE-ECDSA-CHACHA20-POLY1305")),
    Scenario("websocket.pcap", "MQTT within WebSocket, on port 9001; payloads up to 17,000 bytes",
             through(WEB_SOCKET_PORT, web_socket=True),
             broker=lambda directory: ("allow_anonymous true",
                                       f"listener {WEB_SOCKET_PORT} {BROKER_IPV4}",
                                       "protocol websockets")),
    Scenario("wss.pcap", "MQTT within WebSocket within TLS 1.3 (ChaCha20-Poly1305), on port 9443; "
             "`wss.keylog`", through(SECURE_WEB_SOCKET_PORT, web_socket=True),
             prepare=tls_context(ssl.TLSVersion.TLSv1_3),
             broker=tls_broker("protocol websockets", "tls_version tlsv1.3",
                               "ciphers_tls1.3 TLS_CHACHA20_POLY1305_SHA256",
                               port=SECURE_WEB_SOCKET_PORT)),
    Scenario("any-sll2.pcap", "recorded on the interface `any`: Linux cooked capture v2",
             one_way(V311, 1, BROKER_IPV6, (5, 50)), tap="any"),
    Scenario("two-taps.pcapng", "pcapng of two interfaces, one at either end of the link, "
             "merged by time", one_way(V5, 2, BROKER_IPV4, (5, 50, 200)), tap="both"),
)
