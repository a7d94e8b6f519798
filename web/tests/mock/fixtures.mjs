// What the stand-in server answers. Times are relative to now, so that pages look the same on any day.
const now = Date.now();
const ago = (minutes) => new Date(now - minutes * 60_000).toISOString();
const ahead = (minutes) => new Date(now + minutes * 60_000).toISOString();

export const users = [
  { id: "usr_1", name: "Camille Laurent", email: "camille@example.org", role: "admin", language: null, created_at: ago(90_000), last_seen_at: ago(1) },
  { id: "usr_2", name: "Amina Diallo", email: "amina@example.org", role: "member", created_at: ago(80_000), last_seen_at: ago(45) },
  { id: "usr_3", name: "Jonas Weber", email: "jonas@example.org", role: "member", created_at: ago(70_000), last_seen_at: ago(2_000) },
  { id: "usr_4", name: "Inès Moreau", email: "ines@example.org", role: "member", disabled: true, created_at: ago(60_000), last_seen_at: null },
];

const options = { waiting_room: true, recording: "manual", max_participants: 100, listeners_only: false, locked: false };
const owner = { id: "usr_1", name: "Camille Laurent" };
const room = (name, title, more = {}) => ({
  name, title, call_type: "video", owner, state: "idle", role: "owner", participants_now: [], members: [{ user: { id: "usr_1", name: "Camille Laurent" }, role: "owner" }, { user: { id: "usr_2", name: "Amina Diallo" }, role: "moderator" }, { user: { id: "usr_3", name: "Jonas Weber" }, role: "member" }], options, created_at: ago(5000), scheduled_for: null, recording: null, call: null, ...more,
});

export const recording = (id, title, more = {}) => ({
  id, room: title.toLowerCase().replace(/\W+/g, "-"), name: "default", state: "sealed", failure: null, paused: false, stop_reason: "room_empty",
  created_at: ago(1500), started_at: ago(1500), stopped_at: ago(1440), ended_at: ago(1440), duration_ms: 3_580_000, bytes: 812_000_000, packets: 1_204_332,
  lost_packets: 87, participants: 4, labels: { title }, request: {}, ...more,
});

export const recordings = [
  recording("rec_play", "Revue hebdomadaire du produit", { duration_ms: 60_000, participants: 3, bytes: 3_400_000, started_at: ago(50) }),
  recording("rec_live", "Point d’équipe", { state: "capturing", started_at: ago(14), duration_ms: 840_000, bytes: 120_000_000, participants: 3 }),
  recording("rec_3", "Entretien Jonas"),
  recording("rec_4", "Comité de pilotage", { started_at: ago(9000), participants: 9, bytes: 2_310_000_000, duration_ms: 5_400_000 }),
  recording("rec_hour", "Assemblée générale", { started_at: ago(20_000), participants: 6, bytes: 900_000_000, duration_ms: 3_600_000 }),
  recording("rec_5", "Formation accueil", { state: "failed", failure: { kind: "disk_full" }, started_at: ago(12_000), participants: 2, bytes: 40_000_000, duration_ms: 300_000 }),
];

export const rooms = [
  room("point-equipe", "Point d’équipe", {
    state: "live", call: { id: "call_1", started_at: ago(14) }, recording: recordings[1],
    participants_now_from: "last_told",
    participants_now: [{ identity: "usr_2", name: "Amina Diallo", joined_at: ago(14) }, { identity: "usr_3", name: "Jonas Weber", joined_at: ago(12) }, { identity: "g1", name: "Léa Petit", joined_at: ago(3) }],
  }),
  room("revue-produit", "Revue hebdomadaire du produit", { scheduled_for: ahead(95), duration_minutes: 60 }),
  room("comite", "Comité de pilotage", { scheduled_for: ahead(60 * 27), duration_minutes: 90, call_type: "audio", owner: { id: "usr_2", name: "Amina Diallo" }, role: "member" }),
  room("cafe", "Café virtuel"),
  room("support", "Permanence support", { owner: { id: "usr_3", name: "Jonas Weber" }, role: "member" }),
];

const people = (names, start, minutes) => names.map((name, index) => ({
  identity: `usr_${index + 1}`, name, intervals: [{ joined_at: ago(start - index), left_at: ago(start - minutes + (index === 2 ? 8 : 0)) }],
  quality: { packets_lost_percent: 0.2 * index, jitter_ms: 4 + index, rtt_ms: 22 + 11 * index, bitrate_kbps: 1450 - index * 300, width: 1280, height: 720 },
}));
export const calls = [
  { id: "call_2", room: "revue-produit", title: "Revue hebdomadaire du produit", started_at: ago(150), ended_at: ago(92), participants: people(["Camille Laurent", "Amina Diallo", "Jonas Weber"], 150, 58), recordings: ["rec_play"] },
  { id: "call_3", room: "cafe", title: "Café virtuel", started_at: ago(1600), ended_at: ago(1575), participants: people(["Camille Laurent", "Inès Moreau"], 1600, 25), recordings: [] },
  { id: "call_4", room: "entretien", title: "Entretien Jonas", started_at: ago(3100), ended_at: ago(3040), participants: people(["Camille Laurent", "Jonas Weber"], 3100, 60), recordings: ["rec_3"] },
  { id: "call_5", room: "comite", title: "Comité de pilotage", started_at: ago(9000), ended_at: ago(8910), participants: people(["Camille Laurent", "Amina Diallo", "Jonas Weber", "Inès Moreau"], 9000, 90), recordings: ["rec_4"] },
];

