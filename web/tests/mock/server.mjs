// A stand-in for the server, for looking at the pages and for their browser test: fixtures behind the contract's paths,
// the built files, and media with ranges. Meetings are real where a LiveKit server is given. Not part of the product.
import { createHmac, randomUUID } from "node:crypto";
import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

import * as fixtures from "./fixtures.mjs";

const DIST = fileURLToPath(new URL("../../dist", import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2", ".webm": "video/webm", ".wasm": "application/wasm", ".tflite": "application/octet-stream" };
const CSP = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; font-src 'self' data:; connect-src 'self' ws://127.0.0.1:* http://127.0.0.1:*; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'";

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A LiveKit access token. */
export function token(livekit, identity, name, room) {
  const at = Math.floor(Date.now() / 1000);
  const video = { room, roomJoin: true, canPublish: true, canSubscribe: true, canPublishData: true, canUpdateOwnMetadata: true };
  const body = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ iss: livekit.key, sub: identity, name, nbf: at - 5, exp: at + 3600, video })}`;
  return `${body}.${createHmac("sha256", livekit.secret).update(body).digest("base64url")}`;
}

/** Starts it on a free port of loopback. `media` is a folder; `livekit` is `{url, key, secret}`. */
export async function startMock({ media, livekit, port = 0 } = {}) {
  const state = { signedIn: true, recording: null, waiting: [], admitted: new Set(), embedOrigins: [], removed: structuredClone(fixtures.removed), rooms: structuredClone(fixtures.rooms), requests: [] };
  const listeners = new Set();
  /** Tells every page that listens. */
  const tell = (type, data = {}) => { for (const response of listeners) response.write(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`); };
  const server = createServer((request, response) => {
    handle(request, response).catch((error) => send(response, 500, { code: "internal", detail: String(error) }));
  });

  async function handle(request, response) {
    const url = new URL(request.url, "http://mock");
    const path = decodeURIComponent(url.pathname);
    if (path.startsWith("/media/")) return sendFile(request, response, join(media, normalize(path.slice(7))));
    if (!path.startsWith("/api/")) return sendPage(request, response, path);
    const body = await readBody(request);
    state.requests.push({ method: request.method, path, body, authorization: request.headers.authorization });
    const answer = route(`${request.method} ${path}`, { url, body, request, response });
    if (answer === "stream") return undefined;
    if (answer === undefined) return send(response, 404, { code: "not_found" });
    const wrapped = typeof answer.status === "number";
    return send(response, wrapped ? answer.status : 200, wrapped ? answer.body ?? {} : answer);
  }

  const list = (items) => ({ items });
  const session = () => ({ access_token: "mock", expires_in: 600, user: fixtures.users[0] });
  const roomBy = (name) => state.rooms.find((one) => one.name === name);
  const admitted = (identity, name, room) => ({ status: "admitted", token: livekit ? token(livekit, identity, name, room) : "none", url: livekit?.url ?? "ws://127.0.0.1:9", identity, room });

  function route(key, { url, body, request, response }) {
    const match = (pattern) => key.match(pattern);
    const query = url.searchParams;
    let found;
    switch (key) {
      case "GET /api/config": return { version: "0.1.0", languages: ["fr", "en"], default_language: "fr", organisation: "Atelier du Lac", set_up: true, livekit_url: livekit?.url ?? "ws://127.0.0.1:9", login: { own: true, foreign: false }, embed_origins: state.embedOrigins, features: {} };
      case "POST /api/auth/refresh": return state.signedIn ? session() : { status: 401, body: { code: "unauthenticated" } };
      case "POST /api/auth/login": if (body.password !== "correct horse") return { status: 401, body: { code: "wrong_credentials" } }; state.signedIn = true; return session();
      case "POST /api/auth/logout": case "POST /api/auth/logout-all": state.signedIn = false; return { status: 204 };
      case "POST /api/setup": state.signedIn = true; return session();
      case "GET /api/me": return fixtures.users[0];
      case "PATCH /api/me": return { ...fixtures.users[0], ...body };
      case "GET /api/users": return list(fixtures.users);
      case "POST /api/users/invitations": return { token: "tok", url: "/accept/tok", role: body.role };
      case "GET /api/users/invitations/tok": return { token: "tok", email: "nouvelle@example.org", name: "Nora Klein", role: "member" };
      case "GET /api/keys": return list(fixtures.keys);
      case "POST /api/keys": return { id: "key_9", name: body.name, scopes: body.scopes, created_at: new Date().toISOString(), key: "gk_key9_s3cr3t" };
      case "GET /api/livekit/rooms": return list(state.rooms.filter((one) => (query.get("state") === "live" ? one.state === "live" : query.get("state") === "upcoming" ? one.scheduled_for : query.get("state") === "idle" ? one.state === "idle" && !one.scheduled_for : true)));
      case "POST /api/livekit/rooms": { const made = { ...structuredClone(fixtures.rooms[3]), name: `room-${state.rooms.length}`, title: body.title, call_type: body.call_type, options: body.options, scheduled_for: body.scheduled_for ?? null }; state.rooms.push(made); return { status: 201, body: made }; }
      case "GET /api/invitations/good": return { room: "cafe", title: "Café virtuel", owner: "Camille Laurent", call_type: "video", needs_name: true, waiting_room: true, live: true };
      case "GET /api/contacts": return list(fixtures.users.filter((user) => user.name.toLowerCase().includes((query.get("q") ?? "").toLowerCase())));
      case "GET /api/calls": return list(fixtures.calls);
      case "GET /api/statistics": return fixtures.statistics(query.get("from"), query.get("to"));
      case "GET /api/notifications": return list(fixtures.notifications);
      case "POST /api/notifications/read": return { status: 204 };
      case "POST /api/calendar/key": return { url: "/api/calendar.ics?key=5f0c9a" };
      case "GET /api/events": listeners.add(response); request.on("close", () => listeners.delete(response)); stream(request, response); return "stream";
      case "GET /api/recordings": return list(fixtures.recordings.filter((one) => (!query.get("state") || one.state === query.get("state")) && (!query.get("q") || one.labels.title.toLowerCase().includes(query.get("q").toLowerCase()))));
      case "GET /api/admin/overview": return fixtures.overview;
      case "GET /api/admin/rooms": return list([{ name: "point-equipe", title: "Point d’équipe", started_at: fixtures.rooms[0].call.started_at, participants: fixtures.rooms[0].participants_now, recording: fixtures.recordings[1] }]);
      case "GET /api/admin/jobs": return list(fixtures.jobs);
      case "GET /api/admin/storage": return fixtures.storage;
      case "GET /api/admin/audit": return list(fixtures.audit);
      case "GET /api/admin/settings": return fixtures.settings;
      case "PATCH /api/admin/settings": return { ...fixtures.settings, ...body };
      case "GET /api/loadtests": return list(fixtures.loadTests);
      case "POST /api/loadtests": return { status: 201, body: fixtures.loadTests[0] };
      default:
    }
    if ((found = match(/^GET \/api\/livekit\/rooms\/([^/]+)$/))) { const room = roomBy(found[1]); return room && { ...room, recording: state.recording ?? room.recording }; }
    if ((found = match(/^(PATCH|DELETE) \/api\/livekit\/rooms\/([^/]+)$/))) return found[1] === "PATCH" ? roomBy(found[2]) : { status: 204 };
    if ((found = match(/^POST \/api\/livekit\/rooms\/([^/]+)\/join$/))) {
      if (!body.invitation) return admitted(state.signedIn ? "usr_1" : "guest", body.name || "Camille Laurent", found[1]);
      const id = randomUUID();
      const guest = body.guest ? {} : { guest: `secret-of-${id}` };
      state.waiting.push({ id, name: body.name ?? "?", room: found[1] });
      return { status: 202, body: { status: "waiting", waiting_id: id, poll: `/api/waiting/${id}?secret=s`, ...guest } };
    }
    if ((found = match(/^GET \/api\/waiting\/([^/]+)$/))) {
      const person = state.waiting.find((one) => one.id === found[1]) ?? [...state.admitted].find((one) => one.id === found[1]);
      if (!person) return { status: "denied" };
      return { status: 200, body: state.admitted.has(person) ? admitted(`guest-${person.id.slice(0, 6)}`, person.name, person.room) : { status: "waiting" } };
    }
    if ((found = match(/^GET \/api\/livekit\/rooms\/([^/]+)\/waiting$/))) return list(state.waiting.filter((one) => !state.admitted.has(one)));
    if ((found = match(/^POST \/api\/livekit\/rooms\/[^/]+\/waiting\/([^/]+)\/(admit|deny)$/))) {
      const person = state.waiting.find((one) => one.id === found[1]);
      if (person && found[2] === "admit") state.admitted.add(person);
      else state.waiting = state.waiting.filter((one) => one !== person);
      return { status: 204 };
    }
    if (match(/^POST \/api\/livekit\/rooms\/[^/]+\/waiting\/admit-all$/)) { for (const person of state.waiting) state.admitted.add(person); return { status: 204 }; }
    if ((found = match(/^POST \/api\/livekit\/rooms\/[^/]+\/recording\/(start|pause|resume|stop)$/))) {
      state.recording = found[1] === "stop" ? null : { ...fixtures.recordings[1], state: "capturing", paused: found[1] === "pause" };
      tell("recording");
      return state.recording ?? { status: 204 };
    }
    if (match(/^GET \/api\/livekit\/rooms\/[^/]+\/removed$/)) return list(state.removed);
    if ((found = match(/^DELETE \/api\/livekit\/rooms\/[^/]+\/removed\/([^/]+)$/))) { state.removed = state.removed.filter((one) => one.identity !== found[1]); return { status: 204 }; }
    if ((found = match(/^(PUT|DELETE) \/api\/livekit\/rooms\/([^/]+)\/members\/([^/]+)$/))) {
      const room = roomBy(found[2]);
      if (found[1] === "DELETE") { room.members = room.members.filter((one) => one.user.id !== found[3]); return { status: 204 }; }
      room.members = room.members.map((one) => (one.user.id === found[3] ? { ...one, role: body.role } : one));
      return room;
    }
    if (match(/^GET \/api\/livekit\/rooms\/[^/]+\/invitations$/)) return list(fixtures.invitations);
    if (match(/^POST \/api\/livekit\/rooms\/[^/]+\/invitations$/)) return { status: 201, body: { id: "inv_1", token: "good", url: "/i/good", guest: body.guest, uses: 0, created_at: new Date().toISOString() } };
    if (match(/^GET \/api\/livekit\/rooms\/[^/]+\/chat$/)) return list([]);
    if (match(/^POST \/api\/livekit\/rooms\//)) return { status: 204 };
    if ((found = match(/^GET \/api\/calls\/([^/]+)$/))) return fixtures.calls.find((one) => one.id === found[1]);
    if ((found = match(/^GET \/api\/recordings\/([^/]+)$/))) return fixtures.recordings.find((one) => one.id === found[1]);
    if (match(/^GET \/api\/recordings\/rec_hour\/timeline$/)) return fixtures.hour;
    if (match(/^GET \/api\/recordings\/[^/]+\/timeline$/)) return fixtures.timeline;
    if (match(/^GET \/api\/recordings\/[^/]+\/files$/)) return list(fixtures.files);
    if (match(/^GET \/api\/recordings\/[^/]+\/renders$/)) return list([...fixtures.renders, ...(state.render ? [state.render] : [])]);
    if (match(/^POST \/api\/recordings\/[^/]+\/renders$/)) { state.render = { ...fixtures.renders[0], id: "ren_9", kind: body.kind, state: "running", progress: 0.37, request: body }; return { status: 202, body: state.render }; }
    if (match(/^GET \/api\/renders\/[^/]+\/events$/)) { stream(request, response, [["progress", { progress: 0.42 }]]); return "stream"; }
    if (match(/^DELETE /)) return { status: 204 };
    if ((found = match(/^GET \/api\/loadtests\/([^/]+)$/))) return fixtures.loadTests.find((one) => one.id === found[1]);
    if (match(/^GET \/api\/loadtests\/[^/]+\/events$/)) {
      const samples = Array.from({ length: 45 }, (_, second) => ["tick", { second, seconds: 120, participants: Math.min(30, second * 2), tracks: Math.min(300, second * 20), received: 5200 + 90 * second, lost: second > 25 ? 20 + ((second * 7) % 30) : 1, joins: Math.min(30, second * 2), audio_latency: { p50: 6, p95: 11 + (second % 4) }, video_latency: { p50: 8, p95: 16 + (second % 7) }, tester: { cpu_percent: 14 + (second % 5), rss_mebibytes: 92, socket_drops: 0, send_lag_ms: 1 + (second % 3), loop_lag_ms: 2, machine_percent: 60 }, bytes: 1_900_000 + 40_000 * second, sent: 3000, freezes: second > 25 ? second % 3 : 0 }]);
      stream(request, response, samples);
      return "stream";
    }
    return undefined;
  }

  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  const { port: actual } = server.address();
  return { url: `http://127.0.0.1:${actual}`, state, tell, close: () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); }) };
}

