// What people do, in real browsers against the stand-in server: watch a recording in step, and meet through a real
// LiveKit server (GREFFIER_LIVEKIT names its binary; without it the meeting is left out, and that is said).
//   node tests/flows.mjs [--only words-of-its-name] [--out folder]
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { openBrowser, openContext } from "./browser.mjs";
import { startLiveKit } from "./mock/livekit.mjs";
import { makeMedia } from "./mock/media.mjs";
import { sent, startMock, token } from "./mock/server.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const { values } = parseArgs({ options: { out: { type: "string" }, only: { type: "string" } } });
const out = values.out ?? join(here, "..", "node_modules", ".cache", "greffier-flows");
mkdirSync(out, { recursive: true });

/** As the task has it: files that play together are at most this far apart. */
const MOST_APART_MS = 50;

if (process.env.CI === "true" && !process.env.GREFFIER_LIVEKIT) throw new Error("GREFFIER_LIVEKIT must name a livekit-server");
const livekit = await startLiveKit(process.env.GREFFIER_LIVEKIT);
const mock = await startMock({ media: makeMedia(join(here, "..", "node_modules", ".cache", "greffier-media")), livekit });
const browser = await openBrowser();
let failed = 0;

async function flow(name, run) {
  if (values.only && !name.includes(values.only)) return;
  const started = Date.now();
  try {
    await run();
    console.log(`✓ ${name} (${Date.now() - started} ms)`);
  } catch (error) {
    failed += 1;
    console.error(`✗ ${name}: ${error.stack ?? error}`);
  }
}

async function visit(path, options = { locale: "en" }) {
  const { context, complaints } = await openContext(browser, options);
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  await page.goto(mock.url + path);
  return { context, page, complaints };
}

/** Reads, many times, how far apart the files are that sound now: from the elements themselves, not from the player. */
function measure(page, ms) {
  return page.evaluate(async (duration) => {
    const read = () => {
      const times = [...document.querySelectorAll(".player .tile video")]
        .filter((video) => !video.paused && !video.seeking && video.readyState >= 3)
        .map((video) => video.currentTime * 1000 + (video.src.includes("screen") ? 15_000 : 0));
      return times.length < 2 ? undefined : Math.max(...times) - Math.min(...times);
    };
    const spreads = [];
    const until = performance.now() + duration;
    while (performance.now() < until) {
      await new Promise((resolve) => requestAnimationFrame(resolve));
      const spread = read();
      if (spread !== undefined) spreads.push(spread);
    }
    spreads.sort((a, b) => a - b);
    return { readings: spreads.length, median: spreads[Math.floor(spreads.length / 2)], worst: spreads.at(-1) };
  }, ms);
}

/**
 * Of each file of a long recording, at most this many bytes are fetched to begin, and to go on after a seek to its end.
 * Chromium reads two to three megabytes ahead, however long a file is; what the server has written into sockets and nobody
 * has read yet counts here as well.
 */
const MOST_FETCHED = 5e6;

const position = async (page) => Number(await page.getByTestId("player").getAttribute("data-position"));
const playing = (page) => page.locator('[data-testid="player"][data-playing="true"][data-waiting="false"]').waitFor();

