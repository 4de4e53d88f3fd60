"use strict";
// Scenes come from scene.py; this file only draws them and answers to the controls.

const scenes = JSON.parse(byId("scenes").textContent);
const plot = byId("plot");
const PANES = ["scene", "scene2"];
const START = { eye: { x: -0.86, y: 1.38, z: 0.6 }, up: { x: 0, y: 0, z: 1 }, center: { x: 0, y: 0, z: 0 } };
const SIDES = {
  L: ["left", [-1, 0, 0], [0, 0, 1]], R: ["right", [1, 0, 0], [0, 0, 1]], A: ["front", [0, 1, 0], [0, 0, 1]],
  P: ["back", [0, -1, 0], [0, 0, 1]], S: ["top", [0, 0, 1], [0, 1, 0]], I: ["bottom", [0, 0, -1], [0, 1, 0]],
};
const DISTANCE = 1.75, TILT = 0.25, NEAREST = 0.3, FARTHEST = 6, DEGREES_PER_SECOND = 12, SCALE_BAR_MM = 20;
const REACH = 1.3;
const LAMP = { x: 3e4, y: 6e4, z: 1e5 };
const LIGHT = { ambient: 0.55, diffuse: 0.65, specular: 0.12, roughness: 0.7, fresnel: 0.05 };

const state = {
  shown: scenes[0], hidden: new Set(), skull: 0.12, colored: false, arrows: "none", camera: START,
  rotating: !matchMedia("(prefers-reduced-motion: reduce)").matches,
};

function byId(id) { return document.getElementById(id); }

function element(tag, text, parent) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

// ---- what is drawn -------------------------------------------------------------------------------------------------

function traces() {
  const { panes, arrows } = state.shown;
  const all = panes.flatMap((pane, number) => [...surfaces(pane, number), ...marks(pane, number)]);
  if (arrows && state.arrows !== "none") panes.forEach((_, number) => all.push(arrowTrace(arrows[state.arrows], number)));
  return all;
}

function surfaces(pane, number) {
  return state.shown.structures.filter((part) => pane.meshes[part.name] && !state.hidden.has(part.name)).map((part) => {
    const { moved_mm, ...mesh } = pane.meshes[part.name];
    const byDistance = state.colored && moved_mm && !part.skull;
    return {
      type: "mesh3d", scene: PANES[number], name: part.name, ...mesh, lighting: LIGHT, lightposition: LAMP,
      opacity: part.skull ? state.skull : 1, hoverinfo: part.skull ? "skip" : "name",
      ...(byDistance ? { intensity: moved_mm, coloraxis: "coloraxis" } : { color: part.color }),
    };
  });
}

function marks(pane, number) {
  const [x, y, z] = pane.centre, far = 1.1 * state.shown.half_mm, low = z - 0.96 * REACH * state.shown.half_mm, half = SCALE_BAR_MM / 2;
  const common = { type: "scatter3d", scene: PANES[number], hoverinfo: "skip", showlegend: false };
  return [
    { ...common, mode: "text", text: ["L", "R", "P", "A", "I", "S"], textfont: { size: 15, color: "#111" },
      x: [x - far, x + far, x, x, x, x], y: [y, y, y - far, y + far, y, y], z: [z, z, z, z, z - far, z + far] },
    { ...common, mode: "lines+text", text: ["", "", "", "", `${SCALE_BAR_MM} mm`], textposition: "bottom center",
      line: { color: "#111", width: 5 }, textfont: { size: 12, color: "#111" },
      x: [x - half, x + half, null, x, x], y: [y, y, null, y - half, y + half], z: [low, low, null, low, low] },
  ];
}

function arrowTrace(rows, number) {
  const mesh = { x: [], y: [], z: [], i: [], j: [], k: [], intensity: [] };
  for (const row of rows) addArrow(mesh, row.slice(0, 3), row.slice(3));
  return { type: "mesh3d", scene: PANES[number], ...mesh, coloraxis: "coloraxis", hoverinfo: "skip", flatshading: true,
    lighting: { ...LIGHT, ambient: 0.8 }, lightposition: LAMP };
}

