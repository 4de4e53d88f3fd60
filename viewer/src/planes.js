/**
 * @file The three planes: which way is up, which letters stand at the edges, which way a key moves.
 *
 * Volumes are shown in RAS: x grows to the patient's right, y to the front, z upwards.
 */

/** @import {Convention} from "./contract.js" */

/** @typedef {"axial" | "coronal" | "sagittal"} Plane */
/** @typedef {[number, number, number]} Triple */

/** @type {readonly Plane[]} In the order of NiiVue's slice types. */
export const PLANES = ["axial", "coronal", "sagittal"];

/** @type {Record<Plane, 0 | 1 | 2>} The axis a plane is scrolled along. */
export const DEPTH = { axial: 2, coronal: 1, sagittal: 0 };

/** @type {Record<string, Triple>} */
const TOWARDS = { L: [-1, 0, 0], R: [1, 0, 0], P: [0, -1, 0], A: [0, 1, 0], I: [0, 0, -1], S: [0, 0, 1] };

/**
 * The letters at the edges. The sagittal plane is seen from the patient's left, nose to the left, in both conventions.
 *
 * @param {Plane} plane
 * @param {Convention} convention Radiological: the patient's right is on the left of the screen.
 */
export function letters(plane, convention) {
  if (plane === "sagittal") return { left: "A", right: "P", top: "S", bottom: "I" };
  const [left, right] = convention === "radiological" ? ["R", "L"] : ["L", "R"];
  return plane === "axial" ? { left, right, top: "A", bottom: "P" } : { left, right, top: "S", bottom: "I" };
}

/**
 * Voxels to move for a step of the cursor on the screen.
 *
 * @param {Plane} plane
 * @param {"left" | "right" | "top" | "bottom"} edge Towards which it goes.
 * @param {Convention} convention
 * @returns {Triple}
 */
export function stepTowards(plane, edge, convention) {
  return TOWARDS[letters(plane, convention)[edge]];
}

/**
 * The way, along the axes, that goes so far to the right and up on the screen.
 *
 * @param {Plane} plane
 * @param {Convention} convention
 * @param {number} right
 * @param {number} up
 * @returns {Triple}
 */
export function wayFor(plane, convention, right, up) {
  const [across, upwards] = [stepTowards(plane, "right", convention), stepTowards(plane, "top", convention)];
  return /** @type {Triple} */ (across.map((share, axis) => share * right + upwards[axis] * up));
}

/**
 * Voxels to move to see another slice of a plane; positive steps go up, forward or to the patient's right.
 *
 * @param {Plane} plane
 * @param {number} slices
 * @returns {Triple}
 */
export function scroll(plane, slices) {
  /** @type {Triple} */
  const step = [0, 0, 0];
  step[DEPTH[plane]] = slices;
  return step;
}

/**
 * The middle of the voxel that a position lies in, so that no rounding on the way to the server and back shows another
 * slice; outside the volume, of the nearest voxel.
 *
 * @param {ArrayLike<number>} fractions Of the volume, along each axis.
 * @param {Triple} counts Voxels along each axis.
 * @returns {Triple}
 */
export function voxelMiddle(fractions, counts) {
  return /** @type {Triple} */ (
    counts.map((n, axis) => (Math.min(n - 1, Math.max(0, Math.floor(fractions[axis] * n))) + 0.5) / n)
  );
}

/**
 * @param {Plane} plane
 * @returns {Plane} The next one, in turn.
 */
export function following(plane) {
  return PLANES[(PLANES.indexOf(plane) + 1) % PLANES.length];
}
