// Drives Chromium by lines of JSON, as tests/peer/peer.py drives libwebrtc.
//
// Arguments: the folder with node_modules, the Chromium to run, a folder for its profile.
// In:   {"do": …, "page": NAME, …}    Out: {"event": …, "wall": SECONDS, "page": NAME, …}
// The end of its input ends it, and the browser with it.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const [packages, executable, profile] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(join(packages, "package.json"));
const { chromium } = require("playwright-core");
const esbuild = require("esbuild");

// Long enough for a busy machine, short enough that a hang is a failure.
const STEP_LIMIT_MS = 40_000;

const MIME = {
  ".webm": "video/webm",
  ".mp4": "video/mp4",
  ".mov": "video/mp4",
  ".mkv": "video/x-matroska",
  ".ogg": "audio/ogg",
  ".mp3": "audio/mpeg",
  ".wav": "audio/wav",
};

function report(event, facts) {
  process.stdout.write(JSON.stringify({ event, wall: Date.now() / 1000, ...facts }) + "\n");
}

/** Pages and media on a loopback port: a secure context for cameras, and real HTTP ranges for players. */
async function serve() {
  const bundle = async (entry) => {
    const built = await esbuild.build({
      entryPoints: [join(here, entry)],
      nodePaths: [join(packages, "node_modules")],
      bundle: true,
      write: false,
      format: "iife",
      logLevel: "silent",
    });
    return built.outputFiles[0].text;
  };
  const scripts = new Map([
    ["/room.js", await bundle("room.js")],
    ["/player.js", await bundle("player.js")],
  ]);
  const media = new Map();
  const ranges = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://localhost");
    const name = url.pathname;
    if (scripts.has(name)) {
      response.writeHead(200, { "content-type": "text/javascript; charset=utf-8" }).end(scripts.get(name));
    } else if (name === "/room" || name === "/player") {
      const page = `<!doctype html><meta charset="utf-8"><title>${name}</title><body><script src="${name}.js"></script>`;
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(page);
    } else if (media.has(name)) {
      sendRange(media.get(name), request, response, ranges).catch(() => response.destroy());
    } else {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${server.address().port}`;
  const offer = (file) => {
    const name = `/media/${media.size}${extname(file)}`;
    media.set(name, file);
    return name;
  };
  return { base, offer, ranges, close: () => server.close() };
}

async function sendRange(file, request, response, ranges) {
  const { size } = await stat(file);
  const type = MIME[extname(file)] ?? "application/octet-stream";
  const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const from = match ? Number(match[1]) : 0;
  const to = match && match[2] ? Math.min(Number(match[2]), size - 1) : size - 1;
  if (from > to) {
    response.writeHead(416, { "content-range": `bytes */${size}` }).end();
    return;
  }
  if (match) ranges.push(from);
  const head = { "content-type": type, "accept-ranges": "bytes", "content-length": to - from + 1 };
  if (match) head["content-range"] = `bytes ${from}-${to}/${size}`;
  response.writeHead(match ? 206 : 200, head);
  createReadStream(file, { start: from, end: to }).on("error", () => response.destroy()).pipe(response);
}

class Driver {
  constructor(site, context) {
    this.site = site;
    this.context = context;
    this.pages = new Map();
  }

  /** The page of this name, opened at `path` if it is not there yet. */
  async page(name, path) {
    if (!this.pages.has(name)) {
      const page = await this.context.newPage();
      page.setDefaultTimeout(STEP_LIMIT_MS);
      page.on("pageerror", (error) => report("page_error", { page: name, error: String(error) }));
      page.on("console", (message) => {
        if (message.type() === "error") process.stderr.write(`${name}: ${message.text()}\n`);
      });
      await page.exposeFunction("report", (event, facts) => report(event, { page: name, ...facts }));
      await page.goto(this.site.base + path);
      this.pages.set(name, page);
    }
    return this.pages.get(name);
  }

  /** Plays a media file, seeks in it, and tells what the player says and shows. */
  async play({ page: name, file, play_s, seeks, screenshot }) {
    const page = await this.page(name, "/player");
    const before = this.site.ranges.length;
    const url = this.site.base + this.site.offer(file);
    const result = await page.evaluate((job) => window.play(job), { url, play_s, seeks });
    if (screenshot) await page.screenshot({ path: screenshot });
    report("played", { page: name, ...result, ranges: this.site.ranges.slice(before) });
  }

  /** Enters a room with Chromium's fake camera and microphone. */
  async join({ page: name, url, token, camera, microphone, codec, simulcast }) {
    const page = await this.page(name, "/room");
    await page.evaluate((job) => window.join(job), { url, token, camera, microphone, codec, simulcast });
    report("joined", { page: name });
  }

  async share({ page: name }) {
    await this.pages.get(name).evaluate(() => window.share());
    report("shared", { page: name });
  }

  async inbound({ page: name }) {
    report("inbound", { page: name, tracks: await this.pages.get(name).evaluate(() => window.inbound()) });
  }

  async screenshot({ page: name, file }) {
    await this.pages.get(name).screenshot({ path: file });
    report("screenshot", { page: name, file });
  }

  async leave({ page: name }) {
    await this.pages.get(name).evaluate(() => window.leave());
    await this.pages.get(name).close();
    this.pages.delete(name);
    report("left", { page: name });
  }
}

function within(promise, what) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${STEP_LIMIT_MS} ms`)), STEP_LIMIT_MS);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

const site = await serve();
const context = await chromium.launchPersistentContext(profile, {
  executablePath: executable,
  headless: true,
  viewport: { width: 1280, height: 720 },
  permissions: ["camera", "microphone"],
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--auto-select-desktop-capture-source=Entire screen",
  ],
});
const driver = new Driver(site, context);
report("ready", { version: context.browser()?.version() ?? "", user_agent: await agent(context) });

async function agent(context) {
  const page = context.pages()[0] ?? (await context.newPage());
  return page.evaluate(() => navigator.userAgent);
}

for await (const line of createInterface({ input: process.stdin })) {
  const step = JSON.parse(line);
  try {
    await within(driver[step.do](step), step.do);
  } catch (error) {
    report("failed", { page: step.page, step: step.do, error: String(error) });
  }
}
await context.close();
site.close();
