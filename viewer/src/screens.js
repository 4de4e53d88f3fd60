/**
 * @file What fills the page: a case, or one sentence with one way on.
 */

import { byId } from "./elements.js";
import { hidePlace } from "./status.js";

/**
 * @typedef {object} Screen
 * @property {string} heading
 * @property {string} text Line breaks are kept.
 * @property {string} [button] Label of the way on.
 */

/** Shows the case instead of a screen. */
export function showCase() {
  byId("screen", HTMLElement).hidden = true;
  byId("case", HTMLElement).hidden = false;
}

/**
 * Shows a screen instead of the case; resolves when its button is pressed.
 *
 * @param {Screen} screen
 * @returns {Promise<void>}
 */
export function showScreen({ heading, text, button }) {
  byId("case", HTMLElement).hidden = true;
  byId("screen", HTMLElement).hidden = false;
  hidePlace();
  const title = byId("screen-heading", HTMLHeadingElement);
  title.textContent = heading;
  setScreenText(text);
  const way = byId("screen-button", HTMLButtonElement);
  way.hidden = button === undefined;
  way.textContent = button ?? "";
  (button === undefined ? title : way).focus();
  return new Promise((resolve) => {
    way.onclick = () => resolve();
  });
}

/** @param {string} text */
export function setScreenText(text) {
  const node = byId("screen-text", HTMLParagraphElement);
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Until when, in the reader's own time, and how long that is.
 *
 * @param {Date} until
 * @param {Date} now
 */
export function lockText(until, now) {
  const minutes = Math.max(1, Math.ceil((until.getTime() - now.getTime()) / 60_000));
  const days = Math.floor(minutes / 1440);
  const hours = Math.floor((minutes % 1440) / 60);
  const parts = [
    days ? `${days} ${days === 1 ? "day" : "days"}` : "",
    hours ? `${hours} h` : "",
    days ? "" : `${minutes % 60} min`,
  ];
  const date = until.toLocaleString(undefined, { dateStyle: "full", timeStyle: "short" });
  return (
    `The next part opens on ${date}, in ${parts.filter(Boolean).join(" ")}.\n\n` +
    "The pause lets you forget the cases. Your answers are saved; you may close this page."
  );
}
