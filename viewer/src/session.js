/**
 * @file What a reading session is made of, put together once per page.
 */

import { Away, Refused, callBytes, callJson } from "./api.js";
import { activate, answer, confirm, keepView, refreshCase } from "./case.js";
import { byId } from "./elements.js";
import { createOutbox, waitingIn } from "./outbox.js";
import { persist } from "./patience.js";
import { buildPanel } from "./questions.js";
import { createStage } from "./stage.js";
import { showNotice, showSaving } from "./status.js";
import { createVolumes } from "./volumes.js";

/** @import {Entry} from "./answers.js" */
/** @import {Case} from "./case.js" */
/** @import {Answers, Me, Slot} from "./contract.js" */
/** @import {Outbox} from "./outbox.js" */
/** @import {Panel} from "./questions.js" */
/** @import {Stage} from "./stage.js" */

/** @typedef {(method: string, path: string, body?: unknown, keepalive?: boolean) => Promise<any>} Call */

/**
 * @typedef {object} Session
 * @property {Me} me
 * @property {Call} call
 * @property {Outbox} outbox
 * @property {Stage} stage
 * @property {Panel} panel
 * @property {ReturnType<typeof createVolumes>} volumes
 * @property {Case | null} current
 * @property {boolean} busy Whether a case is being opened or completed; answers wait for that.
 * @property {string} block Kind of the block of the last case.
 */

export const toLogin = () => location.replace("/login");

/**
 * Calls with the session's CSRF token, renewed where the server has another one by now.
 *
 * @param {string} csrf
 * @returns {Call}
 */
function createCall(csrf) {
  let token = csrf;
  return async (method, path, body, keepalive) => {
    try {
      return await callJson(method, path, { body, csrf: token, keepalive });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.status === 401) toLogin();
      if (error.status !== 403) throw error;
      const fresh = /** @type {Me} */ (await callJson("GET", "/api/me"));
      if (fresh.csrf === token) throw error;
      token = fresh.csrf;
      throw new Away("The session was renewed.");
    }
  };
}

/**
 * @param {Call} call
 * @param {Entry} entry
 * @returns {Promise<Answers>} All answers of the case, as the server has them now.
 */
async function send(call, { kind, slot, question, value, key, elapsed_ms }) {
  const path = `/api/slots/${slot}`;
  const { answers } =
    kind === "undo"
      ? await call("POST", `${path}/undo`, { key })
      : await call("PUT", `${path}/answers/${question}`, { value: value ?? null, key, elapsed_ms });
  return answers;
}

/**
 * @param {Session} session
 * @returns {Outbox}
 */
function sessionOutbox(session) {
  const { call, me } = session;
  return createOutbox({
    name: `pending:${me.name}`,
    storage: sessionStorage,
    send: (entry) => send(call, entry),
    onSaved(entry, answers) {
      if (entry.slot === session.current?.id) confirm(session.current, answers, entry.kind === "undo");
    },
    async onRefused(entry, error) {
      showNotice(entry.kind === "undo" ? error.message : `An answer was not recorded: ${error.message}`);
      if (entry.slot !== session.current?.id) return;
      const slot = /** @type {Slot} */ (await persist(() => call("GET", `/api/slots/${entry.slot}`)));
      if (entry.slot === session.current?.id) confirm(session.current, slot.answers, entry.kind === "answer");
    },
    onState() {
      if (!session.current) return;
      showSaving(waitingIn(session.outbox).length, session.outbox.failures);
      refreshCase(session.current);
    },
    onSignedOut: toLogin,
  });
}

/**
 * @param {Me} me
 * @returns {Promise<Session>}
 */
export async function createSession(me) {
  const session = /** @type {Session} */ ({
    me,
    call: createCall(me.csrf),
    current: null,
    busy: true,
    block: "",
  });
  session.outbox = sessionOutbox(session);
  session.stage = await createStage(me.study, () => session.current && keepView(session.current));
  session.panel = buildPanel(byId("questions", HTMLFormElement), me.study.questions, {
    onAnswer: (question, value) => session.current && answer(session.current, question, value),
    onActive: (question) => session.current && activate(session.current, question),
  });
  session.volumes = createVolumes(callBytes);
  return session;
}
