"""Several copies of every file: a disk that fails costs nothing, is replaced from the page, and nobody waits for it."""

import json
import os
import subprocess
import time
import unittest

from harness.appliance import Appliance
from harness.suite import SLOW


class ApplianceCopiesTest(unittest.TestCase):
    beside_others = True  # with an appliance of its own

    def setUp(self):
        # With ports that outlive a daemon, as on the image; an address of our own has them free.
        self.box = Appliance(disk_count=4, address=f"127.{os.getpid() >> 8 & 127}.{os.getpid() & 255}.7", more=["--daemon-port", "6800"])
        self.addCleanup(self.box.close)
        self.owner = self.box.page()
        self.assertEqual(self.owner.claim(self.box.console()["code"]).status, 200)

    def write(self, name, word):
        started = time.monotonic()
        with open(os.path.join(self.share, name), "wb") as f:
            f.write(word * 300_000)
            f.flush()
            os.fsync(f.fileno())
        self.written[name] = word
        return time.monotonic() - started

    def read_all(self):
        """Not from the cache of the client that wrote: another one."""
        other = self.box.mount(self.photos, "mnt-other")
        for name, word in self.written.items():
            with open(os.path.join(other, name), "rb") as f:
                self.assertEqual(f.read(), word * 300_000, name)
        self.box.unmount(other)

    def test_a_disk_fails_and_is_replaced(self):
        three = self.box.devices[:3]
        plan = self.owner.need("POST", "/api/v1/setup/plan", {"disks": three})
        once, twice, thrice = (choice["bytes"] for choice in plan["choices"])
        self.assertEqual((plan["suggested"], once // 2, once // 3), (2, twice, thrice))
        self.assertIn("if any one disk fails, nothing is lost", plan["choices"][1]["survives"])
        self.assertEqual(self.owner.ask("POST", "/api/v1/setup", {"copies": 3, "disks": [{"path": three[0]}]}).status, 422)
        job = self.owner.set_up(*three, copies=2)
        self.assertEqual(job["state"], "done", job)
        self.photos = self.owner.need("POST", "/api/v1/shares", {"name": "photos"})
        self.share, self.written = self.box.mount(self.photos), {}
        self.write("before", b"chamber ")
        self.owner.until(lambda status: status["health"]["level"] == "good")

        self.box.break_disk(1)
        waited = self.write("while one is broken", b"shell   ")
        self.read_all()
        status = self.owner.until(lambda status: "1 of 3 disks does not work" in status["health"]["sentence"])
        self.assertEqual(status["health"]["level"], "warning")
        self.assertIn("Every file is still there", status["health"]["sentence"])
        self.assertEqual(self.owner.ask("DELETE", "/api/v1/disks/osd.0").status, 422, "only one that works would be left")

        job = self.owner.need("POST", "/api/v1/disks", {"path": self.box.devices[3]})
        self.assertEqual(self.owner.wait_for_job(job["job"])["state"], "done")
        self.take_out("osd.1")
        config = self.owner.need("GET", "/api/v1/config")
        self.assertEqual([disk["osd"] for disk in config["disks"]], [0, 2, 3])
        self.owner.until(lambda status: status["health"]["level"] == "good", seconds=60)
        self.write("after", b"siphon  ")
        self.every_file_three_times()
        print(f"     a write while a disk broke took {waited:.1f} s")
        if SLOW:
            self.the_next_one_fails_and_comes_back()
            self.one_that_works_is_taken_out()
        self.read_all()
        self.box.unmount(self.share)

    def three_copies_outlive_two_disks(self):
        three = self.box.devices[:3]
        job = self.owner.set_up(*three, copies=3)
        self.assertEqual(job["state"], "done", job)
        self.photos = self.owner.need("POST", "/api/v1/shares", {"name": "photos"})
        self.share, self.written = self.box.mount(self.photos), {}
        self.write("before", b"chamber ")
        self.owner.until(lambda status: status["health"]["level"] == "good" and status["space"]["copies"] == 3)
        self.box.break_disk(0)
        self.write("while one is broken", b"shell   ")
        self.read_all()
        self.box.unmount(self.share)
        self.box.break_disk(2)
        self.owner.until(lambda status: "2 of 3 disks do not work. Some files cannot be read until they are back" in status["health"]["sentence"])
        self.box.plug_in(2)
        self.owner.need("POST", "/api/v1/start", {})
        self.owner.until(lambda status: [disk["works"] for disk in status["disks"]] == [False, True, True], seconds=60)
        self.owner.until(lambda status: "Every file is still there" in status["health"]["sentence"], seconds=60)
        self.read_all()

    def take_out(self, name):
        until = time.monotonic() + 60
        while (reply := self.owner.ask("DELETE", f"/api/v1/disks/{name}")).status == 409:  # PGs find their new places
            self.assertLess(time.monotonic(), until, reply.body)
            time.sleep(0.3)
        self.assertEqual(reply.status, 202, reply.body)
        self.assertEqual(self.owner.wait_for_job(reply.json()["job"])["state"], "done")

    def every_file_three_times(self):
        self.owner.need("PUT", "/api/v1/copies", {"copies": 3})
        until = time.monotonic() + 60
        while True:
            said = subprocess.run(["ceph", "-c", self.box.path("state/ceph.conf"), "pg", "dump", "pgs_brief", "-f", "json"],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=60).stdout
            groups = json.loads(said)["pg_stats"]
            if all(sorted(group["acting"]) == [0, 2, 3] and group["state"] == "active+clean" for group in groups):
                break
            self.assertLess(time.monotonic(), until, groups)
            time.sleep(0.3)
        self.owner.until(lambda status: status["health"]["level"] == "good" and status["space"]["copies"] == 3)
        self.owner.need("PUT", "/api/v1/copies", {"copies": 2})

    def the_next_one_fails_and_comes_back(self):
        self.box.break_disk(0)  # one of the two first: what was on both is on the new one now
        self.write("again", b"spiral  ")
        self.read_all()
        self.owner.until(lambda status: "1 of 3 disks does not work" in status["health"]["sentence"])
        self.box.plug_in(0)
        self.owner.need("POST", "/api/v1/start", {})
        self.owner.until(lambda status: status["health"]["level"] == "good", seconds=90)

    def one_that_works_is_taken_out(self):
        self.take_out("osd.3")  # emptied first
        until = time.monotonic() + 60
        while self.owner.ask("DELETE", "/api/v1/disks/osd.2").status == 409:
            self.assertLess(time.monotonic(), until)
            time.sleep(0.3)
        self.assertEqual(self.owner.ask("DELETE", "/api/v1/disks/osd.2").status, 422, "two copies need two disks")


if SLOW:
    ApplianceCopiesTest.test_three_copies_outlive_two_disks = ApplianceCopiesTest.three_copies_outlive_two_disks
