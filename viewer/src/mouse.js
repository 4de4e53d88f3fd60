/**
 * @file The mouse on the images: cross-hair, window, shift, zoom, slices.
 */

import { scroll, wayFor } from "./planes.js";
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

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Viewport} viewport
 * @param {object} options
 * @param {Convention} options.convention
 * @param {() => Window} options.window
 * @param {(window: Window) => void} options.setWindow
 * @param {(plane: Plane) => void} options.onPlane Called with the plane the reader works in.
 */
export function listenToMouse(canvas, viewport, { convention, window, setWindow, onPlane }) {
  /** @type {{does: ReturnType<typeof dragFor>, plane: Plane, x: number, y: number} | null} */
  let drag = null;

  canvas.addEventListener("pointerdown", (event) => {
    const hit = viewport.hit(event.offsetX, event.offsetY);
    if (!hit) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    onPlane(hit.plane);
    drag = { does: dragFor(event), plane: hit.plane, x: event.offsetX, y: event.offsetY };
    if (drag.does === "cursor" && hit.at) viewport.setCursor(hit.at);
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [right, down] = [event.offsetX - drag.x, event.offsetY - drag.y];
    if (drag.does === "window") {
      setWindow(dragged(window(), right / canvas.clientWidth, down / canvas.clientHeight));
    } else if (drag.does === "pan") {
      const scale = viewport.millimetresPerPixel(drag.plane) * viewport.pan()[3];
      viewport.shift(wayFor(drag.plane, convention, right * scale, -down * scale));
    } else {
      const hit = viewport.hit(event.offsetX, event.offsetY);
      if (hit?.plane === drag.plane && hit.at) viewport.setCursor(hit.at);
    }
    drag = { ...drag, x: event.offsetX, y: event.offsetY };
  });

  for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) {
    canvas.addEventListener(end, () => {
      drag = null;
    });
  }

  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const hit = viewport.hit(event.offsetX, event.offsetY);
      if (!hit || event.deltaY === 0) return;
      onPlane(hit.plane);
      const up = event.deltaY < 0;
      if (event.ctrlKey) viewport.zoom(up ? ZOOM_STEP : 1 / ZOOM_STEP);
      else viewport.move(scroll(hit.plane, up ? 1 : -1));
    },
    { passive: false },
  );
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
}
