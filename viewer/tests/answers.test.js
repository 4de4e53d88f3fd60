import assert from "node:assert/strict";
import { test } from "node:test";

import { changed, firstOpen, isAnswered, shown, toggled } from "../src/answers.js";

const answer = (question, value) => ({ kind: "answer", slot: "s", key: "k", question, value });
const undo = { kind: "undo", slot: "s", key: "k" };
const scale = { id: "quality", kind: "scale", required: true, options: [] };
const ticks = { id: "artefacts", kind: "ticks", required: false, options: ["a", "b", "c"].map((value) => ({ value })) };
const text = { id: "comment", kind: "text", required: false, options: [] };

test("what waits lies over what is saved, the last answer on top, and the saved record stays as it was", () => {
  const saved = { quality: "1" };
  assert.deepEqual(shown(saved, [answer("quality", "2"), answer("quality", "3"), answer("origin", "x")]), {
    quality: "3",
    origin: "x",
  });
  assert.deepEqual(saved, { quality: "1" });
});

test("a waiting undo takes back the waiting answer before it, one by one", () => {
  const waiting = [answer("quality", "2"), answer("quality", "3"), undo];
  assert.equal(shown({ quality: "1" }, waiting).quality, "2");
  assert.equal(shown({ quality: "1" }, [...waiting, undo]).quality, "1");
  assert.equal(shown({}, [answer("quality", "2"), undo]).quality, null);
});

test("an undo with nothing waiting before it shows the saved answers until the server has spoken", () => {
  assert.deepEqual(shown({ quality: "1" }, [undo]), { quality: "1" });
  assert.deepEqual(shown({ quality: "1" }, [undo, answer("quality", "0")]), { quality: "0" });
});

test("zero is an answer, no ticks are one once given, an empty comment and a withdrawn answer are none", () => {
  assert.ok(isAnswered(scale, "0"));
  assert.ok(isAnswered(ticks, []));
  assert.ok(!isAnswered(ticks, undefined));
  assert.ok(!isAnswered(text, ""));
  assert.ok(!isAnswered(scale, null));
});

test("the first open question is looked for from here on and then from the start; optional ones are never open", () => {
  const questions = [scale, { ...scale, id: "diagnostic" }, ticks, text];
  assert.equal(firstOpen(questions, {}, 1), 1);
  assert.equal(firstOpen(questions, { diagnostic: "2" }, 1), 0);
  assert.equal(firstOpen(questions, { diagnostic: "2", quality: "0" }), -1);
});

test("ticks are kept in the order of the options, and ticking twice is not ticking", () => {
  assert.deepEqual(toggled(ticks, ["c"], "a"), ["a", "c"]);
  assert.deepEqual(toggled(ticks, toggled(ticks, null, "b"), "b"), []);
});

test("changed names the questions whose answers differ, absent and withdrawn being the same", () => {
  assert.deepEqual(changed({ quality: "1", artefacts: ["a"] }, { quality: "2", artefacts: ["a"], origin: null }), [
    "quality",
  ]);
});
