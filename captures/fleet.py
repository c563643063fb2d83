"""A small fleet of devices, and a broker that loses messages: what is played for `fleet.pcap`
and `loss.pcap`."""

import base64
import hashlib
import json
import time

from clients import V5, V311, Client, RawClient, connect_packet, properties_of, text
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions
from testnet import BROKER_IPV6, dynamic_security_plugin

# The one login that the broker knows. It crosses the wire in clear text, which is the point.
METER_LOGIN = ("meter-user", "not-a-real-secret")


def known_client(name, password):
    """A client in the words of mosquitto's dynamic security plugin."""
    salt, rounds = b"a fixed salt", 101
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return {"username": name, "password": base64.b64encode(digest).decode(),
            "salt": base64.b64encode(salt).decode(), "iterations": rounds,
            "roles": [{"rolename": "no-secrets"}]}


def home_broker(directory):
    """Lets in whoever gives no name, and the meter with its password; keeps one topic from
    everybody; at its IPv6 address no more than QoS 1."""
    rules = [{"acltype": kind, "topic": "Zuhause/Geheim/#", "priority": 10, "allow": False}
             for kind in ("subscribePattern", "publishClientSend")]
    security = directory / "dynamic-security.json"
    security.write_text(json.dumps({
        "defaultACLAccess": {"publishClientSend": True, "publishClientReceive": True,
                             "subscribe": True, "unsubscribe": True},
        "anonymousGroup": "everybody",
        "groups": [{"groupname": "everybody", "roles": [{"rolename": "no-secrets"}]}],
        "roles": [{"rolename": "no-secrets", "acls": rules}],
        "clients": [known_client(*METER_LOGIN)]}))
    # `max_qos` belongs to the listener above it, the one of IPv6.
    return ("max_qos 1", "allow_anonymous true",
            f"plugin {dynamic_security_plugin()}", f"plugin_opt_config_file {security}")


def reading(celsius):
    """A measured value as JSON."""
    return json.dumps({"temperature": celsius, "unit": "°C"}, ensure_ascii=False).encode()


def tutorial_payload(words, number):
    """`tutorial.payload` of tutorial.proto, for numbers from 0 to 127."""
    data = words.encode()
    return b"\x0a" + bytes((len(data),)) + data + b"\x10" + bytes((number,))


