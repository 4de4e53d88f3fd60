/**
 * @file The keyboard of the reading page: presses become commands, commands become answers and images.
 */

import { activeQuestion, choose, proceed, stepQuestion, undo } from "./case.js";
import { dialogOpen, toggleHelp } from "./dialogs.js";
import { byId } from "./elements.js";
import { complete } from "./flow.js";
import { commandFor, isNative, keyTable } from "./keys.js";
import { obeyImages } from "./stage.js";
import { showNotice } from "./status.js";

/** @import {Case} from "./case.js" */
/** @import {Command} from "./keys.js" */
/** @import {Session} from "./session.js" */

const SINGLE_KEYS = "single-keys";

/** @param {EventTarget | null} target */
function focusOf(target) {
  if (target instanceof HTMLTextAreaElement) return "text";
  if (target instanceof HTMLButtonElement) return "button";
  if (target instanceof HTMLInputElement && (target.type === "checkbox" || target.type === "radio")) return target.type;
  return "other";
}

/**
 * @param {Session} session
 * @param {Case} reading
 * @param {Command} command
 */
function obey(session, reading, command) {
  if (session.busy) return;
  showNotice("");
  if (command.do === "option") choose(reading, command.value);
  else if (command.do === "question") stepQuestion(reading, command.step);
  else if (command.do === "undo") undo(reading);
  else if (command.do === "complete") void complete(session);
  else if (command.do === "leave") byId("viewer", HTMLElement).focus();
  else if (command.do === "proceed" && !proceed(reading)) void complete(session);
}

/** Lets the reader turn off keys that print something, as WCAG 2.1.4 asks. */
function singleKeySwitch() {
  const box = byId("single-keys", HTMLInputElement);
  box.checked = sessionStorage.getItem(SINGLE_KEYS) !== "off";
  box.addEventListener("change", () => sessionStorage.setItem(SINGLE_KEYS, box.checked ? "on" : "off"));
  return () => box.checked;
}

/** @param {Session} session */
export function listenToKeys(session) {
  const { questions, windows } = session.me.study;
  const singleKeys = singleKeySwitch();
  const help = () => toggleHelp(keyTable(questions, windows));

  document.addEventListener(
    "keydown",
    (event) => {
      const reading = session.current;
      if (event.isComposing || dialogOpen() || !reading || byId("case", HTMLElement).hidden) return;
      const focus = focusOf(event.target);
      if (isNative(event, focus, singleKeys())) return;
      const situation = {
        active: activeQuestion(reading),
        windows,
        typing: focus === "text",
        singleKeys: singleKeys(),
      };
      const command = commandFor(event, situation);
      if (!command) return;
      event.preventDefault();
      event.stopPropagation();
      if (command.do === "help") help();
      else if (!obeyImages(session.stage, command)) obey(session, reading, command);
    },
    { capture: true },
  );
  byId("help-button", HTMLButtonElement).addEventListener("click", help);
  byId("undo", HTMLButtonElement).addEventListener("click", () => {
    if (!session.busy && session.current) undo(session.current);
  });
  byId("complete", HTMLButtonElement).addEventListener("click", () => void complete(session));
}
