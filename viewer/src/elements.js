/**
 * @file Building the page: elements with text only, so that nothing from a study is ever read as markup.
 */

/**
 * An element with attributes and children; strings become text.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | boolean>} [attributes] `true` sets an empty attribute, `false` none.
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

/**
 * The element of the page with this id; a missing one is a defect of the page.
 *
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function byId(id, kind) {
  const node = document.getElementById(id);
  if (!(node instanceof kind)) throw new Error(`#${id} of the page is not a ${kind.name}`);
  return node;
}

/**
 * @param {string} keys Separated by spaces, as in `keyTable`.
 * @returns {(Node | string)[]}
 */
export function keyCaps(keys) {
  return keys.split(" ").map((key) => (key === "+" && keys.length > 3 ? "+" : element("kbd", {}, key)));
}
