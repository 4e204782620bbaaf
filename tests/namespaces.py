"""Network namespaces of Linux: several machines in one, each with its own interfaces, routes and firewall.

A test enters a namespace with its thread. Sockets, threads and processes that it makes there belong to it.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import servers

_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Namespace:
    """One machine."""

    name: str

    def ip(self, *words: str) -> None:
        """Configure it: from within, as `ip -n` needs a root that is mounted, and not one of chroot."""
        with self.entered():
            _ip(*words)

    def drop(self, source: str, interface: str, port: int) -> None:
        """Let its firewall drop what comes from an address to a port, without a word."""
        # The rule for addresses of this machine is the first one. A rule before it decides about ports.
        self.ip("rule", "add", "pref", "10", "lookup", "local")
        self.ip("rule", "del", "pref", "0")
        rule = ("pref", "5", "from", source, "iif", interface, "ipproto", "6", "dport", str(port), "blackhole")
        self.ip("rule", "add", *rule)

    def stop_dropping(self) -> None:
        self.ip("rule", "del", "pref", "5")

    def forward(self) -> None:
        """Let it be a router."""
        with self.entered():
            try:
                Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            except OSError:
                pytest.skip("this root may not let a network namespace forward packets: /proc/sys is read-only")

    def translate(self, interface: str, port: int, to: tuple[str, int]) -> None:
        """Let it be a router with NAT: what goes out of an interface has its address; one port is forwarded."""
        self.forward()
        servers.program("nft")
        host, its = to
        rules = f"""table ip nat {{
            chain incoming {{
                type nat hook prerouting priority -100
                iif {interface} tcp dport {port} dnat to {host}:{its}
            }}
            chain outgoing {{
                type nat hook postrouting priority 100
                oif {interface} masquerade
            }}
        }}"""
        with self.entered():
            made = subprocess.run(["nft", "-f", "-"], input=rules, capture_output=True, text=True)
        if made.returncode and "Operation not supported" in made.stderr:
            pytest.skip("this kernel has no NAT by nftables (CONFIG_NF_TABLES, CONFIG_NFT_NAT, CONFIG_NFT_MASQ)")
        assert made.returncode == 0, made.stderr

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Move this thread, and all that it starts, to this machine."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _enter(Path("/run/netns", self.name))
            yield
        finally:
            _enter(before)
            os.close(before)


@contextmanager
def machines(*names: str) -> Iterator[tuple[Namespace, ...]]:
    """Make machines that have no connection yet."""
    if sys.platform != "linux":
        pytest.skip("network namespaces are those of Linux")
    if os.geteuid() != 0:
        pytest.skip("network namespaces are made by root alone")
    servers.program("ip")
    with ExitStack() as stack:
        yield tuple(stack.enter_context(_machine(f"dicomove-{os.getpid()}-{name}")) for name in names)


def connect(one: Namespace, address: str, other: Namespace, other_address: str, number: int = 0) -> tuple[str, str]:
    """Lay a cable between two machines, and return their interfaces."""
    left, right = f"eth{number}", f"eth{number}"
    _ip("link", "add", left, "netns", one.name, "type", "veth", "peer", "name", right, "netns", other.name)
    for machine, interface, its in ((one, left, address), (other, right, other_address)):
        machine.ip("address", "add", f"{its}/24", "dev", interface)
        machine.ip("link", "set", interface, "up")
    return left, right


def plug(switch: Namespace, machine: Namespace, address: str) -> None:
    """Connect a machine to a switch."""
    port = f"port{address.rpartition('.')[2]}"
    _ip("link", "add", port, "netns", switch.name, "type", "veth", "peer", "name", "eth0", "netns", machine.name)
    switch.ip("link", "set", port, "master", "switch", "up")
    machine.ip("address", "add", f"{address}/24", "dev", "eth0")
    machine.ip("link", "set", "eth0", "up")


@contextmanager
def switch() -> Iterator[Namespace]:
    """Make a switch, into which machines are plugged."""
    with machines("switch") as (made,):
        made.ip("link", "add", "switch", "type", "bridge", "forward_delay", "0")
        made.ip("link", "set", "switch", "up")
        yield made


@contextmanager
def _machine(name: str) -> Iterator[Namespace]:
    # A process of the same number may have been killed.
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode and "Operation not permitted" in made.stderr:
        pytest.skip("this root may not make network namespaces: it lacks CAP_SYS_ADMIN")
    assert made.returncode == 0, made.stderr
    try:
        machine = Namespace(name)
        machine.ip("link", "set", "lo", "up")
        yield machine
    finally:
        _ip("netns", "del", name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _enter(namespace: Path | int) -> None:
    descriptor = namespace if isinstance(namespace, int) else os.open(namespace, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        if not isinstance(namespace, int):
            os.close(descriptor)
