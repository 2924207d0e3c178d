// The box at work: overview, shares, account.
import { html, Plot, useEffect, useRef, useSignal } from "./vendor.js";
import { Accounts } from "./accounts.js";
import { ask, config, jobs, logOut, mayChange, session, status } from "./api.js";
import { bytes, Form, JobView, MountLines, Screen, Trouble, TryAgain } from "./parts.js";
import { clockIsOff } from "./settings.js";
import { ShareName } from "./setup.js";

const POINTS = 1200, WINDOW_SECONDS_MIN = 600;

/** Two lines over the last hour. `label` says in words what the newest point is, for who cannot see it. */
function Graph({ title, label, history, names, unit }) {
  const place = useRef();
  const plot = useRef();
  useEffect(() => {
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const draw = () => {
      if (!place.current) return;
      plot.current?.destroy();
      const axis = { stroke: colour("--pico-muted-color"), grid: { stroke: colour("--pico-muted-border-color") } };
      plot.current = new Plot({
        width: place.current.clientWidth, height: 180, cursor: { show: false }, legend: { show: false },
        scales: { x: { range: (u, low, high) => [Math.min(low, high - WINDOW_SECONDS_MIN), high] }, y: { range: (u, low, high) => [0, Math.max(high, unit === bytes ? 1024 : 1)] } },
        axes: [axis, { ...axis, size: 92, values: (u, all) => all.map(unit) }],
        series: [{}, { stroke: colour("--graph-one"), width: 2 }, { stroke: colour("--graph-two"), width: 2, dash: [6, 3] }],
      }, history.value, place.current);
    };
    draw();
    const resized = new ResizeObserver(draw);
    resized.observe(place.current);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    return () => {
      resized.disconnect();
      dark.removeEventListener("change", draw);
      plot.current?.destroy();
    };
  }, []);
  useEffect(() => plot.current?.setData(history.value), [history.value]);
  return html`<figure>
    <figcaption>${title}: <span class="one">${names[0]}</span>, <span class="two">${names[1]}</span></figcaption>
    <div ref=${place} class="graph" role="img" aria-label=${label}></div>
  </figure>`;
}

function useHistory(...fields) {
  const points = useSignal([[], ...fields.map(() => [])]);
  useEffect(() => {
    ask("GET", "/history").then((all) => (points.value = [all.when, ...fields.map((field) => all[field])]), () => {});
  }, []);
  const sample = status.value?.sample;
  useEffect(() => {
    if (!sample?.when || points.value[0].at(-1) >= sample.when) return;
    const next = [sample.when, ...fields.map((field) => sample[field])];
    points.value = points.value.map((column, i) => [...column.slice(-POINTS + 1), next[i]]);
  }, [sample?.when]);
  return points;
}

const rate = (value) => bytes(value) + "/s";
const ms = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

