/**
 * @file Calls to the server: JSON in, JSON out, and which failures pass by themselves.
 */

/** The server said no, and would say it again. */
export class Refused extends Error {
  /**
   * @param {number} status HTTP status.
   * @param {string} message The server's sentence.
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The server did not answer, or not sensibly; the same call may work later. */
export class Away extends Error {}

/** Statuses that pass: restarting or busy servers, time-outs, too many calls. */
const PASSING = new Set([408, 429, 500, 502, 503, 504]);

/** A small answer that takes longer is lost; a volume may take its time on a slow line. */
const TIMEOUT_MS = 20_000;
const VOLUME_TIMEOUT_MS = 300_000;

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
 * @param {{body?: unknown, csrf?: string, keepalive?: boolean, passing?: boolean,
 *   timeoutMs?: number}} [options] `passing: false`: no status passes, the caller shows the server's sentence.
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
      signal: AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS),
    });
  } catch {
    throw new Away("The server does not answer.");
  }
  if (response.ok) return response;
  const message = await sentence(response);
  if (PASSING.has(response.status) && options.passing !== false) throw new Away(message);
  throw new Refused(response.status, message);
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
  const response = await request("GET", path, { timeoutMs: VOLUME_TIMEOUT_MS });
  try {
    return await response.arrayBuffer();
  } catch {
    throw new Away("The volume broke off.");
  }
}