/** A shaft and a head, both pyramids with the tip at the end of the arrow: sizes in mm, colour by length. */
function addArrow(mesh, start, end) {
  const way = end.map((value, axis) => value - start[axis]), length = Math.hypot(...way);
  const ahead = way.map((value) => value / length), [side, other] = across(ahead), scale = state.shown.half_mm / 50;
  const headLength = Math.min(0.45 * length, 2.4 * scale), neck = end.map((v, axis) => v - headLength * ahead[axis]);
  for (const [base, radius] of [[start, 0.22 * scale], [neck, Math.min(0.75 * scale, 0.4 * headLength)]]) {
    const first = mesh.x.length;
    const ring = [0, 1, 2, 3].map((turn) => {
      const [a, b] = [Math.cos(turn * Math.PI / 2), Math.sin(turn * Math.PI / 2)];
      return base.map((value, axis) => value + radius * (a * side[axis] + b * other[axis]));
    });
    for (const point of [...ring, end]) {
      mesh.x.push(point[0]); mesh.y.push(point[1]); mesh.z.push(point[2]); mesh.intensity.push(length);
    }
    for (const [a, b, c] of [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4], [0, 2, 1], [0, 3, 2]]) {
      mesh.i.push(first + a); mesh.j.push(first + b); mesh.k.push(first + c);
    }
  }
}

/** Two unit vectors at right angles to `ahead` and to each other. */
function across(ahead) {
  const least = ahead.map(Math.abs).indexOf(Math.min(...ahead.map(Math.abs)));
  const helper = [0, 0, 0]; helper[least] = 1;
  const crossed = cross(ahead, helper), size = Math.hypot(...crossed), side = crossed.map((value) => value / size);
  return [side, cross(ahead, side)];
}