try {
  await flow("a recording plays in step, at any speed and after seeking", async () => {
    const { context, page } = await visit("/recordings/rec_play?t=16");
    await page.getByTestId("player").waitFor();
    assert.ok(Math.abs((await position(page)) - 16_000) < 100, "a link leads to its moment");
    await page.getByRole("button", { name: "Play", exact: true }).click();
    await playing(page);
    for (const [name, prepare] of [
      ["1×", async () => undefined],
      ["2×", async () => { await page.keyboard.press(">"); await page.keyboard.press(">"); await page.keyboard.press(">"); await page.keyboard.press(">"); }],
      ["after a seek", async () => { for (let i = 0; i < 4; i += 1) await page.keyboard.press("<"); await page.keyboard.press("ArrowLeft"); await playing(page); }],
    ]) {
      await prepare();
      await page.waitForTimeout(1_500);
      const result = await measure(page, 3_000);
      console.log(`    ${name}: ${result.readings} readings, median ${result.median?.toFixed(1)} ms apart, worst ${result.worst?.toFixed(1)} ms`);
      assert.ok(result.readings > 20, "two files or more play");
      assert.ok(result.worst <= MOST_APART_MS, `${result.worst} ms apart`);
    }
    await context.close();
  });

  await flow("an hour of six people begins, and seeks to its end, without being loaded whole", async () => {
    const whole = 6 * statSync(join(here, "..", "node_modules", ".cache", "greffier-media", "hour.webm")).size;
    const before = { ...sent };
    const fetched = () => sent.bytes - before.bytes;
    const { context, page } = await visit("/recordings/rec_hour");
    page.setDefaultTimeout(30_000);
    const began = Date.now();
    const allSeen = () => page.waitForFunction(() => {
      const videos = [...document.querySelectorAll(".player .tile video")];
      return videos.length === 6 && videos.every((video) => !video.seeking && video.readyState >= 3);
    });
    await page.getByTestId("player").waitFor();
    await page.getByRole("button", { name: "Play", exact: true }).click();
    await playing(page);
    await allSeen();
    const start = { ms: Date.now() - began, bytes: fetched() };
    const asked = Date.now();
    await page.getByRole("slider", { name: "Position" }).fill(String(55 * 60_000));
    await page.waitForFunction(() => Number(document.querySelector('[data-testid="player"]').dataset.position) >= 55 * 60_000);
    await playing(page);
    await allSeen();
    const end = { ms: Date.now() - asked, bytes: fetched() - start.bytes };
    console.log(`    ${(whole / 1e6).toFixed(0)} MB: begins after ${start.ms} ms and ${(start.bytes / 1e6).toFixed(1)} MB; a seek to 55:00 takes ${end.ms} ms and ${(end.bytes / 1e6).toFixed(1)} MB`);
    assert.ok(start.bytes <= 6 * MOST_FETCHED && end.bytes <= 6 * MOST_FETCHED, "little of it is fetched");
    await context.close();
  });

  await flow("the viewer chooses the layout, searches, and jumps", async () => {
    const { context, page } = await visit("/recordings/rec_play?t=20");
    await page.getByTestId("player").waitFor();
    const shown = () => page.locator('.player .tile[aria-hidden="false"]').count();
    const large = () => page.locator('.player .tile[data-large="true"][aria-hidden="false"]').getAttribute("data-identity");
    await page.getByRole("button", { name: "Grid" }).click();
    assert.equal(await shown(), 4);
    await page.getByRole("button", { name: "One person" }).click();
    await page.getByLabel("Person").selectOption("usr_3");
    assert.equal(await shown(), 1);
    assert.equal(await large(), "usr_3");
    await page.keyboard.press("2");
    await page.getByRole("button", { name: "Speaker" }).click();
    assert.equal(await large(), "usr_1");
    await page.getByLabel("Search messages and people").fill("resume");
    const found = page.locator(".moment");
    await assert.doesNotReject(found.filter({ hasText: "résumé" }).waitFor());
    assert.equal(await found.count(), 1);
    await found.click();
    assert.ok(Math.abs((await position(page)) - 17_500) < 50);
    await page.getByRole("button", { name: "Copy a link to this moment" }).click();
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), /\/recordings\/rec_play\?t=17$/);
    await context.close();
  });

  await flow("a composite is asked for, and its progress shown", async () => {
    const { context, page } = await visit("/recordings/rec_play");
    await page.getByRole("button", { name: "Make one video" }).click();
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByRole("progressbar", { name: "Progress" }).waitFor();
    await page.getByText("42 %").waitFor();
    const asked = mock.state.requests.find((request) => request.path.endsWith("/renders") && request.method === "POST");
    assert.deepEqual(asked.body, { kind: "composite", layout: "speaker", format: "mp4", width: 1280, height: 720, fps: 30, labels: true });
    mock.state.render = undefined;
    await context.close();
  });

  await flow("wrong passwords are told apart from an unreachable server", async () => {
    mock.state.signedIn = false;
    const { context, page } = await visit("/recordings");
    await page.waitForURL(/\/login\?next=%2Frecordings/);
    await page.getByLabel("E-mail address").fill("camille@example.org");
    await page.getByLabel("Password").fill("wrong");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByText("The e-mail address or the password is wrong.").waitFor();
    await page.route("**/api/auth/login", (route) => route.abort());
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByText("The server cannot be reached.").waitFor();
    await page.unroute("**/api/auth/login");
    await page.getByLabel("Password").fill("correct horse");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.waitForURL(/\/recordings$/);
    await context.close();
  });

  await flow("who belongs to a meeting, and as what, is chosen on its page, which follows what others change", async () => {
    mock.state.signedIn = true;
    const { context, page } = await visit("/rooms/point-equipe");
    const members = () => mock.state.rooms.find((room) => room.name === "point-equipe").members;
    await page.getByLabel("Role of Jonas Weber").selectOption("speaker");
    await page.getByText("Jonas Weber has a new role.").waitFor();
    assert.equal(members().find((one) => one.user.id === "usr_3").role, "speaker");
    await page.getByRole("button", { name: "Remove Jonas Weber" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove", exact: true }).click();
    await page.getByLabel("Role of Jonas Weber").waitFor({ state: "detached" });
    assert.equal(members().length, 2);
    await page.getByRole("button", { name: "Let back in Paul Renard" }).click();
    await page.getByRole("button", { name: "Let back in Paul Renard" }).waitFor({ state: "detached" });
    mock.state.rooms.find((room) => room.name === "point-equipe").title = "Point du lundi";
    mock.tell("room.changed", { room: "point-equipe" });
    await page.getByRole("heading", { name: "Point du lundi" }).waitFor();
    assert.equal(await page.getByLabel("Title").inputValue(), "Point du lundi");
    await page.getByLabel("Title").fill("Mine");
    mock.state.rooms.find((room) => room.name === "point-equipe").title = "Theirs";
    mock.tell("room.changed", { room: "point-equipe" });
    await page.getByRole("heading", { name: "Theirs" }).waitFor();
    assert.equal(await page.getByLabel("Title").inputValue(), "Mine", "what is being written stays");
    await context.close();
  });

  await flow("a page that was opened while the server was being started comes by itself", async () => {
    mock.state.signedIn = true;
    const { context, page } = await visit("/nowhere-yet", { locale: "en" });
    await page.route("**/api/auth/refresh", (route) => route.abort());
    await page.goto(`${mock.url}/`);
    await page.getByText("The server cannot be reached.").waitFor();
    await page.unroute("**/api/auth/refresh");
    await page.getByRole("heading", { name: /Hello/ }).waitFor();
    await context.close();
  });

  if (livekit) {
    await flow("who is a moderator no more has a moderator's controls no more, at once", demote);
    await flow("a guest who comes again is the same guest, without cookies too", again);
    await flow("two people meet; a guest waits; they share, write, react and are told of the recording", meet);
    await flow("an application embeds a meeting and hears of it; another one hears nothing", embed);
  } else console.log("- the meeting is left out: GREFFIER_LIVEKIT is not set");
} finally {
  await browser.close();
  await mock.close();
  livekit?.close();
}
process.exitCode = failed === 0 ? 0 : 1;

/** Counts frames that were decoded, and sound that was received, of somebody else. */
function received(page, name) {
  return page.evaluate(async (title) => {
    const video = document.querySelector(`.tile[aria-label="${title}"] video`);
    const before = video?.getVideoPlaybackQuality().totalVideoFrames ?? 0;
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    return (video?.getVideoPlaybackQuality().totalVideoFrames ?? 0) - before;
  }, name);
}

async function meet() {
  mock.state.signedIn = true;
  const host = await visit("/r/cafe");
  await host.page.getByRole("button", { name: "Join now" }).click();
  await host.page.locator('[data-connection="connected"]').waitFor();

  mock.state.signedIn = false;
  const guest = await visit("/i/good");
  await guest.page.getByLabel("Your name").fill("Nora Klein");
  await guest.page.getByRole("button", { name: "Join now" }).click();
  await guest.page.getByText("You will be let in soon").waitFor();
  mock.state.signedIn = true;
  await host.page.keyboard.press("p");
  await host.page.getByRole("button", { name: "Let Nora Klein in" }).click({ timeout: 30_000 });
  await guest.page.locator('[data-connection="connected"]').waitFor();

  await host.page.getByRole("group", { name: "Nora Klein", exact: true }).locator("video").waitFor();
  await guest.page.getByRole("group", { name: "Camille Laurent", exact: true }).locator("video").waitFor();
  const [seen, seenBack] = [await received(host.page, "Nora Klein"), await received(guest.page, "Camille Laurent")];
  console.log(`    frames in 1.5 s: the host sees ${seen}, the guest ${seenBack}`);
  assert.ok(seen >= 5 && seenBack >= 5, "live pictures both ways");
  await host.page.screenshot({ path: join(out, "meeting.png") });

  await guest.page.keyboard.press("h");
  await host.page.locator('.person:has-text("Nora Klein") .hand-mark').waitFor();
  await host.page.keyboard.press("c");
  await host.page.getByLabel("Write a message").fill("Bonjour https://example.org");
  await host.page.keyboard.press("Enter");
  await guest.page.getByRole("button", { name: "Chat (1)" }).click();
  await guest.page.getByText("Bonjour").waitFor();
  assert.equal(await guest.page.locator(".chat-log a").getAttribute("rel"), "noopener noreferrer nofollow");
  await guest.page.getByRole("button", { name: "React", exact: true }).click();
  await guest.page.getByRole("menuitem", { name: "React with 🎉" }).click();
  await host.page.locator(".reaction", { hasText: "🎉" }).waitFor();

  await host.page.getByRole("button", { name: /Share a screen/ }).click();
  await guest.page.locator('.tile[data-screen="true"][data-large="true"] video').waitFor();
  await guest.page.screenshot({ path: join(out, "sharing.png") });
  assert.equal(await guest.page.getByRole("button", { name: /Start recording/ }).count(), 0, "guests record nothing");
  await host.page.getByRole("button", { name: /Stop sharing/ }).click();
  await guest.page.locator('.tile[data-screen="true"]').waitFor({ state: "detached" });

  await host.page.getByRole("button", { name: /Start recording/ }).click();
  await host.page.getByTestId("recording-indicator").waitFor();
  await host.page.getByRole("alertdialog", { name: "Recording" }).waitFor();
  await host.page.screenshot({ path: join(out, "recorded.png") });
  await host.page.getByRole("button", { name: "Understood" }).click();
  await host.page.getByRole("button", { name: /Manage the recording/ }).click();
  await host.page.getByRole("menuitem", { name: "Pause recording" }).click();
  await host.page.getByText("Recording paused").waitFor();
  await guest.page.getByText("Recording paused").waitFor({ timeout: 30_000 });

  await guest.page.getByRole("button", { name: "Leave" }).click();
  await guest.page.getByText("You have left the meeting").waitFor();
  await host.page.getByRole("group", { name: "Nora Klein", exact: true }).waitFor({ state: "detached" });
  await host.page.keyboard.press("m");
  await host.page.getByRole("button", { name: /Turn the microphone on/ }).waitFor();
  const complaints = [...host.complaints, ...guest.complaints].filter((text) => !/status of 40[14]/.test(text));
  assert.deepEqual(complaints, [], "the console is quiet");
  await host.context.close();
  await guest.context.close();
}

async function demote() {
  mock.state.signedIn = true;
  const room = mock.state.rooms.find((one) => one.name === "cafe");
  mock.state.removed = [{ identity: "guest_9", name: "Paul Renard", removed_at: new Date().toISOString(), removed_by: "usr_1" }];
  const { context, page } = await visit("/r/cafe");
  await page.getByRole("button", { name: "Join now" }).click();
  await page.locator('[data-connection="connected"]').waitFor();
  await page.keyboard.press("p");
  const theirs = [page.getByRole("button", { name: "Lock", exact: true }), page.getByRole("button", { name: /Start recording/ }), page.getByRole("button", { name: "Let back in Paul Renard" })];
  for (const control of theirs) await control.waitFor();
  try {
    room.role = "member";
    mock.tell("room.changed", { room: "cafe" });
    for (const control of theirs) await control.waitFor({ state: "detached" });
  } finally {
    room.role = "owner";
  }
  await context.close();
}

async function again() {
  mock.state.signedIn = false;
  const joins = () => mock.state.requests.filter(({ method, path }) => method === "POST" && path.endsWith("/join")).map(({ body }) => body.guest);
  const before = joins().length;
  const { context, page } = await visit("/i/good");
  await page.getByLabel("Your name").fill("Nora Klein");
  await page.getByRole("button", { name: "Join now" }).click();
  await page.getByText("You will be let in soon").waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Join now" }).click();
  await page.getByText("You will be let in soon").waitFor();
  const [first, second] = joins().slice(before);
  assert.equal(first, undefined);
  assert.match(second, /^secret-of-/);
  mock.state.waiting = [];
  await context.close();
}

/** Another origin's page with a meeting in it, which keeps the messages it gets. */
async function embed() {
  const hash = `#token=${token(livekit, "app-user", "App User", "cafe")}`;
  const html = `<!doctype html><html lang="en"><title>Application</title><iframe title="Meeting" allow="camera; microphone" width="800" height="600" src="${mock.url}/embed/cafe${hash}"></iframe>
    <script>window.heard = []; addEventListener("message", (event) => heard.push([event.origin, event.data]));</script></html>`;
  const server = createServer((_, response) => response.writeHead(200, { "content-type": "text/html" }).end(html));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;
  const attend = async () => {
    const { context } = await openContext(browser, { locale: "en" });
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    await page.goto(origin);
    const frame = page.frameLocator("iframe");
    await frame.getByRole("button", { name: "Join now" }).click();
    await frame.locator('[data-connection="connected"]').waitFor();
    await frame.getByRole("button", { name: "Leave" }).click();
    await frame.getByText("You have left the meeting").waitFor();
    const heard = await page.evaluate(() => globalThis.heard);
    await context.close();
    return heard.filter(([, data]) => data?.source === "greffier");
  };
  try {
    Object.assign(mock.state, { signedIn: false, recording: null, embedOrigins: [origin] });
    assert.deepEqual(await attend(), [
      [mock.url, { source: "greffier", room: "cafe", type: "joined", identity: "app-user" }],
      [mock.url, { source: "greffier", room: "cafe", type: "left", reason: "left" }],
    ]);
    mock.state.embedOrigins = ["https://elsewhere.example"];
    assert.deepEqual(await attend(), []);
  } finally {
    mock.state.embedOrigins = [];
    server.close();
  }
}
