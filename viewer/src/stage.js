/**
 * @file The images with what stands around them: letters, slice numbers, windows; and the view as a value.
 */

import { byId, element } from "./elements.js";
import { listenToMouse } from "./mouse.js";
import { PLANES, following, letters, scroll, stepTowards, wayFor } from "./planes.js";
import {
  applyWindow,
  createViewport,
  crossOf,
  cursorOf,
  millimetresPerPixel,
  moveCursor,
  panOf,
  placeView,
  recentre,
  shiftImages,
  showOnly,
  showVolume,
  sliceOf,
  zoomImages,
} from "./viewport.js";
import { WHOLE_RANGE, presetOf, windowText } from "./windows.js";

/** @import {Convention, Study, WindowPreset} from "./contract.js" */
/** @import {Command} from "./keys.js" */
/** @import {Plane} from "./planes.js" */
/** @import {View} from "./view.js" */
/** @import {Viewport} from "./viewport.js" */
/** @import {Window} from "./windows.js" */

/** How far one press of a pan key shifts, in CSS pixels. */
const PAN_STEP = 24;

/** @type {Record<string, [number, number]>} Right and up. */
const WAYS = { left: [-1, 0], right: [1, 0], top: [0, 1], bottom: [0, -1] };

/** @typedef {Pick<View, "cursor" | "pan" | "window" | "plane" | "single">} Sight */

/**
 * @typedef {object} Stage
 * @property {Study} study
 * @property {WindowPreset[]} presets
 * @property {HTMLButtonElement[]} buttons Of the presets.
 * @property {Viewport} viewport
 * @property {Window} window
 * @property {Plane} plane The one that keys scroll, framed.
 * @property {() => void} onSight Called after whatever changes what is seen.
 */

/** @param {Plane} plane */
const frameOf = (plane) => /** @type {HTMLElement} */ (document.querySelector(`.plane[data-plane="${plane}"]`));

/**
 * @param {Study} study
 * @param {() => void} onSight
 * @returns {Promise<Stage>}
 */
export async function createStage(study, onSight) {
  const presets = study.windows.length ? study.windows : [WHOLE_RANGE];
  const begun = { study, presets, buttons: [], window: presets[0], plane: "axial", onSight };
  const stage = /** @type {Stage} */ (/** @type {unknown} */ (begun)); // complete two lines below
  const canvas = byId("canvas", HTMLCanvasElement);
  stage.viewport = await createViewport(canvas, study.convention, () => refresh(stage));
  stage.buttons = presets.map((preset) => windowButton(preset, () => setWindow(stage, preset)));
  byId("windows", HTMLElement).replaceChildren(...stage.buttons);
  writeLetters(study.convention);
  listenToMouse(canvas, {
    viewport: stage.viewport,
    convention: study.convention,
    window: () => stage.window,
    setWindow: (window) => setWindow(stage, window),
    onPlane: (plane) => frame(stage, plane),
  });
  return stage;
}

/** @param {Convention} convention */
function writeLetters(convention) {
  byId("convention", HTMLElement).textContent =
    convention === "radiological"
      ? "Radiological: patient right on the left"
      : "Neurological: patient left on the left";
  for (const plane of PLANES) {
    for (const [edge, letter] of Object.entries(letters(plane, convention))) {
      const node = frameOf(plane).querySelector(`.${edge}`);
      if (node) node.textContent = letter;
    }
  }
}

/** @param {Stage} stage What stands around the images follows them. */
function refresh(stage) {
  const { viewport, plane, presets, window } = stage;
  for (const each of PLANES) {
    const node = frameOf(each);
    node.classList.toggle("framed", each === plane);
    node.classList.toggle("alone", viewport.only === each);
    node.hidden = viewport.only !== null && viewport.only !== each;
    const { number, of } = sliceOf(viewport, each);
    const label = node.querySelector(".slice");
    if (label) label.textContent = `${number}/${of}`;
    drawCross(node, crossOf(viewport, each));
  }
  const set = presetOf(presets, window);
  stage.buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(index === set)));
  byId("window-text", HTMLElement).textContent = windowText(window);
  stage.onSight();
}

/** @param {Stage} stage @param {Window} window */
function setWindow(stage, { low, high }) {
  stage.window = { low, high };
  applyWindow(stage.viewport, stage.window);
}

/** @param {Stage} stage @param {Plane} plane */
function frame(stage, plane) {
  stage.plane = plane;
  showOnly(stage.viewport, stage.viewport.only && plane);
}

/** @param {Stage} stage @param {"left" | "right" | "top" | "bottom"} edge */
function pan({ viewport, plane, study }, edge) {
  const [right, up] = WAYS[edge];
  const step = PAN_STEP * millimetresPerPixel(viewport, plane) * panOf(viewport)[3];
  shiftImages(viewport, wayFor(plane, study.convention, right * step, up * step));
}

/**
 * Shows a case, as it was left or afresh.
 *
 * @param {Stage} stage
 * @param {ArrayBuffer} bytes
 * @param {Sight | null} sight
 */
export async function showImages(stage, bytes, sight) {
  const { low, high } = sight?.window ?? stage.presets[0];
  stage.window = { low, high };
  stage.plane = sight?.plane ?? "axial";
  await showVolume(stage.viewport, bytes, stage.window);
  showOnly(stage.viewport, sight?.single ? stage.plane : null);
  if (sight) placeView(stage.viewport, sight);
}

/** @param {Stage} stage @returns {Sight} */
export function sightOf({ viewport, window, plane }) {
  return { cursor: cursorOf(viewport), pan: panOf(viewport), window, plane, single: viewport.only !== null };
}

/**
 * @param {Stage} stage
 * @param {Command} command
 * @returns {boolean} Whether it was about the images.
 */
export function obeyImages(stage, command) {
  const { viewport, plane, study } = stage;
  if (command.do === "window") setWindow(stage, stage.presets[command.index]);
  else if (command.do === "scroll") moveCursor(viewport, scroll(plane, command.slices));
  else if (command.do === "move") moveCursor(viewport, stepTowards(plane, command.edge, study.convention));
  else if (command.do === "pan") pan(stage, command.edge);
  else if (command.do === "zoom") zoomImages(viewport, command.factor);
  else if (command.do === "plane") frame(stage, following(plane));
  else if (command.do === "single") showOnly(viewport, viewport.only ? null : plane);
  else if (command.do === "reset") {
    recentre(viewport);
    setWindow(stage, stage.presets[0]);
  } else return false;
  return true;
}

/**
 * @param {HTMLElement} frame
 * @param {{x: number, y: number} | null} cross
 */
function drawCross(frame, cross) {
  frame.classList.toggle("uncrossed", cross === null);
  if (!cross) return;
  frame.style.setProperty("--x", `${Math.round(cross.x - frame.offsetLeft)}px`);
  frame.style.setProperty("--y", `${Math.round(cross.y - frame.offsetTop)}px`);
}

/**
 * @param {{name: string, key: string}} preset
 * @param {() => void} onPress
 */
function windowButton(preset, onPress) {
  const button = element("button", { type: "button", class: "window" }, preset.name);
  if (preset.key) button.append(" ", element("kbd", { "aria-hidden": "true" }, preset.key.toUpperCase()));
  button.addEventListener("click", onPress);
  button.addEventListener("mousedown", (event) => event.preventDefault()); // the question keeps the focus
  return button;
}
