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

/** Shares of the viewer: left, top, width, height. The same as in `viewer.css`, where the letters stand. */
/** @type {{sliceType: SLICE_TYPE, position: [number, number, number, number]}[]} */
const THREE = [
  { sliceType: SLICE_TYPE.AXIAL, position: [0, 0, 0.6, 1] },
  { sliceType: SLICE_TYPE.CORONAL, position: [0.6, 0, 0.4, 0.5] },
  { sliceType: SLICE_TYPE.SAGITTAL, position: [0.6, 0.5, 0.4, 0.5] },
];

const MIDDLE = /** @type {Triple} */ ([0.5, 0.5, 0.5]);
const UNMOVED = /** @type {[number, number, number, number]} */ ([0, 0, 0, 1]);
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
 * @param {NVImage} volume
 * @param {Window} window
 */
function calibrate(volume, { low, high }) {
  const [least, most] = [volume.global_min ?? 0, volume.global_max ?? 1];
  volume.cal_min = least + low * (most - least);
  volume.cal_max = least + high * (most - least);
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Convention} convention
 * @param {() => void} onDrawn Called after every drawing.
 */
export async function createViewport(canvas, convention, onDrawn) {
  const niivue = new Niivue(options(convention));
  await niivue.attachToCanvas(canvas, false); // no smoothing of edges: there are only slices, and it costs half the time
  niivue.setCustomLayout(THREE);
  let frame = 0;
  /** @type {Plane | null} */
  let only = null;

  function draw() {
    if (!frame) {
      frame = requestAnimationFrame(() => {
        frame = 0;
        niivue.drawScene();
        onDrawn();
      });
    }
  }
  new ResizeObserver(draw).observe(canvas);

  /** @returns {Triple} Numbers of voxels along the three axes. */
  function counts() {
    const dims = niivue.volumes[0]?.dimsRAS ?? [3, 1, 1, 1];
    return [dims[1], dims[2], dims[3]];
  }

  /** @param {ArrayLike<number>} fractions */
  function setCursor(fractions) {
    niivue.scene.crosshairPos = Float32Array.from(voxelMiddle(fractions, counts()));
    draw();
  }

  return {
    /**
     * @param {ArrayBuffer} bytes An uncompressed NIfTI file.
     * @param {Window} window
     */
    async show(bytes, window) {
      const volume = await NVImage.loadFromUrl({ url: "case.nii", name: "case.nii", buffer: bytes });
      calibrate(volume, window); // before it goes to the graphics card, which takes time
      niivue.volumes = [];
      niivue.addVolume(volume);
      this.place({ cursor: MIDDLE, pan: UNMOVED });
    },
    /** @param {{cursor: Triple, pan: [number, number, number, number]}} place */
    place({ cursor, pan }) {
      niivue.scene.pan2Dxyzmm = Float32Array.from(pan);
      setCursor(cursor);
    },
    /** Shift and zoom as they were, the cross-hair left where it is. */
    recentre() {
      niivue.scene.pan2Dxyzmm = Float32Array.from(UNMOVED);
      draw();
    },
    setCursor,
    cursor: () => /** @type {Triple} */ (Array.from(niivue.scene.crosshairPos)),
    pan: () => /** @type {[number, number, number, number]} */ (Array.from(niivue.scene.pan2Dxyzmm)),
    /** @param {Triple} voxels */
    move(voxels) {
      const n = counts();
      setCursor(voxels.map((step, axis) => niivue.scene.crosshairPos[axis] + step / n[axis]));
    },
    /** @param {Triple} millimetres */
    shift(millimetres) {
      const [x, y, z, zoom] = niivue.scene.pan2Dxyzmm;
      const [dx, dy, dz] = millimetres;
      niivue.scene.pan2Dxyzmm = Float32Array.of(x + dx, y + dy, z + dz, zoom);
      draw();
    },
    /** @param {number} factor About the cross-hair. */
    zoom(factor) {
      const pan = niivue.scene.pan2Dxyzmm;
      const zoom = Math.min(ZOOMS.most, Math.max(ZOOMS.least, pan[3] * factor));
      const millimetres = niivue.frac2mm(niivue.scene.crosshairPos);
      const shift = [0, 1, 2].map((axis) => pan[axis] - (zoom - pan[3]) * millimetres[axis]);
      niivue.scene.pan2Dxyzmm = Float32Array.of(...shift, zoom);
      draw();
    },
    /** @param {Window} window */
    setWindow(window) {
      if (!niivue.volumes.length) return;
      calibrate(niivue.volumes[0], window);
      niivue.updateGLVolume();
      draw();
    },
    /** @param {Plane | null} plane The only one shown; null for all three. */
    setOnly(plane) {
      only = plane;
      if (plane) {
        niivue.clearCustomLayout();
        niivue.setSliceType(PLANES.indexOf(plane));
      } else {
        niivue.setCustomLayout(THREE);
      }
      draw();
    },
    only: () => only,
    /**
     * Slice shown and number of slices.
     *
     * @param {Plane} plane
     */
    slice(plane) {
      const axis = DEPTH[plane];
      const n = counts()[axis];
      return { number: Math.min(n, Math.floor(niivue.scene.crosshairPos[axis] * n) + 1), of: n };
    },
    /**
     * Where the cross-hair is on the canvas, in CSS pixels; null where it is out of sight.
     *
     * @param {Plane} plane
     */
    cross(plane) {
      const found = niivue.frac2canvasPosWithTile(niivue.scene.crosshairPos, PLANES.indexOf(plane));
      const scale = niivue.uiData.dpr ?? 1;
      return found && { x: found.pos[0] / scale, y: found.pos[1] / scale };
    },
    /**
     * The plane under a point of the canvas, and where in the volume that point is (null beside the image).
     *
     * @param {number} x In CSS pixels.
     * @param {number} y
     * @returns {{plane: Plane, at: Triple | null} | null}
     */
    hit(x, y) {
      const scale = niivue.uiData.dpr ?? 1;
      const tile = niivue.tileIndex(x * scale, y * scale);
      if (tile < 0) return null;
      const at = niivue.screenXY2TextureFrac(x * scale, y * scale, tile, true);
      const plane = PLANES[niivue.screenSlices[tile].axCorSag];
      return { plane, at: at[0] < 0 ? null : [at[0], at[1], at[2]] };
    },
    /**
     * Millimetres in one CSS pixel of a plane.
     *
     * @param {Plane} plane
     */
    millimetresPerPixel(plane) {
      const tile = niivue.screenSlices.find((slice) => PLANES[slice.axCorSag] === plane);
      if (!tile) return 1;
      return (tile.fovMM[0] / tile.leftTopWidthHeight[2]) * (niivue.uiData.dpr ?? 1);
    },
  };
}

/** @typedef {Awaited<ReturnType<typeof createViewport>>} Viewport */
