/**
 * @file The images with what stands around them: letters, slice numbers, window buttons; and the reader's view as a value.
 */

import { byId, element } from "./elements.js";
import { listenToMouse } from "./mouse.js";
import { PLANES, following, letters, scroll, stepTowards, wayFor } from "./planes.js";
import { createViewport } from "./viewport.js";
import { WHOLE_RANGE, presetOf, windowText } from "./windows.js";

/** @import {Study} from "./contract.js" */
/** @import {Command} from "./keys.js" */
/** @import {Plane} from "./planes.js" */
/** @import {View} from "./view.js" */
/** @import {Window} from "./windows.js" */

/** How far one press of a pan key shifts, in CSS pixels. */
const PAN_STEP = 24;

/** @type {Record<string, [number, number]>} Right and up. */
const WAYS = { left: [-1, 0], right: [1, 0], top: [0, 1], bottom: [0, -1] };

/** @typedef {Pick<View, "cursor" | "pan" | "window" | "plane" | "single">} Sight */

/** @param {Plane} plane */
const frameOf = (plane) => /** @type {HTMLElement} */ (document.querySelector(`.plane[data-plane="${plane}"]`));

/**
 * @param {Study} study
 * @param {() => void} onSight Called after whatever changes what is seen.
 */
export async function createStage(study, onSight) {
  const presets = study.windows.length ? study.windows : [WHOLE_RANGE];
  /** @type {Window} */
  let window = presets[0];
  /** @type {Plane} */
  let plane = "axial";
  const canvas = byId("canvas", HTMLCanvasElement);
  const viewport = await createViewport(canvas, study.convention, refresh);
  listenToMouse(canvas, viewport, {
    convention: study.convention,
    window: () => window,
    setWindow,
    onPlane: frame,
  });
  const buttons = presets.map((preset, index) => windowButton(preset, () => setWindow(presets[index])));
  byId("windows", HTMLElement).replaceChildren(...buttons);
  writeLetters();

  function writeLetters() {
    byId("convention", HTMLElement).textContent =
      study.convention === "radiological" ? "Radiological: patient right on the left" : "Neurological: patient left on the left";
    for (const each of PLANES) {
      for (const [edge, letter] of Object.entries(letters(each, study.convention))) {
        const node = frameOf(each).querySelector(`.${edge}`);
        if (node) node.textContent = letter;
      }
    }
  }

  function refresh() {
    const only = viewport.only();
    for (const each of PLANES) {
      const node = frameOf(each);
      node.classList.toggle("framed", each === plane);
      node.hidden = only !== null && only !== each;
      node.classList.toggle("alone", only === each);
      const { number, of } = viewport.slice(each);
      const label = node.querySelector(".slice");
      if (label) label.textContent = `${number}/${of}`;
      drawCross(node, viewport.cross(each));
    }
    const set = presetOf(presets, window);
    buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(index === set)));
    byId("window-text", HTMLElement).textContent = windowText(window);
    onSight();
  }

  /** @param {Window} next */
  function setWindow(next) {
    window = { low: next.low, high: next.high };
    viewport.setWindow(window);
  }

  /** @param {Plane} next */
  function frame(next) {
    plane = next;
    viewport.setOnly(viewport.only() && plane);
  }

  /** @param {"left" | "right" | "top" | "bottom"} edge */
  function pan(edge) {
    const [right, up] = WAYS[edge];
    const step = PAN_STEP * viewport.millimetresPerPixel(plane) * viewport.pan()[3];
    viewport.shift(wayFor(plane, study.convention, right * step, up * step));
  }

  return {
    /** @param {ArrayBuffer} bytes @param {Sight | null} sight */
    async show(bytes, sight) {
      const { low, high } = sight?.window ?? presets[0];
      window = { low, high };
      plane = sight?.plane ?? "axial";
      await viewport.show(bytes, window);
      viewport.setOnly(sight?.single ? plane : null);
      if (sight) viewport.place(sight);
    },
    /** @returns {Sight} */
    sight: () => ({
      cursor: viewport.cursor(),
      pan: viewport.pan(),
      window,
      plane,
      single: viewport.only() !== null,
    }),
    /**
     * @param {Command} command
     * @returns {boolean} Whether it was about the images.
     */
    obey(command) {
      if (command.do === "window") setWindow(presets[command.index]);
      else if (command.do === "scroll") viewport.move(scroll(plane, command.slices));
      else if (command.do === "move") viewport.move(stepTowards(plane, command.edge, study.convention));
      else if (command.do === "pan") pan(command.edge);
      else if (command.do === "zoom") viewport.zoom(command.factor);
      else if (command.do === "plane") frame(following(plane));
      else if (command.do === "single") viewport.setOnly(viewport.only() ? null : plane);
      else if (command.do === "reset") {
        viewport.recentre();
        setWindow(presets[0]);
      } else return false;
      return true;
    },
  };
}

/** @typedef {Awaited<ReturnType<typeof createStage>>} Stage */

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
