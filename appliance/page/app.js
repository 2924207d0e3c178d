// Which screen there is.
import { html, render, signal, useEffect, useSignal } from "./vendor.js";
import { ask, config, lost, mayChange, refresh, session, state } from "./api.js";
import { ChooseDisks, Claim, FirstShare, LogIn, SettingUp } from "./setup.js";
import { Disks } from "./disks.js";
import { Settings } from "./settings.js";
import { Account, Overview, Shares } from "./home.js";

const places = { "": ["Overview", Overview], disks: ["Disks", Disks], shares: ["Shares", Shares], settings: ["Settings", Settings], account: ["Account", Account] };
const placesOfViewers = ["", "shares", "account"];
const place = signal(location.hash.slice(1));
addEventListener("hashchange", () => (place.value = location.hash.slice(1)));

function Home() {
  const shown = Object.entries(places).filter(([name]) => mayChange() || placesOfViewers.includes(name));
  const [, [, View]] = shown.find(([name]) => name === place.value) ?? shown[0];
  return html`<header class="container"><nav aria-label="Main">
      <ul><li><strong>${config.value.name}</strong></li></ul>
      <ul>${shown.map(([name, [title]]) => html`<li><a href=${"#" + name} aria-current=${name === place.value ? "page" : undefined}>${title}</a></li>`)}</ul>
    </nav></header><${View} />`;
}

function App() {
  const problem = useSignal("");
  const later = useSignal(sessionStorage.getItem("later") === "yes");
  useEffect(() => {
    const start = () => refresh().then(() => (problem.value = ""), (error) => {
      problem.value = error.message;
      setTimeout(start, 3000);
    });
    start();
  }, []);
  const skip = async () => {
    config.value = await ask("GET", "/config");
    sessionStorage.setItem("later", "yes");
    later.value = true;
  };
  let view = null;
  if (problem.value) view = html`<main class="container"><h1>No answer</h1><p role="alert">${problem.value}</p></main>`;
  else if (!state.value) view = html`<main class="container"><h1 class="quiet">Spirula</h1><p aria-busy="true">Looking for the box</p></main>`;
  else if (!state.value.claimed) view = html`<${Claim} />`;
  else if (!session.value) view = html`<${LogIn} />`;
  else if (!config.value) view = html`<main class="container"><h1 class="quiet">Spirula</h1><p aria-busy="true">Reading the configuration</p></main>`;
  else if (!mayChange()) view = html`<${Home} />`;
  else if (config.value.setup === "blank") view = html`<${ChooseDisks} />`;
  else if (config.value.setup === "making") view = html`<${SettingUp} />`;
  else if (config.value.shares.length === 0 && !later.value) view = html`<${FirstShare} skip=${skip} />`;
  else view = html`<${Home} />`;
  return html`${lost.value && session.value && html`<p class="lost" role="alert">The box does not answer. What is shown may be old.</p>`}${view}`;
}

document.getElementById("app").replaceChildren();
render(html`<${App} />`, document.getElementById("app"));
