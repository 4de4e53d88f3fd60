/**
 * @file How long the reader has looked at a case.
 */

/**
 * A stopwatch that stands while the page is hidden and goes on from an earlier page's reading.
 *
 * @param {() => number} [now] Milliseconds of a clock that never goes back.
 */
export function createClock(now = () => performance.now()) {
  let before = 0;
  /** @type {number | null} */
  let since = null;

  return {
    /** @param {number} [elapsedMs] Already spent on this case. */
    start(elapsedMs = 0) {
      before = elapsedMs;
      since = now();
    },
    hold() {
      if (since === null) return;
      before += now() - since;
      since = null;
    },
    resume() {
      since ??= now();
    },
    elapsedMs: () => Math.round(before + (since === null ? 0 : now() - since)),
  };
}
