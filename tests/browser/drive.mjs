// Drives the page as an owner would, by keyboard, from the claim code to a share: drive.mjs ADDRESS CODE [PICTURES]
//
// Every screen is looked at by axe at desktop and phone width, in light and dark. The last line on standard output is
// JSON: what the page said about the share, and what it cost to get there. Exit status 1 if anything is not as it should.
import { createRequire } from "node:module";
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";

const require = createRequire(process.env.SPIRULA_NODE_MODULES + "/");
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const [address, code, pictures] = process.argv.slice(2);
const password = "three wet shells";
const desktop = { width: 1280, height: 800 }, phone = { width: 360, height: 740 };
const clockIsOff = !!process.env.SPIRULA_CLOCK_IS_OFF;
let acts = 0; // fields filled and buttons pressed

function need(condition, words) {
  if (!condition) throw new Error(words);
}

/** What an authenticator shows now (RFC 6238). */
function totp(secret) {
  const bits = [...secret].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000)));
  const digest = crypto.createHmac("sha1", Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)))).update(counter).digest();
  return String((digest.readUInt32BE(digest.at(-1) & 15) & 0x7fffffff) % 1e6).padStart(6, "0");
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: desktop, permissions: ["clipboard-read", "clipboard-write"] });
const page = await context.newPage();
const patience = Number(process.env.SPIRULA_PATIENCE ?? 60) * 1000;
page.setDefaultTimeout(patience);
const complaints = [];
page.on("console", (message) => {
  // A refused request is the page's to explain; anything else is a mistake in it.
  if (message.type() === "error" && !message.text().includes("the server responded with a status of")) complaints.push(message.text());
});
page.on("pageerror", (error) => complaints.push(String(error)));

const long = new Set(["settings", "second-factor", "recovery-codes"]); // of these the picture is of all there is to scroll
async function look(name, real = true) {
  for (const [width, viewport] of Object.entries({ desktop, phone })) {
    await page.setViewportSize(viewport);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    need(!wide, `${name} is wider than the ${width} screen`);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.waitForTimeout(300); // colours are animated
      await page.evaluate(axe);
      const result = await page.evaluate(() => globalThis.axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"] }));
      const words = result.violations.map((each) => `${each.id}: ${each.nodes.map((node) => node.html + " " + node.failureSummary).join("; ")}`);
      need(words.length === 0, `axe on ${name}, ${width}, ${colorScheme}:\n${words.join("\n")}`);
      if (pictures && real && (colorScheme === "light" || name === "overview"))
        await page.screenshot({ path: path.join(pictures, `${name}-${width}${colorScheme === "dark" ? "-dark" : ""}.png`), fullPage: long.has(name) });
    }
  }
  await page.setViewportSize(desktop);
  await page.emulateMedia({ colorScheme: "light" });
}

