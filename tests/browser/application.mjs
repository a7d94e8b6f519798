// What people do with the pages, in Chromium against the real server: the first administrator invites a colleague, they meet,
// a guest on a phone waits at the door, the server is killed meanwhile, the recording is watched and deleted, strangers are
// refused. Every step is a line of JSON; `{"event":"please","do":"restart"}` asks whoever started this to kill the server
// and start it again, and is answered by a line on stdin.
//
// Arguments: the folder with node_modules, the Chromium to run, the address of Greffier, the link for the administrator, a
// folder for screenshots. Ends with 1 at the first step that fails.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

const [packages, executablePath, base, setupLink, folder] = process.argv.slice(2);
const { chromium } = createRequire(join(packages, "package.json"))("playwright-core");

// Long enough for a debug build on a busy machine, short enough that a hang is a failure.
const STEP_MS = 30_000;
/** Frames that were decoded anew before a picture counts as live. */
const LIVE_FRAMES = 8;
/** Energy of a second of Chromium's beeps is some 1e-3; silence, even with comfort noise, stays below 1e-7. */
const HEARD_ENERGY = 1e-5;
/** How far apart the files of a recording may be while they play together. */
const MOST_APART_MS = 50;
/** Of one reading in twenty: four pictures are decoded in software, on processors that others use as well. */
const ONCE_APART_MS = 150;
/** Readings of that distance, a frame each. */
const READINGS = 120;
/** Whether there is such a thing is nobody's business who may not have it. */
const REFUSED = [403, 404];
/** More wrong passwords than any limit allows; the server's is set by whoever started this. */
const MOST_TRIES = 40;

const HOST = { name: "Camille Laurent", email: "camille@example.org", password: "correct horse battery" };
const COLLEAGUE = { name: "Amadou Diallo", email: "amadou@example.org", password: "staple a quieter horse" };
const STRANGER = { name: "Hugo Blanc", email: "hugo@example.org", password: "a third horse entirely" };
const GUEST = "Nora Klein";
const TITLE = "Stand-up";
const DESKTOP = { viewport: { width: 1280, height: 800 }, locale: "en" };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, locale: "fr" };

const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
    "--auto-select-desktop-capture-source=Entire screen", "--autoplay-policy=no-user-gesture-required",
  ],
});

const started = Date.now();
function say(fact) {
  process.stdout.write(`${JSON.stringify({ wall: Date.now() / 1000, at_s: (Date.now() - started) / 1000, ...fact })}\n`);
}
const report = (step, facts = {}) => say({ event: "step", step, ...facts });

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
/** Has whoever started this do something to the server, and waits until it is done. */
async function please(what) {
  say({ event: "please", do: what });
  const { value, done } = await answers.next();
  assert.ok(!done, `nobody answers the wish to ${what}`);
  assert.equal(JSON.parse(value).done, what);
}

const pages = new Map();

/** A browser of somebody's own, with a page in it that remembers its connections: their statistics are what is measured. */
async function enter(who, path, how = DESKTOP) {
  const context = await browser.newContext({ ...how, permissions: ["camera", "microphone", "clipboard-read", "clipboard-write"], reducedMotion: "reduce" });
  await context.addInitScript(() => {
    const Native = globalThis.RTCPeerConnection;
    globalThis.connections = [];
    globalThis.RTCPeerConnection = class extends Native {
      constructor(...parts) {
        super(...parts);
        globalThis.connections.push(this);
      }
    };
  });
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MS);
  pages.set(who, page);
  await page.goto(new URL(path, base).href);
  return page;
}

const shot = (who, name) => pages.get(who).screenshot({ path: join(folder, `${name}.png`) });