export function Overview() {
  const throughput = useHistory("read", "write");
  const latency = useHistory("read_ms", "write_ms");
  const now = status.value;
  const starting = jobs.value.findLast((job) => job.kind === "start" && job.state === "running");
  const sample = now?.sample ?? {};
  const ready = !!now?.health;
  return html`<${Screen} title="Overview">
    ${starting && html`<${JobView} job=${starting} />`}
    ${!ready && html`<p aria-busy="true">Looking</p>`}
    ${ready && html`
      <article class=${"health " + now.health.level}>
        <p role="status"><strong>${{ good: "✓ ", warning: "! ", bad: "✗ " }[now.health.level]}${now.health.sentence}</strong> ${now.health.advice}</p>
        ${now.health.retry && !starting && mayChange() && html`<${TryAgain} />`}
      </article>
      ${clockIsOff() && html`<article class="health warning"><p><strong>The box's clock differs from this computer's.</strong>${" "}
        Files may get wrong dates. ${mayChange() ? html`<a href="#settings">Look at the clock in the settings</a>.` : "An administrator can set it."}</p></article>`}
      <section aria-labelledby="space-title">
        <h2 id="space-title">Space</h2>
        <progress value=${now.space.used} max=${now.space.total || 1} aria-labelledby="space-title"></progress>
        <p>${bytes(now.space.used)} of ${bytes(now.space.total)} in use. Every file is kept ${["", "once", "on two disks", "on three disks"][now.space.copies]}.</p>
      </section>
      <section aria-labelledby="clients-title">
        <h2 id="clients-title">Connected computers</h2>
        ${now.clients.length === 0 ? html`<p>None at the moment.</p>`
          : html`<ul>${now.clients.map((client) => html`<li>${client.host || "A computer"}${client.share && `: share “${client.share}”`}</li>`)}</ul>`}
      </section>
      <section aria-labelledby="activity-title">
        <h2 id="activity-title">Activity</h2>
        <${Graph} title="Throughput" names=${["reading", "writing (dashed)"]} history=${throughput} unit=${bytes}
          label=${`Throughput of the last hour. Now reading ${rate(sample.read ?? 0)}, writing ${rate(sample.write ?? 0)}.`} />
        <p>Now: reading ${rate(sample.read ?? 0)}, writing ${rate(sample.write ?? 0)}, ${Math.round(sample.operations ?? 0)} operations a second.</p>
        <${Graph} title="Time per operation" names=${["reading", "writing (dashed)"]} history=${latency} unit=${ms}
          label=${`Time per operation in the last hour. Now reading ${ms(sample.read_ms ?? 0)}, writing ${ms(sample.write_ms ?? 0)}.`} />
      </section>
      <section aria-labelledby="disks-title">
        <h2 id="disks-title">Disks</h2>
        <ul>${now.disks.map((disk) => html`<li>${bytes(disk.bytes)} at ${disk.path}${disk.serial && `, serial number ${disk.serial}`}: ${disk.works ? "works" : "does not work"}${disk.health && `; ${disk.health}`}</li>`)}</ul>
        ${mayChange() && html`<p><a href="#disks">Add or take out a disk</a></p>`}
      </section>`}
  <//>`;
}

function ShareView({ name, changed }) {
  const share = useSignal(null);
  const problem = useSignal("");
  const asking = useSignal(false);
  const show = (event) => {
    if (!event.target.open || share.value) return;
    problem.value = "";
    ask("GET", "/shares/" + name).then((answer) => (share.value = answer), (error) => (problem.value = error.message));
  };
  const remove = async () => {
    await ask("DELETE", "/shares/" + name);
    await changed(`The share “${name}” has ended. Its files are still on the box.`);
  };
  return html`<li><details onToggle=${show}>
    <summary>${name}</summary>
    <${Trouble} problem=${problem.value} />
    ${share.value && html`<${MountLines} share=${share.value} />`}
    ${!asking.value ? html`<button type="button" class="secondary outline" onClick=${() => (asking.value = true)}>End this share…</button>`
      : html`<${Form} action=${remove} button=${`End the share “${name}”`} secondary>
          <p>Its key stops working: no computer can mount it any more. Its files stay on the box, and are there again when you make a
            share of the same name. Computers that have it mounted now keep it until they unmount.</p>
        <//>`}
  </details></li>`;
}

export function Shares() {
  const said = useSignal("");
  const made = useSignal(null);
  const changed = async (words) => {
    config.value = await ask("GET", "/config");
    said.value = words;
  };
  const make = async (form) => {
    made.value = await ask("POST", "/shares", { name: form.get("name") });
    await changed(`The share “${made.value.name}” is ready.`);
  };
  if (!mayChange()) return html`<${Screen} title="Shares">
    ${config.value.shares.length === 0 ? html`<p>There is no share yet.</p>` : html`<ul>${config.value.shares.map((share) => html`<li>${share.name}</li>`)}</ul>`}
    <p>How to mount a share is shown to administrators only, as it takes the share's key. Ask one of them.</p>
  <//>`;
  return html`<${Screen} title="Shares">
    <p role="status">${said.value}</p>
    ${made.value && html`<article><h2>${made.value.name}</h2><${MountLines} share=${made.value} /></article>`}
    ${config.value.shares.length === 0 && html`<p>There is no share yet.</p>`}
    <ul class="shares">${config.value.shares.map((share) => html`<${ShareView} key=${share.name + share.made} name=${share.name} changed=${changed} />`)}</ul>
    <h2>Make a share</h2>
    <p>A folder that other computers mount, with a key that opens nothing else.</p>
    <${Form} action=${make} button="Make the share"><${ShareName} /><//>
  <//>`;
}

