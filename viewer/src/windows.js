/**
 * @file Which intensities are black and which are white.
 */

/** @import {WindowPreset} from "./contract.js" */

/** @typedef {{low: number, high: number}} Window Fractions of the volume's range. */

/** The narrowest window: below it, all is black or white. */
const NARROWEST = 0.01;

/** @type {WindowPreset} Where a study names no window. */
export const WHOLE_RANGE = { name: "Full range", key: "", low: 0, high: 1 };

/**
 * The window after a drag: to the right wider, downwards brighter, as on other viewers.
 *
 * @param {Window} window
 * @param {number} across Share of the viewer's width dragged to the right.
 * @param {number} down Share of its height dragged downwards.
 * @returns {Window}
 */
export function dragged(window, across, down) {
  const width = Math.min(2, Math.max(NARROWEST, window.high - window.low + across));
  const level = Math.min(1, Math.max(0, (window.low + window.high) / 2 - down));
  return { low: level - width / 2, high: level + width / 2 };
}

/**
 * Index of the preset that is set, -1 where the window was dragged.
 *
 * @param {WindowPreset[]} presets
 * @param {Window} window
 */
export function presetOf(presets, window) {
  return presets.findIndex(
    (preset) => Math.abs(preset.low - window.low) < 1e-6 && Math.abs(preset.high - window.high) < 1e-6,
  );
}

/**
 * Width and level in per cent of the range, as shown under the images.
 *
 * @param {Window} window
 */
export function windowText(window) {
  const percent = (/** @type {number} */ share) => Math.round(100 * share);
  return `W ${percent(window.high - window.low)} L ${percent((window.low + window.high) / 2)}`;
}
