"""A QEMU guest with Debian's kernel that runs one shell script on a network of ours and says what it saw."""

import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time

from . import kernel, network
from .processes import MARK

#: What the script finds at the top: a network, and words to report with.
PROLOGUE = """
ip addr add {address}/24 dev eth0
ip link set eth0 up
say() {{ echo "@@ $*"; }}
fail() {{ dmesg | grep -iE 'ceph|warn|bug' | tail -n 15; say "failed $*"; poweroff -f; }}
"""


class GuestError(Exception):
    """The guest did not reach its end, or said that something failed."""


def parse_report(line):
    """(marker, rest) of a line that the script reported with; None for any other."""
    _, at, rest = line.partition("@@ ")
    marker, _, words = rest.partition(" ")
    return (marker, words) if at else None


class Guest:
    """One boot. Lines that contain `@@ ` are what the script reported; the word after it is the marker.

    A guest is over when it powers off; only `@@ end` says that its script ran to the end."""

    def __init__(self, netns, script, index=0, memory_mib=1024, mark="", on_report=None, files=None):
        self.netns = netns
        self.script = script
        self.address = f"10.77.0.{2 + index}"
        self.index = index
        self.memory_mib = memory_mib
        self.mark = mark  # for the ledger of whoever started us
        self.files = files or {}  # programs and data the script finds at the top: name → path here
        self.on_report = on_report or (lambda marker, words: None)  # called as the guest speaks; it runs on meanwhile
        self.lines = []
        self.seconds = 0.0

    def argv(self, initrd):
        return network.inside(self.netns) + [
            "setpriv", "--pdeathsig", "KILL",  # no guest outlives us
            "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
            "-m", str(self.memory_mib), "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
            "-no-reboot", "-kernel", kernel.VMLINUX, "-initrd", initrd, "-append", "console=ttyS0 panic=-1 quiet",
            "-netdev", f"tap,id=n0,ifname=tap{self.index},script=no,downscript=no",
            "-device", f"virtio-net-pci,netdev=n0,mac=52:54:00:77:00:{2 + self.index:02x}"]

    def run(self, deadline=60, echo=False):
        """Boots, runs the script, and returns what was reported: a list of (marker, rest). Raises GuestError with the
        end of the serial log when the guest did not say `@@ end` within `deadline` seconds, or said `failed`."""
        kernel.prepare()
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="spirula-guest-") as scratch:
            initrd = self._initrd(scratch)
            environment = {**os.environ, **({MARK: self.mark} if self.mark else {})}
            qemu = subprocess.Popen(self.argv(initrd), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, env=environment, start_new_session=True)
            try:
                self._read(qemu.stdout, started + deadline, echo)
            finally:
                qemu.send_signal(signal.SIGKILL)
                qemu.wait()
                qemu.stdout.close()
        self.seconds = time.monotonic() - started
        reports = self.reports()
        for marker, words in reports:
            if marker in ("failed", "insmod-failed"):
                raise GuestError(f"the guest says: {marker} {words}\n{self.tail()}")
        if ("end", "") not in reports:
            raise GuestError(f"the guest did not reach its end within {deadline} s\n{self.tail()}")
        return reports

    def reports(self):
        return [report for report in map(parse_report, self.lines) if report]

    def tail(self, lines=40):
        return "\n".join(self.lines[-lines:])

    def _initrd(self, scratch):
        folder = os.path.join(scratch, "run")
        os.mkdir(folder)
        with open(os.path.join(folder, "run.sh"), "w") as f:
            f.write(PROLOGUE.format(address=self.address) + self.script)
        for name, path in self.files.items():
            shutil.copy(path, os.path.join(folder, name))
        kernel.pack(folder, os.path.join(scratch, "run.cpio"))
        initrd = os.path.join(scratch, "initrd")
        with open(initrd, "wb") as out:
            for part in (kernel.BASE_CPIO, os.path.join(scratch, "run.cpio")):
                with open(part, "rb") as f:
                    out.write(f.read())
        return initrd

    def _read(self, stream, deadline, echo):
        """Serial lines until the guest powers off or the deadline passes."""
        pending = b""
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                if not selector.select(left):
                    break
                data = os.read(stream.fileno(), 65536)
                if not data:
                    break
                *whole, pending = (pending + data).split(b"\n")
                for line in whole:
                    self.lines.append(line.decode(errors="replace").rstrip("\r"))
                    if echo:
                        print(self.lines[-1], flush=True)
                    report = parse_report(self.lines[-1])
                    if report:
                        self.on_report(*report)
        if pending:
            self.lines.append(pending.decode(errors="replace"))
