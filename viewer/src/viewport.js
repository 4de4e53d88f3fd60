/**
 * @file The volume on the screen: three planes and a cross-hair, drawn by NiiVue.
 *
 * NiiVue only draws here. Its own mouse, key and drop handling is off (`interactive`), because its keys would collide
 * with a study's and a dropped file would replace the case.
 */

import { NVImage, Niivue, SLICE_TYPE } from "@niivue/niivue";

import { DEPTH, PLANES, voxelMiddle } from "./planes.js";

/** @import {Convention} from "./contract.js" */
/** @import {Plane, Triple} from "./planes.js" */
/** @import {Window} from "./windows.js" */

/** @typedef {[number, number, number, number]} Pan Shift in mm along each axis, and zoom. */

/** Shares of the viewer: left, top, width, height. The same as in `viewer.css`, where the letters stand. */
/** @type {{sliceType: SLICE_TYPE, position: [number, number, number, number]}[]} */
const THREE = [
  { sliceType: SLICE_TYPE.AXIAL, position: [0, 0, 0.6, 1] },
  { sliceType: SLICE_TYPE.CORONAL, position: [0.6, 0, 0.4, 0.5] },
  { sliceType: SLICE_TYPE.SAGITTAL, position: [0.6, 0.5, 0.4, 0.5] },
];

const MIDDLE = /** @type {Triple} */ ([0.5, 0.5, 0.5]);
const UNMOVED = /** @type {Pan} */ ([0, 0, 0, 1]);
const ZOOMS = { least: 0.5, most: 8 };

/** @param {Convention} convention */
function options(convention) {
  return {
    interactive: false,
    dragAndDropEnabled: false,
    isRadiologicalConvention: convention === "radiological",
    sagittalNoseLeft: true,
    isOrientationTextVisible: false,
    loadingText: "",
    logLevel: /** @type {const} */ ("silent"),
    backColor: [0, 0, 0, 1],
    crosshairWidth: 0, // one voxel wide at the least; `stage.js` draws lines of one pixel
  };
}

/**
 * @typedef {object} Viewport
 * @property {Niivue} niivue
 * @property {Plane | null} only The only plane shown; null for all three.
 * @property {number} frame The drawing that is asked for; 0 for none.
 * @property {() => void} onDrawn Called after every drawing.
 */

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Convention} convention
 * @param {() => void} onDrawn
 * @returns {Promise<Viewport>}
 */
export async function createViewport(canvas, convention, onDrawn) {
  const niivue = new Niivue(options(convention));
  await niivue.attachToCanvas(canvas, false); // no smoothing of edges: there are only slices, and it takes time
  niivue.setCustomLayout(THREE);
  const viewport = { niivue, only: null, frame: 0, onDrawn };
  new ResizeObserver(() => draw(viewport)).observe(canvas);
  return viewport;
}

/** @param {Viewport} viewport Drawn with the next frame, however often that is asked for. */
function draw(viewport) {
  viewport.frame ||= requestAnimationFrame(() => {
    viewport.frame = 0;
    viewport.niivue.drawScene();
    viewport.onDrawn();
  });
}

/** @param {Viewport} viewport @returns {Triple} Numbers of voxels along the three axes. */
function counts({ niivue }) {
  const [, i, j, k] = niivue.volumes[0]?.dimsRAS ?? [3, 1, 1, 1];
  return [i, j, k];
}

/**
 * @param {Viewport} viewport
 * @param {ArrayBuffer} bytes An uncompressed NIfTI file.
 * @param {Window} window
 */
export async function showVolume(viewport, bytes, window) {
  const volume = await NVImage.loadFromUrl({ url: "case.nii", name: "case.nii", buffer: bytes });
  calibrate(volume, window); // before it goes to the graphics card, which takes time
  viewport.niivue.volumes = [];
  viewport.niivue.addVolume(volume);
  placeView(viewport, { cursor: MIDDLE, pan: UNMOVED });
}

/**
 * @param {Viewport} viewport
 * @param {{cursor: Triple, pan: Pan}} place
 */
export function placeView(viewport, { cursor, pan }) {
  viewport.niivue.scene.pan2Dxyzmm = Float32Array.from(pan);
  setCursor(viewport, cursor);
}

/** @param {Viewport} viewport Shift and zoom as at first, the cross-hair left where it is. */
export function recentre(viewport) {
  viewport.niivue.scene.pan2Dxyzmm = Float32Array.from(UNMOVED);
  draw(viewport);
}

/** @param {Viewport} viewport @param {ArrayLike<number>} fractions */
export function setCursor(viewport, fractions) {
  viewport.niivue.scene.crosshairPos = Float32Array.from(voxelMiddle(fractions, counts(viewport)));
  draw(viewport);
}