/** Waits for a fact, looked for again and again; says what was found last if it never comes. */
async function eventually(what, look, within = STEP_MS) {
  const deadline = Date.now() + within;
  for (;;) {
    const { ok, ...found } = await look();
    if (ok) return found;
    assert.ok(Date.now() < deadline, `${what}: not within ${within} ms, but ${JSON.stringify(found)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function api(method, path, { token, body } = {}) {
  const response = await fetch(base + path, {
    method,
    headers: { ...(token && { authorization: `Bearer ${token}` }), ...(body && { "content-type": "application/json" }) },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: text && response.headers.get("content-type")?.includes("json") ? JSON.parse(text) : text };
}

async function logIn({ email, password }) {
  const answer = await api("POST", "/api/auth/login", { body: { email, password } });
  assert.equal(answer.status, 200, JSON.stringify(answer));
  return answer.body.access_token;
}

async function fillAccount(page, { name, email, password }) {
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByLabel("Password, once more").fill(password);
}

const connected = (page) => page.locator('[data-connection="connected"]').waitFor();
const understood = async (page, label) => {
  const button = page.getByRole("button", { name: label });
  await button.waitFor();
  await button.click();
};

/** What a page has decoded so far: pictures of this person's tile, and the energy of all sound it was sent. */
const decoded = (page, name) => page.evaluate(async (title) => {
  const video = [...document.querySelectorAll(".tile")].find((tile) => tile.getAttribute("aria-label") === title)?.querySelector("video");
  let energy = 0;
  let level = 0;
  for (const connection of globalThis.connections) {
    if (connection.connectionState === "closed") continue;
    for (const entry of (await connection.getStats()).values()) {
      if (entry.type !== "inbound-rtp" || entry.kind !== "audio") continue;
      energy += entry.totalAudioEnergy ?? 0;
      level = Math.max(level, entry.audioLevel ?? 0);
    }
  }
  return { frames: video?.getVideoPlaybackQuality().totalVideoFrames ?? 0, energy, level };
}, name);

/** Waits until somebody is seen, in frames decoded since now, and heard, in energy received since now. */
async function seesAndHears(page, name) {
  const before = await decoded(page, name);
  const began = Date.now();
  const { frames, energy } = await eventually(`${name} is seen and heard`, async () => {
    const now = await decoded(page, name);
    const gained = { frames: now.frames - before.frames, energy: now.energy - before.energy };
    return { ok: gained.frames >= LIVE_FRAMES && gained.energy >= HEARD_ENERGY, ...gained };
  });
  return { frames, energy, in_ms: Date.now() - began };
}

async function story() {
  const host = await enter("host", setupLink);
  await fillAccount(host, HOST);
  await host.getByRole("button", { name: "Create the administrator" }).click();
  await host.getByText("Hello, Camille").waitFor();
  await shot("host", "dashboard");
  report("the first administrator is in");

  await host.goto(`${base}/admin/users`);
  await host.getByRole("button", { name: "Invite a user" }).click();
  await host.locator("dialog").getByLabel("E-mail address").fill(COLLEAGUE.email);
  await host.getByRole("button", { name: "Make the link" }).click();
  const invitation = await host.getByTestId("invitation-link").textContent();
  await host.getByRole("button", { name: "Done" }).click();
  const colleague = await enter("colleague", invitation);
  await fillAccount(colleague, COLLEAGUE);
  await colleague.getByRole("button", { name: "Create my account" }).click();
  await colleague.getByText("Hello, Amadou").waitFor();
  report("a colleague was invited on the page, and has an account");

  await host.goto(base);
  await host.getByRole("button", { name: "New meeting" }).click();
  await host.getByLabel("Title").fill(TITLE);
  await host.getByRole("combobox", { name: "People" }).fill("Ama");
  await host.getByRole("option", { name: COLLEAGUE.name }).click();
  await host.getByText("Options", { exact: true }).click();
  await host.getByLabel("Waiting room").check({ force: true });
  await host.getByLabel("Recording").selectOption({ label: "When somebody starts it" });
  await host.getByRole("button", { name: "Start now" }).click();
  await host.getByRole("button", { name: "Join now" }).waitFor();
  await shot("host", "prejoin");
  await host.getByRole("button", { name: "Join now" }).click();
  await connected(host);
  const room = decodeURIComponent(new URL(host.url()).pathname.split("/").at(-1));
  report("a meeting is made and entered", { room });

  const live = colleague.locator(".live-card", { hasText: TITLE });
  await live.getByRole("link", { name: "Join" }).click();
  await colleague.getByRole("button", { name: "Join now" }).click();
  await connected(colleague);
  const [there, back] = await Promise.all([seesAndHears(host, COLLEAGUE.name), seesAndHears(colleague, HOST.name)]);
  report("both see and hear each other", { there, back });
  await shot("host", "meeting");

  await host.keyboard.press("p");
  await host.getByRole("button", { name: "Invite…" }).click();
  await host.getByLabel("Good for").selectOption("1");
  await host.getByLabel("Uses", { exact: true }).fill("1");
  await host.getByRole("button", { name: "Make a link" }).click();
  const door = await host.getByTestId("room-invitation-link").textContent();
  await host.locator("dialog").getByText("used 0 of 1 times").waitFor();
  await shot("host", "links");
  await host.locator("dialog").getByRole("button", { name: "Close" }).click();
  const guest = await enter("guest", door, PHONE);
  await guest.getByLabel("Votre nom").fill(GUEST);
  await shot("guest", "phone-prejoin");
  await guest.getByRole("button", { name: "Rejoindre" }).click();
  await guest.getByText("On va vous faire entrer").waitFor();
  await shot("guest", "phone-waiting");
  await host.getByRole("button", { name: `Let ${GUEST} in` }).click();
  await connected(guest);
  const [seen, seenBack] = await Promise.all([seesAndHears(host, GUEST), seesAndHears(guest, HOST.name)]);
  await shot("guest", "phone-meeting");
  report("a guest on a phone, in French, waited and was let in", { seen, seenBack });

  const second = await enter("late", door, DESKTOP);
  await second.getByText(/This invitation (does not exist|has been used up|has expired)/).first().waitFor();
  await second.context().close();
  pages.delete("late");
  report("a link for one does not let in a second");

  await host.getByRole("button", { name: /Start recording/ }).click();
  for (const page of [host, colleague, guest]) await page.getByTestId("recording-indicator").waitFor();
  await understood(host, "Understood");
  await understood(colleague, "Understood");
  await understood(guest, "J’ai compris");
  await shot("host", "recorded");
  await host.getByRole("button", { name: /Manage the recording/ }).click();
  await host.getByRole("menuitem", { name: "Pause recording" }).click();
  await guest.getByText("Enregistrement en pause").waitFor();
  await colleague.getByText("Recording paused").waitFor();
  await host.getByRole("button", { name: /Manage the recording/ }).click();
  await host.getByRole("menuitem", { name: /Resume/ }).click();
  await guest.getByText("Enregistrement en cours").waitFor();
  report("everybody is told of the recording, and of its pause");

  await colleague.getByRole("button", { name: /Share a screen/ }).click();
  const screen = host.locator('.tile[data-screen="true"] video');
  await screen.waitFor();
  const shared = await eventually("the shared screen is decoded", async () => {
    const frames = await screen.evaluate((video) => video.getVideoPlaybackQuality().totalVideoFrames);
    return { ok: frames >= LIVE_FRAMES, frames };
  });
  await shot("host", "sharing");
  report("a screen is shared", shared);

  await host.keyboard.press("c");
  await host.getByLabel("Write a message").fill("Bonjour à tous");
  await host.keyboard.press("Enter");
  await colleague.getByRole("button", { name: "Chat (1)" }).click();
  await colleague.getByText("Bonjour à tous").waitFor();
  await guest.keyboard.press("h");
  await host.getByRole("button", { name: /^People/ }).click();
  await host.locator(`.person:has-text("${GUEST}") .hand-mark`).waitFor();
  report("a message is read and a hand is seen");

  await colleague.getByRole("button", { name: /Stop sharing/ }).click();
  await host.locator('.tile[data-screen="true"]').waitFor({ state: "detached" });

  await please("restart");
  const [after, afterBack] = await Promise.all([seesAndHears(host, COLLEAGUE.name), seesAndHears(colleague, HOST.name)]);
  assert.equal(await host.locator('[data-connection="connected"]').count(), 1);
  await host.getByTestId("recording-indicator").waitFor();
  const watcher = await colleague.context().newPage();
  watcher.setDefaultTimeout(STEP_MS);
  await watcher.goto(base);
  await watcher.locator(".live-card", { hasText: TITLE }).waitFor();
  await watcher.close();
  report("the server was killed and started again: the call goes on, the room is in the list", { after, afterBack });

  await outsiders(room);

  await guest.getByRole("button", { name: "Quitter" }).click();
  await guest.getByText("Vous avez quitté la réunion").waitFor();
  await shot("guest", "phone-after");
  await colleague.getByRole("button", { name: "Leave" }).click();
  await colleague.getByText("You have left the meeting").waitFor();
  await host.getByRole("button", { name: "Leave" }).click();
  await host.getByRole("menuitem", { name: "Leave the meeting" }).click();
  await host.getByText("You have left the meeting").waitFor();
  const token = await logIn(HOST);
  const recording = await sealed(token, room);
  report("all have left, and the recording is sealed", { recording: recording.id });

  await host.goto(`${base}/history`);
  await host.getByRole("link", { name: TITLE, exact: true }).first().click();
  for (const name of [HOST.name, COLLEAGUE.name, GUEST]) await host.getByRole("cell", { name }).first().waitFor();
  await shot("host", "call");
  await host.goto(`${base}/recordings/${recording.id}`);
  await watch(host, token, recording.id);

  await colleague.goto(`${base}/recordings/${recording.id}`);
  await colleague.getByTestId("player").waitFor();
  assert.equal(await colleague.getByRole("button", { name: "Delete" }).count(), 0, "a member is not offered what would be refused");
  assert.equal(await colleague.getByRole("button", { name: "Make one video" }).count(), 0);
  report("a member watches, and is offered nothing that would be refused");

  await host.getByRole("button", { name: "Delete" }).click();
  await host.locator("dialog").getByRole("button", { name: "Delete" }).click();
  await host.waitForURL(/\/recordings$/);
  await host.getByText("The recording is deleted.").waitFor();
  await host.locator(`a[href="/recordings/${recording.id}"]`).first().waitFor({ state: "detached" });
  const gone = await api("GET", `/api/recordings/${recording.id}`, { token });
  assert.equal(gone.status, 404, JSON.stringify(gone));
  report("the recording is deleted on the page");

  await throttled();
}

/** The player: both play in step, each layout shows what it says, a seek lands. */
async function watch(host, token, id) {
  const player = host.getByTestId("player");
  await player.waitFor();
  const timeline = (await api("GET", `/api/recordings/${id}/timeline`, { token })).body;
  const media = timeline.media.map(({ url, offset_ms, kind, identity }) => ({ path: url.split("?")[0], offset_ms, kind, identity }));
  assert.equal(media.filter((one) => one.kind === "participant").length, 3, JSON.stringify(media));
  assert.ok(media.some((one) => one.kind === "screen_share"), "the shared screen was recorded");
  const position = async () => Number(await player.getAttribute("data-position"));
  const moving = async (since) => {
    await host.locator('[data-testid="player"][data-playing="true"][data-waiting="false"]').waitFor();
    return eventually("the player moves", async () => ({ ok: (await position()) > since + 700, since, position: await position() }));
  };
  await host.getByRole("button", { name: "Play", exact: true }).click();
  await moving(0);
  const playing = await eventually("two people's pictures are decoded", async () => {
    const frames = await host.evaluate(() => [...document.querySelectorAll('.player .tile[data-screen="false"] video')].map((video) => video.getVideoPlaybackQuality().totalVideoFrames));
    return { ok: frames.filter((count) => count >= LIVE_FRAMES).length >= 2, frames };
  });
  const distance = await apart(host, media);
  report("the player plays all in step", { ...playing, ...distance });
  await shot("host", "player");

  // In the middle, where everybody and the screen have been: nothing moves while layouts are counted.
  await host.getByRole("button", { name: "Pause", exact: true }).click();
  const shared = timeline.media.find((one) => one.kind === "screen_share");
  const middle = Math.round((shared.offset_ms + (shared.first_ms ?? 0) + shared.offset_ms + shared.duration_ms) / 2 / 1000) * 1000;
  const seek = async (to) => {
    await host.getByRole("slider", { name: "Position" }).fill(String(to));
    return eventually(`the player is at ${to}`, async () => ({ ok: Math.abs((await position()) - to) < 60, position: await position() }));
  };
  await seek(middle);
  const shown = '.player .tile[aria-hidden="false"]';
  const layout = async (name, facts) => {
    await host.getByRole("button", { name, exact: true }).click();
    await eventually(`the layout ${name}`, async () => {
      const tiles = await host.locator(shown).evaluateAll((all) => all.map((tile) => ({ large: tile.dataset.large === "true", screen: tile.dataset.screen === "true", identity: tile.dataset.identity, area: tile.clientWidth * tile.clientHeight })));
      return { ok: facts(tiles), tiles };
    });
    await shot("host", `player-${name.toLowerCase().replaceAll(" ", "-")}`);
  };
  await layout("Grid", (tiles) => tiles.length === 4 && new Set(tiles.map((tile) => tile.area)).size === 1);
  await layout("Screen", (tiles) => tiles.some((tile) => tile.screen && tile.large && tiles.every((other) => other === tile || other.area < tile.area)));
  await layout("Speaker", (tiles) => tiles.filter((tile) => tile.large).length === 1 && tiles.find((tile) => tile.large).screen === false);
  await host.getByRole("button", { name: "One person", exact: true }).click();
  await host.getByLabel("Person", { exact: true }).selectOption({ label: COLLEAGUE.name });
  await layout("One person", (tiles) => tiles.length === 1 && tiles[0].identity === media.find((one) => one.kind === "screen_share").identity);
  await host.getByRole("button", { name: "Grid", exact: true }).click();
  report("layouts show what they say");

  const landed = await seek(middle);
  await host.getByRole("button", { name: "Play", exact: true }).click();
  await moving(middle);
  report("a seek lands, and all go on in step", { asked: middle, ...landed, ...(await apart(host, media)) });
}

/** Reads from the elements themselves, frame by frame, how far apart the files are that play now. */
async function apart(page, media) {
  const found = await page.evaluate(async ({ media, readings }) => {
    const offsetOf = (video) => media.find((one) => new URL(video.src).pathname === one.path)?.offset_ms;
    const spreads = [];
    const until = performance.now() + 20_000;
    while (spreads.length < readings && performance.now() < until) {
      await new Promise((resolve) => requestAnimationFrame(resolve));
      const times = [...document.querySelectorAll(".player .tile video")]
        .filter((video) => !video.paused && !video.seeking && !video.ended && video.readyState >= 3)
        .map((video) => video.currentTime * 1000 + offsetOf(video));
      if (times.length >= 2) spreads.push(Math.max(...times) - Math.min(...times));
    }
    spreads.sort((a, b) => a - b);
    return { readings: spreads.length, median_ms: spreads[Math.floor(spreads.length / 2)], p95_ms: spreads[Math.floor(spreads.length * 0.95)] };
  }, { media, readings: READINGS });
  assert.ok(found.readings >= READINGS / 2, JSON.stringify(found));
  assert.ok(found.median_ms <= MOST_APART_MS && found.p95_ms <= ONCE_APART_MS, `${JSON.stringify(found)}: more than ${MOST_APART_MS} ms apart`);
  return found;
}

/** Neither nobody nor somebody else's colleague gets in, by pages or API. */
async function outsiders(room) {
  const token = await logIn(HOST);
  const made = await api("POST", "/api/users", { token, body: { ...STRANGER, role: "member" } });
  assert.equal(made.status, 201, JSON.stringify(made));
  const recordings = await api("GET", `/api/recordings?room=${encodeURIComponent(room)}`, { token });
  const recording = recordings.body.items[0].id;
  const secrets = [`/api/livekit/rooms/${room}`, `/api/livekit/rooms/${room}/invitations`, `/api/livekit/rooms/${room}/waiting`, `/api/livekit/rooms/${room}/chat`, `/api/recordings/${recording}`, `/api/recordings/${recording}/timeline`, `/api/recordings/${recording}/files`, "/api/users", "/api/admin/overview", "/api/admin/audit", "/api/admin/settings"];
  for (const path of [...secrets, "/api/recordings", "/api/livekit/rooms", "/api/calls", "/api/me", "/api/contacts", "/api/notifications"]) {
    const refused = await api("GET", path);
    assert.equal(refused.status, 401, `${path}: ${refused.status}`);
  }
  const stranger = await logIn(STRANGER);
  for (const path of secrets) {
    const refused = await api("GET", path, { token: stranger });
    assert.ok(REFUSED.includes(refused.status), `${path}: ${refused.status}`);
  }
  for (const path of ["/api/recordings", "/api/livekit/rooms", "/api/calls"]) {
    const list = await api("GET", path, { token: stranger });
    assert.deepEqual([list.status, list.body.items], [200, []], path);
  }
  const join = await api("POST", `/api/livekit/rooms/${room}/join`, { token: stranger, body: {} });
  assert.ok(REFUSED.includes(join.status), JSON.stringify(join));

  const nobody = await enter("nobody", "/");
  for (const path of ["/", "/recordings", `/recordings/${recording}`, "/history", "/account", "/admin", "/admin/users", `/rooms/${room}`, `/r/${room}`]) {
    await nobody.goto(base + path);
    await nobody.waitForURL(/\/login/);
  }
  await nobody.getByLabel("E-mail address").fill(STRANGER.email);
  await nobody.getByLabel("Password").fill(STRANGER.password);
  await nobody.getByRole("button", { name: "Log in" }).click();
  // The way back to the last page asked for, which is not theirs.
  const refusal = /You are not allowed to do this|does not exist, or no longer/;
  await nobody.getByText(refusal).waitFor();
  for (const path of [`/recordings/${recording}`, `/rooms/${room}`]) {
    await nobody.goto(base + path);
    await nobody.getByText(refusal).waitFor();
  }
  await nobody.goto(`${base}/admin/users`);
  await nobody.getByText("Hello, Hugo").waitFor();
  await shot("nobody", "outsider");
  await nobody.context().close();
  pages.delete("nobody");
  report("outsiders are refused at each page and call", { calls: secrets.length });
}

/** Wrong passwords, one after the other, until the page says to wait. Last: it is this address that is put off. */
async function throttled() {
  const page = await enter("guesser", "/login");
  await page.getByLabel("E-mail address").fill(HOST.email);
  let tries = 0;
  for (; tries < MOST_TRIES; tries += 1) {
    await page.getByLabel("Password").fill(`guess ${tries}`);
    const answer = page.waitForResponse((response) => response.url().endsWith("/api/auth/login"));
    await page.getByRole("button", { name: "Log in" }).click();
    if ((await answer).status() === 429) break;
    await page.getByText("The e-mail address or the password is wrong.").waitFor();
  }
  await page.getByText(/Too many tries. Wait \d+ seconds?\./).waitFor();
  await shot("guesser", "throttled");
  report("log-in is throttled, and the page says how long", { tries });
}

/** Waits until a room's recording is sealed, and gives it. */
const sealed = async (token, room) => (await eventually("the recording is sealed", async () => {
  const list = await api("GET", `/api/recordings?room=${encodeURIComponent(room)}`, { token });
  const recording = list.body.items?.find((one) => one.state === "sealed");
  return { ok: recording !== undefined, recording, list: recording ? undefined : list };
}, 60_000)).recording;

try {
  await story();
  report("done");
} catch (error) {
  for (const who of pages.keys()) await shot(who, `failed-${who}`).catch(() => undefined);
  say({ event: "failed", error: String(error.stack ?? error) });
  process.exitCode = 1;
} finally {
  await browser.close();
  process.stdin.destroy();
}
