"""Who may do what with the page, and what a hostile client gets."""

import base64
import hmac
import http.client
import json
import os
import re
import socket
import ssl
import struct
import threading
import time
import unittest

from harness.appliance import PASSWORD, Appliance, Page, Reply

#: What anybody may ask. Everything else takes a session.
OPEN = {("GET", "/api/v1/state"), ("POST", "/api/v1/claim"), ("POST", "/api/v1/session"),
        ("GET", "/api/v1/openapi.json")}

#: What an account that may only look can ask besides. It sees no key, and changes nothing but its own password.
VIEWER = {("GET", "/api/v1/session"), ("DELETE", "/api/v1/session"), ("GET", "/api/v1/sessions"),
          ("DELETE", "/api/v1/sessions/x"), ("PUT", "/api/v1/password"), ("GET", "/api/v1/second-factor"),
          ("POST", "/api/v1/second-factor"), ("PUT", "/api/v1/second-factor"), ("POST", "/api/v1/second-factor/end"),
          ("GET", "/api/v1/config"), ("GET", "/api/v1/disks"), ("GET", "/api/v1/status"), ("GET", "/api/v1/history"),
          ("GET", "/api/v1/shares"), ("GET", "/api/v1/settings"), ("GET", "/api/v1/jobs"), ("GET", "/api/v1/jobs/x"),
          ("GET", "/api/v1/events"), ("GET", "/metrics")}
VIEWERS_PASSWORD = "five green shells"


def totp(secret):
    """What an authenticator shows now (RFC 6238)."""
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", int(time.time()) // 30), "sha1")
    return f"{(struct.unpack_from('>I', digest, digest[-1] & 15)[0] & 0x7fffffff) % 1_000_000:06}"


