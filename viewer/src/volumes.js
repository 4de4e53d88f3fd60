/**
 * @file Volumes from the server, the next one fetched while the reader looks at this one.
 */

import { persist } from "./patience.js";

/**
 * @param {(url: string) => Promise<ArrayBuffer>} fetchBytes
 */
export function createVolumes(fetchBytes) {
  /** @type {{url: string, bytes: Promise<ArrayBuffer>} | null} */
  let ahead = null;

  return {
    /**
     * The volume, waiting for the server where it is away.
     *
     * @param {string} url
     * @param {(failures: number) => void} onAway
     */
    async load(url, onAway) {
      const prefetched = ahead?.url === url ? ahead.bytes : null;
      ahead = null;
      if (prefetched) {
        try {
          return await prefetched;
        } catch {
          // asked for again below
        }
      }
      return persist(() => fetchBytes(url), { onAway });
    },

    /**
     * Fetches what will be wanted next; a failure is no news until it is wanted.
     *
     * @param {string | null} url
     */
    prefetch(url) {
      if (!url || ahead?.url === url) return;
      ahead = { url, bytes: fetchBytes(url) };
      ahead.bytes.catch(() => {});
    },
  };
}
