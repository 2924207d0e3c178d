"""An appliance daemon of this tree in a folder of its own, and a client of its API."""

import http.client
import json
import os
import shutil
import ssl
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
        connection = self.connect(timeout)
        try:
            connection.request(method, path, body, words)
            return Reply(connection.getresponse())
        finally:
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

    def set_up(self, *paths):
        """Claimed; a set-up with these disks, to its end."""
        job = self.need("POST", "/api/v1/setup", {"copies": 1, "disks": [{"path": path} for path in paths]})
        return self.wait_for_job(job["job"])

    def claim(self, code, password=PASSWORD):
        return self._opened(self.ask("POST", "/api/v1/claim", {"code": code, "password": password}))

    def log_in(self, password=PASSWORD):
        return self._opened(self.ask("POST", "/api/v1/session", {"password": password}))


class Appliance:
    """Runs applianced until close(); nothing is left behind then. `disk_count` loop-backed disks are offered to it."""

    def __init__(self, disk_count=0, disk_gib=3):
        self.folder = tempfile.mkdtemp(prefix="spirula-appliance-")
        self.images = [self.path(f"disk{number}.img") for number in range(disk_count)]
        self.devices = []
        self.process = None
        self.address = "127.0.0.1"
        self.mon_port, door = network.free_ports("127.0.0.1", 2)
        self.door = f"127.0.0.1:{door}"
        try:
            for image in self.images:
                with open(image, "wb") as f:
                    os.truncate(f.fileno(), disk_gib << 30)
                self.devices.append(disks.attach(image))
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
            [os.path.join(BIN, "applianced"), "--state", self.path("state"), "--page-address", "127.0.0.1:0",
             "--console-file", console, "--door-address", self.door, "--address", self.address, "--mon-port", str(self.mon_port), "--disks",
             ",".join(self.devices) or "/dev/null"], self.folder, self.path("log"))
        deadline = time.monotonic() + 20
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