class ApplianceSecurityTest(unittest.TestCase):
    beside_others = True  # with an appliance of its own

    def setUp(self):
        self.box = Appliance()
        self.addCleanup(self.box.close)
        self.owner = self.box.page()
        self.code = self.box.console()["code"]

    def claim(self):
        self.assertEqual(self.owner.claim(self.code).status, 200)

    def one_connection(self, page):
        page.kept = page.connect()
        self.addCleanup(page.kept.close)
        return page

    def routes(self):
        document = self.owner.ask("GET", "/api/v1/openapi.json").json()
        return [(method.upper(), re.sub(r"\{\w+\}", "x", path))
                for path, methods in document["paths"].items() for method in methods]

    def test_nothing_without_a_session(self):
        self.claim()
        routes = self.routes()
        self.assertGreater(len(routes), 10)
        self.assertLessEqual(OPEN, set(routes))
        forged = self.one_connection(self.box.page())
        for cookie in ("", "__Host-spirula=", "__Host-spirula=" + "0" * 64, "__Host-spirula=" + "x" * 4000,
                       "other=" + self.owner.cookie.partition("=")[2]):
            for method, path in set(routes) - OPEN:
                reply = forged.ask(method, path, b"{}" if method != "GET" else None,
                                   {"Cookie": cookie, "Content-Type": "application/json", "X-Spirula-CSRF": "x",
                                    "Authorization": "Bearer x"})
                self.assertEqual((reply.status, reply.code), (401, "no_session"), (method, path, cookie))
        self.assertEqual(self.owner.ask("GET", "/api/v1/session").status, 200, "the owner's own is still good")

    def test_other_sites_cannot_use_the_session(self):
        self.claim()
        self.one_connection(self.owner)
        for method, path in set(self.routes()):
            if method == "GET":
                continue
            for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://example.org"}, {"Origin": "null"}):
                reply = self.owner.ask(method, path, {}, headers)
                self.assertEqual((reply.status, reply.code), (403, "cross_site"), (method, path, headers))
            if (method, path) not in OPEN:
                for word in ("", "x", "0" * 64):
                    reply = self.owner.ask(method, path, {}, {"X-Spirula-CSRF": word})
                    self.assertEqual((reply.status, reply.code), (403, "csrf"), (method, path))
        reply = self.owner.ask("POST", "/api/v1/metrics-token", b"a=b", {"Content-Type": "text/plain"})
        self.assertEqual(reply.code, "not_json")

    def viewer(self, name="anna"):
        self.owner.need("POST", "/api/v1/accounts", {"name": name, "role": "viewer", "password": VIEWERS_PASSWORD})
        page = self.box.page()
        self.assertEqual(page.log_in(VIEWERS_PASSWORD, name).status, 200)
        return page

    def test_a_viewer_changes_nothing_and_sees_no_key(self):
        self.claim()
        viewer = self.one_connection(self.viewer())
        self.assertEqual(viewer.need("GET", "/api/v1/session")["role"], "viewer")
        routes = set(self.routes())
        self.assertLessEqual(VIEWER, routes)
        for method, path in routes - OPEN - VIEWER:
            reply = viewer.ask(method, path, {} if method != "GET" else None)
            self.assertEqual((reply.status, reply.code), (403, "viewer"), (method, path))
        document = self.owner.need("GET", "/api/v1/openapi.json")
        for method, path in routes:
            said = [words[method.lower()] for name, words in document["paths"].items()
                    if re.sub(r"\{\w+\}", "x", name) == path and method.lower() in words]
            self.assertEqual("403" in said[0]["responses"], (method, path) not in OPEN | VIEWER, (method, path))
        for method, path in VIEWER:
            if method == "GET" and path not in ("/api/v1/events", "/api/v1/jobs/x"):
                self.assertEqual(viewer.ask(method, path).status, 200, path)
                self.assertNotIn(b"argon2", viewer.ask(method, path).body)

    def test_accounts_come_and_go(self):
        self.claim()
        make = lambda **words: self.owner.ask("POST", "/api/v1/accounts", {"name": "ben", "role": "viewer", "password": VIEWERS_PASSWORD, **words})
        for code, words in (("name", {"name": "../x"}), ("name", {"name": ""}), ("role", {"role": "king"}),
                            ("password", {"password": "short"}), ("exists", {"name": "owner"})):
            self.assertEqual(make(**words).code, code)
        viewer = self.viewer()
        self.assertEqual(make(name="anna").code, "exists")
        self.assertEqual([each["name"] for each in self.owner.need("GET", "/api/v1/accounts")["accounts"]], ["owner", "anna"])
        self.assertEqual([each["account"] for each in viewer.need("GET", "/api/v1/sessions")["sessions"]], ["anna"])
        both = self.owner.need("GET", "/api/v1/sessions")["sessions"]
        self.assertEqual({each["account"] for each in both}, {"anna", "owner"})
        owners = next(each["id"] for each in both if each["account"] == "owner")
        self.assertEqual(viewer.ask("DELETE", f"/api/v1/sessions/{owners}").status, 404)
        self.owner.need("PUT", "/api/v1/accounts/anna", {"role": "administrator"})
        self.assertEqual(viewer.ask("GET", "/api/v1/session").status, 401, "another role takes another session")
        self.box.stop()
        self.box.start()
        self.owner = self.box.page()
        self.assertEqual(self.owner.log_in().status, 200)
        other = self.box.page()
        self.assertEqual(other.log_in(VIEWERS_PASSWORD, "anna").status, 200)
        self.assertEqual(other.need("GET", "/api/v1/session")["role"], "administrator")
        for method in ("PUT", "DELETE"):
            self.assertEqual(other.ask(method, "/api/v1/accounts/owner", {}).code, "owner")
            self.assertEqual(other.ask(method, "/api/v1/accounts/anna", {}).code, "yourself")
            self.assertEqual(other.ask(method, "/api/v1/accounts/nobody", {}).code, "no_account")
        self.owner.need("PUT", "/api/v1/accounts/anna", {"password": "six grey shells"})
        self.assertEqual(other.ask("GET", "/api/v1/session").status, 401)
        self.assertEqual(other.log_in("six grey shells", "anna").status, 200)
        self.owner.need("DELETE", "/api/v1/accounts/anna")
        self.assertEqual(other.ask("GET", "/api/v1/session").status, 401)
        self.assertEqual(other.log_in("six grey shells", "anna").code, "wrong_password")
        for word in (VIEWERS_PASSWORD, "six grey shells"):
            self.assertNotIn(word, self.box.log())

    def test_one_password_makes_guessing_another_no_faster(self):
        self.claim()
        self.viewer()
        guesser, looked_at = self.one_connection(self.box.page()), 0
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            looked_at += guesser.log_in("a guess of the owner's").status == 401
            guesser.log_in(VIEWERS_PASSWORD, "anna")
            guesser.cookie = guesser.csrf = ""
        self.assertLess(looked_at, 4)  # after 1, 2, 4 seconds

    def test_the_cookie_is_kept_from_scripts_and_other_sites(self):
        reply = self.owner.claim(self.code)
        cookie = reply.headers["Set-Cookie"]
        for word in ("__Host-spirula=", "; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/"):
            self.assertIn(word, cookie)
        self.assertIn("default-src 'self'", reply.headers["Content-Security-Policy"])
        self.assertEqual(reply.headers["X-Content-Type-Options"], "nosniff")

    def test_claiming_once(self):
        reply = self.owner.ask("POST", "/api/v1/claim", {"code": self.code, "password": "short"})
        self.assertEqual(reply.code, "short_password")
        self.claim()
        self.assertEqual(self.box.page().claim(self.code).code, "claimed")
        self.assertNotIn("code", os.listdir(self.box.path("state")))

    def test_ten_thousand_guesses_are_slow_and_end_nowhere(self):
        self.claim()
        guesser = self.box.page()
        guesses, answers = 10_000, []
        connection = guesser.connect()
        headers = {"Content-Type": "application/json"}
        for number in range(guesses):
            connection.request("POST", "/api/v1/session", json.dumps({"password": f"guess {number}"}), headers)
            answers.append(Reply(connection.getresponse()))
            if number == guesses // 2:
                started = time.monotonic()
                self.assertEqual(self.owner.ask("GET", "/api/v1/session").status, 200, "the owner is served meanwhile")
                self.assertLess(time.monotonic() - started, 2)
        connection.close()
        self.assertEqual(answers[0].code, "wrong_password")
        looked_at = [reply for reply in answers if reply.status == 401]
        self.assertLess(len(looked_at), 8)
        self.assertEqual({reply.status for reply in answers}, {401, 429})
        self.assertLess(self.box.process.memory_mib(), 48)
        waiting = next(reply for reply in answers if reply.status == 429)
        self.assertGreaterEqual(int(waiting.headers["Retry-After"]), 1)
        # The guesser's own address waits longest; nobody is locked out for good.
        deadline = time.monotonic() + int(answers[-1].headers["Retry-After"]) + 10
        while guesser.log_in().status != 200:  # the right one, in the end
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)

    def at_once(self, *calls):
        """What came of calls made at the same moment."""
        replies, gate = [None] * len(calls), threading.Barrier(len(calls))

        def call(number):
            gate.wait()
            replies[number] = calls[number]()

        threads = [threading.Thread(target=call, args=(number,)) for number in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(reply.status for reply in replies)

    def test_two_tabs_claim_at_once(self):
        pages = [self.box.page() for _ in range(4)]
        statuses = self.at_once(*(lambda page=page: page.claim(self.code) for page in pages))
        self.assertEqual(statuses, [200, 409, 409, 409])

    def test_sessions_end(self):
        self.claim()
        other = self.box.page()
        self.assertEqual(other.log_in().status, 200)
        listed = self.owner.ask("GET", "/api/v1/sessions").json()["sessions"]
        self.assertEqual(len(listed), 2)
        gone = next(each["id"] for each in listed if not each["this_one"])
        self.assertEqual(self.owner.ask("DELETE", f"/api/v1/sessions/{gone}").status, 200)
        self.assertEqual(other.ask("GET", "/api/v1/session").status, 401)
        self.assertEqual(other.log_in().status, 200)
        reply = self.owner.ask("PUT", "/api/v1/password", {"old": PASSWORD, "new": "four dry shells"})
        self.assertEqual(reply.status, 200)
        self.assertEqual(other.ask("GET", "/api/v1/session").status, 401)
        self.assertEqual(self.owner.ask("DELETE", "/api/v1/session").status, 200)
        self.assertEqual(self.owner.ask("GET", "/api/v1/session").status, 401)
        self.assertEqual(other.log_in("four dry shells").status, 200)
        self.box.stop()
        self.box.start()
        again = self.box.page()
        again.cookie = other.cookie
        self.assertEqual(again.ask("GET", "/api/v1/session").status, 401, "a restart logs everybody out")
        self.assertEqual(again.log_in("four dry shells").status, 200)

    def test_a_second_factor(self):
        self.claim()
        ask = self.owner.ask
        self.assertEqual(ask("POST", "/api/v1/second-factor", {"password": "not this one"}).code, "wrong_password")
        time.sleep(1.1)
        secret = ask("POST", "/api/v1/second-factor", {"password": PASSWORD}).json()["secret"]
        self.assertEqual(self.box.page().log_in().status, 200, "not on yet")
        other = self.box.page()
        other.log_in()
        self.assertEqual(ask("PUT", "/api/v1/second-factor", {"code": "12345"}).code, "wrong_code")
        codes = ask("PUT", "/api/v1/second-factor", {"code": totp(secret)}).json()["recovery_codes"]
        self.assertEqual(len(codes), 10)
        self.assertEqual(other.ask("GET", "/api/v1/session").status, 401)
        self.assertEqual(other.log_in().code, "code_needed")
        log_in = lambda page, code: page._opened(page.ask("POST", "/api/v1/session", {"password": PASSWORD, "code": code}))
        self.assertEqual(log_in(other, "000000").code, "wrong_code")
        self.assertEqual(log_in(other, codes[0]).code, "wait", "guessing codes takes time, too")
        time.sleep(1.1)
        self.assertEqual(log_in(other, codes[0]).status, 200)
        self.assertEqual(log_in(self.box.page(), codes[0]).code, "wrong_code", "each once")
        time.sleep(1.1)
        self.box.stop()
        self.box.start()
        self.owner = self.box.page()
        self.assertEqual(self.owner.log_in().code, "code_needed", "a restart does not forget it")
        self.assertEqual(log_in(self.owner, codes[1]).status, 200)
        self.assertEqual(self.owner.ask("GET", "/api/v1/second-factor").json(), {"on": True, "recovery_codes": 8})
        self.assertNotIn(secret, self.owner.ask("GET", "/api/v1/config").body.decode())
        for word in (secret, *codes):
            self.assertNotIn(word, self.box.log())
        self.assertEqual(self.owner.ask("POST", "/api/v1/second-factor/end", {"password": PASSWORD}).status, 200)
        self.assertEqual(self.box.page().log_in().status, 200)

    def test_paths_lead_nowhere_else(self):
        self.claim()
        for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd",
                     "/assets/../../../etc/passwd", "/api/v1/jobs/..%2f..%2fetc%2fpasswd", "/api/v1/jobs/%00",
                     "/api/v1/jobs/%zz", "/api/v1/jobs/.."):
            reply = self.owner.ask("GET", path)
            self.assertEqual(reply.status, 404, path)
            self.assertNotIn(b"root:", reply.body)
        self.assertEqual(self.owner.ask("PATCH", "/api/v1/state").status, 405)

    def test_large_and_broken_requests(self):
        self.claim()
        post = lambda body: self.owner.ask("POST", "/api/v1/session", body, {"Content-Type": "application/json"})
        self.assertEqual(post(b"{" + b" " * 70_000).status, 413)
        self.assertEqual(post(b"[" * 60_000).status, 400)
        self.assertEqual(post(b'{"password":').status, 400)
        self.assertEqual(post(b"\xff\xfe").status, 400)
        self.assertEqual(self.owner.ask("GET", "/api/v1/state", headers={"X-Long": "x" * 20_000}).status, 431)
        with self.raw() as stream:
            stream.sendall(b"\x00\x01GARBAGE\r\n\r\n")
            self.assertIn(b"400", stream.recv(100))
        with self.raw() as stream:  # a length that lies must not be believed
            stream.sendall(b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
            self.assertIn(b"413", stream.recv(100))
        self.assertEqual(self.owner.ask("GET", "/api/v1/state").status, 200)

    def raw(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(socket.create_connection((self.owner.host, self.owner.port), timeout=40))

    def test_slow_clients_are_let_go_and_hold_nobody_up(self):
        self.claim()
        slow = [self.raw() for _ in range(20)]
        quiet = [socket.create_connection((self.owner.host, self.owner.port), timeout=40) for _ in range(8)]
        began = time.monotonic()
        stop = threading.Event()

        def drip():
            for letter in b"GET /api/v1/state HTTP/1.1\r\nX-Long: " + b"x" * 1000:
                for stream in slow:
                    try:
                        stream.sendall(bytes([letter]))
                    except OSError:
                        pass
                if stop.wait(0.5):
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            self.assertEqual(self.owner.ask("GET", "/api/v1/state", timeout=5).status, 200)
            for stream in slow + quiet:
                try:
                    self.assertEqual(stream.recv(100), b"")
                except OSError:
                    pass  # reset: gone all the same
            self.assertLess(time.monotonic() - began, 25)
        finally:
            stop.set()
            dripping.join()
            for stream in slow + quiet:
                stream.close()

    def test_one_address_cannot_take_all_connections(self):
        held = []
        try:
            for _ in range(60):
                held.append(socket.create_connection((self.owner.host, self.owner.port), timeout=10))
            time.sleep(0.3)
            refused = 0
            for stream in held:
                stream.setblocking(False)
                try:
                    refused += stream.recv(1) == b""
                except BlockingIOError:
                    pass
                except OSError:
                    refused += 1
            self.assertEqual(len(held) - refused, 32)
        finally:
            for stream in held:
                stream.close()
        time.sleep(0.3)
        self.assertEqual(self.owner.ask("GET", "/api/v1/state").status, 200)

    def test_old_protocols_are_not_spoken(self):
        with self.assertRaises(OSError):
            plain = socket.create_connection((self.owner.host, self.owner.port), timeout=5)
            with plain:
                plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                if not plain.recv(100).startswith(b"HTTP"):
                    raise OSError("closed")
        with self.raw() as stream:
            self.assertIn(stream.version(), ("TLSv1.2", "TLSv1.3"))

    def test_the_door_shows_the_way_and_takes_nothing(self):
        self.claim()
        host, _, port = self.box.door.rpartition(":")

        def ask(method, path, headers=None):
            connection = http.client.HTTPConnection(host, int(port), timeout=10)
            try:
                connection.request(method, path, headers=headers or {})
                return Reply(connection.getresponse())
            finally:
                connection.close()

        reply = ask("GET", "/", {"Host": "<script>evil", "Cookie": self.owner.cookie})
        self.assertEqual(reply.status, 200)
        self.assertIn(self.box.console()["fingerprint"].encode(), reply.body)
        self.assertIn(self.box.console()["page"].encode(), reply.body)
        self.assertNotIn(b"<script", reply.body)
        self.assertIsNone(reply.headers["Set-Cookie"])
        self.assertNotIn(b"csrf", ask("GET", "/api/v1/session", {"Cookie": self.owner.cookie}).body)
        self.assertEqual(ask("POST", "/api/v1/session").status, 405)

    def test_metrics_with_a_token(self):
        self.claim()
        token = self.owner.ask("POST", "/api/v1/metrics-token", {}).json()["token"]
        scraper = Page(f"{self.owner.host}:{self.owner.port}")
        reply = scraper.ask("GET", "/metrics", headers={"Authorization": "Bearer " + token})
        self.assertEqual(reply.status, 200)
        self.assertIn(b"spirula_page_logins 1", reply.body)
        self.assertEqual(scraper.ask("GET", "/api/v1/jobs", headers={"Authorization": "Bearer " + token}).status, 401)

    def test_no_secret_in_the_log_or_in_a_readable_file(self):
        wrong = self.box.page()
        wrong.claim("WRNG-CODE")
        time.sleep(1.1)
        self.claim()
        token = self.owner.ask("POST", "/api/v1/metrics-token", {}).json()["token"]
        self.box.page().log_in("a wrong one, nearly right")
        self.owner.ask("PUT", "/api/v1/password", {"old": PASSWORD, "new": "four dry shells"})
        log = self.box.log()
        secrets = (PASSWORD, "four dry shells", "nearly right", self.code, "WRNG", token, self.owner.csrf,
                   self.owner.cookie.partition("=")[2], "argon2", "PRIVATE")
        for secret in secrets:
            self.assertNotIn(secret, log)
        for folder, _, files in os.walk(self.box.path("state")):
            for name in files:
                with open(os.path.join(folder, name), errors="replace") as f:
                    text = f.read()
                for secret in secrets[:8]:
                    self.assertNotIn(secret, text, name)
                if os.stat(os.path.join(folder, name)).st_mode & 0o77:
                    self.assertEqual(name, "tls.crt")