function send(response, status, body) {
  const problem = status >= 400;
  response.writeHead(status, { "content-type": problem ? "application/problem+json" : "application/json", "cache-control": "no-store" });
  response.end(status === 204 ? undefined : JSON.stringify(problem ? { status, ...body } : body));
}

function stream(request, response, events = []) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.write(": here\n\n");
  for (const [type, data] of events) response.write(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
  request.on("close", () => response.end());
}

async function readBody(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  try {
    return text ? JSON.parse(text) : {};
  } catch {
    return {};
  }
}

function sendPage(request, response, path) {
  const file = join(DIST, normalize(path));
  const isFile = path !== "/" && existsSync(file) && statSync(file).isFile();
  if (!isFile && (path.startsWith("/assets/") || path.startsWith("/blur/"))) return send(response, 404, { code: "not_found" });
  const chosen = isFile ? file : join(DIST, "index.html");
  response.writeHead(200, { "content-type": TYPES[extname(chosen)] ?? "application/octet-stream", ...(chosen.endsWith(".html") && { "content-security-policy": CSP }) });
  response.end(request.method === "HEAD" ? undefined : readFileSync(chosen));
}

/** What was sent of media, for tests of how little a player needs. */
export const sent = { bytes: 0, ranges: 0 };

function sendFile(request, response, file) {
  if (!existsSync(file)) return send(response, 404, { code: "file_not_found" });
  const { size } = statSync(file);
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const from = range ? Number(range[1]) : 0;
  // As the real one does for `chunk`: an answer without an end would keep its connection.
  const chunk = Number(new URL(request.url, "http://mock").searchParams.get("chunk") ?? size);
  const to = Math.min(range?.[2] ? Number(range[2]) : Math.min(size, from + chunk) - 1, size - 1);
  const headers = { "content-type": TYPES[extname(file)], "accept-ranges": "bytes", "content-length": to - from + 1, ...(range && { "content-range": `bytes ${from}-${to}/${size}` }) };
  response.writeHead(range ? 206 : 200, headers);
  sent.bytes += to - from + 1;
  sent.ranges += 1;
  return createReadStream(file, { start: from, end: to }).on("error", () => response.destroy()).pipe(response);
}
