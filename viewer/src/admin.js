/**
 * @file How far every reader is; looks again every ten seconds.
 */

import { Refused, callJson } from "./api.js";
import { byId, element } from "./elements.js";
import { pause, persist } from "./patience.js";

/** @import {Me} from "./contract.js" */

/** @typedef {{name: string, done: number, total: number, last: string | null}} Row */

const POLL_MS = 10_000;

/** @param {Row} row */
function line({ name, done, total, last }) {
  const when = last ? new Date(last).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "not yet";
  const bar = element("progress", {
    max: String(Math.max(1, total)),
    value: String(done),
    "aria-label": `${name}: cases done`,
  });
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, name),
    element("td", {}, bar),
    element("td", { class: "figure" }, `${done} of ${total}`),
    element("td", { class: "figure" }, when),
  );
}

async function main() {
  const me = /** @type {Me} */ (await persist(() => callJson("GET", "/api/me")));
  byId("reader", HTMLElement).textContent = me.name;
  byId("sign-out", HTMLButtonElement).addEventListener("click", async () => {
    await persist(() => callJson("DELETE", "/api/session", { csrf: me.csrf }));
    location.replace("/login");
  });
  const state = byId("message", HTMLElement);
  const onAway = () => {
    state.textContent = "The server does not answer. Trying again…";
  };
  for (;;) {
    /** @type {{readers: Row[]}} */
    const { readers } = await persist(() => callJson("GET", "/api/admin/progress"), { onAway });
    byId("readers", HTMLTableSectionElement).replaceChildren(...readers.map(line));
    const finished = readers.filter((row) => row.total > 0 && row.done === row.total).length;
    state.textContent = readers.length ? `${finished} of ${readers.length} finished.` : "Nobody has signed in yet.";
    await pause(POLL_MS);
  }
}

main().catch((error) => {
  if (error instanceof Refused && error.status === 401) location.replace("/login");
  byId("message", HTMLElement).textContent = error instanceof Error ? error.message : String(error);
});
