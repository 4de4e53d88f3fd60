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
 * @property {(answers: Answers, waiting: Set<string>) => void} update
 * @property {(id: string) => void} focus Makes a question the active one.
 * @property {() => void} flush Saves a comment that is being typed.
 * @property {(id: string) => HTMLElement} card
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
  const cards = new Map(questions.map((question, number) => [question.id, card(question, number)]));
  form.replaceChildren(...cards.values());
  /** @type {Answers} */
  let current = {};
  let typingTimer = 0;

  /** @param {Question} question @param {HTMLTextAreaElement} area */
  function saveText(question, area) {
    clearTimeout(typingTimer);
    const text = area.value.trim();
    if (text !== (current[question.id] ?? "")) onAnswer(question, text);
  }

  for (const question of questions) {
    const node = /** @type {HTMLFieldSetElement} */ (cards.get(question.id));
    node.addEventListener("focusin", () => onActive(question));
    const area = node.querySelector("textarea");
    if (area) {
      area.addEventListener("input", () => {
        clearTimeout(typingTimer);
        typingTimer = setTimeout(() => saveText(question, area), TYPING_PAUSE_MS);
      });
      area.addEventListener("blur", () => saveText(question, area));
      continue;
    }
    node.addEventListener("change", () => {
      const chosen = [...node.querySelectorAll("input")].filter((input) => input.checked).map((input) => input.value);
      onAnswer(question, question.kind === "ticks" ? chosen : (chosen[0] ?? null));
    });
  }
  form.addEventListener("submit", (event) => event.preventDefault());

  return {
    card: (id) => /** @type {HTMLElement} */ (cards.get(id)),
    flush() {
      for (const question of questions) {
        const area = cards.get(question.id)?.querySelector("textarea");
        if (area) saveText(question, area);
      }
    },
    focus(id) {
      const node = cards.get(id);
      const field = node?.querySelector("textarea") ?? node?.querySelector("input:checked") ?? node?.querySelector("input");
      if (field instanceof HTMLElement) field.focus({ preventScroll: true });
      node?.scrollIntoView({ block: "nearest" });
    },
    update(answers, waiting) {
      current = answers;
      for (const question of questions) {
        const node = /** @type {HTMLElement} */ (cards.get(question.id));
        fill(node, answers[question.id] ?? null);
        const answered = isAnswered(question, answers[question.id]);
        node.classList.toggle("answered", answered);
        const state = waiting.has(question.id) ? "not saved yet" : answered ? "saved" : question.required ? "" : "optional";
        const label = node.querySelector(".state");
        if (label && label.textContent !== state) label.textContent = state;
      }
    },
  };
}

/**
 * @param {HTMLElement} node
 * @param {Value} value
 */
function fill(node, value) {
  const area = node.querySelector("textarea");
  if (area) {
    if (document.activeElement !== area) area.value = typeof value === "string" ? value : "";
    return;
  }
  const chosen = new Set(Array.isArray(value) ? value : [value]);
  for (const input of node.querySelectorAll("input")) input.checked = chosen.has(input.value);
}
