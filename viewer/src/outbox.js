/**
 * @file Answers on their way: sent one after the other, kept until the server has them.
 */

import { Away, Refused } from "./api.js";
import { backoffMs, pause } from "./patience.js";

/** @import {Answers} from "./contract.js" */
/** @import {Entry} from "./answers.js" */

/**
 * @typedef {object} Outbox
 * @property {(entry: Entry) => void} add
 * @property {(slot?: string) => Entry[]} waiting Oldest first; of one slot where it is given.
 * @property {() => Promise<void>} drained Resolves once nothing waits.
 * @property {() => void} start Goes on with what an earlier page left.
 */

/**
 * @param {string | null} text
 * @returns {Entry[]} What was kept; nothing where it cannot be read.
 */
function parse(text) {
  try {
    const entries = JSON.parse(text ?? "[]");
    return Array.isArray(entries) ? entries : [];
  } catch {
    return [];
  }
}

/**
 * A queue that survives a reload. An entry leaves it when the server has it, or has refused it for good; where the
 * session ended (401), all stay for after the next sign-in.
 *
 * @param {object} options
 * @param {(entry: Entry) => Promise<Answers>} options.send
 * @param {Pick<Storage, "getItem" | "setItem" | "removeItem">} options.storage
 * @param {string} options.name Under which the storage keeps it.
 * @param {(entry: Entry, answers: Answers) => void} options.onSaved
 * @param {(entry: Entry, error: Refused) => void} options.onRefused
 * @param {(failures: number) => void} options.onState Called with the failed tries so far; 0 when all is well.
 * @param {() => void} options.onSignedOut
 * @param {(ms: number) => Promise<void>} [options.wait]
 * @returns {Outbox}
 */
export function createOutbox({ send, storage, name, onSaved, onRefused, onState, onSignedOut, wait = pause }) {
  const queue = parse(storage.getItem(name));
  /** @type {(() => void)[]} */
  let waiters = [];
  let sending = false;

  function keep() {
    if (queue.length) storage.setItem(name, JSON.stringify(queue));
    else storage.removeItem(name);
  }

  async function drain() {
    if (sending) return;
    sending = true;
    for (let failures = 0; queue.length; ) {
      try {
        const answers = await send(queue[0]);
        const entry = /** @type {Entry} */ (queue.shift());
        failures = 0;
        keep();
        onSaved(entry, answers);
      } catch (error) {
        if (error instanceof Refused && error.status === 401) {
          sending = false;
          onSignedOut();
          return;
        }
        if (error instanceof Refused) {
          const entry = /** @type {Entry} */ (queue.shift());
          keep();
          onRefused(entry, error);
          continue;
        }
        if (!(error instanceof Away)) throw error;
        failures += 1;
        onState(failures);
        await wait(backoffMs(failures));
      }
    }
    sending = false;
    onState(0);
    const done = waiters;
    waiters = [];
    done.forEach((resolve) => resolve());
  }

  return {
    add(entry) {
      queue.push(entry);
      keep();
      void drain();
    },
    waiting: (slot) => (slot === undefined ? [...queue] : queue.filter((entry) => entry.slot === slot)),
    drained: () => (queue.length ? new Promise((resolve) => waiters.push(resolve)) : Promise.resolve()),
    start: () => void drain(),
  };
}
