/**
 * @file Trying again while the server is away: how long to wait, and until when.
 */

import { Away } from "./api.js";

const FIRST_MS = 400;
const LONGEST_MS = 8_000;

/**
 * Milliseconds before the next try: doubling, at most 8 s, spread by a fifth so that readers do not all return at once.
 *
 * @param {number} failures How many tries failed so far, at least 1.
 * @param {number} [chance] In [0, 1).
 */
export function backoffMs(failures, chance = Math.random()) {
  const pause = Math.min(LONGEST_MS, FIRST_MS * 2 ** (failures - 1));
  return Math.round(pause * (0.8 + 0.4 * chance));
}

/**
 * Resolves after so many milliseconds, or earlier when the browser finds its network again.
 *
 * @param {number} milliseconds
 * @returns {Promise<void>}
 */
export function pause(milliseconds) {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    globalThis.addEventListener?.("online", done, { once: true });
    function done() {
      clearTimeout(timer);
      globalThis.removeEventListener?.("online", done);
      resolve();
    }
  });
}

/**
 * The result of `attempt`, repeated while it throws `Away`; any other failure goes to the caller.
 *
 * @template T
 * @param {() => Promise<T>} attempt
 * @param {{wait?: (ms: number) => Promise<void>, onAway?: (failures: number) => void}} [options]
 * @returns {Promise<T>}
 */
export async function persist(attempt, { wait = pause, onAway = () => {} } = {}) {
  for (let failures = 0; ;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Away)) throw error;
      failures += 1;
      onAway(failures);
      await wait(backoffMs(failures));
    }
  }
}
