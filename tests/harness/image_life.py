"""The disk image from its first boot to files that outlive a power cut and another address: the whole way a person goes.

A network of its own (bridge, DHCP server) holds the appliance, a browser and a guest with Debian's stock kernel."""

import os
import re
import signal
import socket
import subprocess
import time

from . import browser, kernel, network
from .appliance import Page
from .guest import Guest

BOOT_SECONDS_MAX = 400
ADDRESSES = ("10.77.0.50", "10.77.0.60")  # of the first boot and of the second
CODE_OF_ONES_OWN = "SHELL-2026"  # in setup/settings.json on the ESP
#: TCP ports that answer on the appliance, besides those of OSDs and MDSs (6800 and up): see appliance/image/README.md.
PORTS = {80, 443, 3300}

WRITE = """
mkdir -p /mnt/photos
{line} || fail "mounting with the page's line"
cd /mnt/photos || fail cd
for i in $(seq 1 30); do mkdir -p d$((i % 3)); echo "file $i" > d$((i % 3))/f$i; done
dd if=/dev/urandom of=big bs=1M count=5 2>/dev/null || fail "writing 5 MiB"
find . -type f | sort | xargs md5sum | sed 's/^/@@ sum /'
cd /
umount /mnt/photos || fail umount
say end
"""
READ = """
mkdir -p /mnt/photos
{line} || fail "mounting with the page's line"
cd /mnt/photos || fail cd
find . -type f | sort | xargs md5sum | sed 's/^/@@ sum /'
cd /
umount /mnt/photos || fail umount
say end
"""


class LifeError(Exception):
    """Something is not as a person would expect it."""


class Running:
    """A machine that runs until power_off(); what its console says is in `console`."""

    def __init__(self, argv, console):
        self.console = console
        with open(console, "wb") as out:
            self.qemu = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        self.started = time.monotonic()

    def said(self):
        with open(self.console, errors="replace") as f:
            return f.read()

    def wait_for(self, pattern, seconds=BOOT_SECONDS_MAX):
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.said())):
            if self.qemu.poll() is not None or time.monotonic() > deadline:
                raise LifeError(f"the console does not say {pattern!r}:\n{self.said()[-2500:]}")
            time.sleep(0.5)
        return match

    def power_off(self):
        self.qemu.send_signal(signal.SIGKILL)
        self.qemu.wait()


def serve_addresses(scratch, address):
    """A DHCP server that has only this address to give."""
    conf = os.path.join(scratch, "udhcpd.conf")
    leases = os.path.join(scratch, "leases")
    with open(conf, "w") as f:
        f.write(f"start {address}\nend {address}\ninterface br0\nlease_file {leases}\npidfile {scratch}/udhcpd.pid\n"
                f"opt subnet 255.255.255.0\nopt router {network.SERVER}\nopt lease 3600\n")
    with open(leases, "wb"):
        pass
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "busybox", "udhcpd", "-f", conf],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def open_ports(address):
    """Which TCP ports answer."""
    found = set()
    for port in [*range(1, 1100), *range(3290, 3310), 5355, 6789, 8080, 8443, 9090]:
        with socket.socket() as probe:
            probe.settimeout(5)
            if probe.connect_ex((address, port)) == 0:
                found.add(port)
    return found


def wait_for_page(address, seconds=120):
    deadline = time.monotonic() + seconds
    while True:
        try:
            page = Page(f"{address}:443")
            if page.ask("GET", "/api/v1/state", timeout=30).status == 200:
                return page
        except OSError as error:
            if time.monotonic() > deadline:
                raise LifeError(f"no page at {address}: {error}") from None
        time.sleep(0.5)


def guest(netns, script, line, index=1):
    """The checksums that a guest with Debian's stock kernel reports, once `line` has mounted the share."""
    reports = Guest(netns, script.format(line=line), index=index).run(deadline=BOOT_SECONDS_MAX)
    return sorted(words for marker, words in reports if marker == "sum")


