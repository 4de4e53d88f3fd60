/**
 * @file Which key does what.
 *
 * Letters and digits belong to the study: the options of the active question first, then the windows. Everything else
 * has a key that prints nothing, so that no study can take it away.
 */

/** @import {Question, WindowPreset} from "./contract.js" */

/**
 * @typedef {{do: "option", value: string} | {do: "window", index: number} | {do: "scroll", slices: number}
 *   | {do: "move", edge: "left" | "right" | "top" | "bottom"} | {do: "pan", edge: "left" | "right" | "top" | "bottom"}
 *   | {do: "zoom", factor: number}
 *   | {do: "question", step: 1 | -1}
 *   | {do: "proceed" | "complete" | "undo" | "plane" | "single" | "reset" | "help" | "leave"}} Command
 */

/**
 * @typedef {object} Situation
 * @property {Question | null} active
 * @property {WindowPreset[]} windows
 * @property {boolean} typing Whether a text field has the focus.
 * @property {boolean} singleKeys Whether keys that print something are on (WCAG 2.1.4 asks for a way to turn them off).
 */

/** @typedef {Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey" | "repeat">} Press */

/** @type {Record<string, "left" | "right" | "top" | "bottom">} */
const ARROWS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "top", ArrowDown: "bottom" };

/** How much closer one key press goes. */
const ZOOM_STEP = 1.2;

/** Slices that the page keys jump over. */
const PAGE = 10;

/** @type {Record<string, Command>} */
const PLAIN = {
  ArrowUp: { do: "scroll", slices: 1 },
  ArrowDown: { do: "scroll", slices: -1 },
  PageUp: { do: "scroll", slices: PAGE },
  PageDown: { do: "scroll", slices: -PAGE },
  ArrowRight: { do: "question", step: 1 },
  ArrowLeft: { do: "question", step: -1 },
  Enter: { do: "proceed" },
  Backspace: { do: "undo" },
  Home: { do: "reset" },
  End: { do: "single" },
  F1: { do: "help" },
};

/** @type {Record<string, Command>} Keys that print, so that single-key shortcuts turn them off. */
const PRINTING = {
  " ": { do: "plane" },
  "+": { do: "zoom", factor: ZOOM_STEP },
  "=": { do: "zoom", factor: ZOOM_STEP },
  "-": { do: "zoom", factor: 1 / ZOOM_STEP },
  "?": { do: "help" },
};

/**
 * @template {{key: string}} T
 * @param {T[]} entries
 * @param {string} key
 * @returns {number} Index of the entry with that key, or else with its small or capital letter; -1 for none.
 */
function indexOfKey(entries, key) {
  const exact = entries.findIndex((entry) => entry.key === key);
  if (exact >= 0) return exact;
  return entries.findIndex((entry) => entry.key !== "" && entry.key.toLowerCase() === key.toLowerCase());
}

/**
 * @param {Press} press
 * @returns {Command | null}
 */
function withControl(press) {
  if (press.key in ARROWS) return { do: "pan", edge: ARROWS[press.key] };
  if (press.key === "Enter") return { do: "complete" };
  return press.key.toLowerCase() === "z" ? { do: "undo" } : null;
}

/**
 * @param {Press} press
 * @returns {Command | null} In a text field only what leaves it: Escape, Enter, Control+Enter and F1.
 */
function whileTyping(press) {
  if (press.key === "Escape") return { do: "leave" };
  if (press.key === "F1") return { do: "help" };
  if (press.key !== "Enter" || press.shiftKey || press.altKey) return null;
  return press.ctrlKey || press.metaKey ? { do: "complete" } : { do: "proceed" };
}

/**
 * Whether a key belongs to what has the focus: buttons are pressed, boxes ticked and, with our single keys off, options
 * walked through as on any page.
 *
 * @param {Press} press
 * @param {"button" | "checkbox" | "radio" | "text" | "other"} focus
 * @param {boolean} singleKeys
 */
export function isNative(press, focus, singleKeys) {
  if (press.ctrlKey || press.metaKey || press.altKey) return false;
  if (focus === "button") return press.key === " " || press.key === "Enter";
  if (focus === "checkbox") return press.key === " ";
  return focus === "radio" && !singleKeys && (press.key === " " || press.key in ARROWS);
}

/**
 * What a key press means, or null where it is the browser's.
 *
 * @param {Press} press
 * @param {Situation} situation
 * @returns {Command | null}
 */
export function commandFor(press, { active, windows, typing, singleKeys }) {
  if (typing) return whileTyping(press);
  if (press.ctrlKey || press.metaKey) return withControl(press);
  if (press.altKey) return null;
  if (press.shiftKey && press.key in ARROWS) return { do: "move", edge: ARROWS[press.key] };
  if (press.key in PLAIN) return press.repeat && !press.key.match(/^(Arrow(Up|Down)|Page)/) ? null : PLAIN[press.key];
  if (!singleKeys || press.key.length !== 1) return null;
  const option = active && active.kind !== "text" ? indexOfKey(active.options, press.key) : -1;
  if (active && option >= 0) return press.repeat ? null : { do: "option", value: active.options[option].value };
  const index = indexOfKey(windows, press.key);
  if (index >= 0) return { do: "window", index };
  return PRINTING[press.key] ?? null;
}

/**
 * What the help lists: a key, and what it does.
 *
 * @param {Question[]} questions
 * @param {WindowPreset[]} windows
 * @returns {[string, string][]}
 */
export function keyTable(questions, windows) {
  const options = questions.filter((question) => question.options.length);
  return [
    ...options.map((question) => /** @type {[string, string]} */ ([optionKeys(question), question.prompt])),
    ["Enter", "Next question; after the last one, complete the case"],
    ["Ctrl + Enter", "Complete the case, from anywhere"],
    ["← →", "Previous, next question"],
    ["Backspace", "Undo the last answer (also Ctrl+Z)"],
    ["Esc", "Leave the comment"],
    ["↑ ↓", "One slice up or down in the framed plane"],
    ["Page ↑ ↓", `${PAGE} slices`],
    ["Space", "Frame the next plane (on a tick box: tick it)"],
    ["End", "The framed plane alone, or all three"],
    ["Shift + arrows", "Move the cross-hair within the framed plane"],
    ["Ctrl + arrows", "Shift the images"],
    ["+ −", "Zoom"],
    ["Home", "Reset window, zoom and shift"],
    ...windows
      .filter((preset) => preset.key)
      .map((preset) => /** @type {[string, string]} */ ([preset.key.toUpperCase(), `Window: ${preset.name}`])),
    ["?", "This list (also F1)"],
  ];
}

/** @param {Question} question @returns {string} */
function optionKeys(question) {
  return question.options.map((option) => option.key.toUpperCase()).join(" ");
}
