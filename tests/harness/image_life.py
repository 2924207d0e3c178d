"""The disk image from its first boot to files that outlive a power cut and another address: the whole way a person goes.

A network of its own (bridge, DHCP server) holds the appliance, a browser and a guest with Debian's stock kernel."""

import json
import os
import re
import selectors
import signal
import socket
import struct
import subprocess
import time

from . import browser, kernel, network
from .appliance import PASSWORD, Page
from .guest import Guest

BOOT_SECONDS_MAX = 400
ADDRESSES = ("10.77.0.50", "10.77.0.60")  # of the first boot and of the second
ADDRESS_TRIED = "10.77.0.70"
CODE_OF_ONES_OWN = "SHELL-2026"  # in setup/settings.json on the ESP
#: TCP ports that answer on the appliance: see appliance/image/README.md. OSDs and MDSs have theirs in DAEMON_PORTS.
PORTS = {80, 443, 3300}
DAEMON_PORTS = range(6800, 6804)  # two metadata servers, one OSD, and room for another
#: What often listens on UDP: DNS, DHCP, TFTP, portmapper, NTP, NetBIOS, SNMP, IKE, syslog, SSDP, NFS, LLMNR; of these,
#: mDNS (5353) is ours, and the DHCP client has 68.
UDP_PORTS_ASKED = (53, 67, 68, 69, 111, 123, 137, 138, 161, 500, 514, 1900, 2049, 5353, 5355)
UDP_PORTS = {68, 5353}
MEMORY_MIB_MAX = 512

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
            self.qemu = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT)
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

    def type(self, keys):
        """At its serial console."""
        self.qemu.stdin.write(keys)
        self.qemu.stdin.flush()

    def power_off(self):
        self.qemu.send_signal(signal.SIGKILL)
        self.qemu.stdin.close()
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
    """Which TCP ports answer, of all there are."""
    found, at_once = set(), 400
    for first in range(1, 65536, at_once):
        with selectors.DefaultSelector() as waiting:
            for port in range(first, min(first + at_once, 65536)):
                probe = socket.socket()
                probe.setblocking(False)
                probe.connect_ex((address, port))
                waiting.register(probe, selectors.EVENT_WRITE, port)
            deadline = time.monotonic() + 20
            while waiting.get_map():
                ready = waiting.select(deadline - time.monotonic())
                if not ready:  # neither answered nor refused
                    raise LifeError(f"ports that say nothing: {sorted(key.data for key in waiting.get_map().values())[:10]}")
                for key, _ in ready:
                    if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                        found.add(key.data)
                    waiting.unregister(key.fileobj)
                    key.fileobj.close()
    return found


def open_udp_ports(address):
    """Which of UDP_PORTS_ASKED do not refuse."""
    found = set()
    for port in UDP_PORTS_ASKED:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.connect((address, port))
            asking.settimeout(1.5)
            for _ in range(4):  # refusals are few in a second
                try:
                    asking.send(b"?")
                    asking.recv(1500)
                except ConnectionRefusedError:
                    break
                except TimeoutError:
                    continue
            else:
                found.add(port)
    return found