export const statistics = (from, to) => {
  const days = [];
  for (let at = Date.parse(from); at <= Date.parse(to); at += 86_400_000) {
    const day = new Date(at);
    if (day.getUTCDay() % 6 === 0) continue;
    const calls = 1 + ((day.getUTCDate() * 7) % 6);
    days.push({ day: day.toISOString().slice(0, 10), calls, minutes: calls * (18 + ((day.getUTCDate() * 13) % 40)), participants: calls * 3 + (day.getUTCDate() % 4) });
  }
  return { days };
};

export const notifications = [
  { id: "ntf_1", kind: "recording_ready", created_at: ago(50), read: false, room: "revue-produit", title: "Revue hebdomadaire du produit", recording: "rec_play" },
  { id: "ntf_2", kind: "invited", created_at: ago(180), read: false, room: "comite", title: "Comité de pilotage", by: "Amina Diallo" },
  { id: "ntf_3", kind: "room_live", created_at: ago(600), read: true, room: "cafe", title: "Café virtuel" },
];

const talk = (offset, every, length, until = 60_000) => {
  const spans = [];
  for (let at = offset; at < until; at += every) spans.push({ from_ms: at, to_ms: Math.min(until, at + length) });
  return spans;
};
export const timeline = {
  recording: recordings[0], duration_ms: 60_000,
  participants: [
    { identity: "usr_1", name: "Camille Laurent", joined: [{ from_ms: 0, to_ms: 60_000 }], speaking: talk(500, 15_000, 5_500), camera: [{ from_ms: 0, to_ms: 60_000 }] },
    { identity: "usr_2", name: "Amina Diallo", joined: [{ from_ms: 0, to_ms: 60_000 }], speaking: talk(6_200, 15_000, 4_200), camera: [{ from_ms: 0, to_ms: 60_000 }] },
    { identity: "usr_3", name: "Jonas Weber", joined: [{ from_ms: 8_000, to_ms: 40_000 }, { from_ms: 46_000, to_ms: 60_000 }], speaking: talk(11_000, 15_000, 3_500).filter((span) => span.from_ms < 38_000 || span.from_ms > 47_000), camera: [{ from_ms: 8_000, to_ms: 30_000 }] },
  ],
  media: [
    { kind: "participant", identity: "usr_1", name: "Camille Laurent", url: "/media/usr_1.webm?key=s", media_type: "video/webm", width: 640, height: 360, offset_ms: 0, duration_ms: 60_000, has_audio: true, has_video: true },
    { kind: "participant", identity: "usr_2", name: "Amina Diallo", url: "/media/usr_2.webm?key=s", media_type: "video/webm", width: 640, height: 360, offset_ms: 0, duration_ms: 60_000, has_audio: true, has_video: true },
    { kind: "participant", identity: "usr_3", name: "Jonas Weber", url: "/media/usr_3.webm?key=s", media_type: "video/webm", width: 640, height: 360, offset_ms: 0, duration_ms: 60_000, has_audio: true, has_video: true },
    { kind: "screen_share", identity: "usr_2", name: "Amina Diallo", url: "/media/screen.webm?key=s", media_type: "video/webm", width: 1280, height: 720, offset_ms: 15_000, duration_ms: 25_000, has_audio: false, has_video: true },
  ],
  chat: [
    { at_ms: 9_000, identity: "usr_2", name: "Amina Diallo", text: "Bienvenue Jonas !" },
    { at_ms: 17_500, identity: "usr_1", name: "Camille Laurent", text: "Le résumé est ici : https://example.org/resume" },
    { at_ms: 33_000, identity: "usr_3", name: "Jonas Weber", text: "Je reviens dans un instant." },
  ],
  pauses: [], gaps: [{ from_ms: 52_000, to_ms: 52_600 }], events: [],
};

/** Six people for an hour. */
const six = ["Camille Laurent", "Amina Diallo", "Jonas Weber", "Inès Moreau", "Léa Petit", "Nora Klein"].map((name, index) => ({ identity: `usr_${index + 1}`, name }));
export const hour = {
  recording: recordings.find((one) => one.id === "rec_hour"), duration_ms: 3_600_000,
  participants: six.map((person, index) => ({ ...person, joined: [{ from_ms: 0, to_ms: 3_600_000 }], speaking: talk(index * 10_000, 60_000, 9_000, 3_600_000), camera: [{ from_ms: 0, to_ms: 3_600_000 }], muted: [] })),
  media: six.map((person) => ({ ...person, kind: "participant", url: `/media/hour.webm?key=${person.identity}`, media_type: "video/webm", width: 640, height: 360, offset_ms: 0, first_ms: 0, duration_ms: 3_600_000, has_audio: true, has_video: true })),
  chat: [], pauses: [], gaps: [], events: [], truncated: false,
};

