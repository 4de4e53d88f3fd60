/**
 * @file What the server and this page tell each other, as types; nothing runs here.
 */

/** @typedef {string | string[] | null} Value One answer; null where undo took it back. */
/** @typedef {Record<string, Value>} Answers Answer by question id. */

/**
 * @typedef {object} Option
 * @property {string} value What is recorded.
 * @property {string} label What the reader sees.
 * @property {string} key The key that chooses it while its question is active.
 */

/**
 * @typedef {object} Question
 * @property {string} id
 * @property {"scale" | "choice" | "ticks" | "text"} kind
 * @property {string} prompt
 * @property {boolean} required
 * @property {Option[]} options
 */

/**
 * @typedef {object} WindowPreset Intensities shown from black to white, as fractions of the volume's range.
 * @property {string} name
 * @property {string} key
 * @property {number} low
 * @property {number} high
 */

/** @typedef {"radiological" | "neurological"} Convention */

/**
 * @typedef {object} Study
 * @property {string} title
 * @property {string} instructions
 * @property {Convention} convention
 * @property {Question[]} questions
 * @property {WindowPreset[]} windows
 */

/** @typedef {{name: string, role: string, csrf: string, study: Study}} Me */

/**
 * @typedef {object} Progress
 * @property {number} done
 * @property {number} total
 * @property {{name: string, kind: string, done: number, total: number} | null} block
 * @property {string | null} locked_until
 * @property {boolean} finished
 * @property {string | null} current
 */

/**
 * @typedef {object} Slot One case of this reader.
 * @property {string} slot
 * @property {number} position Among all cases of the reader, from 0.
 * @property {number} total
 * @property {string} block_kind
 * @property {string} volume
 * @property {Answers} answers
 * @property {unknown} view
 * @property {boolean} complete
 * @property {string | null} next_volume
 */

/** @typedef {{next: string | null, feedback: {text: string} | null}} Completed */

export {};
