"""paho-mqtt clients, and a bare socket, that write down what happened to them.

The log is the ground truth of a recording: one JSON object per line, from the clients' own
calls and callbacks and never from the capture. Fields that an event does not have are absent.
"""

import json
import socket
import ssl
import struct
import threading
import time

import paho.mqtt.client as paho
import xxhash
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

import testnet

V31, V311, V5 = paho.MQTTv31, paho.MQTTv311, paho.MQTTv5


class Log:
    """Events in the order in which the clients learnt of them."""

    def __init__(self):
        self.events, self.lock = [], threading.Lock()

    def write(self, event, client, **fields):
        with self.lock:
            self.events.append({"event": event, "client": client, **fields})

    def count(self, event, client):
        with self.lock:
            return sum(e["event"] == event and e["client"] == client for e in self.events)

    def await_quiet(self, seconds=0.15):
        """Waits until nobody has written anything for so long: all that was sent has arrived."""
        seen = -1
        while seen != len(self.events):
            seen = len(self.events)
            time.sleep(seconds)

    def text(self):
        return "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in self.events)


def message_fields(topic, qos, retain, payload, packet_id):
    """What a message is: XXH3-64 as in mqttscope's own tables, packet identifier from QoS 1."""
    fields = {"topic": topic, "qos": qos, "retain": int(retain), "payload_length": len(payload),
              "payload_xxh3": xxhash.xxh3_64_hexdigest(payload)}
    if qos > 0:
        fields["packet_id"] = packet_id
    return fields


def code_of(reason):
    """The byte on the wire, whichever of paho's types carries it."""
    return getattr(reason, "value", reason)


def shown_options(options):
    """The requested QoS and, where there are any, the options of MQTT 5 in words."""
    if not isinstance(options, SubscribeOptions):
        return [options]
    words = ["no_local"] * options.noLocal + ["retain_as_published"] * options.retainAsPublished
    return [options.QoS, *words]