/** A code of an authenticator besides the password. */
function SecondFactor() {
  const now = useSignal(null), key = useSignal(null), codes = useSignal([]), said = useSignal("");
  const load = async () => (now.value = await ask("GET", "/second-factor"));
  useEffect(() => void load().catch(() => {}), []);
  const begin = async (form) => {
    said.value = "";
    key.value = await ask("POST", "/second-factor", { password: form.get("password") });
  };
  const finish = async (form) => {
    codes.value = (await ask("PUT", "/second-factor", { code: form.get("code") })).recovery_codes;
    key.value = null;
    await load();
  };
  const end = async (form) => {
    await ask("POST", "/second-factor/end", { password: form.get("password") });
    codes.value = [];
    said.value = "The password is enough again.";
    await load();
  };
  const password = html`<label>Your password <input name="password" type="password" required autocomplete="current-password" /></label>`;
  return html`<h2>Second factor</h2>
    <p role="status">${said.value}</p>
    ${codes.value.length > 0 && html`<p>It is on, and wherever else you were logged in, you were logged out. Write these recovery codes down: each lets you in once
      without the authenticator, and they are shown only now.</p>
      <ul class="codes">${codes.value.map((code) => html`<li><code>${code}</code></li>`)}</ul>`}
    ${now.value && !now.value.on && !key.value && html`<p>Whoever logs in as “${session.value.account}” then needs a code of an authenticator program on your phone, too.</p>
      <${Form} action=${begin} button="Set it up" secondary>${password}<//>`}
    ${key.value && html`<p>Give this key to the authenticator (on a phone: <a href=${key.value.uri}>open it there</a>), then type the code that it shows.</p>
      <p><code class="long">${key.value.secret.match(/.{4}/g).join(" ")}</code></p>
      <${Form} action=${finish} button="Ask for codes from now on" secondary>
        <label>Code <input name="code" required inputmode="numeric" autocomplete="one-time-code" /></label>
      <//>`}
    ${now.value?.on && html`<p>It is on. Recovery codes left: ${now.value.recovery_codes}. Without authenticator and codes, ${session.value.account === "owner" ? "the boot menu of the box resets the password" : "an administrator can give you a new password"}.</p>
      <${Form} action=${end} button="Turn it off" secondary>${password}<//>`}`;
}

export function Account() {
  const said = useSignal("");
  const sessions = useSignal([]);
  const token = useSignal("");
  const load = async () => (sessions.value = (await ask("GET", "/sessions")).sessions);
  useEffect(() => void load().catch(() => {}), []);
  const change = async (form) => {
    said.value = "";
    await ask("PUT", "/password", { old: form.get("old"), new: form.get("new") });
    said.value = "The password is changed. Wherever else you were logged in, you were logged out.";
    await load();
  };
  const end = async (id) => {
    await ask("DELETE", "/sessions/" + id);
    await load();
  };
  return html`<${Screen} title="Account">
    <p>You are logged in as <strong>${session.value.account}</strong>${mayChange() ? ", an administrator." : ": you can look, but not change anything."}</p>
    <h2>Change the password</h2>
    <${Form} action=${change} button="Change it">
      <input type="text" name="username" value=${session.value.account} autocomplete="username" hidden />
      <label>Old password <input name="old" type="password" required autocomplete="current-password" /></label>
      <label>New password <input name="new" type="password" required minlength="10" autocomplete="new-password" /></label>
    <//>
    <p role="status">${said.value}</p>
    <${SecondFactor} />
    <h2>Who is logged in</h2>
    <ul>${sessions.value.map((each) => html`<li><strong>${each.account}</strong> from ${each.from}, since ${Math.round(each.began_seconds_ago / 60)} minutes
      ${each.this_one ? " (this window)" : html` <button type="button" class="secondary outline small" onClick=${() => end(each.id)}>Log out</button>`}</li>`)}</ul>
    ${mayChange() && html`<${Accounts} changed=${load} />
    <h2>Monitoring</h2>
    <p>Prometheus reads <kbd>/metrics</kbd> with a token. A new token replaces the one before it.</p>
    <${Form} action=${async () => (token.value = (await ask("POST", "/metrics-token", {})).token)} button="Make a token" secondary />
    ${token.value && html`<p>Shown once: <code>${token.value}</code></p>`}`}
    <h2>Leave</h2>
    <${Form} action=${logOut} button="Log out" secondary />
  <//>`;
}