class Home:
    """The seven clients that are connected at once, and what they do. Every step waits until
    its messages have arrived."""

    def __init__(self, log):
        self.log = log
        self.thermometer = Client(log, "thermometer", V311, will=(
            "Zuhause/Status/thermometer", b"lost", 1, False)).connect()
        # Kept by the broker for whoever comes later.
        self.thermometer.publish(
            "Zuhause/Wohnzimmer/Heizung/Temperatur", reading(21.5), 1, retain=True)
        self.thermometer.publish("Zuhause/Keller/Ventil", b"zu", 0, retain=True)
        self.meter = Client(log, "meter", V311, login=METER_LOGIN, will=(
            "Zuhause/Status/meter", b"offline", 1, True)).connect()
        self.archive = self.open_archive()
        self.panel = Client(log, "panel", V5).connect()
        self.workers = [Client(log, f"worker{number}", V5).connect() for number in (1, 2)]
        self.button = Client(log, "button", V5).connect()

    def open_archive(self):
        """A session that outlives its connection."""
        return Client(self.log, "archive", V311, clean=False).connect()

    def subscribe(self):
        self.archive.subscribe(("Zuhause/#", 2), ("Zähler/Impuls", 1))
        # Overlapping: two of these match a temperature of the living room.
        self.panel.subscribe(("Zuhause/Wohnzimmer/+/Temperatur", 1))
        self.panel.subscribe(("Zuhause/#", 2), ("Zähler/Impuls", 0))
        for worker in self.workers:
            worker.subscribe(("$share/g/Auftrag/+", 1))
        self.workers[0].subscribe(
            ("Zuhause/Keller/#", SubscribeOptions(qos=2, retainAsPublished=True)))
        # The second is refused.
        self.workers[1].subscribe(("Taster/+", 1), ("Zuhause/Geheim/#", 1))
        self.button.subscribe(("Taster/#", SubscribeOptions(qos=1, noLocal=True)))
        self.log.await_quiet()

    def measure(self):
        for qos in (0, 1, 2):
            self.thermometer.publish(
                "Zuhause/Wohnzimmer/Fenster/Temperatur", reading(18.25 + qos), qos)
            self.meter.publish("Zuhause/Keller/Strom", tutorial_payload("kWh 4711", qos), qos)
        # An empty level: `Zuhause/#` matches it.
        self.thermometer.publish("Zuhause//Temperatur", reading(7.0), 1)
        self.log.await_quiet()

    def press_buttons(self):
        # The broker does not send the button what it published itself.
        self.button.publish("Taster/Flur", "gedrückt\0".encode(), 2)
        self.panel.publish("Taster/Licht", b"an", 1)
        self.button.publish("Zuhause/Geheim/Plan", b"refused: PUBACK 0x87", 1)
        self.log.await_quiet()

    def share_jobs(self):
        for number in range(6):
            self.panel.publish(f"Auftrag/{number % 3}", f"job {number}".encode(), 1 + number % 2)
        self.log.await_quiet()

    def count_pulses(self):
        """The same byte again and again, faster than it is delivered."""
        self.meter.publish_fast("Zähler/Impuls", [b"0"] * 20, 0)
        self.meter.publish_fast("Zähler/Impuls", [b"0"] * 12, 1)
        self.log.await_quiet()

    def turn_valve(self):
        # Retained, and sent on as it was published to the worker that asked for that.
        self.thermometer.publish("Zuhause/Keller/Ventil", b"auf", 1, retain=True)
        # No payload: the broker forgets the message that it kept.
        self.thermometer.publish("Zuhause/Keller/Ventil", b"", 1, retain=True)
        self.log.await_quiet()

    def unsubscribe(self):
        self.workers[1].unsubscribe("Taster/+")
        self.panel.unsubscribe("Zuhause/Wohnzimmer/+/Temperatur")
        self.panel.publish("Taster/Licht", b"aus", 1)
        self.thermometer.publish("Zuhause/Wohnzimmer/Fenster/Temperatur", reading(22.0), 1)
        self.log.await_quiet()

    def miss_and_catch_up(self):
        """The archive goes away; the broker keeps QoS 1 and 2 for it, but not QoS 0."""
        self.archive.disconnect()
        for qos in (0, 1, 2):
            self.thermometer.publish("Zuhause/Bad/Temperatur", reading(24.5 + qos), qos)
        self.meter.publish_fast("Zähler/Impuls", [b"0"] * 2, 1)
        self.log.await_quiet()
        self.archive = self.open_archive()
        self.log.await_quiet()

    def leave(self):
        """One will is published, the other is not."""
        self.meter.vanish()
        self.log.await_quiet()
        self.thermometer.disconnect()
        self.log.await_quiet()

    def come_late(self):
        """Gets what is retained, and the next message like everybody."""
        self.guest = Client(self.log, "guest", V311).connect()
        self.guest.subscribe(("Zuhause/#", 1), ("Taster/#", 0))
        self.log.await_quiet()
        self.panel.publish("Zuhause/Wohnzimmer/Anzeige/Helligkeit", b"80", 1)
        self.log.await_quiet()

    def take_over(self):
        """A second device with the button's client identifier: the broker lets the first go."""
        second = Client(self.log, "button-2", V311, client_id="button")
        self.button.awaiting("disconnected", second.connect)
        self.button.paho.loop_stop()
        second.publish("Taster/Flur", b"another device", 1)
        # The first one's subscription went with its session.
        self.panel.publish("Taster/Licht", b"an", 1)
        self.log.await_quiet()
        self.button = second

    def close(self):
        for client in (self.archive, self.panel, *self.workers, self.button, self.guest):
            client.disconnect()


def refusals(log):
    """Logins that the broker refuses, with every code that it gives for one."""
    will = b"\x00" + text("Zuhause/Status/greedy") + text("lost")
    greedy = (text("MQTT") + b"\x05\x16\x00\x3c" + b"\x00" + text("greedy") + will)
    for name, what, data, address in (
        ("unnamed", "3.1.1 CONNECT, no client identifier, clean session 0",
         bytes.fromhex("100c00044d5154540400003c0000"), None),
        ("auth-v5", "v5 CONNECT with an authentication method",
         connect_packet("auth-v5", 5, properties=b"\x15\x00\x04TEST"), None),
        ("greedy", "v5 CONNECT, will of QoS 2, where QoS 1 is the highest",
         bytes((0x10, len(greedy))) + greedy, BROKER_IPV6),
    ):
        raw = RawClient(log, name, *([address] if address else []))
        raw.send(what, data)
        raw.read()
        raw.close()
    for name, level, login in (
        ("unknown-user", V311, ("nobody", "not-a-real-password")),
        ("wrong-password", V311, (METER_LOGIN[0], "not-a-real-password")),
        ("wrong-password-v5", V5, (METER_LOGIN[0], "not-a-real-password")),
    ):
        client = Client(log, name, level, login=login)
        client.connect()
        client.paho.loop_stop()


def fleet(log, _prepared):
    home = Home(log)
    for step in (home.subscribe, home.measure, home.press_buttons, home.share_jobs,
                 home.count_pulses, home.turn_valve, home.unsubscribe, home.miss_and_catch_up,
                 home.leave):
        step()
    refusals(log)
    home.come_late()
    home.take_over()
    home.close()


