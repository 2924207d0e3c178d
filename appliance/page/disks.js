// Disks: choosing them, and those of the box.
import { html, useEffect, useSignal } from "./vendor.js";
import { ask, config, jobs, status } from "./api.js";
import { bytes, Form, JobView, Screen, Trouble } from "./parts.js";

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

/** The disks there are, which of them are chosen, and what they would give together with those in use. */
export function useDiskPicker() {
  const disks = useSignal(null), problem = useSignal(""), chosen = useSignal([]), words = useSignal({}), plan = useSignal(null);
  const load = () => {
    disks.value = null;
    chosen.value = [];
    problem.value = "";
    return ask("GET", "/disks").then((all) => (disks.value = all.disks), (error) => (problem.value = error.message));
  };
  useEffect(() => void load(), []);
  useEffect(() => {
    problem.value = "";
    if (chosen.value.length === 0) return void (plan.value = null);
    let newest = true;
    ask("POST", "/setup/plan", { disks: chosen.value }).then(
      (answer) => newest && (plan.value = answer),
      (error) => newest && (problem.value = error.message));
    return () => (newest = false);
  }, [chosen.value]);
  const agreed = () => chosen.value.length > 0 && disks.value?.every((disk) => !chosen.value.includes(disk.path) ||
    disk.holds.length === 0 || words.value[disk.path] === disk.erase_word);
  const choices = () => chosen.value.map((path) => ({ path, ...(words.value[path] ? { erase: words.value[path] } : {}) }));
  return { disks, problem, chosen, words, plan, load, agreed, choices };
}

export function DiskPicker({ picker, only = () => true }) {
  const { disks, problem, chosen, words, load } = picker;
  const shown = disks.value?.filter(only);
  return html`<${Trouble} problem=${problem.value} />
    ${!shown && !problem.value && html`<p aria-busy="true">Looking at the disks</p>`}
    ${shown?.length === 0 && html`<p>No disk was found. Connect one, then look again.</p>`}
    ${shown?.length > 0 && html`<ul class="disks" aria-label="Disks">
      ${shown.map((disk) => html`<${DiskRow} key=${disk.path} disk=${disk} chosen=${chosen} words=${words} />`)}
    </ul>`}
    <p><button type="button" class="secondary outline small" onClick=${load}>Look again</button></p>`;
}

const COPIES = ["", "once: most room, but a broken disk loses files", "twice: any one disk may break", "three times: any two disks may break"];

export function CopiesChoice({ choices, value, onChoose }) {
  return html`<fieldset><legend>Keep every file</legend>
    ${choices.map(({ copies, bytes: room }) => html`<label>
      <input type="radio" name="copies" value=${copies} checked=${copies === value} onChange=${() => onChoose(copies)} />
      ${COPIES[copies]} (${bytes(room)})
    </label>`)}
  </fieldset>`;
}

function Mine({ disk }) {
  const asking = useSignal(false);
  const remove = async () => {
    await ask("DELETE", "/disks/" + disk.name);
    asking.value = false;
  };
  const state = disk.leaving ? "is being taken out" : !disk.made ? "is being added" : disk.works ? "works" : "does not work";
  return html`<li>
    <strong>${bytes(disk.bytes)}</strong> at ${disk.path}${disk.serial && `, serial number ${disk.serial}`}: ${state}${disk.health && `; ${disk.health}`}
    <div class="acts">${disk.leaving
      ? html`<${Form} action=${() => ask("POST", `/disks/${disk.name}/keep`, {})} button="Keep it after all" secondary />`
      : !asking.value ? html`<button type="button" class="secondary outline small" onClick=${() => (asking.value = true)} aria-label=${`Take out ${disk.path}…`}>Take out…</button>`
      : html`<${Form} action=${remove} button=${`Take out ${disk.path}`} secondary>
          <p>What is on it moves to the other disks first, while the shares go on; that may take hours. The disk itself is
            not erased. Pull it when it is gone from this list.</p>
        <//>`}</div>
  </li>`;
}

function Copies() {
  const plan = useSignal(null), copies = useSignal(config.value.copies), said = useSignal("");
  const count = config.value.disks.length;
  useEffect(() => void ask("POST", "/setup/plan", { disks: [] }).then((answer) => (plan.value = answer), () => {}), [count]);
  if (!(plan.value?.choices.length > 1)) return null;
  const choice = plan.value.choices.find((each) => each.copies === copies.value);
  const change = async () => {
    said.value = "";
    await ask("PUT", "/copies", { copies: copies.value });
    config.value = await ask("GET", "/config");
    said.value = "It is changed. Copies that are missing are made in the background.";
  };
  return html`<section aria-labelledby="copies-title">
    <h2 id="copies-title">Copies</h2>
    <${Form} action=${change} button="Change" disabled=${copies.value === config.value.copies} secondary>
      <${CopiesChoice} choices=${plan.value.choices} value=${copies.value} onChoose=${(count) => (copies.value = count)} />
      <p>${choice?.survives}</p>
    <//>
    <p role="status">${said.value}</p>
  </section>`;
}

export function Disks() {
  const picker = useDiskPicker();
  const job = jobs.value.findLast((each) => each.kind === "disks");
  const add = async () => {
    for (const choice of picker.choices()) await ask("POST", "/disks", choice);
    await picker.load();
  };
  const mine = status.value?.disks ?? [];
  const choice = picker.plan.value?.choices.find((each) => each.copies === config.value.copies);
  return html`<${Screen} title="Disks">
    ${job && job.state !== "done" && html`<${JobView} job=${job} />`}
    <ul class="disks" aria-label="Disks of this box">${mine.map((disk) => html`<${Mine} key=${disk.name} disk=${disk} />`)}</ul>
    <${Copies} />
    <h2>Add a disk</h2>
    <p>It makes the storage larger while it works. Some of the files move there by themselves.</p>
    <${Form} action=${add} button="Format and add" disabled=${!picker.agreed() || !choice}>
      <${DiskPicker} picker=${picker} only=${(disk) => !disk.mine} />
      ${choice && html`<p role="status"><strong>Then there is room for about ${bytes(choice.bytes)} of files.</strong> What is on the new disk is erased.</p>`}
    <//>
  <//>`;
}