def small_socket(address, receive_buffer):
    """A connection whose window is small from its first segment on."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect((address, testnet.PORT))
    return sock


class TlsContext(ssl.SSLContext):
    """A context that writes a key log, asks for the broker by name although it connects to an
    address, and resumes the session of its last connection where `resume` is set."""

    def __new__(cls, *_arguments, **_options):
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, authority, key_log, version, certificate=False, protocols=()):
        super().__init__()
        self.load_verify_locations(authority.certificate)
        self.minimum_version = self.maximum_version = version
        self.keylog_filename = str(key_log)
        if certificate:
            self.load_cert_chain(*authority.pair("client"))
        if protocols:
            self.set_alpn_protocols(list(protocols))
        self.resume, self.last = False, None

    def wrap_socket(self, sock, *arguments, server_hostname=None, **options):
        if self.resume and self.last is not None:
            options["session"] = self.last.session
        self.last = super().wrap_socket(
            sock, *arguments, server_hostname=testnet.SERVER_NAME, **options)
        return self.last


class Client:
    """One paho client. Each step waits until the broker has answered."""

    def __init__(self, log, name, level=V311, address=testnet.BROKER_IPV4, clean=True,
                 keep_alive=60, manual_ack=False, client_id=None, will=None, login=None,
                 receive_buffer=None, port=testnet.PORT, tls=None, web_socket=False):
        """`will`: topic, payload, QoS, retain. `login`: user name and password.
        `receive_buffer`: bytes that TCP takes in while nobody reads. `tls`: a context;
        `web_socket`: MQTT within WebSocket."""
        self.log, self.name, self.level, self.address = log, name, level, address
        self.clean, self.keep_alive, self.port = clean, keep_alive, port
        session = {} if level == V5 else {"clean_session": clean}
        self.paho = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=name if client_id is None else client_id,
            protocol=level, reconnect_on_failure=False, manual_ack=manual_ack,
            transport="websockets" if web_socket else "tcp", **session)
        if tls is not None:
            self.paho.tls_set_context(tls)
        # paho wraps the socket of a WebSocket connection without handing options through.
        self.paho.on_socket_open = lambda client, data, sock: getattr(
            sock, "_socket", sock).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.paho.on_connect = self.on_connect
        self.paho.on_disconnect = lambda client, data, flags, reason, properties: self.log.write(
            "disconnected", self.name, by_broker=int(flags.is_disconnect_packet_from_server))
        self.paho.on_subscribe = lambda client, data, mid, reasons, properties: self.log.write(
            "subscribed", self.name, packet_id=mid, codes=[code_of(r) for r in reasons])
        self.paho.on_unsubscribe = lambda client, data, mid, reasons, properties: self.log.write(
            "unsubscribed", self.name, packet_id=mid)
        self.paho.on_publish = lambda client, data, mid, reason, properties: self.log.write(
            "written_or_acknowledged", self.name, packet_id=mid, code=code_of(reason))
        self.paho.on_message = self.on_message
        self.identity = {"client_id": client_id} if client_id else {}
        if will is not None:
            topic, payload, qos, retain = will
            self.paho.will_set(topic, payload, qos, retain)
            self.identity["will"] = message_fields(topic, qos, retain, payload, None)
            self.identity["will"].pop("packet_id", None)
        if receive_buffer is not None:
            # paho sets its options after the connection is there; the window is agreed before.
            self.paho._create_socket_connection = lambda: small_socket(address, receive_buffer)
        if login is not None:
            self.paho.username_pw_set(*login)

    def on_connect(self, client, data, flags, reason, properties):
        fields = {"session_present": int(flags.session_present)}
        if self.level == V5:
            fields["code"] = code_of(reason)
        else:
            fields["accepted"] = int(not reason.is_failure)
        self.log.write("connected", self.name, **fields)

    def on_message(self, client, data, message):
        fields = message_fields(
            message.topic, message.qos, message.retain, message.payload, message.mid)
        self.log.write("received", self.name, **fields, dup=int(message.dup))

    def awaiting(self, event, step):
        """Does `step` and waits until one more `event` of this client is in the log."""
        before = self.log.count(event, self.name)
        result = step()
        testnet.wait_for(f"{self.name}: {event}",
                         lambda: self.log.count(event, self.name) > before)
        return result

    def connect(self, properties=None):
        self.log.write("connecting", self.name, level=int(self.level), clean=int(self.clean),
                       address=self.address, **self.identity)

        def step():
            options = {}
            if self.level == V5:
                options = {"clean_start": self.clean, "properties": properties}
            self.paho.connect(self.address, self.port, self.keep_alive, **options)
            self.paho.loop_start()
        self.awaiting("connected", step)
        return self

    def subscribe(self, *filters, properties=None):
        """`filters`: (filter, QoS or SubscribeOptions)."""
        shown = [[name, *shown_options(options)] for name, options in filters]
        self.log.write("subscribing", self.name, filters=shown)
        if self.level == V5:
            filters = [(name, options if isinstance(options, SubscribeOptions)
                        else SubscribeOptions(qos=options)) for name, options in filters]
        self.awaiting("subscribed",
                      lambda: self.paho.subscribe(list(filters), properties=properties))
        return self

    def unsubscribe(self, *filters):
        self.log.write("unsubscribing", self.name, filters=list(filters))
        self.awaiting("unsubscribed", lambda: self.paho.unsubscribe(list(filters)))

    def publish(self, topic, payload, qos=0, retain=False, properties=None, on_wire_topic=None):
        """Publishes and waits for the end of the handshake. `on_wire_topic` is what is sent
        instead of the topic where a topic alias stands for it."""
        sent = topic if on_wire_topic is None else on_wire_topic

        def step():
            message = self.paho.publish(sent, payload, qos, retain, properties)
            self.log.write("publishing", self.name, **message_fields(
                topic, qos, retain, payload, message.mid))
        self.awaiting("written_or_acknowledged", step)

    def publish_fast(self, topic, payloads, qos=0):
        """Publishes all of them without waiting for an answer in between, and then for all."""
        expected = self.log.count("written_or_acknowledged", self.name) + len(payloads)
        for payload in payloads:
            message = self.paho.publish(topic, payload, qos)
            self.log.write("publishing", self.name, **message_fields(
                topic, qos, False, payload, message.mid))
        testnet.wait_for(
            f"{self.name} to be rid of {len(payloads)} messages",
            lambda: self.log.count("written_or_acknowledged", self.name) >= expected)

    def received(self, number):
        """Waits until this client has received so many messages in all."""
        testnet.wait_for(f"{self.name} to receive {number} messages",
                         lambda: self.log.count("received", self.name) >= number)

    def disconnect(self, **options):
        self.awaiting("disconnected", lambda: self.paho.disconnect(**options))
        self.paho.loop_stop()

    def vanish(self):
        """Ends the connection without DISCONNECT, as a client that lost its power would: the
        reset comes from the kernel as soon as the socket is closed with zero linger."""
        self.log.write("vanishing", self.name)
        sock = self.paho.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.paho.loop_stop()
        sock.close()


class RawClient:
    """A socket that sends what it is told to: what a well-behaved library would not."""

    def __init__(self, log, name, address=testnet.BROKER_IPV4):
        self.log, self.name = log, name
        self.socket = socket.create_connection((address, testnet.PORT), testnet.PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, what, data):
        self.log.write("raw_sent", self.name, what=what, bytes=data.hex())
        self.socket.sendall(data)

    def read(self):
        data = self.socket.recv(4096)
        self.log.write("raw_received", self.name, bytes=data.hex())
        return data

    def close(self):
        self.socket.close()


def text(value):
    """A string as MQTT writes it: two bytes of length, then UTF-8."""
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def packet(first_byte, body):
    """A control packet of less than 128 bytes."""
    assert len(body) < 128
    return bytes((first_byte, len(body))) + body


def connect_packet(client_id, level=4, keep_alive=60, protocol_name="MQTT", properties=None):
    """A CONNECT with clean session and nothing else."""
    between = b"" if properties is None else bytes((len(properties),)) + properties
    return packet(0x10, text(protocol_name) + bytes((level, 2))
                  + struct.pack(">H", keep_alive) + between + text(client_id))


def properties_of(packet_type, **values):
    """paho's property object from keyword arguments, e.g. `TopicAlias=1`."""
    properties = Properties(packet_type)
    for name, value in values.items():
        setattr(properties, name, value)
    return properties
