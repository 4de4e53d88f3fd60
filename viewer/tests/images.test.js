import assert from "node:assert/strict";
import { test } from "node:test";

import { dragFor } from "../src/mouse.js";
import { PLANES, following, letters, scroll, stepTowards, voxelMiddle, wayFor } from "../src/planes.js";
import { readView, writeView } from "../src/view.js";
import { dragged, presetOf, windowText } from "../src/windows.js";

const OPPOSITE = { L: "R", R: "L", A: "P", P: "A", S: "I", I: "S" };

test("opposite edges carry opposite letters, and each plane shows the four of its own two axes", () => {
  const axes = { axial: "ALPR", coronal: "ILRS", sagittal: "AIPS" };
  for (const convention of ["radiological", "neurological"]) {
    for (const plane of PLANES) {
      const edges = letters(plane, convention);
      assert.equal(OPPOSITE[edges.left], edges.right);
      assert.equal(OPPOSITE[edges.top], edges.bottom);
      assert.equal(Object.values(edges).sort().join(""), axes[plane]);
    }
  }
});

test("the conventions mirror left and right where they are seen, and nothing else", () => {
  assert.equal(letters("axial", "radiological").left, "R");
  assert.equal(letters("coronal", "neurological").left, "L");
  assert.deepEqual(letters("sagittal", "radiological"), letters("sagittal", "neurological"));
});

test("right on an axial slice is the patient's left in radiological view; x grows to the right in RAS", () => {
  assert.deepEqual(stepTowards("axial", "right", "radiological"), [-1, 0, 0]);
  assert.deepEqual(stepTowards("axial", "right", "neurological"), [1, 0, 0]);
  assert.deepEqual(stepTowards("sagittal", "left", "radiological"), [0, 1, 0]);
});

test("moving within a plane never leaves its slice, and scrolling never moves within it", () => {
  for (const plane of PLANES) {
    const across = wayFor(plane, "radiological", 3, -2);
    const depth = scroll(plane, 5);
    assert.equal(
      across.reduce((sum, step, axis) => sum + step * depth[axis], 0),
      0,
    );
    assert.equal(across.filter((step) => step !== 0).length, 2);
  }
});

test("every voxel's middle stays its own through six decimals, and places outside are brought to the edge", () => {
  for (const n of [1, 3, 24, 25, 97, 192, 255]) {
    for (let index = 0; index < n; index += 1) {
      const [x] = voxelMiddle([index / n + 1e-9, 0, 0], [n, 1, 1]);
      const sent = Math.round(x * 1e6) / 1e6;
      assert.equal(Math.floor(voxelMiddle([sent, 0, 0], [n, 1, 1])[0] * n), index);
    }
  }
  assert.deepEqual(voxelMiddle([-0.2, 1, 7], [4, 4, 4]), [0.125, 0.875, 0.875]);
});

test("three steps through the planes come back", () => {
  assert.equal(following(following(following("axial"))), "axial");
  assert.equal(new Set(PLANES.map(following)).size, 3);
});

test("a drag to the right widens, a drag down brightens, and the window never closes or turns over", () => {
  const window = { low: 0.2, high: 0.8 };
  const wider = dragged(window, 0.1, 0);
  assert.ok(wider.high - wider.low > 0.6);
  assert.ok(dragged(window, 0, 0.1).high < window.high);
  const narrowest = dragged(window, -5, 0);
  assert.ok(narrowest.low < narrowest.high);
});

test("a preset is recognised after its numbers were rounded on the way to the server", () => {
  const presets = [
    { name: "a", key: "", low: 0, high: 1 },
    { name: "b", key: "", low: 1 / 3, high: 2 / 3 },
  ];
  assert.equal(presetOf(presets, { low: 0.333333, high: 0.666667 }), 1);
  assert.equal(presetOf(presets, { low: 0.3, high: 0.6 }), -1);
  assert.equal(windowText({ low: 0.1, high: 0.5 }), "W 40 L 30");
});

test("the buttons of the mouse: cross-hair, window, shift", () => {
  assert.equal(dragFor({ button: 0, shiftKey: false }), "cursor");
  assert.equal(dragFor({ button: 0, shiftKey: true }), "pan");
  assert.equal(dragFor({ button: 1, shiftKey: false }), "pan");
  assert.equal(dragFor({ button: 2, shiftKey: false }), "window");
});

const VIEW = {
  cursor: [0.5, 0.25, 1 / 3],
  pan: [1, -2.123456789, 0, 1.44],
  window: { low: -0.1, high: 0.7 },
  plane: "coronal",
  single: true,
  question: "origin",
  elapsed_ms: 1234,
};

test("a view comes back from JSON as it was, to six decimals, and stays small", () => {
  const text = JSON.stringify(writeView(VIEW));
  const back = readView(JSON.parse(text));
  assert.ok(text.length < 300);
  assert.ok(Math.abs(back.pan[1] - VIEW.pan[1]) < 1e-6);
  assert.deepEqual({ ...back, pan: VIEW.pan, cursor: VIEW.cursor }, VIEW);
});

test("a view that is none of ours is refused whole, so that the case opens afresh", () => {
  const spoilt = [
    null,
    "view",
    {},
    { ...VIEW, cursor: [0.5, 0.5] },
    { ...VIEW, cursor: [0.5, 0.5, 1.5] },
    { ...VIEW, cursor: [0.5, 0.5, null] },
    { ...VIEW, pan: [0, 0, 0, 0] },
    { ...VIEW, window: { low: 1, high: 0 } },
    { ...VIEW, window: null },
    { ...VIEW, plane: "oblique" },
    { ...VIEW, elapsed_ms: -1 },
  ];
  for (const view of spoilt) assert.equal(readView(view), null);
});
