/**
 * @file What the page says of itself: place in the study, state of saving, and what needs the reader's eye.
 */

import { byId } from "./elements.js";

/** @import {Slot} from "./contract.js" */

/**
 * The state of saving in one calm sentence.
 *
 * @param {number} waiting Answers not saved yet.
 * @param {number} failures Tries that failed since the last success.
 */
export function savingText(waiting, failures) {
  if (!waiting) return "All answers saved";
  if (!failures) return "Saving…";
  const answers = waiting === 1 ? "1 answer is" : `${waiting} answers are`;
  return `Not saved yet: ${answers} kept here until the server is back`;
}

/**
 * @param {number} waiting
 * @param {number} failures
 */
export function showSaving(waiting, failures) {
  const node = byId("saving", HTMLElement);
  const text = savingText(waiting, failures);
  if (node.textContent !== text) node.textContent = text;
  node.classList.toggle("away", waiting > 0 && failures > 0);
}

/** @param {string} text What the reader should know or do; empty to take it away. */
export function showNotice(text) {
  const node = byId("notice", HTMLElement);
  node.textContent = text;
  node.hidden = text === "";
}

/** @param {string} text Over the images; empty to take it away. */
export function showLoading(text) {
  const node = byId("loading", HTMLElement);
  node.textContent = text;
  node.hidden = text === "";
}

/** Where no case is shown, none is counted. */
export function hidePlace() {
  byId("place", HTMLElement).textContent = "";
  byId("block", HTMLElement).textContent = "";
  byId("progress", HTMLProgressElement).hidden = true;
}

/** @param {Slot} slot */
export function showPlace({ position, total, block_kind }) {
  byId("place", HTMLElement).textContent = `Case ${position + 1} of ${total}`;
  byId("block", HTMLElement).textContent = block_kind === "training" ? "Training" : "Reading";
  const bar = byId("progress", HTMLProgressElement);
  bar.hidden = false;
  bar.max = total;
  bar.value = position;
}