def live(argv_of, scratch, own_code=False):
    """`argv_of(more)`: the command line of the machine with this network and these disks. Prints what it took; raises LifeError."""
    kernel.prepare()  # what has to be fetched, while there is a way to the outside
    browser.node_modules()
    netns = f"spirula-image-{os.getpid()}"
    network.make(netns, taps=2)
    network.enter(netns)
    running, dhcp = None, None
    try:
        more = ["-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no"]
        for number in range(2):
            path = os.path.join(scratch, f"data{number}.raw")
            with open(path, "wb") as f:
                os.truncate(f.fileno(), 8 << 30)
            more += ["-drive", f"if=none,id=data{number},format=raw,file={path}",
                     "-device", f"virtio-blk-pci,drive=data{number},serial=SHELL{number}"]
        subprocess.run(["mkfs.ext4", "-q", "-L", "holiday", path], check=True)
        dhcp = serve_addresses(scratch, ADDRESSES[0])
        running = Running(argv_of(more), os.path.join(scratch, "console1"))
        code = running.wait_for(r"Claim code (\S+)")[1]
        if (code == CODE_OF_ONES_OWN) != own_code:
            raise LifeError(f"the claim code is {code}")
        if not re.search(rf"Open +https://{ADDRESSES[0]}/", running.said()):
            raise LifeError(f"the console does not show the address:\n{running.said()[-1500:]}")
        boot_seconds = time.monotonic() - running.started
        fingerprint = "".join(re.search(r"Certificate \(SHA-256\)\s+(\S+)\s+(\S+)", running.said()).groups())
        door = subprocess.run(["curl", "-sS", "--max-time", "30", f"http://{ADDRESSES[0]}/"], stdout=subprocess.PIPE,
                              check=True).stdout.decode()
        if fingerprint not in door or f"https://{ADDRESSES[0]}/" not in door:
            raise LifeError(f"the page of port 80 does not show the way: {door}")
        shown = browser.drive(f"https://{ADDRESSES[0]}/", code, timeout=1200, patience=300)
        if "FAILED" in running.said():
            raise LifeError(f"a unit failed:\n{running.said()[-1500:]}")
        ports = open_ports(ADDRESSES[0])
        if ports != PORTS:
            raise LifeError(f"these ports answer: {sorted(ports)}")
        written = guest(netns, WRITE, shown["kernel"])
        if len(written) != 31:
            raise LifeError(f"the guest wrote {len(written)} files")
        running.power_off()
        with open(path, "rb") as f:
            label = f.read(2048)[1144:1160].rstrip(b"\0")
        if label != b"holiday":
            raise LifeError("the disk that nobody chose was written to")

        dhcp.kill()
        dhcp.wait()
        dhcp = serve_addresses(scratch, ADDRESSES[1])
        running = Running(argv_of(more), os.path.join(scratch, "console2"))
        running.wait_for(rf"Open +https://{ADDRESSES[1]}/")
        page = wait_for_page(ADDRESSES[1])
        if page.log_in().status != 200:
            raise LifeError("the password is forgotten")
        page.wait_for_job(page.need("GET", "/api/v1/jobs")["jobs"][0]["id"], seconds=BOOT_SECONDS_MAX)
        line = page.need("GET", "/api/v1/shares/photos")["kernel"]
        if f" {ADDRESSES[1]}:3300:/photos " not in line:
            raise LifeError(f"the mount line did not follow the address: {line}")
        read = guest(netns, READ, line)
        if read != written:
            raise LifeError(f"the tree is not what was written: {len(read)} of {len(written)} files")
        print(f"     power-on to claim code {boot_seconds:.0f} s under TCG; claim to share {shown['seconds']:.0f} s, "
              f"{shown['acts']} clicks or fields", flush=True)
    finally:
        if running:
            running.power_off()
        if dhcp:
            dhcp.kill()
            dhcp.wait()
        network.remove(netns)
