/**
 * @file Dialogs over the case: the keys, and what a training case was.
 */

import { byId, element, keyCaps } from "./elements.js";

/**
 * Fills and opens the list of keys; opened again, it closes.
 *
 * @param {[string, string][]} rows
 */
export function toggleHelp(rows) {
  const dialog = byId("help", HTMLDialogElement);
  if (dialog.open) {
    dialog.close();
    return;
  }
  byId("help-keys", HTMLTableSectionElement).replaceChildren(
    ...rows.map(([keys, does]) =>
      element("tr", {}, element("th", { scope: "row" }, ...keyCaps(keys)), element("td", {}, does)),
    ),
  );
  dialog.showModal();
}

/**
 * What a training case was; resolves when the reader goes on.
 *
 * @param {string} text
 * @returns {Promise<void>}
 */
export function showFeedback(text) {
  const dialog = byId("feedback", HTMLDialogElement);
  byId("feedback-text", HTMLParagraphElement).textContent = text;
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(), { once: true }));
}

/** Whether a dialog has the keys. */
export function dialogOpen() {
  return document.querySelector("dialog[open]") !== null;
}
