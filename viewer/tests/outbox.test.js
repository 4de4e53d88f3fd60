import assert from "node:assert/strict";
import { test } from "node:test";

import { Away, Refused } from "../src/api.js";
import { addEntry, createOutbox, drained, sendAll, waitingIn } from "../src/outbox.js";

function memory(kept = {}) {
  return {
    kept,
    getItem: (name) => kept[name] ?? null,
    setItem: (name, text) => {
      kept[name] = text;
    },
    removeItem: (name) => {
      delete kept[name];
    },
  };
}

const entry = (key, slot = "s") => ({ kind: "answer", slot, key, question: "quality", value: "1", elapsed_ms: 5 });
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

/** A server that does what the script says, one word per call; then it takes everything. */
function box(script = [], storage = memory()) {
  const seen = { sent: [], saved: [], refused: [], states: [], waits: [], signedOut: 0 };
  const outbox = createOutbox({
    name: "pending",
    storage,
    async send({ key }) {
      seen.sent.push(key);
      const word = script.shift();
      if (word === "away") throw new Away("away");
      if (word) throw new Refused(word, "no");
      return { quality: key };
    },
    onSaved: ({ key }) => seen.saved.push(key),
    onRefused: ({ key }) => seen.refused.push(key),
    onState: () => seen.states.push([waitingIn(outbox).length, outbox.failures]),
    onSignedOut: () => {
      seen.signedOut += 1;
    },
    wait: async (ms) => {
      seen.waits.push(ms);
    },
  });
  return { outbox, seen, storage };
}

test("answers are sent in order, and nothing is kept once all are saved", async () => {
  const { outbox, seen, storage } = box();
  ["a", "b", "c"].forEach((key) => addEntry(outbox, entry(key)));
  await drained(outbox);
  assert.deepEqual(seen.saved, ["a", "b", "c"]);
  assert.deepEqual(storage.kept, {});
});

test("an answer on its way is told at once, so that nobody is told that all is saved", () => {
  const { outbox, seen } = box();
  addEntry(outbox, entry("a"));
  assert.deepEqual(seen.states, [[1, 0]]);
});

test("while the server is away the same answer with the same key is sent again, with growing pauses", async () => {
  const { outbox, seen } = box(["away", "away", "away"]);
  addEntry(outbox, entry("a"));
  addEntry(outbox, entry("b"));
  await drained(outbox);
  assert.deepEqual(seen.sent, ["a", "a", "a", "a", "b"]);
  assert.deepEqual(seen.saved, ["a", "b"]);
  assert.ok(seen.waits[0] < seen.waits[1] && seen.waits[1] < seen.waits[2]);
  const told = [[1, 0], [2, 0], [2, 1], [2, 2], [2, 3], [0, 0]]; // prettier-ignore
  assert.deepEqual(seen.states, told);
});

test("what waits survives the page: the next one sends it", async () => {
  const storage = memory();
  const stuck = createOutbox({
    ...{ name: "pending", storage, onSaved() {}, onRefused() {}, onState() {}, onSignedOut() {} },
    send: () => new Promise(() => {}), // the page dies while it waits
  });
  addEntry(stuck, entry("a"));
  addEntry(stuck, entry("b", "t"));
  const { outbox, seen } = box([], storage);
  assert.deepEqual(
    waitingIn(outbox, "t").map(({ key }) => key),
    ["b"],
  );
  void sendAll(outbox);
  await drained(outbox);
  assert.deepEqual(seen.saved, ["a", "b"]);
});

test("a refused answer is told, taken away and does not hold up the next", async () => {
  const { outbox, seen } = box([422]);
  addEntry(outbox, entry("a"));
  addEntry(outbox, entry("b"));
  await drained(outbox);
  assert.deepEqual([seen.refused, seen.saved], [["a"], ["b"]]);
});

test("where the session ended, every answer is kept for after the next sign-in", async () => {
  const { outbox, seen, storage } = box([401]);
  addEntry(outbox, entry("a"));
  addEntry(outbox, entry("b"));
  await settled();
  assert.equal(seen.signedOut, 1);
  assert.deepEqual(
    JSON.parse(storage.kept.pending).map(({ key }) => key),
    ["a", "b"],
  );
});

test("unreadable storage is an empty outbox, not a broken page", () => {
  const { outbox } = box([], memory({ pending: "{not json" }));
  assert.deepEqual(waitingIn(outbox), []);
});
