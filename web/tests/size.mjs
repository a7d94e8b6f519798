// What the dashboard loads before it can be used must stay small: the sum of its scripts, gzipped. Run after the build.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { join } from "node:path";

const LIMIT_KB = 250;
const dist = fileURLToPath(new URL("../dist", import.meta.url));
const manifest = JSON.parse(readFileSync(join(dist, ".vite/manifest.json"), "utf8"));

/** A chunk and all it imports at once; what is imported later is not part of it. */
function reach(key, seen = new Set()) {
  if (seen.has(key)) return seen;
  seen.add(key);
  for (const next of manifest[key].imports ?? []) reach(next, seen);
  return seen;
}

const entry = Object.keys(manifest).find((key) => manifest[key].isEntry);
const size = (key) => gzipSync(readFileSync(join(dist, manifest[key].file))).length / 1000;
const chunks = [...reach(entry)].filter((key) => manifest[key].file.endsWith(".js"));
const total = chunks.reduce((sum, key) => sum + size(key), 0);
const heavy = chunks.filter((key) => /livekit|player|admin/.test(manifest[key].file + (manifest[key].src ?? "")));
console.log(`dashboard: ${total.toFixed(1)} kB gzip of at most ${LIMIT_KB} kB, in ${chunks.length} scripts`);
const later = Object.keys(manifest).filter((key) => manifest[key].isDynamicEntry);
for (const key of later) {
  const extra = [...reach(key)].filter((one) => !chunks.includes(one) && manifest[one].file.endsWith(".js")).reduce((sum, one) => sum + size(one), 0);
  console.log(`  later, ${manifest[key].src ?? key}: ${extra.toFixed(1)} kB more`);
}
if (total > LIMIT_KB || heavy.length > 0) {
  console.error(heavy.length > 0 ? `what belongs to later pages is loaded at once: ${heavy.map((key) => manifest[key].file).join(", ")}` : "too large");
  process.exitCode = 1;
}
