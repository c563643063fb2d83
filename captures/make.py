#!/usr/bin/env python3
"""Makes the recordings of this directory again, or verifies them.

    sudo target/python/bin/python captures/make.py             # all of them, and README's table
    sudo target/python/bin/python captures/make.py --only qos  # names that contain "qos"
    python3 captures/make.py --check                           # against SHA256SUMS

`./x install --tests` brings what it needs (mosquitto, tcpdump, tshark for mergecap, iproute2
and the Python packages). It works in network namespaces of its own: nothing else on the machine
is touched or recorded. See `tests/support/testnet.py` and, for the contents, `scenarios.py`.
"""

import argparse
import hashlib
import pathlib
import struct
import subprocess
import sys
import tempfile
from contextlib import ExitStack

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "support")]

import testnet  # noqa: E402

SUMS = HERE / "SHA256SUMS"
README = HERE / "README.md"
TABLE_BEGINS, TABLE_ENDS = "<!-- table: written by make.py -->", "<!-- end of table -->"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def recordings():
    return sorted(path for path in HERE.iterdir() if path.suffix in (".pcap", ".pcapng", ".jsonl", ".keylog"))


def check():
    """Every recording has its sum, and every sum its recording."""
    expected = dict(reversed(line.split("  ")) for line in SUMS.read_text().splitlines())
    found = {path.name: sha256(path) for path in recordings()}
    wrong = sorted(name for name in expected.keys() | found.keys()
                   if expected.get(name) != found.get(name))
    for name in wrong:
        print(f"{name}: {'missing' if name not in found else 'not as in SHA256SUMS'}",
              file=sys.stderr)
    print(f"{len(expected) - len(wrong)} of {len(expected)} files are as in SHA256SUMS")
    return 1 if wrong else 0


def recorders(network, scenario, directory):
    """(namespace, interface) pairs of the scenario's taps, each with its own file."""
    places = {
        "broker": ((network.broker, "broker0"),),
        "client": ((network.client, "client0"),),
        "any": ((network.broker, "any"),),
        "both": ((network.client, "client0"), (network.broker, "broker0")),
    }[scenario.tap]
    return [(place, interface, directory / f"{interface}.pcap") for place, interface in places]


def record(network, scenario, log, directory):
    """Plays one scenario; returns the finished recording, still outside the tree."""
    taps = recorders(network, scenario, directory)
    with testnet.Broker(network, directory, scenario.broker(directory)):
        prepared = scenario.prepare(log, directory)
        with ExitStack() as running:
            for namespace, interface, target in taps:
                running.enter_context(
                    testnet.Recorder(namespace, interface, target, *scenario.tcpdump))
            scenario.play(log, prepared)
    if len(taps) == 1:
        return taps[0][2]
    merged = directory / "merged.pcapng"
    testnet.run("mergecap", "-F", "pcapng", "-I", "none", "-w", str(merged),
                *(str(tap[2]) for tap in taps))
    merged.write_bytes(anonymous_pcapng(merged.read_bytes(), [tap[1] for tap in taps]))
    return merged


def pcapng_block(block_type, body):
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", block_type) + length + body + length


def pcapng_option(code, value):
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def anonymous_pcapng(data, names):
    """mergecap writes the kernel's version into the section header: out with the header's
    options, and in with the name of each interface, which pcap files cannot carry."""
    result, at, names = b"", 0, iter(names)
    while at < len(data):
        block_type, length = struct.unpack_from("<II", data, at)
        body = data[at + 8:at + length - 4]
        if block_type == 0x0A0D0D0A:
            body = body[:16]
        elif block_type == 1:
            body = body[:8] + pcapng_option(2, next(names).encode()) + body[8:]
        result += pcapng_block(block_type, body)
        at += length
    return result


def make(only, into):
    """Makes the recordings whose name contains `only`. With `into`, somewhere else: then sums
    and table stay as they are."""
    testnet.require("ip", "mosquitto", "tcpdump", "mergecap")
    try:
        import clients
        from scenarios import KEY_LOG, SCENARIOS
    except ImportError as error:
        raise testnet.Trouble(f"{error}: run this with target/python/bin/python, which "
                              "`./x install --tests` makes") from error
    chosen = [scenario for scenario in SCENARIOS if only in scenario.name]
    with testnet.Network() as network, tempfile.TemporaryDirectory() as scratch:
        for number, scenario in enumerate(chosen):
            directory = pathlib.Path(scratch) / str(number)
            directory.mkdir()
            log = clients.Log()
            finished = record(network, scenario, log, directory)
            (into / scenario.name).write_bytes(finished.read_bytes())
            (into / f"{scenario.name}.log.jsonl").write_text(log.text())
            key_log = directory / KEY_LOG
            if key_log.exists():
                (into / scenario.name).with_suffix(".keylog").write_bytes(key_log.read_bytes())
            print(f"{scenario.name}: {finished.stat().st_size} bytes, "
                  f"{len(log.events)} events", file=sys.stderr)
    if into != HERE:
        return
    SUMS.write_text("".join(f"{sha256(path)}  {path.name}\n" for path in recordings()))
    write_table(SCENARIOS)


def tap_of(scenario):
    return {"broker": "broker's end", "client": "client's end", "both": "both ends",
            "any": "broker's host, all interfaces"}[scenario.tap]


def write_table(scenarios):
    """The part of README.md that depends on the files and on what made them."""
    import paho.mqtt
    made_by = {**testnet.versions(), "paho-mqtt": paho.mqtt.__version__}
    rows = ["Made with " + ", ".join(f"{tool} {version}" for tool, version in made_by.items())
            + ".", "", "| file | shows | tap | bytes | SHA-256 |", "| --- | --- | --- | ---: | --- |"]
    for scenario in scenarios:
        path = HERE / scenario.name
        rows.append(f"| `{scenario.name}` | {scenario.shows} | {tap_of(scenario)} | "
                    f"{path.stat().st_size} | `{sha256(path)}` |")
    before, rest = README.read_text().split(TABLE_BEGINS)
    after = rest.split(TABLE_ENDS)[1]
    README.write_text(before + "\n".join((TABLE_BEGINS, *rows, TABLE_ENDS)) + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="verify SHA256SUMS and do no more")
    parser.add_argument("--only", default="", metavar="TEXT", help="names that contain TEXT")
    parser.add_argument("--into", type=pathlib.Path, default=HERE, metavar="DIR",
                        help="write them there, and leave SHA256SUMS and README.md alone")
    arguments = parser.parse_args()
    if arguments.check:
        return check()
    try:
        make(arguments.only, arguments.into.resolve())
    except (testnet.Trouble, subprocess.SubprocessError) as trouble:
        print(f"make.py: {trouble}", file=sys.stderr)
        return 1
    return check() if arguments.into.resolve() == HERE else 0


if __name__ == "__main__":
    sys.exit(main())
