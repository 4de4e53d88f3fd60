/**
 * @file One case: its answers, the active question, its time, and the view that the server keeps.
 */

import { changed, firstOpen, shown, toggled } from "./answers.js";
import { createClock } from "./clock.js";
import { byId } from "./elements.js";
import { addEntry, waitingIn } from "./outbox.js";
import { sightOf } from "./stage.js";
import { readView, writeView } from "./view.js";

/** @import {Answers, Question, Slot, Value} from "./contract.js" */
/** @import {Outbox} from "./outbox.js" */
/** @import {Panel} from "./questions.js" */
/** @import {Stage} from "./stage.js" */
/** @import {View} from "./view.js" */

const VIEW_PAUSE_MS = 250;
const VIEW_RETRY_MS = 2_000;

/**
 * @typedef {object} CaseParts
 * @property {Question[]} questions
 * @property {Slot} slot
 * @property {Outbox} outbox
 * @property {Panel} panel
 * @property {Stage} stage
 * @property {(view: View, last: boolean) => Promise<unknown>} sendView `last`: the page may be gone a moment later.
 */

/**
 * @typedef {object} CaseState
 * @property {string} id
 * @property {View | null} kept The view of an earlier page.
 * @property {ReturnType<typeof createClock>} clock
 * @property {Answers} saved What the server has.
 * @property {number} active Index of the active question.
 * @property {number} viewTimer
 * @property {boolean} open
 */

/** @typedef {CaseParts & CaseState} Case */

/**
 * @param {CaseParts} parts
 * @returns {Case}
 */
export function createCase(parts) {
  const { questions, slot } = parts;
  const kept = readView(slot.view);
  const active = Math.max(
    0,
    questions.findIndex((question) => question.id === kept?.question),
  );
  return {
    ...parts,
    id: slot.slot,
    kept,
    clock: createClock(),
    saved: slot.answers,
    active,
    viewTimer: 0,
    open: false,
  };
}

/** @param {Case} reading Goes on where it was left: the time runs, and the question that was active is active. */
export function beginCase(reading) {
  reading.open = true;
  reading.clock.start(reading.kept?.elapsed_ms ?? 0);
  goTo(reading, reading.active);
}

/** @param {Case} reading It is over: nothing about it is sent any more. */
export function endCase(reading) {
  clearTimeout(reading.viewTimer);
  reading.open = false;
  reading.clock.hold();
}

/** @param {Case} reading @returns {Answers} What the reader sees: saved, or on the way. */
const answersOf = ({ saved, outbox, id }) => shown(saved, waitingIn(outbox, id));

/** @param {Case} reading */
export const activeQuestion = ({ questions, active }) => questions[active] ?? null;

/** @param {Case} reading */
export function refreshCase(reading) {
  const { questions, outbox, panel, id } = reading;
  const waiting = waitingIn(outbox, id).flatMap((entry) => (entry.question ? [entry.question] : []));
  const answers = answersOf(reading);
  panel.update(answers, new Set(waiting), questions[reading.active]?.id);
  byId("complete", HTMLButtonElement).classList.toggle("ready", firstOpen(questions, answers) < 0);
}

/** @param {Case} reading @returns {View} */
function viewOf(reading) {
  const question = activeQuestion(reading)?.id ?? null;
  return writeView({ ...sightOf(reading.stage), question, elapsed_ms: reading.clock.elapsedMs() });
}

/** @param {Case} reading @param {number} [milliseconds] After which the server is told, unless it changes again. */
export function keepView(reading, milliseconds = VIEW_PAUSE_MS) {
  clearTimeout(reading.viewTimer);
  if (!reading.open) return;
  reading.viewTimer = setTimeout(() => {
    reading.sendView(viewOf(reading), false).catch(() => keepView(reading, VIEW_RETRY_MS));
  }, milliseconds);
}

/** @param {Case} reading @param {Question} question */
export function activate(reading, question) {
  reading.active = reading.questions.indexOf(question);
  refreshCase(reading);
  keepView(reading);
}

/** @param {Case} reading @param {number} index Before the first or past the last question, that one. */
function goTo(reading, index) {
  const { questions, panel } = reading;
  const question = questions[Math.min(questions.length - 1, Math.max(0, index))];
  activate(reading, question);
  panel.focus(question.id);
}

/** @param {Case} reading @param {1 | -1} step */
export const stepQuestion = (reading, step) => goTo(reading, reading.active + step);

/** @param {Case} reading @param {Question} question @param {Value} value */
export function answer(reading, question, value) {
  addEntry(reading.outbox, {
    kind: "answer",
    slot: reading.id,
    question: question.id,
    value,
    key: crypto.randomUUID(),
    elapsed_ms: reading.clock.elapsedMs(),
  });
  refreshCase(reading);
}

/** @param {Case} reading @param {string} value An option of the active question. */
export function choose(reading, value) {
  const question = reading.questions[reading.active];
  if (question.kind === "ticks") {
    answer(reading, question, toggled(question, answersOf(reading)[question.id], value));
  } else {
    answer(reading, question, value);
    goTo(reading, reading.active + 1);
  }
}

/**
 * Goes on from the active question.
 *
 * @param {Case} reading
 * @returns {boolean} Whether there was a next one.
 */
export function proceed(reading) {
  reading.panel.flush();
  if (reading.active === reading.questions.length - 1) return false;
  goTo(reading, reading.active + 1);
  return true;
}

/**
 * The first required question without an answer, which becomes active; null where all are answered.
 *
 * @param {Case} reading
 */
export function openQuestion(reading) {
  const index = firstOpen(reading.questions, answersOf(reading));
  if (index < 0) return null;
  goTo(reading, index);
  return reading.questions[index];
}

/** @param {Case} reading */
export function undo(reading) {
  reading.panel.flush();
  addEntry(reading.outbox, { kind: "undo", slot: reading.id, key: crypto.randomUUID() });
  refreshCase(reading);
}

/**
 * The server has answered: its record replaces ours.
 *
 * @param {Case} reading
 * @param {Answers} answers
 * @param {boolean} follow Whether the question that changed becomes active, as after an undo.
 */
export function confirm(reading, answers, follow) {
  const differing = changed(reading.saved, answers);
  reading.saved = answers;
  const index = reading.questions.findIndex((question) => differing.includes(question.id));
  if (follow && index >= 0) goTo(reading, index);
  else refreshCase(reading);
}

/** @param {Case} reading The page is hidden or leaves: time stands, and the view is sent while that is possible. */
export function hideCase(reading) {
  reading.panel.flush();
  reading.clock.hold();
  if (reading.open) reading.sendView(viewOf(reading), true).catch(() => {});
}

/** @param {Case} reading */
export function unhideCase(reading) {
  if (reading.open) reading.clock.resume();
}