const render = (id, kind, state, more = {}) => ({ id, recording: "rec_play", kind, request: {}, state, failure: null, progress: state === "ready" ? 1 : 0, file: null, created_at: ago(49), started_at: ago(49), ended_at: state === "ready" ? ago(48) : null, ...more });
export const renders = [
  render("ren_1", "participant", "ready", { request: { name: "Camille Laurent" } }),
  render("ren_2", "participant", "ready", { request: { name: "Amina Diallo" } }),
  render("ren_3", "participant", "ready", { request: { name: "Jonas Weber" } }),
  render("ren_4", "screen_share", "ready", { request: { name: "Amina Diallo" } }),
];
export const files = renders.map((one, index) => ({ part: "render", render: one.id, name: ["camille-laurent.webm", "amina-diallo.webm", "jonas-weber.webm", "ecran-amina-diallo.webm"][index], media_type: "video/webm", bytes: 1_200_000 - index * 200_000, sha256: "0".repeat(64), url: timeline.media[index].url }));

export const overview = { rooms_live: 1, participants_now: 3, recordings_running: 1, recordings_total: 214, jobs_queued: 2, jobs_running: 1, jobs_failed: 1, users: users.length, bytes_used: 184_000_000_000, bytes_free: 620_000_000_000, uptime_seconds: 864_000, version: "0.1.0", livekit_reachable: true };
export const jobs = [
  { id: "job_01KAVZ3", kind: "render.encode", state: "running", progress: 0.4, attempts: 1, created_at: ago(3), recording: "rec_4" },
  { id: "job_01KAVZ2", kind: "render.copy", state: "queued", attempts: 0, created_at: ago(2), recording: "rec_live" },
  { id: "job_01KAVY9", kind: "render.encode", state: "failed", attempts: 3, error: "the encoder ended with status 1", created_at: ago(300), recording: "rec_3" },
  { id: "job_01KAVX1", kind: "render.copy", state: "done", attempts: 1, created_at: ago(1500), recording: "rec_3" },
];
export const storage = { total_bytes: 960_000_000_000, free_bytes: 620_000_000_000, journals_bytes: 150_000_000_000, renders_bytes: 34_000_000_000, recordings: recordings.map(({ id, room, bytes }) => ({ id, room, bytes })) };
export const audit = [
  { id: "aud_3", at: ago(5), actor: "camille@example.org", action: "recording.read", target: "rec_play", address: "192.0.2.14", outcome: "ok" },
  { id: "aud_2", at: ago(65), actor: "amina@example.org", action: "room.create", target: "comite", address: "192.0.2.20", outcome: "forbidden" },
  { id: "aud_1", at: ago(900), actor: "key:backup", action: "recording.delete", target: "rec_1", address: "198.51.100.7", outcome: "ok" },
];
export const invitations = [
  { id: "inv_3", guest: true, uses: 2, max_uses: 5, created_at: ago(40), expires_at: ahead(1400) },
  { id: "inv_2", guest: false, uses: 0, created_at: ago(4000) },
  { id: "inv_1", guest: true, uses: 1, max_uses: 1, created_at: ago(9000), expires_at: ago(7000) },
];
export const removed = [{ identity: "guest_9", name: "Paul Renard", removed_at: ago(4), removed_by: "usr_1" }];
export const settings = { organisation: "Atelier du Lac", default_language: "fr", waiting_room: true };
export const keys = [{ id: "key_1", name: "Sauvegarde nocturne", scopes: ["recordings:read"], created_at: ago(40_000), last_used_at: ago(300) }];
const verdict = (outcome, sentence) => ({ outcome, sentence, tester_behind: [], cut_short: null });
const judged = (passed) => [{ name: "join_p95", limit: "2s", value: "412ms", passed: true }, { name: "loss", limit: "0.1%", value: passed ? "0.02%" : "1.4%", passed }];
export const loadTests = [
  { id: "ldt_1", scenario: { name: "meeting-6", description: "Six people with cameras talk to one another" }, state: "running", by: "Camille Laurent", created_at: ago(1), started_at: ago(1), has_report: false },
  { id: "ldt_2", scenario: { name: "webinar-1x200", description: "One speaks, two hundred listen" }, state: "finished", by: "Camille Laurent", created_at: ago(4000), has_report: true, summary: { verdict: verdict("passed", "All thresholds were met."), thresholds: judged(true) } },
  { id: "ldt_3", scenario: { name: "breakouts-20x5" }, state: "finished", by: "Camille Laurent", created_at: ago(9000), has_report: true, summary: { verdict: verdict("threshold_failed", "The server lost more packets than the scenario allows."), thresholds: judged(false) } },
];
