// The box itself: name, address, certificate, clock; its settings as a file.
import { html, useEffect, useSignal } from "./vendor.js";
import { ask, config, jobs, state } from "./api.js";
import { Form, JobView, Screen, Trouble } from "./parts.js";

/** How many seconds the box's clock is ahead of this computer's; remembered from when the page was loaded. */
export const clockOff = () => (state.value?.now ? state.value.now - state.value.asked : 0);
const CLOCK_SECONDS_MAX = 120;
export const clockIsOff = () => Math.abs(clockOff()) > CLOCK_SECONDS_MAX;

/** A change that ends by itself unless it is kept. */
function Trial({ trial, what, keep }) {
  return html`<article class="health warning">
    <p role="status"><strong>This ${what} is being tried.</strong> Unless you keep it within ${trial.seconds} seconds, the one from before comes back.</p>
    <${Form} action=${keep} button=${`Keep this ${what}`} />
  </article>`;
}

function Name({ load }) {
  const said = useSignal("");
  const change = async (form) => {
    said.value = "";
    const { name } = await ask("PUT", "/name", { name: form.get("name") });
    config.value = { ...config.value, name };
    said.value = `The box is called “${name}” now.`;
    await load();
  };
  return html`<section aria-labelledby="name-title">
    <h2 id="name-title">Name</h2>
    <${Form} action=${change} button="Rename the box" secondary>
      <label>What the box is called
        <input name="name" required maxlength="40" pattern="[a-z0-9][a-z0-9\\-]*" autocomplete="off" autocapitalize="none" spellcheck=${false}
          value=${config.value.name} aria-describedby="box-name-hint" />
      </label>
      <small id="box-name-hint">Small letters, digits and hyphens. Computers in the same network find it by this name with “.local” after it. Mounted shares do not notice.</small>
    <//>
    <p role="status">${said.value}</p>
  </section>`;
}