/** @param {Viewport} viewport */
export const cursorOf = ({ niivue }) => /** @type {Triple} */ (Array.from(niivue.scene.crosshairPos));

/** @param {Viewport} viewport */
export const panOf = ({ niivue }) => /** @type {Pan} */ (Array.from(niivue.scene.pan2Dxyzmm));

/** @param {Viewport} viewport @param {Triple} voxels */
export function moveCursor(viewport, voxels) {
  const n = counts(viewport);
  const cursor = cursorOf(viewport);
  setCursor(
    viewport,
    voxels.map((step, axis) => cursor[axis] + step / n[axis]),
  );
}

/** @param {Viewport} viewport @param {Triple} millimetres */
export function shiftImages(viewport, millimetres) {
  const [x, y, z, zoom] = panOf(viewport);
  const [dx, dy, dz] = millimetres;
  viewport.niivue.scene.pan2Dxyzmm = Float32Array.of(x + dx, y + dy, z + dz, zoom);
  draw(viewport);
}

/** @param {Viewport} viewport @param {number} factor About the cross-hair. */
export function zoomImages(viewport, factor) {
  const { niivue } = viewport;
  const pan = panOf(viewport);
  const zoom = Math.min(ZOOMS.most, Math.max(ZOOMS.least, pan[3] * factor));
  const millimetres = niivue.frac2mm(niivue.scene.crosshairPos);
  const shift = [0, 1, 2].map((axis) => pan[axis] - (zoom - pan[3]) * millimetres[axis]);
  niivue.scene.pan2Dxyzmm = Float32Array.of(...shift, zoom);
  draw(viewport);
}

/**
 * @param {NVImage} volume
 * @param {Window} window
 */
function calibrate(volume, { low, high }) {
  const [least, most] = [volume.global_min ?? 0, volume.global_max ?? 1];
  volume.cal_min = least + low * (most - least);
  volume.cal_max = least + high * (most - least);
}

/** @param {Viewport} viewport @param {Window} window */
export function applyWindow(viewport, window) {
  const { niivue } = viewport;
  if (!niivue.volumes.length) return;
  calibrate(niivue.volumes[0], window);
  niivue.updateGLVolume();
  viewport.onDrawn();
}

/** @param {Viewport} viewport @param {Plane | null} plane The only one shown; null for all three. */
export function showOnly(viewport, plane) {
  const { niivue } = viewport;
  if (plane !== viewport.only) {
    viewport.only = plane;
    niivue.opts.sliceType = plane ? PLANES.indexOf(plane) : SLICE_TYPE.MULTIPLANAR;
    if (plane) niivue.clearCustomLayout();
    else niivue.setCustomLayout(THREE);
  }
  viewport.onDrawn();
}

/**
 * Slice shown, from 1, and number of slices.
 *
 * @param {Viewport} viewport
 * @param {Plane} plane
 */
export function sliceOf(viewport, plane) {
  const axis = DEPTH[plane];
  const of = counts(viewport)[axis];
  return { number: Math.floor(cursorOf(viewport)[axis] * of) + 1, of };
}

/**
 * Where the cross-hair is on the canvas, in CSS pixels; null where it is out of sight.
 *
 * @param {Viewport} viewport
 * @param {Plane} plane
 */
export function crossOf({ niivue }, plane) {
  const found = niivue.frac2canvasPosWithTile(niivue.scene.crosshairPos, PLANES.indexOf(plane));
  const scale = niivue.uiData.dpr ?? 1;
  return found && { x: found.pos[0] / scale, y: found.pos[1] / scale };
}

/**
 * The plane under a point of the canvas, and where in the volume that point is (null beside the image).
 *
 * @param {Viewport} viewport
 * @param {number} x In CSS pixels.
 * @param {number} y
 * @returns {{plane: Plane, at: Triple | null} | null}
 */
export function hitAt({ niivue }, x, y) {
  const scale = niivue.uiData.dpr ?? 1;
  const tile = niivue.tileIndex(x * scale, y * scale);
  if (tile < 0) return null;
  const at = niivue.screenXY2TextureFrac(x * scale, y * scale, tile, true);
  const plane = PLANES[niivue.screenSlices[tile].axCorSag];
  return { plane, at: at[0] < 0 ? null : [at[0], at[1], at[2]] };
}

/**
 * Millimetres in one CSS pixel of a plane.
 *
 * @param {Viewport} viewport
 * @param {Plane} plane
 */
export function millimetresPerPixel({ niivue }, plane) {
  const tile = niivue.screenSlices.find((slice) => PLANES[slice.axCorSag] === plane);
  return tile ? Math.abs(tile.fovMM[0] / tile.leftTopWidthHeight[2]) * (niivue.uiData.dpr ?? 1) : 1;
}