function cross(a, b) {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

function layout() {
  const { panes, half_mm, largest_mm } = state.shown, wide = 0.92 / panes.length;
  const made = {
    margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false, paper_bgcolor: "#fff",
    coloraxis: {
      cmin: 0, cmax: largest_mm || 1, colorscale: "Viridis",
      colorbar: { title: { text: "displacement (mm)", side: "right" }, thickness: 14, len: 0.7, x: 0.93 },
    },
  };
  panes.forEach((pane, number) => {
    const axis = (middle) => ({ visible: false, range: [middle - REACH * half_mm, middle + REACH * half_mm] });
    const [x, y, z] = pane.centre;
    made[PANES[number]] = {
      domain: { x: [number * wide, (number + 1) * wide], y: [0, 1] }, aspectmode: "cube", camera: state.camera,
      dragmode: "orbit", xaxis: axis(x), yaxis: axis(y), zaxis: axis(z),
    };
  });
  return made;
}

function draw() {
  return Plotly.react(plot, traces(), layout(), {
    responsive: true, displaylogo: false, scrollZoom: false, modeBarButtons: [["toImage"]],
    toImageButtonOptions: { filename: state.shown.case, scale: 2 },
  });
}

// ---- camera --------------------------------------------------------------------------------------------------------

function look(camera) {
  state.camera = camera;
  const cameras = state.shown.panes.map((_, number) => [`${PANES[number]}.camera`, camera]);
  return Plotly.relayout(plot, Object.fromEntries(cameras));
}

function turned({ x, y, z }, angle) {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return { x: x * cos - y * sin, y: x * sin + y * cos, z };
}

/** One step of the rotation; a slow machine gets as long to answer the user as a step took it. */
async function rotate(before) {
  const now = performance.now();
  if (state.rotating && !document.hidden) {
    const seconds = Math.min((now - before) / 1000, 0.5), angle = (seconds * DEGREES_PER_SECOND * Math.PI) / 180;
    const { eye, up, center } = state.camera;
    await look({ eye: turned(eye, angle), up: turned(up, angle), center: turned(center, angle) });
    await new Promise(requestAnimationFrame);
  }
  setTimeout(() => requestAnimationFrame(() => rotate(now)), performance.now() - now);
}

function far(a, b) { return Math.abs(a.x - b.x) + Math.abs(a.y - b.y) + Math.abs(a.z - b.z); }

function setRotating(on) {
  state.rotating = on;
  byId("rotate").setAttribute("aria-pressed", String(on));
}

/** The wheel brings both panes nearer or farther; plotly's own zoom depends on the frame rate and moves one pane only. */
function zoom(event) {
  event.preventDefault();
  const { eye, up, center } = state.camera, now = Math.hypot(eye.x, eye.y, eye.z);
  const wanted = Math.min(Math.max(now * Math.exp(event.deltaY / 1000), NEAREST), FARTHEST);
  look({ eye: { x: eye.x * wanted / now, y: eye.y * wanted / now, z: eye.z * wanted / now }, up, center });
}

/** The pane that is not dragged follows the one that is; what this page set itself is no news. */
function follow(change) {
  const number = PANES.findIndex((pane) => change[`${pane}.camera`]);
  if (number < 0 || state.rotating) return;
  const { eye, up, center } = change[`${PANES[number]}.camera`];
  if (far(eye, state.camera.eye) + far(up, state.camera.up) + far(center, state.camera.center) < 1e-6) return;
  state.camera = { eye, up, center };
  if (state.shown.panes.length > 1) Plotly.relayout(plot, { [`${PANES[1 - number]}.camera`]: state.camera });
}

// ---- text and tables -----------------------------------------------------------------------------------------------

function text(value) {
  if (value === null || value === undefined) return "–";
  return typeof value === "number" ? (Number.isInteger(value) ? String(value) : value.toFixed(2)) : String(value);
}

function tableHead(table, titles) {
  table.replaceChildren();
  const row = element("tr", undefined, element("thead", undefined, table));
  titles.forEach((title) => { element("th", title, row).scope = "col"; });
  return element("tbody", undefined, table);
}

function listStructures() {
  const two = state.shown.panes.length > 1;
  const body = tableHead(byId("structures"), two ? ["", "parent", "morphed", "change"] : ["", "mL"]);
  for (const part of state.shown.structures) {
    const row = element("tr", undefined, body), label = element("label", undefined, element("td", undefined, row));
    const box = element("input", undefined, label);
    box.type = "checkbox";
    box.checked = !state.hidden.has(part.name);
    box.addEventListener("change", () => {
      if (box.checked) state.hidden.delete(part.name); else state.hidden.add(part.name);
      draw();
    });
    const swatch = element("span", undefined, label);
    swatch.className = "swatch";
    swatch.style.background = part.color;
    element("span", part.name, label);
    part.ml.forEach((ml) => element("td", ml.toFixed(ml < 10 ? 2 : 1), row));
    if (two) element("td", part.ml[0] ? signed(100 * (part.ml[1] / part.ml[0] - 1)) : "–", row);
  }
}

function signed(percent) {
  const size = Math.abs(percent), sign = size < 0.05 ? "" : percent > 0 ? "+" : "−";
  return `${sign}${size.toFixed(size < 100 ? 1 : 0)} %`;
}

function listSeverities() {
  const rows = state.shown.severities;
  byId("measured").hidden = rows.length === 0;
  const titles = { parent: "parent", asked: "asked", reached: "reached" };
  const columns = Object.keys(titles).filter((key) => rows.some((row) => row[key] !== null));
  const body = tableHead(byId("severities"), ["", ...columns.map((key) => titles[key])]);
  for (const row of rows) {
    const line = element("tr", undefined, body);
    element("td", row.unit ? `${row.measure} (${row.unit})` : row.measure, line);
    columns.forEach((key) => element("td", text(row[key]), line));
  }
}

function describe() {
  const { case: name, pathology, panes, arrows, largest_mm, notes } = state.shown;
  byId("heading").textContent = [name, pathology.replaceAll("_", " ")].filter(Boolean).join(" · ");
  const titles = panes.length > 1 ? ["parent", "morphed"] : [""];
  byId("captions").replaceChildren();
  panes.forEach((pane, number) => {
    const caption = element("h2", titles[number], byId("captions"));
    element("small", pane.title, caption);
  });
  byId("moving").hidden = !arrows;
  byId("most").textContent = `Longest: ${largest_mm.toFixed(1)} mm.`;
  byId("notes").replaceChildren();
  notes.forEach((note) => element("li", note, byId("notes")));
  listStructures();
  listSeverities();
}

// ---- controls ------------------------------------------------------------------------------------------------------

function connect() {
  byId("chooser").hidden = scenes.length < 2;
  scenes.forEach((shown, number) => { element("option", shown.case, byId("case")).value = number; });
  byId("case").addEventListener("change", (event) => { state.shown = scenes[event.target.value]; describe(); draw(); });
  byId("colored").addEventListener("change", (event) => { state.colored = event.target.checked; draw(); });
  byId("arrows").addEventListener("change", (event) => { state.arrows = event.target.value; draw(); });
  byId("skull").addEventListener("input", (event) => { state.skull = event.target.value / 100; draw(); });
  byId("rotate").addEventListener("click", () => setRotating(!state.rotating));
  for (const [letter, [name, from, up]] of Object.entries(SIDES)) {
    const button = element("button", letter, byId("sides"));
    button.type = "button";
    button.title = `Look from the ${name}`;
    button.addEventListener("click", () => {
      setRotating(false);
      // A little from above, so that the letters of the near and the far side do not cover each other.
      const eyes = from.map((value, axis) => DISTANCE * value + TILT * up[axis]);
      const [eye, upright] = [eyes, up].map(([x, y, z]) => ({ x, y, z }));
      look({ eye, up: upright, center: START.center });
    });
  }
  for (const event of ["pointerdown", "touchstart"]) {
    plot.addEventListener(event, () => setRotating(false), { capture: true, passive: true });
  }
  plot.addEventListener("wheel", zoom, { passive: false });
  plot.on("plotly_relayouting", follow);
  plot.on("plotly_relayout", follow);
}

describe();
draw().then(() => { connect(); setRotating(state.rotating); rotate(performance.now()); });
