// Who else can log in.
import { html, useEffect, useSignal } from "./vendor.js";
import { ask, session } from "./api.js";
import { Form } from "./parts.js";

const roles = { administrator: "may do everything", viewer: "may look, but change nothing" };

function AccountView({ account, done }) {
  const path = "/accounts/" + account.name;
  const other = account.role === "viewer" ? "administrator" : "viewer";
  const change = async (form) => {
    await ask("PUT", path, { password: form.get("password") });
    await done(`“${account.name}” has a new password, and was logged out.`);
  };
  const switchRole = async () => {
    await ask("PUT", path, { role: other });
    await done(`“${account.name}” ${roles[other]} now, and was logged out.`);
  };
  const remove = async () => {
    await ask("DELETE", path);
    await done(`The account “${account.name}” is gone.`);
  };
  const about = `${roles[account.role]}${account.second_factor ? ", with a second factor" : ""}`;
  if (account.name === "owner" || account.name === session.value.account)
    return html`<li><strong>${account.name}</strong>: ${about}${account.name === session.value.account ? " (you)" : ""}</li>`;
  return html`<li><details>
    <summary>${account.name}: ${about}</summary>
    <${Form} action=${change} button="Give a new password" secondary>
      <p>For who forgot it, or lost the authenticator: a second factor is off then.</p>
      <label>New password of “${account.name}” <input name="password" type="password" required minlength="10" autocomplete="new-password" /></label>
    <//>
    <div class="acts">
      <${Form} action=${switchRole} button=${other === "viewer" ? "Make it a viewer" : "Make it an administrator"} secondary />
      <${Form} action=${remove} button=${`Take the account “${account.name}” away`} secondary />
    </div>
  </details></li>`;
}

/** For administrators. `changed`: somebody may have been logged out. */
export function Accounts({ changed }) {
  const accounts = useSignal([]), said = useSignal(""), made = useSignal(0);
  const load = async () => (accounts.value = (await ask("GET", "/accounts")).accounts);
  useEffect(() => void load().catch(() => {}), []);
  const done = async (words) => {
    said.value = words;
    await Promise.all([load(), changed()]);
  };
  const make = async (form) => {
    said.value = "";
    const { name, role } = await ask("POST", "/accounts", { name: form.get("name"), role: form.get("role"), password: form.get("password") });
    ++made.value;
    await done(`“${name}” ${roles[role]}. Tell the password in person.`);
  };
  return html`<h2>Who can log in</h2>
    <ul class="shares">${accounts.value.map((account) => html`<${AccountView} key=${account.name + account.role} account=${account} done=${done} />`)}</ul>
    <p role="status">${said.value}</p>
    <details key=${"make" + made.value}>
      <summary>Make an account for somebody else</summary>
      <${Form} action=${make} button="Make the account">
        <label>Name of the account
          <input name="name" required maxlength="40" pattern="[a-z0-9][a-z0-9\\-]*" autocomplete="off" autocapitalize="none" spellcheck=${false} aria-describedby="account-name-hint" />
        </label>
        <small id="account-name-hint">Small letters, digits and hyphens.</small>
        <label>What it may do
          <select name="role">
            <option value="viewer">Look, but change nothing</option>
            <option value="administrator">Everything</option>
          </select>
        </label>
        <label>A password for it
          <input name="password" type="password" required minlength="10" autocomplete="new-password" />
        </label>
      <//>
    </details>`;
}
