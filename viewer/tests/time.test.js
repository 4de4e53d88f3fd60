import assert from "node:assert/strict";
import { test } from "node:test";

import { Away, Refused } from "../src/api.js";
import { createClock } from "../src/clock.js";
import { backoffMs, persist } from "../src/patience.js";
import { lockText } from "../src/screens.js";
import { savingText } from "../src/status.js";
import { createVolumes } from "../src/volumes.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

test("hidden time does not count, and time before a reload does", () => {
  let now = 1_000;
  const clock = createClock(() => now);
  clock.start(500);
  now += 300;
  clock.hold();
  now += 10_000;
  clock.resume();
  clock.resume();
  now += 200;
  assert.equal(clock.elapsedMs(), 1_000);
});

test("pauses double up to eight seconds, spread by a fifth", () => {
  for (const chance of [0, 0.5, 0.999]) {
    for (let failures = 1; failures < 30; failures += 1) {
      const pause = backoffMs(failures, chance);
      assert.ok(pause >= 320 && pause <= 9_600);
    }
  }
  assert.equal(backoffMs(2, 0.5), 2 * backoffMs(1, 0.5));
  assert.equal(backoffMs(20, 0.5), 8_000);
});

test("what passes is tried again, what does not is not", async () => {
  let tries = 0;
  const wait = async () => {};
  const answer = await persist(
    async () => {
      tries += 1;
      if (tries < 4) throw new Away("away");
      return "here";
    },
    { wait },
  );
  assert.deepEqual([answer, tries], ["here", 4]);
  await assert.rejects(
    persist(
      async () => {
        throw new Refused(404, "no");
      },
      { wait },
    ),
    Refused,
  );
});

test("a prefetched volume is fetched once, a failed prefetch is made good", async () => {
  /** @type {string[]} */
  const asked = [];
  let failing = false;
  const volumes = createVolumes(async (url) => {
    asked.push(url);
    if (failing) throw new Away("away");
    return new ArrayBuffer(8);
  });
  volumes.prefetch("/b");
  volumes.prefetch("/b");
  await volumes.load("/b", () => {});
  assert.deepEqual(asked, ["/b"]);
  failing = true;
  volumes.prefetch("/c");
  await Promise.resolve();
  failing = false;
  assert.equal((await volumes.load("/c", () => {})).byteLength, 8);
  volumes.prefetch("/d");
  await volumes.load("/e", () => {});
  assert.deepEqual(asked.slice(1), ["/c", "/c", "/d", "/e"]);
});

test("a pause is told in days and hours, or in hours and minutes when it is short", () => {
  const now = new Date("2026-11-29T12:00:00Z");
  const after = (ms) => lockText(new Date(now.getTime() + ms), now);
  assert.match(after(28 * 24 * HOUR), /in 28 days\./);
  assert.match(after(25 * HOUR), /in 1 day 1 h\./);
  assert.match(after(90 * MINUTE), /in 1 h 30 min\./);
  assert.match(after(-5 * MINUTE), /in 1 min\./);
});

test("the state of saving is one plain sentence", () => {
  assert.equal(savingText(0, 3), "All answers saved");
  assert.equal(savingText(2, 0), "Saving…");
  assert.match(savingText(1, 2), /^Not saved yet: 1 answer is kept/);
  assert.match(savingText(3, 2), /^Not saved yet: 3 answers are kept/);
});
