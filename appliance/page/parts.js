// Pieces that several screens use.
import { ask, mayChange } from "./api.js";
import { html, useEffect, useRef, useSignal } from "./vendor.js";

export function bytes(count) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    ++unit;
  }
  return `${unit === 0 ? Math.round(count) : count.toFixed(count < 10 ? 1 : 0)} ${units[unit]}`;
}

/** A screen: one heading, which gets the focus, so that a screen reader says where one is. */
export function Screen({ title, step, children }) {
  const heading = useRef();
  useEffect(() => {
    document.title = `${title} – Spirula`;
    heading.current.focus();
  }, [title]);
  return html`<main class="container">
    ${step && html`<p class="step">Step ${step} of 4</p>`}
    <h1 tabindex="-1" ref=${heading}>${title}</h1>
    ${children}
  </main>`;
}

export function Trouble({ problem }) {
  return html`<div role="alert">${problem && html`<p class="trouble">${problem}</p>`}</div>`;
}

/** A form whose button is busy while `action` runs; what goes wrong is said below the fields. */
export function Form({ action, button, disabled, children, secondary }) {
  const busy = useSignal(false);
  const problem = useSignal("");
  const submit = async (event) => {
    event.preventDefault();
    if (busy.value) return;
    busy.value = true;
    problem.value = "";
    try {
      await action(new FormData(event.target));
    } catch (error) {
      problem.value = error.message;
    }
    busy.value = false;
  };
  return html`<form onSubmit=${submit}>
    ${children}
    <${Trouble} problem=${problem.value} />
    <button type="submit" class=${secondary ? "secondary" : ""} aria-busy=${busy.value} disabled=${disabled}>${button}</button>
  </form>`;
}

/** One line to copy. */
export function Copy({ label, text }) {
  const said = useSignal("");
  const line = useRef();
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      said.value = "Copied";
    } catch {
      getSelection().selectAllChildren(line.current);
      said.value = "Selected: press Ctrl+C";
    }
  };
  return html`<div class="copy">
    <div class="copy-head">
      <span>${label}</span>
      <button type="button" class="outline" onClick=${copy} aria-label=${"Copy: " + label}>Copy</button>
      <span class="said" role="status">${said.value}</span>
    </div>
    <pre tabindex="0" role="group" aria-label=${label}><code ref=${line}>${text}</code></pre>
  </div>`;
}

/** How to mount a share: `share` as the API gives it. */
export function MountLines({ share }) {
  return html`<p>On a Linux computer in the same network, as root (put <kbd>sudo</kbd> in front where that is usual):</p>
    <${Copy} label="1. Make a folder for it" text=${share.folder} />
    <${Copy} label="2. Mount the share there" text=${share.kernel} />
    <details>
      <summary>Mount it at every start</summary>
      <${Copy} label="Add this line to /etc/fstab" text=${share.fstab} />
    </details>
    <details>
      <summary>Without the kernel's client</summary>
      <${Copy} label="With the program ceph-fuse instead of step 2" text=${share.fuse} />
    </details>
    <p class="note">The lines hold the key of this share: whoever has them can read and change its files.</p>`;
}

/** `again`: what failed is begun again by starting what does not run. */
export function JobView({ job, again = true }) {
  return html`<section aria-label=${job.title}>
    <progress value=${job.progress} max="1" aria-label=${job.title}></progress>
    <p role="status">${job.state === "failed" ? "" : job.step}</p>
    <${Trouble} problem=${job.state === "failed" ? job.error : ""} />
    ${job.state === "failed" && again && mayChange() && html`<${TryAgain} />`}
  </section>`;
}

/** For what could not be made or started. */
export function TryAgain() {
  return html`<${Form} action=${() => ask("POST", "/start", {})} button="Try again" secondary />`;
}
