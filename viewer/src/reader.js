/**
 * @file The page on which a study is read.
 */

import { Refused, callJson } from "./api.js";
import { hideCase, unhideCase } from "./case.js";
import { byId } from "./elements.js";
import { goOn } from "./flow.js";
import { listenToKeys } from "./keyboard.js";
import { drained, sendAll, waitingIn } from "./outbox.js";
import { persist } from "./patience.js";
import { showScreen } from "./screens.js";
import { createSession, toLogin } from "./session.js";
import { showNotice } from "./status.js";

/** @import {Me} from "./contract.js" */
/** @import {Session} from "./session.js" */

/** @param {Session} session */
function listenToPage(session) {
  document.addEventListener("visibilitychange", () => {
    if (!session.current) return;
    if (document.hidden) hideCase(session.current);
    else unhideCase(session.current);
  });
  globalThis.addEventListener("pagehide", () => session.current && hideCase(session.current));
  globalThis.addEventListener("beforeunload", (event) => {
    session.panel.flush();
    if (waitingIn(session.outbox).length) event.preventDefault();
  });
  byId("canvas", HTMLCanvasElement).addEventListener("webglcontextlost", () => location.reload());
  byId("sign-out", HTMLButtonElement).addEventListener("click", async () => {
    session.panel.flush();
    await drained(session.outbox);
    await persist(() => session.call("DELETE", "/api/session"));
    toLogin();
  });
}

async function main() {
  const onAway = () => showNotice("The server does not answer. Trying again…");
  const me = /** @type {Me} */ (await persist(() => callJson("GET", "/api/me"), { onAway }));
  showNotice("");
  byId("title", HTMLElement).textContent = me.study.title;
  byId("reader", HTMLElement).textContent = me.name;
  const session = await createSession(me);
  listenToKeys(session);
  listenToPage(session);
  void sendAll(session.outbox);
  await goOn(session);
}

main().catch((error) => {
  if (error instanceof Refused && error.status === 401) {
    toLogin();
    return;
  }
  const reason = error instanceof Error ? error.message : error;
  const text = `${reason}\n\nYour answers so far are saved. Images need a browser with WebGL 2.`;
  void showScreen({ heading: "This page stopped", text, button: "Load it again" }).then(() => location.reload());
});
