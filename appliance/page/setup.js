// From the claim code to the first share, in four steps.
import { html, useEffect, useSignal } from "./vendor.js";
import { ask, config, jobs, open, state } from "./api.js";
import { bytes, Form, JobView, MountLines, Screen, Trouble } from "./parts.js";

export function Claim() {
  const claim = (form) => {
    if (form.get("password") !== form.get("again")) throw new Error("The two passwords differ. Type the same one twice.");
    return open("/claim", { code: form.get("code"), password: form.get("password") });
  };
  return html`<${Screen} title="Make this box yours" step="1">
    <p>The claim code is on the box's screen, or on the terminal that started it. It shows that you can reach the box itself.</p>
    <${Form} action=${claim} button="Make it mine">
      <label>Claim code
        <input name="code" required autocomplete="off" autocapitalize="characters" spellcheck=${false} />
      </label>
      <label>A password of your choice
        <input name="password" type="password" required minlength="10" autocomplete="new-password" aria-describedby="password-hint" />
      </label>
      <small id="password-hint">At least 10 characters. Several words in a row make a good one.</small>
      <label>The same password again
        <input name="again" type="password" required autocomplete="new-password" />
      </label>
    <//>
  <//>`;
}

export function LogIn() {
  return html`<${Screen} title=${"Log in to " + state.value.name}>
    <${Form} action=${(form) => open("/session", { password: form.get("password") })} button="Log in">
      <input type="text" name="username" value="owner" autocomplete="username" hidden />
      <label>Password
        <input name="password" type="password" required autocomplete="current-password" />
      </label>
    <//>
  <//>`;
}

function DiskRow({ disk, chosen, words }) {
  const on = chosen.value.includes(disk.path);
  const toggle = () => (chosen.value = on ? chosen.value.filter((path) => path !== disk.path) : [...chosen.value, disk.path]);
  const id = disk.path.replaceAll("/", "-");
  return html`<li>
    <label>
      <input type="checkbox" checked=${on} onChange=${toggle} disabled=${!!disk.problem} aria-describedby=${"about" + id} />
      <strong>${bytes(disk.bytes)}</strong> ${disk.kind} ${disk.model}${disk.removable ? ", removable" : ""}
    </label>
    <div id=${"about" + id} class="about">
      ${disk.path}${disk.serial && `, serial number ${disk.serial}`}.
      ${" "}${disk.problem || (disk.holds.length === 0 ? "It is empty." : "")}
      ${disk.holds.length > 0 && html`<span class="holds">It holds ${disk.holds.join(", ")}.</span>`}
    </div>
    ${on && disk.holds.length > 0 && html`<label class="erase">
      <span>Everything on this disk will be erased, for good. To agree, type <kbd>${disk.erase_word}</kbd></span>
      <input autocomplete="off" spellcheck=${false} value=${words.value[disk.path] ?? ""}
        onInput=${(event) => (words.value = { ...words.value, [disk.path]: event.target.value })} />
    </label>`}
  </li>`;
}

export function ChooseDisks() {
  const disks = useSignal(null);
  const problem = useSignal("");
  const chosen = useSignal([]);
  const words = useSignal({});
  const plan = useSignal(null);
  const load = () => {
    disks.value = null;
    problem.value = "";
    return ask("GET", "/disks").then((all) => (disks.value = all.disks), (error) => (problem.value = error.message));
  };
  useEffect(() => void load(), []);
  useEffect(() => {
    plan.value = null;
    problem.value = "";
    if (chosen.value.length === 0) return;
    let newest = true;
    ask("POST", "/setup/plan", { disks: chosen.value, copies: 1 }).then(
      (answer) => newest && (plan.value = answer),
      (error) => newest && (problem.value = error.message));
    return () => (newest = false);
  }, [chosen.value]);
  const begin = async () => {
    await ask("POST", "/setup", {
      copies: 1,
      disks: chosen.value.map((path) => ({ path, ...(words.value[path] ? { erase: words.value[path] } : {}) })),
    });
    config.value = await ask("GET", "/config");
  };
  const agreed = disks.value?.every((disk) => !chosen.value.includes(disk.path) || disk.holds.length === 0 ||
    words.value[disk.path] === disk.erase_word);
  return html`<${Screen} title="Choose disks" step="2">
    <p>Your files will be on the disks you choose here. No other disk is touched.</p>
    <${Trouble} problem=${problem.value} />
    ${!disks.value && !problem.value && html`<p aria-busy="true">Looking at the disks</p>`}
    ${disks.value && html`<${Form} action=${begin} button="Format and start" disabled=${!plan.value || !agreed}>
      ${disks.value.length === 0 && html`<p>No disk was found. Connect one, then look again.</p>`}
      <ul class="disks" aria-label="Disks">
        ${disks.value.map((disk) => html`<${DiskRow} key=${disk.path} disk=${disk} chosen=${chosen} words=${words} />`)}
      </ul>
      <p><button type="button" class="secondary outline small" onClick=${load}>Look again</button></p>
      <div role="status" class="plan">
        ${plan.value && html`<p><strong>Room for about ${bytes(plan.value.bytes)} of files.</strong> ${plan.value.survives}</p>
          <p>The chosen ${chosen.value.length === 1 ? "disk is" : "disks are"} formatted now: what is on ${chosen.value.length === 1 ? "it" : "them"} is erased.</p>`}
      </div>
    <//>`}
  <//>`;
}

export function SettingUp() {
  const job = jobs.value.findLast((each) => each.kind === "setup");
  return html`<${Screen} title="Setting up storage" step="3">
    <p>This takes about a minute. You may close this page meanwhile; the box goes on.</p>
    ${job ? html`<${JobView} job=${job} />` : html`<p aria-busy="true">Looking</p>`}
  <//>`;
}

export function FirstShare({ skip }) {
  const made = useSignal(null);
  const make = async (form) => (made.value = await ask("POST", "/shares", { name: form.get("name") }));
  if (made.value)
    return html`<${Screen} title=${`The share “${made.value.name}” is ready`} step="4">
      <${MountLines} share=${made.value} />
      <button type="button" onClick=${skip}>Go to the overview</button>
    <//>`;
  return html`<${Screen} title="Make your first share" step="4">
    <p>A share is a folder that other computers mount. Each has a key of its own, which opens nothing else.</p>
    <${Form} action=${make} button="Make the share"><${ShareName} /><//>
    <button type="button" class="secondary outline" onClick=${skip}>Later</button>
  <//>`;
}

export function ShareName() {
  return html`<label>Name of the share
    <input name="name" required maxlength="40" pattern="[a-z0-9][a-z0-9\\-]*" autocomplete="off" autocapitalize="none"
      spellcheck=${false} placeholder="photos" aria-describedby="name-hint" />
  </label>
  <small id="name-hint">Small letters, digits and hyphens.</small>`;
}
