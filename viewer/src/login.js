/**
 * @file Signing in with an invite token, typed or taken from the part of the address that never reaches a server.
 */

import { Away, Refused, callJson } from "./api.js";
import { byId } from "./elements.js";

const form = byId("login", HTMLFormElement);
const field = byId("token", HTMLInputElement);
const button = byId("sign-in", HTMLButtonElement);
const message = byId("message", HTMLElement);

/** @param {unknown} error @returns {string} */
function explain(error) {
  if (error instanceof Away) return "The server does not answer. Try again in a moment.";
  if (!(error instanceof Refused)) throw error;
  return error.message;
}

async function signIn() {
  const token = field.value.trim().replace(/^.*#/, ""); // a whole link will do
  if (!token) {
    message.textContent = "Enter the token from your invitation.";
    field.focus();
    return;
  }
  button.disabled = true;
  message.textContent = "Signing in…";
  try {
    const { role } = await /** @type {Promise<{role: string}>} */ (
      callJson("POST", "/api/session", { body: { token }, passing: false })
    );
    location.replace(role === "admin" ? "/admin" : "/read");
  } catch (error) {
    message.textContent = explain(error);
    button.disabled = false;
    field.focus();
    field.select();
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void signIn();
});
if (location.hash.length > 1) {
  field.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  void signIn();
}
