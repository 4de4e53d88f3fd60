/**
 * @file Calls to the server: JSON in, JSON out, and which failures pass by themselves.
 */

/** The server said no, and would say it again. */
export class Refused extends Error {
  /**
   * @param {number} status HTTP status.
   * @param {string} message The server's sentence.
   * @param {number} [retryAfterS] Seconds to wait, where the server said so.
   */
  constructor(status, message, retryAfterS = 0) {
    super(message);
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

/** The server did not answer, or not sensibly; the same call may work later. */
export class Away extends Error {}

/** Statuses that pass: restarting or busy servers, time-outs, too many calls. */
const PASSING = new Set([408, 429, 500, 502, 503, 504]);

const TIMEOUT_MS = 20_000;

/**
 * @param {Response} response
 * @returns {Promise<string>} The server's sentence, or one of ours where it gave none.
 */
async function sentence(response) {
  try {
    const body = await response.json();
    if (typeof body.error === "string") return body.error;
  } catch {
    // not JSON: a proxy's page
  }
  return `The server answered with status ${response.status}.`;
}

/**
 * One call; throws `Away` for what passes and `Refused` for what does not.
 *
 * @param {string} method
 * @param {string} path
 * @param {{body?: unknown, csrf?: string, keepalive?: boolean, passing?: boolean}} [options] `passing: false` hands
 *   status 429 to the caller, who shows the waiting time.
 * @returns {Promise<Response>}
 */
async function request(method, path, options = {}) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (options.csrf) headers["X-CSRF-Token"] = options.csrf;
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      credentials: "same-origin",
      keepalive: options.keepalive ?? false,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new Away("The server does not answer.");
  }
  if (response.ok) return response;
  const message = await sentence(response);
  const retryAfterS = Number(response.headers.get("Retry-After")) || 0;
  if (PASSING.has(response.status) && options.passing !== false) throw new Away(message);
  throw new Refused(response.status, message, retryAfterS);
}

/**
 * @template T
 * @param {string} method
 * @param {string} path
 * @param {Parameters<typeof request>[2]} [options]
 * @returns {Promise<T>} The body, or null where there is none.
 */
export async function callJson(method, path, options) {
  const response = await request(method, path, options);
  if (response.status === 204) return /** @type {T} */ (null);
  try {
    return await response.json();
  } catch {
    throw new Away("The server's answer broke off.");
  }
}

/**
 * @param {string} path
 * @returns {Promise<ArrayBuffer>}
 */
export async function callBytes(path) {
  const response = await request("GET", path);
  try {
    return await response.arrayBuffer();
  } catch {
    throw new Away("The volume broke off.");
  }
}
