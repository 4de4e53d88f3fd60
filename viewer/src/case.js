/**
 * @file One case: its answers, the active question, its time, and the view that the server keeps.
 */

import { changed, firstOpen, shown, toggled } from "./answers.js";
import { createClock } from "./clock.js";
import { byId } from "./elements.js";
import { readView, writeView } from "./view.js";

/** @import {Answers, Question, Slot, Study, Value} from "./contract.js" */
/** @import {Outbox} from "./outbox.js" */
/** @import {Panel} from "./questions.js" */
/** @import {Stage} from "./stage.js" */
/** @import {View} from "./view.js" */

const VIEW_PAUSE_MS = 250;
const VIEW_RETRY_MS = 2_000;

/**
 * @param {object} parts
 * @param {Study} parts.study
 * @param {Slot} parts.slot
 * @param {Outbox} parts.outbox
 * @param {Panel} parts.panel
 * @param {Stage} parts.stage
 * @param {(slot: string, view: View, last: boolean) => Promise<unknown>} parts.sendView
 */
export function createCase({ study, slot, outbox, panel, stage, sendView }) {
  const { questions } = study;
  const kept = readView(slot.view);
  const clock = createClock();
  let saved = slot.answers;
  let active = Math.max(0, questions.findIndex((question) => question.id === kept?.question));
  let viewTimer = 0;
  let open = false;

  const answers = () => shown(saved, outbox.waiting(slot.slot));

  function refresh() {
    const waiting = outbox.waiting(slot.slot).flatMap((entry) => (entry.question ? [entry.question] : []));
    panel.update(answers(), new Set(waiting));
    questions.forEach((question, index) => {
      panel.card(question.id).classList.toggle("active", index === active);
    });
    const ready = firstOpen(questions, answers()) < 0;
    byId("complete", HTMLButtonElement).classList.toggle("ready", ready);
  }

  /** @returns {View} */
  const view = () =>
    writeView({ ...stage.sight(), question: questions[active]?.id ?? null, elapsed_ms: clock.elapsedMs() });

  /** @param {number} [milliseconds] */
  function keepView(milliseconds = VIEW_PAUSE_MS) {
    clearTimeout(viewTimer);
    if (!open) return;
    viewTimer = setTimeout(() => {
      sendView(slot.slot, view(), false).catch(() => keepView(VIEW_RETRY_MS));
    }, milliseconds);
  }

  /** @param {number} index */
  function activate(index) {
    active = Math.min(questions.length - 1, Math.max(0, index));
    refresh();
    keepView();
  }

  /** @param {number} index Before the first or past the last question, that one. */
  function goTo(index) {
    activate(index);
    panel.focus(questions[active].id);
  }

  /** @param {Question} question @param {Value} value */
  function answer(question, value) {
    outbox.add({
      kind: "answer",
      slot: slot.slot,
      question: question.id,
      value,
      key: crypto.randomUUID(),
      elapsed_ms: clock.elapsedMs(),
    });
    refresh();
  }

  return {
    id: slot.slot,
    kept,
    /** Begins, or goes on: the time runs, and the question that was active is active. */
    begin() {
      open = true;
      clock.start(kept?.elapsed_ms ?? 0);
      refresh();
      goTo(active);
    },
    /** The case is over: nothing about it is sent any more. */
    end() {
      clearTimeout(viewTimer);
      open = false;
      clock.hold();
    },
    active: () => questions[active] ?? null,
    answers,
    answer,
    refresh,
    keepView,
    /** @param {Question} question */
    activateQuestion: (question) => activate(questions.indexOf(question)),
    /** @param {1 | -1} step */
    step: (step) => goTo(active + step),
    elapsedMs: () => clock.elapsedMs(),
    /** @param {string} value An option of the active question. */
    choose(value) {
      const question = questions[active];
      if (question.kind === "ticks") {
        answer(question, toggled(question, answers()[question.id], value));
      } else {
        answer(question, value);
        goTo(active + 1);
      }
    },
    /**
     * Goes on from the active question; a required one where nothing was ticked is answered with nothing.
     *
     * @returns {boolean} Whether there was a next one.
     */
    proceed() {
      const question = questions[active];
      panel.flush();
      if (question.kind === "ticks" && question.required && !Array.isArray(answers()[question.id])) answer(question, []);
      if (active === questions.length - 1) return false;
      goTo(active + 1);
      return true;
    },
    /** The first required question without an answer becomes active. @returns {Question | null} */
    openQuestion() {
      const index = firstOpen(questions, answers());
      if (index < 0) return null;
      goTo(index);
      return questions[index];
    },
    undo() {
      panel.flush();
      outbox.add({ kind: "undo", slot: slot.slot, key: crypto.randomUUID() });
      refresh();
    },
    /**
     * The server has answered: its record replaces ours.
     *
     * @param {Answers} next
     * @param {boolean} follow Whether the question that changed becomes active, as after an undo.
     */
    confirm(next, follow) {
      const before = saved;
      saved = next;
      const index = questions.findIndex((question) => changed(before, next).includes(question.id));
      if (follow && index >= 0) goTo(index);
      else refresh();
    },
    /** The page is hidden or leaves: time stands, and the view is sent while that is possible. */
    hide() {
      panel.flush();
      clock.hold();
      if (open) sendView(slot.slot, view(), true).catch(() => {});
    },
    show: () => open && clock.resume(),
  };
}

/** @typedef {ReturnType<typeof createCase>} Case */
