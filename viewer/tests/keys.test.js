import assert from "node:assert/strict";
import { test } from "node:test";

import { commandFor, isNative, keyTable } from "../src/keys.js";

const press = (key, more = {}) => ({
  ...{ key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, repeat: false },
  ...more,
});
const scale = {
  id: "quality",
  kind: "scale",
  prompt: "Quality",
  options: ["0", "1"].map((n) => ({ value: `v${n}`, label: n, key: n })),
};
const ticks = {
  id: "ticks",
  kind: "ticks",
  prompt: "Ticks",
  options: [{ value: "motion", label: "motion", key: "a" }],
};
const text = { id: "comment", kind: "text", prompt: "Comment", options: [] };
const windows = [
  { name: "Full", key: "a", low: 0, high: 1 },
  { name: "Soft", key: "x", low: 0, high: 1 },
];
const situation = { active: scale, windows, typing: false, singleKeys: true };

test("one key answers the active question, and only its own options", () => {
  assert.deepEqual(commandFor(press("1"), situation), { do: "option", value: "v1" });
  assert.equal(commandFor(press("7"), situation), null);
  assert.equal(commandFor(press("1"), { ...situation, active: text }), null);
});

test("an option goes before a window with the same key; elsewhere the window has it, with capitals too", () => {
  assert.deepEqual(commandFor(press("a"), { ...situation, active: ticks }), { do: "option", value: "motion" });
  assert.deepEqual(commandFor(press("a"), situation), { do: "window", index: 0 });
  assert.deepEqual(commandFor(press("X"), situation), { do: "window", index: 1 });
});

test("small and capital letters are told apart where a study uses both", () => {
  const both = { ...ticks, options: ["b", "B"].map((key) => ({ value: key, label: key, key })) };
  assert.deepEqual(commandFor(press("B"), { ...situation, active: both }), { do: "option", value: "B" });
});

test("an option without a key is never chosen by one", () => {
  const keyless = { ...scale, options: [{ value: "v", label: "v", key: "" }] };
  assert.equal(commandFor(press(""), { ...situation, active: keyless }), null);
});

test("a held key scrolls on but does not answer twice, undo twice or complete twice", () => {
  assert.deepEqual(commandFor(press("ArrowUp", { repeat: true }), situation), { do: "scroll", slices: 1 });
  for (const key of ["1", "Backspace", "Enter"])
    assert.equal(commandFor(press(key, { repeat: true }), situation), null);
});

test("while typing, only Escape, Enter, Control+Enter and F1 are ours", () => {
  const typing = { ...situation, active: text, typing: true };
  for (const key of ["1", "x", "?", " ", "Backspace", "ArrowUp", "Home"])
    assert.equal(commandFor(press(key), typing), null);
  assert.deepEqual(commandFor(press("Escape"), typing), { do: "leave" });
  assert.deepEqual(commandFor(press("Enter"), typing), { do: "proceed" });
  assert.deepEqual(commandFor(press("Enter", { ctrlKey: true }), typing), { do: "complete" });
  assert.equal(commandFor(press("Enter", { shiftKey: true }), typing), null); // a new line
  assert.equal(commandFor(press("z", { ctrlKey: true }), typing), null); // the field's own undo
});

test("with single keys off, no key that prints does anything, and all others still do", () => {
  const off = { ...situation, singleKeys: false };
  for (const key of ["0", "1", "a", "x", " ", "+", "-", "?"]) assert.equal(commandFor(press(key), off), null);
  assert.deepEqual(commandFor(press("F1"), off), { do: "help" });
  assert.deepEqual(commandFor(press("Enter", { ctrlKey: true }), off), { do: "complete" });
});

test("the browser keeps its own shortcuts", () => {
  for (const more of [{ ctrlKey: true }, { altKey: true }, { metaKey: true }]) {
    for (const key of ["1", "a", "r", "t", "+", "0"]) assert.equal(commandFor(press(key, more), situation), null);
  }
  assert.equal(commandFor(press("ArrowLeft", { altKey: true }), situation), null); // back
  assert.equal(commandFor(press("Tab"), situation), null);
});

test("arrows scroll, move with Shift and shift the images with Control", () => {
  assert.deepEqual(commandFor(press("ArrowLeft", { shiftKey: true }), situation), { do: "move", edge: "left" });
  assert.deepEqual(commandFor(press("ArrowUp", { ctrlKey: true }), situation), { do: "pan", edge: "top" });
  assert.deepEqual(commandFor(press("ArrowLeft"), situation), { do: "question", step: -1 });
});

test("a focused button is pressed, a focused box ticked; options have their arrows with single keys off", () => {
  assert.ok(isNative(press("Enter"), "button", true));
  assert.ok(isNative(press(" "), "checkbox", true));
  assert.ok(!isNative(press("Enter"), "checkbox", true));
  assert.ok(!isNative(press("ArrowUp"), "radio", true));
  assert.ok(isNative(press("ArrowUp"), "radio", false));
  assert.ok(!isNative(press("Enter", { ctrlKey: true }), "button", true));
});

test("the help lists every key that a study gave", () => {
  const listed = keyTable([scale, ticks, text], windows).flatMap(([keys]) => keys.split(" "));
  for (const key of ["0", "1", "A", "X"]) assert.ok(listed.includes(key), key);
});
