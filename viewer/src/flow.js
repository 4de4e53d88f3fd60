/**
 * @file From case to case: what comes next, over pauses, reloads and servers that go away.
 */

import { Refused } from "./api.js";
import { beginCase, createCase, endCase, openQuestion } from "./case.js";
import { showFeedback } from "./dialogs.js";
import { byId } from "./elements.js";
import { drained, waitingIn } from "./outbox.js";
import { pause, persist } from "./patience.js";
import { lockText, setScreenText, showCase, showScreen } from "./screens.js";
import { showImages } from "./stage.js";
import { showLoading, showNotice, showPlace, showSaving } from "./status.js";

/** @import {Completed, Progress, Slot} from "./contract.js" */
/** @import {Session} from "./session.js" */

const LOCK_POLL_MS = 30_000;
const PAUSE_HEADING = "Pause";
const ALWAYS_TOLD =
  "Every answer is saved as you give it: you can close this page and go on later at the same place. " +
  "All answers have keys; press ? to see them.";
const AWAY = "The server does not answer. Trying again…";

/**
 * Opens the case the reader stands at, or the screen that is there instead.
 *
 * @param {Session} session
 */
export async function goOn(session) {
  for (;;) {
    const progress = /** @type {Progress} */ (
      await persist(() => session.call("GET", "/api/progress"), { onAway: () => showNotice(AWAY) })
    );
    showNotice("");
    if (progress.current) return open(session, progress.current, progress);
    if (progress.finished) {
      void showScreen(finished(progress));
      return;
    }
    const text = lockText(new Date(progress.locked_until ?? Date.now()), new Date());
    if (byId("screen-heading", HTMLElement).textContent === PAUSE_HEADING) setScreenText(text);
    else void showScreen({ heading: PAUSE_HEADING, text });
    await pause(LOCK_POLL_MS);
  }
}

/** @param {Progress} progress */
function finished({ done, total }) {
  return {
    heading: "All cases are read",
    text:
      `You have completed ${done} of ${total} cases, and every answer is saved.\n\n` +
      "Thank you. You may sign out and close this page.",
  };
}

/**
 * Instructions before the first case, and a word where the training ends.
 *
 * @param {Session} session
 * @param {Slot} slot
 * @param {Progress | null} progress
 */
async function introduce(session, slot, progress) {
  const { title, instructions } = session.me.study;
  if (progress?.done === 0 && slot.view === null) {
    await showScreen({ heading: title, text: `${instructions}\n\n${ALWAYS_TOLD}`.trim(), button: "Begin" });
  } else if (session.block === "training" && slot.block_kind !== "training") {
    const text = "From now on there is no feedback, and your answers count.";
    await showScreen({ heading: "The training is over", text, button: "Go on" });
  }
  session.block = slot.block_kind;
}

/**
 * @param {Session} session
 * @param {string} id
 * @param {Progress | null} progress Given where the page has just been loaded.
 */
async function open(session, id, progress) {
  session.busy = true;
  session.current = null; // what changes on the way to the new case belongs to no case
  if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
  const away = () => showLoading(AWAY);
  showLoading("Loading the case…");
  const slot = /** @type {Slot} */ (await persist(() => session.call("GET", `/api/slots/${id}`), { onAway: away }));
  const bytes = session.volumes.load(slot.volume, away);
  bytes.catch(() => {}); // awaited below
  await introduce(session, slot, progress);
  showCase();
  showPlace(slot);
  const { me, outbox, panel, stage } = session;
  const reading = createCase({
    questions: me.study.questions,
    slot,
    outbox,
    panel,
    stage,
    sendView: (view, last) => session.call("PUT", `/api/slots/${id}/view`, { view }, last),
  });
  await showImages(stage, await bytes, reading.kept);
  showLoading("");
  session.current = reading;
  beginCase(reading);
  showSaving(waitingIn(outbox).length, outbox.failures);
  session.busy = false;
  session.volumes.prefetch(slot.next_volume);
}

/**
 * Says why a case was not completed, and leaves it where it is no longer the current one: completed in another tab.
 *
 * @param {Session} session
 * @param {string} id
 * @param {Refused} error
 */
async function afterRefusal(session, id, error) {
  const progress = /** @type {Progress} */ (await persist(() => session.call("GET", "/api/progress")));
  if (progress.current !== id) await goOn(session);
  showNotice(error.message);
}

/**
 * Completes the case once every required answer is there and saved, and opens the next.
 *
 * @param {Session} session
 */
export async function complete(session) {
  const reading = session.current;
  if (session.busy || !reading) return;
  session.panel.flush();
  const missing = openQuestion(reading);
  if (missing) {
    showNotice(`Still to answer: ${missing.prompt}`);
    return;
  }
  session.busy = true;
  showNotice(session.outbox.failures ? "The case will be completed once its answers are saved." : "");
  const body = { key: crypto.randomUUID(), elapsed_ms: reading.clock.elapsedMs() };
  await drained(session.outbox);
  try {
    const onAway = () => showNotice("Not completed yet: the server does not answer. Trying again…");
    /** @type {Completed} */
    const { next, feedback } = await persist(() => session.call("POST", `/api/slots/${reading.id}/complete`, body), {
      onAway,
    });
    endCase(reading);
    showNotice("");
    if (feedback) await showFeedback(feedback.text);
    if (next) await open(session, next, null);
    else await goOn(session);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    await afterRefusal(session, reading.id, error);
  } finally {
    session.busy = false;
  }
}
