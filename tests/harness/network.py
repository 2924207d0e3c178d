"""Ports that are free, and networks of our own: a namespace with a bridge, and one tap for each guest."""

import contextlib
import ctypes
import os
import socket

from . import disks

#: Address of the host's side of the bridge in every namespace made here; guests count up from .2.
SERVER = "10.77.0.1"
_FIRST_PORT, _LAST_PORT = 20000, 32000  # below the usual ephemeral range


def free_ports(address, count):
    """Ports that nobody listens on at `address` now. Somebody may take one before we do; the daemon then says so."""
    found = []
    start = _FIRST_PORT + int.from_bytes(os.urandom(2), "little") % (_LAST_PORT - _FIRST_PORT)
    for step in range(_LAST_PORT - _FIRST_PORT):
        port = _FIRST_PORT + (start - _FIRST_PORT + step) % (_LAST_PORT - _FIRST_PORT)
        with socket.socket() as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports")


def exists(name):
    return os.path.exists(f"/run/netns/{name}")


def make(name, taps=1):
    """A namespace whose bridge has the address SERVER; tap0, tap1... are for guests."""
    disks.run("ip", "netns", "add", name)
    ip = ["ip", "-n", name]
    disks.run(*ip, "link", "set", "lo", "up")
    disks.run(*ip, "link", "add", "br0", "type", "bridge")
    disks.run(*ip, "addr", "add", f"{SERVER}/24", "dev", "br0")
    disks.run(*ip, "link", "set", "br0", "up")
    for index in range(taps):
        disks.run(*ip, "tuntap", "add", "dev", f"tap{index}", "mode", "tap")
        disks.run(*ip, "link", "set", f"tap{index}", "master", "br0", "up")


def remove(name):
    if exists(name):
        disks.run("ip", "netns", "del", name)


def remove_of_dead(prefix):
    """Removes the namespaces named `prefix`PID whose process is gone."""
    for name in os.listdir("/run/netns") if os.path.isdir("/run/netns") else []:
        pid = name[len(prefix):]
        if name.startswith(prefix) and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            remove(name)


def enter(name):
    """This process, and what it starts from now on, in namespace `name`, for good."""
    with open(f"/run/netns/{name}") as f:
        libc = ctypes.CDLL(None, use_errno=True)
        clone_newnet = 0x40000000
        if libc.setns(f.fileno(), clone_newnet):
            error = ctypes.get_errno()
            raise OSError(error, f"entering {name}: {os.strerror(error)}")


@contextlib.contextmanager
def visit(name):
    """The same for a while."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as home:
        enter(name)
        try:
            yield
        finally:
            if libc.setns(home.fileno(), 0x40000000):
                raise OSError(ctypes.get_errno(), "coming back from a network namespace")


def inside(name):
    """The words to put before a command so that it runs in namespace `name` (with our own mounts, which is why this
    is not `ip netns exec`)."""
    return ["nsenter", f"--net=/run/netns/{name}"] if name else []
