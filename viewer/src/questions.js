/**
 * @file The panel of questions: native radio buttons, tick boxes and a text field, so that they work without our keys.
 */

import { isAnswered } from "./answers.js";
import { element } from "./elements.js";

/** @import {Answers, Option, Question, Value} from "./contract.js" */

/** A comment is saved when the reader pauses for so long, or leaves it. */
const TYPING_PAUSE_MS = 2_000;

/**
 * @typedef {object} Panel
 * @property {(answers: Answers, waiting: Set<string>, active: string | undefined) => void} update
 * @property {(id: string) => void} focus Makes a question the active one.
 * @property {() => void} flush Saves a comment that is being typed.
 */

/**
 * @param {Question} question
 * @param {Option} option
 * @param {number} number
 */
function optionRow(question, option, number) {
  const type = question.kind === "ticks" ? "checkbox" : "radio";
  const id = `${question.id}-${number}`;
  const input = element("input", { type, id, name: question.id, value: option.value, class: "option-input" });
  const cap = element("kbd", { "aria-hidden": "true" }, option.key.toUpperCase());
  return element("label", { class: "option", for: id }, input, cap, element("span", {}, option.label));
}

/**
 * @param {Question} question
 * @param {number} number
 * @returns {HTMLFieldSetElement}
 */
function card(question, number) {
  const legend = element(
    "legend",
    {},
    element("span", { class: "number", "aria-hidden": "true" }, `${number + 1}`),
    element("span", { class: "prompt" }, question.prompt),
    element("span", { class: "state" }, question.required ? "" : "optional"),
  );
  const body =
    question.kind === "text"
      ? element("textarea", { rows: "2", "aria-label": question.prompt, maxlength: "4000", spellcheck: "false" })
      : element("div", { class: "options" }, ...question.options.map((option, n) => optionRow(question, option, n)));
  return element("fieldset", { class: `question ${question.kind}`, "data-question": question.id }, legend, body);
}

/**
 * @param {HTMLFormElement} form
 * @param {Question[]} questions
 * @param {object} listeners
 * @param {(question: Question, value: Value) => void} listeners.onAnswer
 * @param {(question: Question) => void} listeners.onActive
 * @returns {Panel}
 */
export function buildPanel(form, questions, { onAnswer, onActive }) {
  const cards = questions.map(card);
  /** @type {(() => void)[]} */
  const flushes = [];
  form.replaceChildren(...cards);
  form.addEventListener("submit", (event) => event.preventDefault());
  questions.forEach((question, index) => {
    const node = cards[index];
    node.addEventListener("focusin", () => onActive(question));
    const area = node.querySelector("textarea");
    if (area) flushes.push(listenToText(area, (text) => onAnswer(question, text)));
    else node.addEventListener("change", () => onAnswer(question, chosenIn(node, question)));
  });

  return {
    flush: () => flushes.forEach((flush) => flush()),
    focus(id) {
      const node = cards[questions.findIndex((question) => question.id === id)];
      const field =
        node.querySelector("textarea") ?? node.querySelector("input:checked") ?? node.querySelector("input");
      if (field instanceof HTMLElement) field.focus({ preventScroll: true });
      node.scrollIntoView({ block: "nearest" });
    },
    update(answers, waiting, active) {
      questions.forEach((question, index) => {
        const value = answers[question.id] ?? null;
        fill(cards[index], value);
        cards[index].classList.toggle("active", question.id === active);
        mark(cards[index], question, isAnswered(question, value), waiting.has(question.id));
      });
    },
  };
}

/**
 * Calls back with a text that differs from the last one, when the reader pauses or leaves it.
 *
 * @param {HTMLTextAreaElement} area
 * @param {(text: string) => void} onText
 * @returns {() => void} Does so now.
 */
function listenToText(area, onText) {
  let timer = 0;
  function flush() {
    clearTimeout(timer);
    const text = area.value.trim();
    if (text !== (area.dataset.known ?? "")) {
      area.dataset.known = text;
      onText(text);
    }
  }
  area.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(flush, TYPING_PAUSE_MS);
  });
  area.addEventListener("blur", flush);
  return flush;
}

/** @param {HTMLElement} node @param {Question} question @returns {Value} */
function chosenIn(node, question) {
  const chosen = [...node.querySelectorAll("input")].filter((input) => input.checked).map((input) => input.value);
  return question.kind === "ticks" ? chosen : (chosen[0] ?? null);
}

/** @param {HTMLElement} node @param {Value} value A text that is being typed stays as it is. */
function fill(node, value) {
  const area = node.querySelector("textarea");
  if (area) {
    if (document.activeElement === area) return;
    area.value = area.dataset.known = typeof value === "string" ? value : "";
    return;
  }
  const chosen = new Set(Array.isArray(value) ? value : [value]);
  for (const input of node.querySelectorAll("input")) input.checked = chosen.has(input.value);
}

/**
 * @param {HTMLElement} node
 * @param {Question} question
 * @param {boolean} answered
 * @param {boolean} waits
 */
function mark(node, question, answered, waits) {
  node.classList.toggle("answered", answered);
  node.classList.toggle("waits", waits);
  const unanswered = question.required ? "" : "optional";
  const state = waits ? "not saved yet" : answered ? "saved" : unanswered;
  const label = node.querySelector(".state");
  if (label && label.textContent !== state) label.textContent = state;
}
