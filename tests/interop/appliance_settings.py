"""The box itself: certificate, address, clock; and what the page says when the system disk is full or a disk goes away."""

import hashlib
import os
import re
import subprocess
import time
import unittest

from harness import disks, network
from harness.appliance import Appliance


class ApplianceSettingsTest(unittest.TestCase):
    beside_others = True  # with an appliance of its own

    def begin(self, **options):
        self.box = Appliance(**options)
        self.addCleanup(self.box.close)
        self.owner = self.box.page()
        self.assertEqual(self.owner.claim(self.box.console()["code"]).status, 200)

    def certificate(self):
        """The fingerprint of the certificate that a new connection sees."""
        connection = self.owner.connect()
        connection.connect()
        digest = hashlib.sha256(connection.sock.getpeercert(binary_form=True)).hexdigest().upper()
        connection.close()
        return ":".join(re.findall("..", digest))

    def test_a_certificate_of_ones_own(self):
        self.begin()
        made_by_box = self.certificate()
        settings = self.owner.need("GET", "/api/v1/settings")["certificate"]
        self.assertEqual((settings["fingerprint"], settings["own"]), (made_by_box, False))
        key, crt = self.box.path("own.key"), self.box.path("own.crt")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9",
                        "-subj", "/CN=box.example", "-keyout", key, "-out", crt], check=True, stderr=subprocess.DEVNULL)
        with open(key) as k, open(crt) as c:
            pair = {"certificate": c.read(), "key": k.read()}
        for bad in ({}, {"certificate": pair["certificate"]}, {**pair, "key": "no"}, {**pair, "certificate": pair["key"]}):
            self.assertEqual(self.owner.ask("PUT", "/api/v1/certificate", bad).code, "certificate")
        self.assertEqual(self.certificate(), made_by_box)
        self.assertEqual(self.owner.ask("POST", "/api/v1/certificate/keep", {}).code, "no_trial")
        self.owner.need("PUT", "/api/v1/certificate", pair)
        own = self.certificate()
        self.assertNotEqual(own, made_by_box)
        deadline = time.monotonic() + 5
        while self.box.console()["fingerprint"] != own:  # the screen follows
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        self.box.stop()  # a trial does not outlive a restart
        self.box.start()
        self.owner = self.box.page()
        self.assertEqual(self.owner.log_in().status, 200)
        self.assertEqual(self.certificate(), made_by_box)
        self.owner.need("PUT", "/api/v1/certificate", pair)
        self.owner.need("POST", "/api/v1/certificate/keep", {})
        self.box.stop()
        self.box.start()
        self.owner = self.box.page()
        self.assertEqual(self.certificate(), own)
        self.assertEqual(self.owner.log_in().status, 200)
        self.owner.need("DELETE", "/api/v1/certificate")
        self.assertEqual(self.certificate(), made_by_box)
        self.assertNotIn("PRIVATE", self.box.log())

    def test_an_address_and_a_clock_that_are_not_ours_are_left_alone(self):
        self.begin()
        fixed = {"automatic": False, "address": "192.0.2.5/24", "gateway": "", "name_server": ""}
        self.assertEqual(self.owner.ask("PUT", "/api/v1/network", fixed).code, "not_ours")
        self.assertEqual(self.owner.ask("PUT", "/api/v1/clock", {"now": 1_700_000_000}).code, "not_ours")
        for now in (None, 0, -1, 1 << 62, "noon"):
            self.assertEqual(self.owner.ask("PUT", "/api/v1/clock", {"now": now}).code, "clock")

    def test_an_address_is_tried_before_it_is_kept(self):
        folder = os.path.join("/tmp", f"spirula-network-{os.getpid()}")
        self.addCleanup(subprocess.run, ["rm", "-rf", folder])
        self.begin(more=["--network-folder", folder])
        text = lambda: open(os.path.join(folder, "05-spirula.network")).read()
        self.assertIn("DHCP=yes", text())
        fixed = {"automatic": False, "address": "192.0.2.5/24", "gateway": "192.0.2.1", "name_server": ""}
        self.assertEqual(self.owner.ask("PUT", "/api/v1/network", {**fixed, "address": "box"}).code, "network")
        self.owner.need("PUT", "/api/v1/network", fixed)
        self.assertIn("Address=192.0.2.5/24", text())
        trial = self.owner.need("GET", "/api/v1/settings")["network"]["trial"]
        self.assertEqual((trial["settings"], 50 < trial["seconds"] <= 60), (fixed, True))
        self.owner.need("POST", "/api/v1/network/keep", {})
        self.assertEqual(self.owner.need("GET", "/api/v1/config")["network"], fixed)

    def test_access_is_reset_by_who_is_at_the_box(self):
        boot = f"/tmp/spirula-boot-{os.getpid()}"
        self.addCleanup(subprocess.run, ["rm", "-f", boot, boot + ".reset-done"])
        self.begin(more=["--boot-file", boot])
        token = self.owner.need("POST", "/api/v1/metrics-token", {})["token"]
        self.box.stop()
        with open(boot, "w") as f:  # what the boot menu's entry leaves there
            f.write("disk=/dev/vda\nslot=a\nreset=access\n")
        with open(self.box.path("state/claim-code"), "w") as f:  # as when the power went soon after the claim
            f.write("ABCD-2345\n")
        self.box.start()
        page = self.box.page()
        self.assertNotEqual(self.box.console()["code"], "ABCD-2345")
        self.assertEqual(page.log_in().code, "unclaimed")
        self.assertEqual(page.ask("GET", "/metrics", headers={"Authorization": "Bearer " + token}).status, 401)
        self.assertEqual(page.claim(self.box.console()["code"], "four dry shells").status, 200)
        self.box.stop()  # once a boot
        self.box.start()
        self.assertEqual(self.box.page().log_in("four dry shells").status, 200)

    def test_a_full_system_disk(self):
        self.begin(disk_count=1, state_mib=100)
        self.assertEqual(self.owner.set_up(*self.box.devices)["state"], "done")
        kept = self.owner.need("POST", "/api/v1/shares", {"name": "kept"})
        target = self.box.mount(kept)
        with open(os.path.join(target, "before"), "w") as f:
            f.write("before\n")
        with open(self.box.path("state/filler"), "wb") as f:
            try:
                while True:
                    f.write(bytes(1 << 16))
                    f.flush()
            except OSError:
                pass
        refused = self.owner.ask("POST", "/api/v1/shares", {"name": "more"})
        self.assertGreaterEqual(refused.status, 500)
        self.assertRegex(refused.json()["error"]["message"], "again")
        self.assertEqual(self.owner.ask("PUT", "/api/v1/password", {"old": "three wet shells", "new": "four dry shells"}).status, 507)
        self.assertEqual([s["name"] for s in self.owner.need("GET", "/api/v1/shares")["shares"]], ["kept"])
        with open(os.path.join(target, "while full"), "w") as f:  # files are on another disk
            f.write("while full\n")
            f.flush()
            os.fsync(f.fileno())
        status = self.owner.until(lambda status: status["health"]["level"] != "good")
        print(f"     a full system disk: {status['health']['sentence']} {status['health']['advice']}")
        self.assertIn("system disk", status["health"]["sentence"])
        os.unlink(self.box.path("state/filler"))
        deadline = time.monotonic() + 60
        while self.owner.ask("POST", "/api/v1/shares", {"name": "more"}).status not in (200, 409):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(1)
        with open(os.path.join(target, "before")) as f:
            self.assertEqual(f.read(), "before\n")
        self.box.unmount(target)

    def test_a_disk_pulled_during_setup(self):
        self.begin(disk_count=2)
        job = self.owner.need("POST", "/api/v1/setup",
                              {"copies": 2, "disks": [{"path": path} for path in self.box.devices]})["job"]
        self.assertEqual(self.owner.ask("DELETE", "/api/v1/setup").status, 409, "it still goes on")
        self.box.pull(1)
        ended = self.owner.wait_for_job(job)
        self.assertEqual(ended["state"], "failed")
        self.assertIn(self.box.devices[1], ended["error"])
        self.assertIn("try again, or choose other disks", ended["error"])
        self.owner.need("DELETE", "/api/v1/setup")
        self.assertEqual(self.owner.need("GET", "/api/v1/config")["setup"], "blank")
        first = self.owner.need("GET", "/api/v1/disks")["disks"][0]
        choice = {"path": first["path"], "erase": first["erase_word"]}
        again = self.owner.need("POST", "/api/v1/setup", {"copies": 1, "disks": [choice]})["job"]
        self.assertEqual(self.owner.wait_for_job(again)["state"], "done")

    def test_no_network_yet(self):
        netns = f"spirula-kernel-{os.getpid()}"
        network.make(netns, taps=0)
        self.addCleanup(network.remove, netns)
        disks.run("ip", "-n", netns, "addr", "flush", "dev", "br0")
        self.box = Appliance(netns=netns, address="auto")
        self.addCleanup(self.box.close)
        self.assertIn("connect a network cable", self.box.console()["notice"])
        with network.visit(netns):
            self.assertEqual(self.box.page().claim(self.box.console()["code"]).status, 200, "the page answers on the box")
        disks.run("ip", "-n", netns, "addr", "add", "10.77.0.7/24", "dev", "br0")
        self.assertTrue(self.box.process.wait(20), "it ends, and is started again by systemd")
        self.box.start()
        self.assertNotIn("notice", self.box.console())
        with network.visit(netns):
            page = self.box.page()
            self.assertEqual(page.log_in().status, 200, "nothing is lost")
            self.assertEqual(page.need("GET", "/api/v1/settings")["network"]["address"], "10.77.0.7")

    def test_disks_too_small(self):
        self.begin(disk_count=1, disk_gib=2)
        disk = self.owner.need("GET", "/api/v1/disks")["disks"][0]
        self.assertEqual(disk["problem"], "It is too small: 3 GiB are needed.")
        reply = self.owner.ask("POST", "/api/v1/setup", {"copies": 1, "disks": [{"path": disk["path"]}]})
        self.assertEqual((reply.status, "too small" in reply.json()["error"]["message"]), (422, True))
