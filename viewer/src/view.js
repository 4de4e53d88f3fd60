/**
 * @file What the server keeps of the view, so that a reader returns to the same place after a crash.
 */

import { PLANES } from "./planes.js";

/** @import {Plane, Triple} from "./planes.js" */
/** @import {Window} from "./windows.js" */

/**
 * @typedef {object} View
 * @property {Triple} cursor Position of the cross-hair as fractions of the volume.
 * @property {[number, number, number, number]} pan Shift in mm along each axis, and zoom.
 * @property {Window} window
 * @property {Plane} plane The plane that keys scroll.
 * @property {boolean} single Whether that plane fills the viewer.
 * @property {string | null} question Id of the active question.
 * @property {number} elapsed_ms Time spent on the case so far.
 */

/** @param {unknown} value @param {number} length */
function isNumbers(value, length) {
  return Array.isArray(value) && value.length === length && value.every((entry) => Number.isFinite(entry));
}

/**
 * The view that was kept, or null where it is none of ours; then the case opens afresh.
 *
 * @param {any} kept
 * @returns {View | null}
 */
export function readView(kept) {
  if (typeof kept !== "object" || kept === null) return null;
  const { cursor, pan, window, plane, single, question, elapsed_ms } = kept;
  const fits =
    isNumbers(cursor, 3) &&
    cursor.every((/** @type {number} */ share) => share >= 0 && share <= 1) &&
    isNumbers(pan, 4) &&
    pan[3] > 0 &&
    isNumbers([window?.low, window?.high], 2) &&
    window.low < window.high &&
    PLANES.includes(plane) &&
    typeof single === "boolean" &&
    (question === null || typeof question === "string") &&
    Number.isFinite(elapsed_ms) &&
    elapsed_ms >= 0;
  if (!fits) return null;
  return { cursor, pan, window: { low: window.low, high: window.high }, plane, single, question, elapsed_ms };
}

/**
 * The view as it is sent: rounded, so that it stays small.
 *
 * @param {View} view
 * @returns {View}
 */
export function writeView(view) {
  const round = (/** @type {number} */ value) => Math.round(value * 1e6) / 1e6;
  return {
    ...view,
    cursor: /** @type {Triple} */ (view.cursor.map(round)),
    pan: /** @type {View["pan"]} */ (view.pan.map(round)),
    window: { low: round(view.window.low), high: round(view.window.high) },
  };
}
