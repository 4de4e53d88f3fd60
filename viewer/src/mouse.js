/**
 * @file The mouse on the images: cross-hair, window, shift, zoom, slices.
 */

import { scroll, wayFor } from "./planes.js";
import { hitAt, millimetresPerPixel, moveCursor, panOf, setCursor, shiftImages, zoomImages } from "./viewport.js";
import { dragged } from "./windows.js";

/** @import {Convention} from "./contract.js" */
/** @import {Plane} from "./planes.js" */
/** @import {Viewport} from "./viewport.js" */
/** @import {Window} from "./windows.js" */

const ZOOM_STEP = 1.1;

/**
 * What a button drags: left the cross-hair, right the window, the middle one (or left with Shift) the images.
 *
 * @param {Pick<PointerEvent, "button" | "shiftKey">} event
 * @returns {"cursor" | "window" | "pan"}
 */
export function dragFor({ button, shiftKey }) {
  if (button === 2) return "window";
  return button === 1 || shiftKey ? "pan" : "cursor";
}

/** @typedef {{does: ReturnType<typeof dragFor>, plane: Plane, x: number, y: number}} Drag */

/**
 * @typedef {object} Mouse
 * @property {Viewport} viewport
 * @property {Convention} convention
 * @property {() => Window} window
 * @property {(window: Window) => void} setWindow
 * @property {(plane: Plane) => void} onPlane Called with the plane the reader works in.
 */

/**
 * @param {Mouse} mouse
 * @param {Drag} drag
 * @param {PointerEvent} event
 */
function follow({ viewport, convention, window, setWindow }, drag, event) {
  const [right, down] = [event.offsetX - drag.x, event.offsetY - drag.y];
  if (drag.does === "window") {
    const { clientWidth, clientHeight } = /** @type {HTMLElement} */ (event.target);
    setWindow(dragged(window(), right / clientWidth, down / clientHeight));
  } else if (drag.does === "pan") {
    const scale = millimetresPerPixel(viewport, drag.plane) * panOf(viewport)[3];
    shiftImages(viewport, wayFor(drag.plane, convention, right * scale, -down * scale));
  } else {
    const hit = hitAt(viewport, event.offsetX, event.offsetY);
    if (hit?.plane === drag.plane && hit.at) setCursor(viewport, hit.at);
  }
}

/**
 * @param {Mouse} mouse
 * @param {WheelEvent} event
 */
function turn({ viewport, onPlane }, event) {
  event.preventDefault();
  const hit = hitAt(viewport, event.offsetX, event.offsetY);
  if (!hit || event.deltaY === 0) return;
  onPlane(hit.plane);
  const up = event.deltaY < 0;
  if (event.ctrlKey) zoomImages(viewport, up ? ZOOM_STEP : 1 / ZOOM_STEP);
  else moveCursor(viewport, scroll(hit.plane, up ? 1 : -1));
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Mouse} mouse
 */
export function listenToMouse(canvas, mouse) {
  /** @type {Drag | null} */
  let drag = null;
  const end = () => {
    drag = null;
  };

  canvas.addEventListener("pointerdown", (event) => {
    const hit = hitAt(mouse.viewport, event.offsetX, event.offsetY);
    if (!hit) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    mouse.onPlane(hit.plane);
    drag = { does: dragFor(event), plane: hit.plane, x: event.offsetX, y: event.offsetY };
    if (drag.does === "cursor" && hit.at) setCursor(mouse.viewport, hit.at);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return;
    follow(mouse, drag, event);
    drag = { ...drag, x: event.offsetX, y: event.offsetY };
  });
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("wheel", (event) => turn(mouse, event), { passive: false });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
}
