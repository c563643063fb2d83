#!/usr/bin/env python3
"""Plays a scenario of captures/scenarios.py while mqttscope captures it, and tcpdump beside it.

    live_scene.py --program PATH --scenario tls13.pcap --into DIR [-- options for mqttscope]

Into DIR: `own.pcapng` (mqttscope -w), `live/` (its -o), `lines.txt` (its output), `tcpdump.pcap`,
and `key.log` where the scenario's clients write one. `--tap loopback` plays on the loopback
interface of a network namespace; `--tap pipe` has mqttscope read along tcpdump's standard output.
Needs root; see testnet.py.
"""

import argparse
import pathlib
import shlex
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "captures")]

import testnet  # noqa: E402


class Captor(testnet.Process):
    """mqttscope, stopped as a person would: with Ctrl-C."""

    def __init__(self, namespace, command, log, begun):
        super().__init__(namespace, command, log, signal.SIGINT)
        self.wait_for_output(begun)

    def __exit__(self, *error):
        # The last FIN and ACK of the connections are still under way.
        time.sleep(0.3)
        super().__exit__(*error)
        if self.process.returncode != 0:
            raise testnet.Trouble(f"exit code {self.process.returncode}: {self.output()}")


def on_loopback(log, _prepared):
    """Every QoS between clients of the same host as the broker."""
    import clients
    options = {"address": "127.0.0.1"}
    subscriber = clients.Client(log, "subscriber", clients.V5, **options).connect()
    subscriber.subscribe(("here/#", 2))
    publisher = clients.Client(log, "publisher", clients.V311, **options).connect()
    for number in range(60):
        publisher.publish(f"here/{number % 4}", b"message %d" % number, number % 3)
    subscriber.received(60)
    publisher.disconnect()
    subscriber.disconnect()


def command_of(arguments, interface, key_log):
    command = [str(arguments.program), "capture", "--format", "jsonl", "-w",
               str(arguments.into / "own.pcapng"), "-o", str(arguments.into / "live"),
               *arguments.options]
    if key_log:
        # It is not there yet, and grows while the connections begin.
        command += ["--keylog", str(arguments.into / "key.log")]
    if arguments.tap != "pipe":
        return (*command, "-i", interface)
    # The shell's last command takes its place, so that it gets the signal; tcpdump ends when
    # nobody reads any more.
    tcpdump = shlex.join((testnet.find_tool("tcpdump"), "-i", interface, "-U", "-Z", "root",
                          "--immediate-mode", "-B", "32768", "--time-stamp-precision=nano",
                          "-w", "-", "tcp"))
    own = shlex.join((*command, "-r", "-"))
    return ("bash", "-c", f"exec {own} < <({tcpdump})")


def play(arguments):
    from clients import Log
    from scenarios import KEY_LOG, SCENARIOS
    log, into = Log(), arguments.into
    loopback = arguments.tap == "loopback"
    scenario = next((s for s in SCENARIOS if s.name == arguments.scenario), None)
    if scenario is None and not loopback:
        raise testnet.Trouble(f"there is no scenario {arguments.scenario}")
    with testnet.Network() as network:
        settings = ("allow_anonymous true",)
        if loopback:
            settings += (f"listener {testnet.PORT} 127.0.0.1",)
        else:
            settings = scenario.broker(into)
        with testnet.Broker(network, into, settings):
            prepared = None if loopback else scenario.prepare(log, into)
            interface = {"loopback": "lo", "any": "any"}.get(arguments.tap, "broker0")
            key_log = not loopback and "tls" in scenario.name or "wss" in arguments.scenario
            command = command_of(arguments, interface, key_log)
            begun = "listening on" if arguments.tap == "pipe" else "capturing"
            if loopback:
                testnet.enter_namespace(network.broker)
            with Captor(network.broker, command, into / "lines.txt", begun):
                with testnet.Recorder(network.broker, interface, into / "tcpdump.pcap",
                                      "-B", "32768"):
                    (on_loopback if loopback else scenario.play)(log, prepared)
    assert KEY_LOG == "key.log"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--scenario", default="")
    parser.add_argument("--tap", choices=("broker", "loopback", "any", "pipe"), default="broker")
    parser.add_argument("--into", type=pathlib.Path, required=True)
    parser.add_argument("options", nargs="*")
    arguments = parser.parse_args()
    arguments.into, arguments.program = arguments.into.resolve(), arguments.program.resolve()
    try:
        testnet.require("ip", "mosquitto", "tcpdump", "openssl")
        play(arguments)
    except (testnet.Trouble, subprocess.SubprocessError) as trouble:
        print(f"live_scene.py: {trouble}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
