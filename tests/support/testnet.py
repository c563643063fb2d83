"""Two hosts on one machine: network namespaces joined by a veth pair, with a real broker.

`client` is 10.9.0.1 and fd00:9::1, `broker` is 10.9.0.2 and fd00:9::2. The MAC addresses are
fixed and locally administered, so that a recording says nothing about the machine that made it;
offloading is switched off, so that segments look as they would on a wire (checksums right, none
longer than the MTU). Needs root, iproute2, mosquitto and tcpdump; Linux only.
"""

import ctypes
import fcntl
import glob
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

CLIENT_IPV4, BROKER_IPV4 = "10.9.0.1", "10.9.0.2"
CLIENT_IPV6, BROKER_IPV6 = "fd00:9::1", "fd00:9::2"
CLIENT_MAC, BROKER_MAC = "02:00:0a:09:00:01", "02:00:0a:09:00:02"
PORT = 1883
TLS_PORT, WEB_SOCKET_PORT, SECURE_WEB_SOCKET_PORT = 8883, 9001, 9443
PATIENCE_S = 10.0

SIOCETHTOOL = 0x8946
# ETHTOOL_SRXCSUM, STXCSUM, SSG, STSO, SGSO, SGRO: linux/ethtool.h
OFFLOADS = (0x15, 0x17, 0x19, 0x1F, 0x24, 0x2C)
CLONE_NEWNET = 0x40000000


class Trouble(Exception):
    """Something the person who started the script can mend; the message says how."""


def require(*tools):
    """Fails with one sentence when a program or the right to make a namespace is missing."""
    missing = [tool for tool in tools if find_tool(tool) is None]
    if missing:
        raise Trouble(f"missing: {', '.join(missing)} (`./x install` brings them)")
    if os.geteuid() != 0:
        raise Trouble("network namespaces need root: run this with sudo")


def find_tool(tool):
    """Like which(1), also where Debian keeps daemons and a user's PATH does not look."""
    return shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")


def run(*command):
    """Runs a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Trouble(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wait_for(what, condition):
    """Waits until `condition()` holds; a run that hangs says what it waited for."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise Trouble(f"waited {PATIENCE_S:.0f} s in vain for {what}")
        time.sleep(0.01)


def enter_namespace(name):
    """Moves the calling thread, and the threads it starts later, into a namespace."""
    with open(f"/run/netns/{name}", "rb") as namespace:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise Trouble(f"cannot enter the namespace {name}: {os.strerror(ctypes.get_errno())}")


