/**
 * @file The page on which a study is read.
 */

import { Refused, callJson } from "./api.js";
import { byId } from "./elements.js";
import { goOn } from "./flow.js";
import { listenToKeys } from "./keyboard.js";
import { persist } from "./patience.js";
import { showScreen } from "./screens.js";
import { createSession, toLogin } from "./session.js";
import { showNotice } from "./status.js";

/** @import {Me} from "./contract.js" */
/** @import {Session} from "./session.js" */

/** @param {Session} session */
function listenToPage(session) {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) session.current?.hide();
    else session.current?.show();
  });
  globalThis.addEventListener("pagehide", () => session.current?.hide());
  globalThis.addEventListener("beforeunload", (event) => {
    session.panel.flush();
    if (session.outbox.waiting().length) event.preventDefault();
  });
  byId("canvas", HTMLCanvasElement).addEventListener("webglcontextlost", () => location.reload());
  byId("sign-out", HTMLButtonElement).addEventListener("click", async () => {
    session.panel.flush();
    await session.outbox.drained();
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
  session.outbox.start();
  await goOn(session);
}

main().catch((error) => {
  if (error instanceof Refused && error.status === 401) {
    toLogin();
    return;
  }
  const text = `${error instanceof Error ? error.message : error}\n\nYour answers so far are saved. Volumes need a browser with WebGL 2.`;
  void showScreen({ heading: "This page stopped", text, button: "Load it again" }).then(() => location.reload());
});
