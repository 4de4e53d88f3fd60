/**
 * @file What is answered: the server's record with what still waits to be saved laid over it.
 */

/** @import {Answers, Question, Value} from "./contract.js" */

/**
 * @typedef {object} Entry An answer, or the taking back of one, on its way to the server.
 * @property {"answer" | "undo"} kind
 * @property {string} slot
 * @property {string} key Idempotency key: sent twice, recorded once.
 * @property {string} [question]
 * @property {Value} [value]
 * @property {number} [elapsed_ms]
 */

/**
 * What the reader should see. A waiting undo takes back the waiting answer before it; with none before it, only the
 * server knows what it restores, and nothing changes until it says so.
 *
 * @param {Answers} saved
 * @param {Entry[]} waiting Oldest first, of one slot.
 * @returns {Answers}
 */
export function shown(saved, waiting) {
  const answers = { ...saved };
  /** @type {[string, Value][]} */
  const before = [];
  for (const entry of waiting) {
    if (entry.kind === "answer" && entry.question !== undefined) {
      before.push([entry.question, answers[entry.question] ?? null]);
      answers[entry.question] = entry.value ?? null;
    } else {
      const last = before.pop();
      if (last) answers[last[0]] = last[1];
    }
  }
  return answers;
}

/**
 * Whether a question has an answer: an empty comment is none, ticking nothing is one once it was said.
 *
 * @param {Question} question
 * @param {Value | undefined} value
 */
export function isAnswered(question, value) {
  if (value === null || value === undefined) return false;
  return question.kind === "ticks" || value !== "";
}

/**
 * Index of the first required question without an answer, looking from `from` on and then from the start; -1 for none.
 *
 * @param {Question[]} questions
 * @param {Answers} answers
 * @param {number} [from]
 */
export function firstOpen(questions, answers, from = 0) {
  for (let step = 0; step < questions.length; step += 1) {
    const index = (from + step) % questions.length;
    if (questions[index].required && !isAnswered(questions[index], answers[questions[index].id])) return index;
  }
  return -1;
}

/**
 * The ticks with one more, or one fewer, in the order of the options.
 *
 * @param {Question} question
 * @param {Value | undefined} value
 * @param {string} tick
 * @returns {string[]}
 */
export function toggled(question, value, tick) {
  const ticked = new Set(Array.isArray(value) ? value : []);
  if (!ticked.delete(tick)) ticked.add(tick);
  return question.options.map((option) => option.value).filter((option) => ticked.has(option));
}

/**
 * Ids of the questions whose answers differ.
 *
 * @param {Answers} one
 * @param {Answers} other
 */
export function changed(one, other) {
  const ids = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...ids].filter((id) => JSON.stringify(one[id] ?? null) !== JSON.stringify(other[id] ?? null));
}