def switch_off_offloading(interface):
    """`ethtool -K` without ethtool; a kernel that lacks one of the switches is no failure."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))
            try:
                fcntl.ioctl(control, SIOCETHTOOL, request)
            except OSError:
                pass


class Network:
    """The pair of namespaces; while it is open, this process is the client host."""

    def __init__(self):
        self.client = f"mqttscope-client-{os.getpid()}"
        self.broker = f"mqttscope-broker-{os.getpid()}"

    def __enter__(self):
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def build(self):
        ends = (
            (self.broker, "broker0", BROKER_MAC, BROKER_IPV4, BROKER_IPV6),
            (self.client, "client0", CLIENT_MAC, CLIENT_IPV4, CLIENT_IPV6),
        )
        for namespace, *_ in ends:
            run("ip", "netns", "add", namespace)
        run("ip", "-n", self.client, "link", "add", "client0", "type", "veth",
            "peer", "name", "broker0", "netns", self.broker)
        for namespace, interface, mac, ipv4, ipv6 in ends:
            for arguments in (
                ("link", "set", interface, "address", mac),
                ("addr", "add", f"{ipv4}/24", "dev", interface),
                ("-6", "addr", "add", f"{ipv6}/64", "dev", interface, "nodad"),
                ("link", "set", "lo", "up"),
                ("link", "set", interface, "up"),
            ):
                run("ip", "-n", namespace, *arguments)
            # The client comes last: that is where this process stays.
            enter_namespace(namespace)
            switch_off_offloading(interface)

    def __exit__(self, *_):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.setns(self.home, CLONE_NEWNET)
        os.close(self.home)
        for namespace in (self.client, self.broker):
            subprocess.run(("ip", "netns", "delete", namespace), capture_output=True, check=False)


class Process:
    """A program in one of the namespaces, stopped at the end of the `with` block."""

    def __init__(self, namespace, command, log, stop_signal=signal.SIGTERM):
        self.command, self.log, self.stop_signal = command, pathlib.Path(log), stop_signal
        with open(log, "wb") as sink:
            self.process = subprocess.Popen(
                ("ip", "netns", "exec", namespace, *command), stdin=subprocess.DEVNULL,
                stdout=sink, stderr=sink)

    def output(self):
        return self.log.read_text(errors="replace")

    def wait_for_output(self, text):
        def seen():
            if self.process.poll() is not None:
                raise Trouble(f"{self.command[0]} ended early: {self.output().strip()}")
            return text in self.output()
        wait_for(f"{self.command[0]} to say {text!r}", seen)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Broker(Process):
    """mosquitto on the broker host, port 1883 of both addresses."""

    def __init__(self, network, directory, settings=("allow_anonymous true",)):
        directory = pathlib.Path(directory)
        configuration = directory / "mosquitto.conf"
        configuration.write_text("\n".join((
            f"listener {PORT} {BROKER_IPV4}",
            f"listener {PORT} {BROKER_IPV6}",
            "user root",
            "persistence false",
            "set_tcp_nodelay true",
            "sys_interval 0",
            *settings,
            "",
        )))
        super().__init__(
            network.broker, (find_tool("mosquitto"), "-v", "-c", str(configuration)),
            directory / "mosquitto.log")
        self.wait_for_output(" running")


class Recorder(Process):
    """tcpdump on one of the interfaces. Leaving the block waits for the last frames."""

    def __init__(self, namespace, interface, target, *options):
        command = (
            find_tool("tcpdump"), "-i", interface, "-n", "-U", "--immediate-mode", "-B", "32768",
            "-Z", "root",
            "--time-stamp-precision=nano", *options, "-w", str(target),
            f"tcp port {PORT} or {TLS_PORT} or {WEB_SOCKET_PORT} or {SECURE_WEB_SOCKET_PORT}")
        super().__init__(namespace, command, f"{target}.log", signal.SIGINT)
        self.wait_for_output("listening on")

    def __exit__(self, *error):
        # The last FIN and ACK of the connections are still under way.
        time.sleep(0.15)
        super().__exit__(*error)
        if "0 packets dropped by kernel" not in self.output():
            raise Trouble(f"the recording is not whole: {self.output().strip()}")


SERVER_NAME = "broker.mqttscope.test"


class Authority:
    """A certificate authority, and certificates of it for the broker and for one client."""

    def __init__(self, directory):
        directory = pathlib.Path(directory)
        self.certificate = directory / "ca.pem"
        key = directory / "ca.key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "3650", "-subj", "/CN=mqttscope test authority",
            "-keyout", str(key), "-out", str(self.certificate))
        for name, alternative in (("broker", f"DNS:{SERVER_NAME}"), ("client", "DNS:client")):
            request, extensions = directory / f"{name}.csr", directory / f"{name}.ext"
            extensions.write_text(f"subjectAltName={alternative}")
            run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", f"/CN={name}", "-keyout", str(directory / f"{name}.key"),
                "-out", str(request))
            run("openssl", "x509", "-req", "-days", "3650", "-in", str(request),
                "-CA", str(self.certificate), "-CAkey", str(key), "-CAcreateserial",
                "-extfile", str(extensions), "-out", str(directory / f"{name}.pem"))
        self.directory = directory

    def pair(self, name):
        """Certificate and key of `broker` or `client`."""
        return str(self.directory / f"{name}.pem"), str(self.directory / f"{name}.key")

    def settings(self, *more):
        """What mosquitto needs in a listener that speaks TLS."""
        certificate, key = self.pair("broker")
        return (f"cafile {self.certificate}", f"certfile {certificate}", f"keyfile {key}", *more)


def dynamic_security_plugin():
    """Path of the plugin that can refuse a subscription (mosquitto's own ACL file cannot)."""
    found = glob.glob("/usr/lib/*/mosquitto_dynamic_security.so")
    found += glob.glob("/usr/lib/mosquitto_dynamic_security.so")
    if not found:
        raise Trouble("mosquitto_dynamic_security.so is missing (Debian's mosquitto has it)")
    return found[0]


def versions():
    """What made a recording: program to version."""
    def version(pattern, *command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.search(pattern, done.stdout + done.stderr)
        return found.group(1) if found else "unknown"
    return {
        "mosquitto": version(r"mosquitto version (\S+)", find_tool("mosquitto"), "-h"),
        "tcpdump": version(r"tcpdump version (\S+)", find_tool("tcpdump"), "--version"),
        "libpcap": version(r"libpcap version (\S+)", find_tool("tcpdump"), "--version"),
        "mergecap": version(r"\) (\d\S+\d)", find_tool("mergecap"), "--version"),
    }
