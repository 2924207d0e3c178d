// From the claim code to the first share, in four steps.
import { html, useSignal } from "./vendor.js";
import { ask, config, jobs, open, state } from "./api.js";
import { CopiesChoice, DiskPicker, useDiskPicker } from "./disks.js";
import { clockIsOff, Restore } from "./settings.js";
import { bytes, Form, JobView, MountLines, Screen } from "./parts.js";

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
  const coded = useSignal(false); // a second factor is asked
  const logIn = async (form) => {
    try {
      await open("/session", { name: form.get("name"), password: form.get("password"), ...(coded.value && { code: form.get("code") }) });
    } catch (problem) {
      if (problem.code === "code_needed") coded.value = true;
      throw problem;
    }
  };
  return html`<${Screen} title=${"Log in to " + state.value.name}>
    <${Form} action=${logIn} button="Log in">
      ${state.value.several_accounts ? html`<label>Name
        <input name="name" required autocomplete="username" autocapitalize="none" spellcheck=${false} />
      </label>` : html`<input type="text" name="name" value="owner" autocomplete="username" hidden />`}
      <label>Password
        <input name="password" type="password" required autocomplete="current-password" />
      </label>
      ${coded.value && html`<label>Code of the authenticator, or a recovery code
        <input name="code" required autocomplete="one-time-code" spellcheck=${false} />
      </label>
      ${clockIsOff() && html`<p>The box's clock differs from this computer's: codes will not fit until it is right. Use a recovery code.</p>`}`}
    <//>
  <//>`;
}

export function ChooseDisks() {
  const picker = useDiskPicker();
  const { chosen, plan } = picker;
  const copies = useSignal(0); // 0: what is suggested
  const choice = plan.value?.choices.find((each) => each.copies === (copies.value || plan.value.suggested)) ?? plan.value?.choices.at(-1);
  const begin = async () => {
    await ask("POST", "/setup", { copies: choice.copies, disks: picker.choices() });
    config.value = await ask("GET", "/config");
  };
  const several = chosen.value.length > 1;
  return html`<${Screen} title="Choose disks" step="2">
    <p>Your files will be on the disks you choose here. No other disk is touched.</p>
    <${Form} action=${begin} button="Format and start" disabled=${!choice || !picker.agreed()}>
      <${DiskPicker} picker=${picker} />
      ${several && plan.value && html`<${CopiesChoice} choices=${plan.value.choices} value=${choice.copies} onChoose=${(count) => (copies.value = count)} />`}
      <div role="status" class="plan">
        ${choice && html`<p><strong>Room for about ${bytes(choice.bytes)} of files.</strong> ${choice.survives}</p>
          <p>The chosen ${several ? "disks are" : "disk is"} formatted now: what is on ${several ? "them" : "it"} is erased.</p>`}
      </div>
    <//>
  <//>`;
}

export function SettingUp() {
  const job = jobs.value.findLast((each) => each.kind === "setup");
  const failed = job?.state === "failed";
  const giveUp = async () => {
    await ask("DELETE", "/setup");
    config.value = await ask("GET", "/config");
  };
  return html`<${Screen} title="Setting up storage" step="3">
    ${!failed && html`<p>This takes about a minute. You may close this page meanwhile; the box goes on.</p>`}
    ${job ? html`<${JobView} job=${job} />` : html`<p aria-busy="true">Looking</p>`}
    ${failed && html`<${Form} action=${giveUp} button="Choose other disks" secondary>
      <p>Nothing is stored yet, so nothing is lost if you begin again.</p>
    <//>`}
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
    <details><summary>Bring back the shares of a settings file</summary><${Restore} /></details>
  <//>`;
}

export function ShareName() {
  return html`<label>Name of the share
    <input name="name" required maxlength="40" pattern="[a-z0-9][a-z0-9\\-]*" autocomplete="off" autocapitalize="none"
      spellcheck=${false} placeholder="photos" aria-describedby="name-hint" />
  </label>
  <small id="name-hint">Small letters, digits and hyphens.</small>`;
}