def tight_broker(directory):
    """Two messages in flight, five in the queue, and a topic whose messages reach nobody:
    mosquitto's own rules neither refuse the filter nor tell a publisher of 3.1.1."""
    rules = directory / "rules"
    rules.write_text("topic readwrite #\ntopic deny denied/#\n")
    return ("allow_anonymous true", "max_inflight_messages 2", "max_queued_messages 5",
            f"acl_file {rules}")


class Losses:
    """Five ways in which a broker loses what it has acknowledged. Each has its own topic and
    one subscriber that misses something; another one, that keeps up, shows what was sent."""

    def __init__(self, log):
        self.log = log
        self.publisher = Client(log, "publisher", V311).connect()
        self.steady = Client(log, "steady", V311).connect()
        self.steady.subscribe(("queue/#", 2), ("size/#", 2), ("away/#", 1))
        self.victims = {
            "queue": Client(log, "slow", V311, manual_ack=True).connect(),
            "size": Client(log, "small", V5).connect(
                properties_of(PacketTypes.CONNECT, MaximumPacketSize=64)),
            "away": Client(log, "away", V311, clean=False).connect(),
            "denied": Client(log, "denied", V311).connect(),
            "flood": Client(log, "stalled", V311, receive_buffer=2304).connect(),
        }
        for topic, client in self.victims.items():
            client.subscribe((f"{topic}/#", {"away": 1, "flood": 0}.get(topic, 2)))
        self.acknowledged = 0

    def publish(self, topic, count, size, first_qos, other_qos):
        """Messages of two QoS in turn, each acknowledged before the next."""
        for number in range(count):
            words = f"{topic} {number} ".encode()
            self.publisher.publish(f"{topic}/{number % 4}", words + b"." * (size - len(words)),
                                   (first_qos, other_qos)[number % 2])

    def acknowledge(self):
        """What the slow client has received so far; more comes for it."""
        received = [e for e in self.log.events
                    if e["event"] == "received" and e["client"] == "slow"]
        for event in received[self.acknowledged:]:
            self.victims["queue"].paho.ack(event["packet_id"], event["qos"])
        more = len(received) > self.acknowledged
        self.acknowledged = len(received)
        return more

    def fill_the_queue(self):
        """The slow client acknowledges nothing for a while: the queue holds five."""
        self.publish("queue", 16, 24, 1, 2)
        self.log.await_quiet(0.05)
        while self.acknowledge():
            self.log.await_quiet(0.05)

    def exceed_the_size(self):
        """The small client takes packets of at most 64 bytes: the broker drops the larger."""
        for size in (24, 100):
            self.publish("size", 2, size, 0, 1)
            self.publish("size", 1, size, 2, 2)
        self.log.await_quiet()

    def stay_away(self):
        """Of what comes meanwhile, the queue holds five; QoS 0 it never holds."""
        self.victims["away"].disconnect()
        self.publish("away", 12, 24, 1, 2)
        self.publish("away", 1, 20, 0, 0)
        self.log.await_quiet()
        self.victims["away"] = Client(self.log, "away", V311, clean=False).connect()
        self.log.await_quiet()

    def deny(self):
        self.publish("denied", 3, 24, 1, 2)
        self.publish("denied", 1, 20, 0, 0)
        self.log.await_quiet()

    def flood(self):
        """A client that does not read: TCP's window closes, then the broker's patience ends."""
        stalled = self.victims["flood"].paho
        stalled.loop_stop()
        self.publisher.publish_fast(
            "flood/0", [f"flood {number} ".encode().ljust(1300, b".") for number in range(60)])
        time.sleep(0.1)
        stalled.loop_start()
        self.log.await_quiet(0.3)

    def write_missed(self):
        """What each subscriber was to get and did not, from the log alone."""
        names = ("topic", "qos", "payload_length", "payload_xxh3")
        for topic, client in self.victims.items():
            received = [(e["topic"], e["payload_xxh3"]) for e in self.log.events
                        if e["event"] == "received" and e["client"] == client.name]
            for event in list(self.log.events):
                if (event["event"] == "publishing" and event["topic"].startswith(topic)
                        and (event["topic"], event["payload_xxh3"]) not in received):
                    self.log.write("missed", client.name, **{name: event[name] for name in names})

    def close(self):
        for client in (self.publisher, self.steady, *self.victims.values()):
            client.disconnect()


def loss(log, _prepared):
    losses = Losses(log)
    for step in (losses.fill_the_queue, losses.exceed_the_size, losses.stay_away, losses.deny,
                 losses.flood):
        step()
    # Long enough to call it lost with a deadline of one second.
    time.sleep(2.3)
    losses.write_missed()
    losses.close()