def look_up_by_mdns(name, own_address):
    """The IPv4 address that a computer on the bridge gets for `name`, or "" (RFC 6762: one-shot query)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own_address))
        asking.settimeout(2)
        for _ in range(5):
            asking.sendto(struct.pack(">6H", 7, 0, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, 1, 1), ("224.0.0.251", 5353))
            try:
                answer = asking.recv(1500)
            except TimeoutError:
                continue
            if struct.unpack(">H", answer[6:8])[0]:
                return socket.inet_ntoa(answer[-4:])  # one record, its data last
    return ""


def state_of(disk, scratch):
    """What is in the logs on the state partition of this system disk, and which keys are kept there; nothing is mounted."""
    table = json.loads(subprocess.run(["sfdisk", "--json", disk], stdout=subprocess.PIPE, check=True).stdout)["partitiontable"]
    part = next(each for each in table["partitions"] if each.get("name") == "state")
    copy, folder = os.path.join(scratch, "state.img"), os.path.join(scratch, "state")
    os.makedirs(folder)
    subprocess.run(["dd", f"if={disk}", f"of={copy}", "bs=1M", f"skip={part['start'] // 2048}", f"count={part['size'] // 2048}",
                    "conv=sparse", "status=none"], check=True)
    subprocess.run(["btrfs", "restore", "--snapshots", "--ignore-errors", copy, folder], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    said = subprocess.run(["journalctl", "--all", "--output=cat", "-D", os.path.join(folder, "var/log/journal")],
                          stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")
    keys = set()
    for entry in os.scandir(os.path.join(folder, "var/lib/spirula/keys")):
        with open(entry.path) as f:
            keys |= set(re.findall(r"key = (\S+)", f.read()))
    return said, keys


def wait_for_page(address, seconds=120, port=443):
    deadline = time.monotonic() + seconds
    while True:
        try:
            page = Page(f"{address}:{port}")
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


class Life:
    """`argv_of(more)`: the command line of the machine with this network and these disks; `disk`: its system disk. The
    battery of its clock is as good as empty: at each start it says `clock`, and no time server is in reach."""

    def __init__(self, argv_of, disk, scratch, clock):
        self.argv_of, self.disk, self.scratch, self.clock = argv_of, disk, scratch, clock
        self.netns = f"spirula-image-{os.getpid()}"
        self.running = self.dhcp = None
        self.starts = 0

    def __enter__(self):
        kernel.prepare()  # what has to be fetched, while there is a way to the outside
        browser.node_modules()
        network.make(self.netns, taps=2)
        network.enter(self.netns)
        self.more = ["-rtc", f"base={self.clock}", "-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no"]
        for number in range(2):
            self.last_disk = os.path.join(self.scratch, f"data{number}.raw")
            with open(self.last_disk, "wb") as f:
                os.truncate(f.fileno(), 8 << 30)
            self.more += ["-drive", f"if=none,id=data{number},format=raw,file={self.last_disk}",
                          "-device", f"virtio-blk-pci,drive=data{number},serial=SHELL{number}"]
        subprocess.run(["mkfs.ext4", "-q", "-L", "holiday", self.last_disk], check=True)
        return self

    def __exit__(self, *_):
        self.power_off()
        network.remove(self.netns)

    def power_on(self, address):
        """In a network that has only this address to give."""
        self.dhcp = serve_addresses(self.scratch, address)
        self.starts += 1
        self.running = Running(self.argv_of(self.more), os.path.join(self.scratch, f"console{self.starts}"))

    def power_off(self):
        if self.running:
            self.running.power_off()
        if self.dhcp:
            self.dhcp.kill()
            self.dhcp.wait()
        self.running = self.dhcp = None

    def first_boot(self):
        """The claim code, once the screen shows all it should."""
        code = self.running.wait_for(r"Claim code (\S+)")[1]
        said = self.running.said()
        need(re.search(rf"Open +https://{ADDRESSES[0]}/", said), f"the console does not show the address:\n{said[-1500:]}")
        need(sum(len(re.findall("[█▀▄]", line)) > 10 for line in said.splitlines()) > 10, f"the console shows no QR code:\n{said[-1500:]}")
        fingerprint = "".join(re.search(r"Certificate \(SHA-256\)\s+(\S+)\s+(\S+)", said).groups())
        door = subprocess.run(["curl", "-sS", "--max-time", "30", f"http://{ADDRESSES[0]}/"], stdout=subprocess.PIPE,
                              check=True).stdout.decode()
        need(fingerprint in door and f"https://{ADDRESSES[0]}/" in door, f"the page of port 80 does not show the way: {door}")
        found = look_up_by_mdns("spirula.local", network.SERVER)
        need(found == ADDRESSES[0], f"spirula.local is {found!r}")
        return code

    def memory(self, page):
        """In MiB, of the whole machine."""
        token = page.need("POST", "/api/v1/metrics-token", {})["token"]
        text = Page(f"{page.host}:443").ask("GET", "/metrics", headers={"Authorization": "Bearer " + token}).body.decode()
        used = int(re.search(r"^spirula_box_memory_used_bytes (\d+)", text, re.M)[1]) >> 20
        need(0 < used < MEMORY_MIB_MAX, f"the box uses {used} MiB")
        return used, token

    def try_an_address(self, page):
        """One that nobody keeps is taken back after a minute."""
        page.need("PUT", "/api/v1/network", {"automatic": False, "address": f"{ADDRESS_TRIED}/24", "gateway": "", "name_server": ""})
        there = wait_for_page(ADDRESS_TRIED)
        need(there.log_in().status == 200, "cannot log in at the address that is tried")
        need("trial" in there.need("GET", "/api/v1/settings")["network"], "the address is not on trial")
        deadline = time.monotonic() + 300
        while True:  # it comes back, and starts anew with it
            try:
                back = wait_for_page(ADDRESSES[0], seconds=240)
                need(back.log_in().status == 200, "cannot log in at the old address")
                for job in back.need("GET", "/api/v1/jobs")["jobs"]:
                    back.wait_for_job(job["id"], seconds=BOOT_SECONDS_MAX)
                time.sleep(20)
                back.need("GET", "/api/v1/session")  # it was not the one before, whose sessions end with it
                back.until(lambda status: status["health"]["level"] == "good", seconds=BOOT_SECONDS_MAX)
                break
            except (OSError, AssertionError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)
        need(back.need("GET", "/api/v1/config")["network"]["automatic"], "the address that nobody kept was kept")

    def no_log_holds(self, *secrets):
        said, keys = state_of(self.disk, self.scratch)
        need("the box was claimed" in said, f"the journal has nothing of the first start: {said[-500:]}")
        need(len(keys) > 3, f"only {len(keys)} keys are kept")
        for secret in {*secrets, *keys}:
            need(secret not in said, "a secret is in the journal")


def need(condition, words):
    if not condition:
        raise LifeError(words)


def live(argv_of, disk, scratch, clock, own_code=False):
    """From the first start to files that outlive a power cut. Prints what it took; raises LifeError."""
    with Life(argv_of, disk, scratch, clock) as life:
        life.power_on(ADDRESSES[0])
        code = life.first_boot()
        boot_seconds = time.monotonic() - life.running.started
        need((code == CODE_OF_ONES_OWN) == own_code, f"the claim code is {code}")
        shown = browser.drive(f"https://{ADDRESSES[0]}/", code, timeout=1200, patience=300, clock_is_off=True)
        need("FAILED" not in life.running.said(), f"a unit failed:\n{life.running.said()[-1500:]}")
        ports = {port for port in open_ports(ADDRESSES[0]) if port not in DAEMON_PORTS}
        need(ports == PORTS, f"these ports answer: {sorted(ports)}")
        ports = open_udp_ports(ADDRESSES[0])
        need(5353 in ports and ports <= UDP_PORTS, f"these UDP ports do not refuse: {sorted(ports)}")
        page = wait_for_page(ADDRESSES[0])
        need(page.log_in().status == 200, "cannot log in")
        memory, token = life.memory(page)
        if own_code:
            life.try_an_address(page)
        written = guest(life.netns, WRITE, shown["kernel"])
        need(len(written) == 31, f"the guest wrote {len(written)} files")
        life.power_off()
        with open(life.last_disk, "rb") as f:
            need(f.read(2048)[1144:1160].rstrip(b"\0") == b"holiday", "the disk that nobody chose was written to")

        life.power_on(ADDRESSES[1])
        life.running.wait_for(rf"Open +https://{ADDRESSES[1]}/")
        page = wait_for_page(ADDRESSES[1])
        need(page.log_in().status == 200, "the password is forgotten")
        page.wait_for_job(page.need("GET", "/api/v1/jobs")["jobs"][0]["id"], seconds=BOOT_SECONDS_MAX)
        share = page.need("GET", "/api/v1/shares/photos")
        need(f" {ADDRESSES[1]}:3300:/photos " in share["kernel"], f"the mount line did not follow the address: {share['kernel']}")
        read = guest(life.netns, READ, share["kernel"])
        need(read == written, f"the tree is not what was written: {len(read)} of {len(written)} files")
        life.power_off()
        life.no_log_holds(share["key"], token, PASSWORD, code, code.replace("-", ""))
    print(f"     power-on to claim code {boot_seconds:.0f} s under TCG; claim to share {shown['seconds']:.0f} s, {shown['acts']} "
          f"clicks or fields; memory of the machine in use {memory} MiB", flush=True)
