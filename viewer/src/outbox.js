/**
 * @file Answers on their way: sent one after the other, kept until the server has them.
 */

import { Away, Refused } from "./api.js";
import { backoffMs, pause } from "./patience.js";

/** @import {Answers} from "./contract.js" */
/** @import {Entry} from "./answers.js" */

/**
 * @typedef {object} Post How entries are kept and sent, and who is told.
 * @property {(entry: Entry) => Promise<Answers>} send
 * @property {Pick<Storage, "getItem" | "setItem" | "removeItem">} storage
 * @property {string} name Under which the storage keeps what waits.
 * @property {(entry: Entry, answers: Answers) => void} onSaved
 * @property {(entry: Entry, error: Refused) => void} onRefused
 * @property {() => void} onState Called when an answer has come, when a try has failed, and when all is saved.
 * @property {() => void} onSignedOut
 * @property {(ms: number) => Promise<void>} [wait]
 */

/**
 * @typedef {object} Outbox A queue that survives a reload.
 * @property {Post} post
 * @property {Entry[]} queue Oldest first.
 * @property {(() => void)[]} waiters Called once nothing waits.
 * @property {number} failures Tries to save that failed since the last success.
 * @property {boolean} sending
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
 * With what an earlier page left; `sendAll` goes on with it.
 *
 * @param {Post} post
 * @returns {Outbox}
 */
export function createOutbox(post) {
  return { post, queue: parse(post.storage.getItem(post.name)), waiters: [], failures: 0, sending: false };
}

/** @param {Outbox} outbox @param {Entry} entry */
export function addEntry(outbox, entry) {
  outbox.queue.push(entry);
  keep(outbox);
  outbox.post.onState();
  void sendAll(outbox);
}

/**
 * What waits, oldest first; of one case where its slot is given.
 *
 * @param {Outbox} outbox
 * @param {string} [slot]
 */
export function waitingIn({ queue }, slot) {
  return slot === undefined ? [...queue] : queue.filter((entry) => entry.slot === slot);
}

/** @param {Outbox} outbox @returns {Promise<void>} Resolves once nothing waits. */
export function drained({ queue, waiters }) {
  return queue.length ? new Promise((resolve) => waiters.push(resolve)) : Promise.resolve();
}

/** @param {Outbox} outbox */
function keep({ queue, post }) {
  if (queue.length) post.storage.setItem(post.name, JSON.stringify(queue));
  else post.storage.removeItem(post.name);
}

/**
 * The first entry leaves the queue when the server has it, or has refused it for good. Where the session ended (401)
 * all stay, for after the next sign-in.
 *
 * @param {Outbox} outbox
 */
async function sendFirst(outbox) {
  const { queue, post } = outbox;
  const entry = queue[0];
  /** @type {Answers | Refused} */
  const outcome = await post.send(entry).catch((error) => {
    if (error instanceof Refused && error.status !== 401) return error;
    throw error;
  });
  queue.shift();
  keep(outbox);
  outbox.failures = 0;
  if (outcome instanceof Refused) post.onRefused(entry, outcome);
  else post.onSaved(entry, outcome);
}

/** @param {Outbox} outbox Sends what waits, trying again while the server is away. */
export async function sendAll(outbox) {
  if (outbox.sending) return;
  outbox.sending = true;
  const { queue, post } = outbox;
  try {
    while (queue.length) {
      try {
        await sendFirst(outbox);
      } catch (error) {
        if (!(error instanceof Away)) throw error;
        outbox.failures += 1;
        post.onState();
        await (post.wait ?? pause)(backoffMs(outbox.failures));
      }
    }
    post.onState();
    outbox.waiters.splice(0).forEach((resolve) => resolve());
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    post.onSignedOut();
  } finally {
    outbox.sending = false;
  }
}