function downloadBackup(answer) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(answer, null, 1)], { type: "application/json" }));
  link.download = `${answer.name}-settings.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const several = (names) => names.map((name) => `“${name}”`).join(", ");

/** A settings file brought back: first what it would do, then doing it. */
export function Restore() {
  const file = useSignal(null), plan = useSignal(null), problem = useSignal("");
  const job = jobs.value.findLast((each) => each.kind === "restore");
  const choose = async (event) => {
    plan.value = file.value = null;
    problem.value = "";
    const [chosen] = event.target.files;
    if (!chosen) return;
    try {
      const text = await chosen.text();
      try {
        file.value = JSON.parse(text);
      } catch {
        throw new Error("This is not a settings file of a Spirula box.");
      }
      plan.value = await ask("POST", "/restore/plan", file.value);
    } catch (error) {
      problem.value = error.message;
    }
  };
  const restore = async () => {
    await ask("POST", "/restore", file.value);
    plan.value = null;
  };
  return html`<label>Settings file <input type="file" accept=".json,application/json" onChange=${choose} /></label>
    <${Trouble} problem=${problem.value} />
    ${plan.value && html`<${Form} action=${restore} button="Bring these settings back" secondary>
      <p>The file is of ${new Date(plan.value.made * 1000).toLocaleString()}. The box will be called “${plan.value.name}”.
        ${plan.value.missing.length > 0 && ` Shares that will be made, with the keys they had: ${several(plan.value.missing)}.`}
        ${plan.value.there.length > 0 && ` Shares that are there already and stay as they are: ${several(plan.value.there)}.`}
        ${" "}Address, password, certificate and disks stay as they are now.</p>
    <//>`}
    ${job && html`<${JobView} job=${job} again=${false} />
      ${job.state === "done" && html`<p role="status">The settings of the file are in place.</p>`}`}`;
}

function SettingsFile() {
  return html`<section aria-labelledby="file-title">
    <h2 id="file-title">Settings file</h2>
    <p>It has the box's name, the shares and their keys: with it, a new box, or this one set up anew, serves the same mount
      lines. It has no files of the shares in it. Keep it as you keep a key.</p>
    <${Form} action=${async () => downloadBackup(await ask("GET", "/backup"))} button="Save the settings file" secondary />
    <details><summary>Bring back a settings file</summary><${Restore} /></details>
  </section>`;
}

function Address({ network, load }) {
  const { settings } = network.trial ?? network;
  const automatic = useSignal(settings.automatic);
  const change = async (form) => {
    await ask("PUT", "/network", automatic.value ? { automatic: true }
      : { automatic: false, address: form.get("address"), gateway: form.get("gateway"), name_server: form.get("name_server") });
    await load();
  };
  const keep = async () => {
    await ask("POST", "/network/keep", {});
    await load();
  };
  const where = network.trial && !settings.automatic && `https://${settings.address.split("/")[0]}/`;
  return html`<section aria-labelledby="address-title">
    <h2 id="address-title">Address</h2>
    <p>The box is at ${network.address}. Mount lines name this address.</p>
    ${network.trial && html`<${Trial} trial=${network.trial} what="address" keep=${keep} />
      ${where && html`<p>If this page stops answering, open <a href=${where}>${where}</a>, log in, and keep it there.</p>`}`}
    ${!network.ours ? html`<p>This computer's own tools decide about it.</p>` : html`<${Form} action=${change} button="Try it for a minute" secondary>
      <fieldset><legend>How it gets its address</legend>
        <label><input type="radio" name="how" checked=${automatic.value} onChange=${() => (automatic.value = true)} /> By itself, from the network (DHCP)</label>
        <label><input type="radio" name="how" checked=${!automatic.value} onChange=${() => (automatic.value = false)} /> Always this one</label>
      </fieldset>
      ${!automatic.value && html`
        <label>Address with prefix <input name="address" required placeholder="192.168.1.5/24" value=${settings.address} /></label>
        <label>Gateway <input name="gateway" placeholder="192.168.1.1" value=${settings.gateway} /></label>
        <label>Name server <input name="name_server" placeholder="192.168.1.1" value=${settings.name_server} /></label>`}
    <//>`}
  </section>`;
}

function Certificate({ certificate, load }) {
  const change = async (form) => {
    await ask("PUT", "/certificate", { certificate: form.get("certificate"), key: form.get("key") });
    await load();
  };
  const keep = async () => {
    await ask("POST", "/certificate/keep", {});
    await load();
  };
  const forget = async () => {
    await ask("DELETE", "/certificate");
    await load();
  };
  return html`<section aria-labelledby="certificate-title">
    <h2 id="certificate-title">Certificate</h2>
    <p>${certificate.own ? "This page uses a certificate of yours." : "This page uses the certificate that the box made for itself."} Its SHA-256 fingerprint, which the
      box's screen shows, too: <code class="long">${certificate.fingerprint}</code></p>
    ${certificate.trial && html`<${Trial} trial=${certificate.trial} what="certificate" keep=${keep} />
      <p>Open this page in another window to see that your browser takes it.</p>`}
    <details><summary>Use a certificate of your own</summary>
      <${Form} action=${change} button="Try it for a minute" secondary>
        <label>Certificate (PEM) <textarea name="certificate" rows="4" required spellcheck=${false} placeholder="-----BEGIN CERTIFICATE-----"></textarea></label>
        <label>Key (PEM, without a password) <textarea name="key" rows="4" required spellcheck=${false} placeholder="-----BEGIN PRIVATE KEY-----"></textarea></label>
      <//>
    </details>
    ${certificate.own && !certificate.trial && html`<${Form} action=${forget} button="Back to the box's own" secondary />`}
  </section>`;
}

function Clock({ clock, load }) {
  const set = async () => {
    await ask("PUT", "/clock", { now: Math.round(Date.now() / 1000) });
    state.value = { ...state.value, ...(await ask("GET", "/state")), asked: Date.now() / 1000 };
    await load();
  };
  return html`<section aria-labelledby="clock-title">
    <h2 id="clock-title">Clock</h2>
    <p>The box's clock says ${new Date(clock.now * 1000).toLocaleString()}. ${clock.kept ? "A time server keeps it right." : "No time server keeps it right at the moment: files may get wrong dates."}</p>
    ${clockIsOff() && html`<${Trouble} problem="It differs from this computer's clock." />`}
    ${clock.ours && html`<${Form} action=${set} button="Set it to this computer's time" secondary />`}
  </section>`;
}

export function Settings() {
  const all = useSignal(null), problem = useSignal("");
  const load = () => ask("GET", "/settings").then((answer) => (all.value = answer), (error) => (problem.value = error.message));
  useEffect(() => {
    load();
    const timer = setInterval(() => (all.value?.network.trial || all.value?.certificate.trial) && load(), 1000);
    return () => clearInterval(timer);
  }, []);
  return html`<${Screen} title="Settings">
    <${Trouble} problem=${problem.value} />
    ${!all.value && !problem.value && html`<p aria-busy="true">Looking</p>`}
    ${all.value && html`<${Name} load=${load} />
      <${Address} network=${all.value.network} load=${load} />
      <${Certificate} certificate=${all.value.certificate} load=${load} />
      <${Clock} clock=${all.value.clock} load=${load} />
      <${SettingsFile} />`}
  <//>`;
}