/** By the tab key alone. */
async function tabTo(locator) {
  await locator.waitFor();
  for (let i = 0; i < 60; ++i) {
    if (await locator.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`the tab key does not reach ${locator}`);
}
async function type(label, text) {
  await tabTo(page.getByLabel(label, { exact: true }));
  await page.keyboard.press("Control+A");
  await page.keyboard.type(text);
  ++acts;
}
async function press(name) {
  await tabTo(page.getByRole("button", { name, exact: true }));
  await page.keyboard.press("Enter");
  ++acts;
}
const heading = (text) => page.getByRole("heading", { level: 1, name: text }).waitFor();

/** How long it takes, in ms, until a browser that knows nothing of the page shows it; of five, in order. */
async function firstViews() {
  const views = [];
  for (let i = 0; i < 5; ++i) {
    const stranger = await browser.newContext({ ignoreHTTPSErrors: true, viewport: desktop });
    const first = await stranger.newPage();
    first.setDefaultTimeout(patience);
    const asked = performance.now();
    await first.goto(address);
    await first.getByRole("heading", { level: 1, name: "Make this box yours" }).waitFor();
    views.push(Math.round(performance.now() - asked));
    await stranger.close();
  }
  return views.sort((a, b) => a - b);
}

try {
  const views = await firstViews();
  await page.goto(address);
  await heading("Make this box yours");
  const weight = await page.evaluate(() => [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")]
    .reduce((sum, entry) => sum + entry.encodedBodySize, 0));
  need(weight > 10_000 && weight < 150 * 1024, `the page weighs ${weight} bytes`);
  await look("claim");
  await type("Claim code", "AAAA-AAAA");
  await page.getByLabel("A password of your choice").fill(password);
  await page.getByLabel("The same password again").fill(password);
  await press("Make it mine");
  await page.getByText("This is not the claim code").waitFor();
  await page.waitForTimeout(1200); // what a wrong guess costs
  acts = 0;
  const began = Date.now();
  await page.reload();
  await heading("Make this box yours");
  await type("Claim code", code.toLowerCase().replace("-", " "));
  await tabTo(page.getByLabel("A password of your choice"));
  await page.keyboard.type(password);
  await tabTo(page.getByLabel("The same password again"));
  await page.keyboard.type(password);
  acts += 2;
  await press("Make it mine");

  await heading("Choose disks");
  const boxes = page.getByRole("checkbox");
  await boxes.first().waitFor();
  await look("disks");
  for (let i = 0; i < (await boxes.count()); ++i) {
    // Not those in use, and not those that hold something.
    if (await boxes.nth(i).isDisabled() || (await boxes.nth(i).locator("xpath=ancestor::li").getByText("It holds").count())) continue;
    await tabTo(boxes.nth(i));
    await page.keyboard.press("Space");
    ++acts;
  }
  const several = (await page.getByRole("checkbox", { checked: true }).count()) > 1;
  if (several) {
    await page.getByText("if any one disk fails, nothing is lost").waitFor(); // two copies are what is suggested
    await tabTo(page.getByRole("radio", { checked: true }));
    await page.keyboard.press("ArrowUp");
    await page.getByText("if any one disk fails, files are lost").waitFor();
    await page.keyboard.press("ArrowDown");
    await page.getByText("if any one disk fails, nothing is lost").waitFor();
    ++acts;
  }
  await page.getByText("Room for about").waitFor();
  await look("disks-chosen");
  await press("Format and start");

  await heading("Setting up storage");
  await page.getByRole("progressbar").waitFor();
  await page.reload(); // the job goes on
  await Promise.race([heading("Setting up storage"), heading("Make your first share")]);
  await heading("Make your first share");
  await look("share");
  await type("Name of the share", "photos");
  await press("Make the share");
  await heading("The share “photos” is ready");
  await look("mount");
  const line = async (name) => (await page.getByRole("group", { name }).textContent()).trim();
  const share = { folder: await line("1. Make a folder for it"), kernel: await line("2. Mount the share there") };
  await press("Copy: 2. Mount the share there");
  await page.getByText("Copied").waitFor();
  need((await page.evaluate(() => navigator.clipboard.readText())) === share.kernel, "something else was copied");
  await page.getByText("Mount it at every start").click();
  share.fstab = await line("Add this line to /etc/fstab");
  await page.getByText("Without the kernel's client").click();
  share.fuse = await line("With the program ceph-fuse instead of step 2");
  const took = (Date.now() - began) / 1000, spent = acts;

  await press("Go to the overview");
  await heading("Overview");
  await page.getByText("Space", { exact: true }).waitFor();
  await page.locator(".graph canvas").first().waitFor();
  await page.waitForTimeout(4000);
  if (clockIsOff) await page.getByText("The box's clock differs").waitFor();
  await look("overview");

  await tabTo(page.getByRole("link", { name: "Disks", exact: true }));
  await page.keyboard.press("Enter");
  await heading("Disks");
  await page.getByRole("list", { name: "Disks of this box" }).waitFor();
  if (several) await page.getByRole("group", { name: "Keep every file" }).waitFor();
  await page.getByRole("button", { name: /Take out/ }).first().click();
  await page.getByText("moves to the other disks first").waitFor();
  await look("box-disks");
  await page.getByRole("button", { name: /Take out/ }).first().click();
  await page.getByText("Without this disk too few that work are left").waitFor();

  await tabTo(page.getByRole("link", { name: "Shares" }));
  await page.keyboard.press("Enter");
  await heading("Shares");
  await type("Name of the share", "music");
  await press("Make the share");
  await page.getByText("The share “music” is ready.").waitFor();
  await page.getByText("photos", { exact: true }).click();
  await page.getByRole("group", { name: "2. Mount the share there" }).last().waitFor();
  await look("shares");
  await page.locator("summary", { hasText: "music" }).click();
  await page.getByRole("button", { name: "End this share…" }).last().click();
  const end = page.getByRole("button", { name: /End the share/ });
  const ending = (await end.textContent()).includes("music") ? "music" : "photos";
  need(ending === "music", "the wrong share would end");
  await end.click();
  await page.getByText("Its files are still on the box.").waitFor();

  await tabTo(page.getByRole("link", { name: "Settings" }));
  await page.keyboard.press("Enter");
  await heading("Settings");
  await page.getByText("Use a certificate of your own").click();
  await page.getByText("The box's clock says").waitFor();
  if (clockIsOff) {
    const differs = page.getByText("It differs from this computer's clock.");
    await differs.waitFor();
    await press("Set it to this computer's time");
    await differs.waitFor({ state: "detached" });
  }
  await type("What the box is called", "snail");
  await press("Rename the box");
  await page.getByText("The box is called “snail” now.").waitFor();
  const saved = page.waitForEvent("download");
  await press("Save the settings file");
  const file = { name: (await saved).suggestedFilename(), mimeType: "application/json", buffer: fs.readFileSync(await (await saved).path()) };
  need(file.name === "snail-settings.json", `the settings file is called ${file.name}`);
  await page.getByText("Bring back a settings file").click();
  await page.locator("input[type=file]").setInputFiles({ ...file, buffer: Buffer.from("snail") });
  await page.getByText("This is not a settings file").waitFor();
  await page.locator("input[type=file]").setInputFiles(file);
  await page.getByText("stay as they are: “photos”").waitFor();
  await look("settings");
  await press("Bring these settings back");
  await page.getByText("The settings of the file are in place.").waitFor();

  await tabTo(page.getByRole("link", { name: "Account" }));
  await page.keyboard.press("Enter");
  await heading("Account");
  await page.getByText("(this window)").waitFor();
  await type("Your password", password);
  await press("Set it up");
  const secret = (await page.locator("code.long").textContent()).replaceAll(" ", "");
  await look("second-factor");
  await type("Code", totp(secret));
  await press("Ask for codes from now on");
  await page.locator(".codes code").first().waitFor();
  const recovery = await page.locator(".codes code").allTextContents();
  need(recovery.length === 10, `${recovery.length} recovery codes`);
  await look("recovery-codes");
  await page.reload();
  await page.getByText("(this window)").waitFor();
  await page.getByText("Recovery codes left: 10").waitFor();
  await look("account");
  await press("Log out");
  await heading(/Log in/);
  await look("login");
  await type("Password", "a wrong one");
  await press("Log in");
  await page.getByText("This is not the password").waitFor();
  await page.waitForTimeout(1200);
  await type("Password", password);
  await press("Log in");
  await page.getByText("Type the code that your authenticator shows, too.").waitFor();
  await look("login-code", false);
  await type("Code of the authenticator, or a recovery code", recovery[0].toLowerCase());
  await press("Log in");
  await heading("Account");
  await type("Your password", password);
  await press("Turn it off");
  await page.getByText("The password is enough again.").waitFor();

  // Somebody else, who may only look.
  await page.getByText("Make an account for somebody else").click();
  await page.getByLabel("Name of the account").fill("anna");
  await page.getByLabel("A password for it").fill("five green shells");
  await look("account-made", false);
  await press("Make the account");
  await page.getByText("“anna” may look, but change nothing.").waitFor();
  await page.getByText("anna: may look, but change nothing").click();
  await page.getByRole("button", { name: "Make it an administrator" }).waitFor();
  await look("accounts", false);
  await press("Log out");
  await heading(/Log in/);
  await look("login-named", false);
  await type("Name", "anna");
  await type("Password", "five green shells");
  await press("Log in");
  await heading("Account");
  await page.getByText("you can look, but not change anything").waitFor();
  need((await page.getByRole("link", { name: "Settings" }).count()) === 0, "a viewer is offered the settings");
  await tabTo(page.getByRole("link", { name: "Shares" }));
  await page.keyboard.press("Enter");
  await heading("Shares");
  await page.getByText("Ask one of them").waitFor();
  await look("shares-viewer", false);
  await page.goto(address + "#settings");
  await heading("Overview");
  await page.locator(".graph canvas").first().waitFor();
  await look("overview-viewer", false);
  await page.goto(address + "#account");
  await press("Log out");
  await type("Name", "owner");
  await type("Password", password);
  await press("Log in");
  await page.getByText("anna: may look, but change nothing").click();
  await press("Take the account “anna” away");
  await page.getByText("The account “anna” is gone.").waitFor();

  // What is seldom seen: the box says otherwise than it is.
  const pretend = async (route, change) => {
    await page.route("**/api/v1" + route, async (call) => call.fulfill({ json: change(await (await call.fetch()).json()) }));
  };
  const says = async (events) => {
    await page.unroute("**/api/v1/events");
    const body = Object.entries(events).map(([name, data]) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`).join("");
    await page.route("**/api/v1/events", (call) => call.fulfill({ contentType: "text/event-stream", body }));
  };
  const disk = { name: "osd.0", path: "/dev/sda", serial: "S1", bytes: 4e12, made: true, leaving: false, works: true, health: "healthy, 31 °C, 4000 hours on" };
  const status = { space: { used: 1e12, total: 3e12, copies: 2 }, clients: [{ host: "desk", share: "photos", address: "" }], daemons: [], sample: {} };
  const moving = { id: 9, kind: "disks", title: "Changing the disks", state: "running", progress: 0.4, step: "Moving files from /dev/sdb to the other disks: 40 %", error: "" };
  await says({
    jobs: { jobs: [moving] },
    status: { ...status, health: { level: "warning", sentence: "1 of 3 disks does not work. Every file is still there and can be changed.", advice: "Check the disk's power and cable.", retry: true },
      disks: [disk, { ...disk, name: "osd.1", path: "/dev/sdb", leaving: true, works: false }, { ...disk, name: "osd.2", path: "/dev/sdc", made: false }] } });
  await pretend("/state", (state) => ({ ...state, now: state.now - 3 * 365 * 86400 }));
  await page.goto(address + "#");
  await page.reload();
  await page.getByText("The box's clock differs").waitFor();
  await page.getByText("1 of 3 disks does not work.").waitFor();
  await look("warning", false);
  await page.goto(address + "#disks");
  await page.getByRole("button", { name: "Keep it after all" }).waitFor();
  await look("disk-leaves", false);
  const trial = { automatic: false, address: "192.168.1.5/24", gateway: "192.168.1.1", name_server: "" };
  await pretend("/settings", (all) => ({ ...all, clock: { ...all.clock, ours: true }, certificate: { ...all.certificate, own: true, trial: { seconds: 41 } },
    network: { ...all.network, ours: true, trial: { settings: trial, seconds: 52 } } }));
  await page.goto(address + "#settings");
  await page.getByRole("button", { name: "Keep this address" }).waitFor();
  await look("address-tried", false);
  await says({ jobs: { jobs: [{ ...moving, kind: "setup", title: "Setting up storage", state: "failed", error: "/dev/sdb is gone. Connect the disk and try again, or choose other disks." }] } });
  await pretend("/config", (config) => ({ ...config, setup: "making" }));
  await page.reload();
  await page.getByRole("button", { name: "Choose other disks" }).waitFor();
  await look("setup-failed", false);

  need(complaints.length === 0, `the browser complained: ${complaints.join("\n")}`);
  need(spent <= 20, `${spent} clicks and fields`);
  console.log(JSON.stringify({ ...share, seconds: took, acts: spent, weight, views }));
} catch (error) {
  console.error(String(error.message ?? error).slice(0, 4000));
  if (complaints.length) console.error("the browser complained: " + complaints.join("\n"));
  await page.screenshot({ path: path.join(process.env.SPIRULA_FAILED ?? "/tmp", "browser-failed.png") }).catch(() => {});
  process.exitCode = 1;
} finally {
  await browser.close();
}
