"""An appliance daemon of this tree in a folder of its own, and a client of its API."""

import http.client
import json
import os
import shlex
import shutil
import ssl
import subprocess
import tempfile
import time

from . import disks, network, processes
from .spirula import BIN

PASSWORD = "three wet shells"


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """What kind of refusal it is."""
        return self.json()["error"]["code"]


class Page:
    """What a browser does: keeps the cookie, says the CSRF word."""

    def __init__(self, address):
        self.host, _, port = address.rpartition(":")
        self.port = int(port)
        self.cookie = self.csrf = ""
        self.kept = None  # a connection that all requests take, where there are many

    def connect(self, timeout=30):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=context)

    def ask(self, method, path, body=None, headers=None, timeout=30):
        words = dict(headers or {})
        if self.cookie:
            words.setdefault("Cookie", self.cookie)
        if self.csrf:
            words.setdefault("X-Spirula-CSRF", self.csrf)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            words.setdefault("Content-Type", "application/json")
        connection = self.kept or self.connect(timeout)
        try:
            connection.request(method, path, body, words)
            return Reply(connection.getresponse())
        finally:
            if not self.kept:
                connection.close()

    def _opened(self, reply):
        if reply.status == 200:
            self.cookie = reply.headers["Set-Cookie"].partition(";")[0]
            self.csrf = reply.json()["csrf"]
        return reply

    def need(self, method, path, body=None, timeout=60):
        """What came, which has to be a success."""
        reply = self.ask(method, path, body, timeout=timeout)
        if reply.status not in (200, 202):
            raise AssertionError(f"{method} {path}: {reply.status} {reply.body.decode(errors='replace')}")
        return reply.json()

    def wait_for_job(self, number, seconds=120):
        deadline = time.monotonic() + seconds
        while True:
            job = self.need("GET", f"/api/v1/jobs/{number}")
            if job["state"] != "running":
                return job
            if time.monotonic() > deadline:
                raise AssertionError(f"the job does not end: {job}")
            time.sleep(0.2)

    def set_up(self, *paths, copies=1):
        """Claimed; a set-up with these disks, to its end."""
        job = self.need("POST", "/api/v1/setup", {"copies": copies, "disks": [{"path": path} for path in paths]})
        return self.wait_for_job(job["job"])

    def until(self, right, seconds=30):
        """The box's status, once it is as wanted."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.need("GET", "/api/v1/status")
            if status and right(status):
                return status
            if time.monotonic() > deadline:
                raise AssertionError(f"it does not come to that: {status}")
            time.sleep(0.3)

    def claim(self, code, password=PASSWORD):
        return self._opened(self.ask("POST", "/api/v1/claim", {"code": code, "password": password}))

    def log_in(self, password=PASSWORD, name="owner"):
        return self._opened(self.ask("POST", "/api/v1/session", {"name": name, "password": password}))


class Appliance:
    """Runs applianced until close(); nothing is left behind then. `disk_count` loop-backed disks are offered to it."""

    def __init__(self, disk_count=0, disk_gib=3, more=(), state_mib=None, netns="", address="127.0.0.1"):
        """`more`: further options of applianced. `state_mib`: its system disk is only so large."""
        self.folder = tempfile.mkdtemp(prefix="spirula-appliance-")
        self.images = [self.path(f"disk{number}.img") for number in range(disk_count)]
        self.devices = disks.own_devices(disk_count)
        self.process = None
        self.more = more
        self.netns, self.address = netns, address
        self.mon_port, door = network.free_ports("127.0.0.1", 2)
        self.door = f"127.0.0.1:{door}"
        try:
            for image, device in zip(self.images, self.devices):
                with open(image, "wb") as f:
                    os.truncate(f.fileno(), disk_gib << 30)
                disks.attach(image, device)
            if state_mib:
                os.makedirs(self.path("state"), mode=0o700)
                subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={state_mib}m,mode=0700", "none", self.path("state")],
                               check=True)
            self.start()
        except BaseException:
            self.close()
            raise

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self):
        console = self.path("console")
        if os.path.exists(console):
            os.unlink(console)
        self.process = processes.spawn(
            [*network.inside(self.netns), os.path.join(BIN, "applianced"), "--state", self.path("state"), "--page-address", "127.0.0.1:0",
             "--console-file", console, "--door-address", self.door, "--address", self.address, "--mon-port", str(self.mon_port), "--disks",
             ",".join(self.devices) or "/dev/null", *self.more], self.folder, self.path("log"))
        deadline = time.monotonic() + 45  # without a network it waits for a while
        while not os.path.exists(console):
            if time.monotonic() > deadline or not self.process.alive():
                raise RuntimeError(f"applianced does not start: {self.log()}")
            time.sleep(0.02)

    def stop(self, number=15):
        self.process.signal(number)
        if not self.process.wait(20):
            raise RuntimeError("applianced does not end")

    def console(self):
        with open(self.path("console")) as f:
            return dict(line.rstrip("\n").split(" ", 1) for line in f)

    def daemons(self):
        """The running ones by name."""
        found = {}
        for process in processes.marked(self.folder):
            with open(f"/proc/{process.pid}/cmdline") as f:
                words = f.read().split("\0")
            if os.path.basename(words[0]) in ("cmon", "cosd", "cmds"):
                found[f"{os.path.basename(words[0])[1:]}.{words[2]}"] = process
        return found

    def break_disk(self, number):
        """The disk is gone as if it had been pulled; plug_in() brings it back as it was."""
        for name, process in self.daemons().items():
            if name == f"osd.{number}":
                process.signal(9)
                process.wait(10)
        disks.unmount(self.path(f"state/osd.{number}"))
        self.pull(number)

    def pull(self, number):
        """A disk that nothing is mounted from is gone."""
        disks.detach(self.images[number])
        os.rename(self.images[number], self.images[number] + ".pulled")

    def plug_in(self, number):
        os.rename(self.images[number] + ".pulled", self.images[number])
        disks.attach(self.images[number], self.devices[number])

    def mount(self, share, name="mnt"):
        """A share, with the line that the page shows for ceph-fuse, as shown but for the folder; the folder."""
        target = self.path(name)
        os.makedirs(target, exist_ok=True)
        argv = shlex.split(share["fuse"])
        if (argv[0], argv[-1]) != ("ceph-fuse", "/mnt/" + share["name"]):
            raise AssertionError(share["fuse"])
        process = processes.spawn([*argv[:-1], "-f", target], self.folder, self.path("fuse.out"))
        deadline = time.monotonic() + 40
        while target not in disks.mount_table():
            if not process.alive() or time.monotonic() > deadline:
                with open(self.path("fuse.out")) as f:
                    raise AssertionError(f"ceph-fuse does not mount: {f.read()}")
            time.sleep(0.05)
        return target

    def unmount(self, target):
        subprocess.run(["umount", target], check=True, timeout=60)

    def page(self):
        return Page(self.console()["page"].removeprefix("https://").rstrip("/"))

    def log(self):
        with open(self.path("log"), errors="replace") as f:
            return f.read()

    def close(self):
        left = processes.kill_all(processes.marked(self.folder))
        if left:
            raise RuntimeError("\n".join(left))
        for target in disks.mounts_below(self.folder):
            disks.unmount(target)
        for image in self.images:
            disks.detach(image)
        shutil.rmtree(self.folder)
