/**
 * @file Bundles the pages into the Python package: `npm run build`.
 */

import { copyFile, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

import esbuild from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const target = path.join(here, "..", "src", "pathosynth", "reader", "static");

/** @param {string} input Path of a bundled file, relative to this folder. */
function packageOf(input) {
  const [, scope, name] = input.match(/^node_modules\/(@[^/]+\/)?([^/]+)\//) ?? [];
  return name ? `${scope ?? ""}${name}` : null;
}

/**
 * Name, version and licence text of one package; NiiVue's package leaves its text out, so we carry it.
 *
 * @param {string} name
 */
async function notice(name) {
  const folder = path.join(here, "node_modules", name);
  const { version, license } = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
  const own = (await readdir(folder)).find((file) => /^licen[cs]e/i.test(file));
  const file = own ? path.join(folder, own) : path.join(here, "licences", `${name.replace("/", "__")}.txt`);
  const text = (await readFile(file, "utf8")).trim();
  return `${name} ${version} (${license})\n\n${text}\n`;
}

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
const { metafile } = await esbuild.build({
  absWorkingDir: here,
  entryPoints: ["src/login.js", "src/reader.js", "src/admin.js", "style/reader.css"],
  entryNames: "[name]",
  outdir: target,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none", // THIRD_PARTY.txt has them whole
  metafile: true,
  alias: {
    "numcodecs/blosc": "./src/no_zarr.js",
    "numcodecs/lz4": "./src/no_zarr.js",
    "numcodecs/zstd": "./src/no_zarr.js",
  },
  logLevel: "warning",
});
for (const page of await readdir(path.join(here, "pages"))) {
  await copyFile(path.join(here, "pages", page), path.join(target, page));
}
const packages = [...new Set(Object.keys(metafile.inputs).map(packageOf))].filter((name) => name !== null).sort();
const notices = await Promise.all(packages.map(notice));
await writeFile(path.join(target, "THIRD_PARTY.txt"), notices.join(`\n${"-".repeat(80)}\n\n`));
