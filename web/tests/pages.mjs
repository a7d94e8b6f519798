// Opens every page in both languages, on a desktop and on a phone, keeps a screenshot of each, and has axe judge them.
//   node tests/pages.mjs [--only player,room] [--out folder]; GREFFIER_LIVEKIT names a livekit-server for the meetings.
import { readFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { openBrowser, openContext } from "./browser.mjs";
import { startLiveKit } from "./mock/livekit.mjs";
import { makeMedia } from "./mock/media.mjs";
import { startMock } from "./mock/server.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const { values } = parseArgs({ options: { only: { type: "string" }, out: { type: "string" }, locale: { type: "string" } } });
const out = values.out ?? join(here, "..", "node_modules", ".cache", "greffier-pages");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const click = (name) => async (page) => { await page.getByRole("button", { name }).first().click(); };
const inRoom = async (page) => {
  await page.getByRole("button", { name: /^(Join now|Rejoindre)$/ }).click();
  await page.locator('[data-connection="connected"]').waitFor();
  await page.locator(".tile video").first().waitFor();
};

/** name, path, what to do before it is looked at, and whether somebody is signed in. */
const PAGES = [
  { name: "login", path: "/login", signedIn: false },
  { name: "login-refused", path: "/login", signedIn: false, act: async (page) => { await page.locator("[name=email]").fill("a@b.ch"); await page.locator("[name=password]").fill("wrong"); await page.locator("[type=submit]").click(); await page.locator(".notice.danger").waitFor(); } },
  { name: "setup", path: "/setup?token=x", signedIn: false },
  { name: "accept", path: "/accept/tok", signedIn: false },
  { name: "dashboard", path: "/" },
  { name: "dashboard-new", path: "/", act: click(/^(New meeting|Nouvelle réunion)$/) },
  { name: "dashboard-plan", path: "/", act: async (page) => { await click(/^(Schedule|Planifier)$/)(page); await page.getByRole("combobox", { name: /People|Participants/ }).fill("a"); await page.locator("[role=option]").first().waitFor(); } },
  { name: "notifications", path: "/", act: async (page) => { await page.locator(".bell").click(); await page.locator(".note").first().waitFor(); } },
  { name: "room-details", path: "/rooms/revue-produit" },
  { name: "room-details-live", path: "/rooms/point-equipe", act: async (page) => { await page.locator(".removed li").waitFor(); } },
  { name: "room-member", path: "/rooms/cafe", act: async (page) => { await page.getByRole("button", { name: /^(Remove|Retirer) Amina/ }).click(); await page.locator("dialog").waitFor(); } },
  { name: "room-details-past", path: "/rooms/revue-produit", act: async (page) => { await page.locator("[type=datetime-local]").fill("2020-01-01T10:00"); await page.locator("form [type=submit]").first().click(); await page.locator(".fault").waitFor(); } },
  { name: "room-links", path: "/rooms/cafe", act: async (page) => { await page.getByRole("button", { name: /^(Make a link|Créer un lien)$/ }).click(); await page.locator(".secret").waitFor(); } },
  { name: "account", path: "/account" },
  { name: "history", path: "/history" },
  { name: "call", path: "/history/call_2" },
  { name: "recordings", path: "/recordings" },
  { name: "player", path: "/recordings/rec_play?t=17", media: true },
  { name: "player-speaker", path: "/recordings/rec_play?t=21", media: true, act: async (page) => { await page.getByRole("button", { name: /^(Speaker|Orateur)$/ }).click(); await page.waitForTimeout(400); } },
  { name: "player-composite", path: "/recordings/rec_play", media: true, act: click(/Make one video|Créer une seule vidéo/) },
  { name: "recording-live", path: "/recordings/rec_live" },
  { name: "admin", path: "/admin" },
  { name: "admin-users", path: "/admin/users" },
  { name: "admin-invite", path: "/admin/users", act: click(/Invite a user|Inviter un utilisateur/) },
  { name: "admin-rooms", path: "/admin/rooms" },
  { name: "admin-jobs", path: "/admin/jobs" },
  { name: "admin-storage", path: "/admin/storage" },
  { name: "admin-audit", path: "/admin/audit" },
  { name: "admin-settings", path: "/admin/settings" },
  { name: "admin-keys", path: "/admin/keys" },
  { name: "admin-loadtests", path: "/admin/loadtests" },
  { name: "admin-loadtest", path: "/admin/loadtests/ldt_1", act: async (page) => { await page.waitForTimeout(300); } },
  { name: "admin-loadtest-new", path: "/admin/loadtests", act: async (page) => { await page.locator(".button.primary").click(); await page.locator("select").selectOption("own"); await page.locator("textarea").waitFor(); } },
  { name: "admin-loadtest-done", path: "/admin/loadtests/ldt_3" },
  { name: "invite", path: "/i/good", signedIn: false },
  { name: "invite-gone", path: "/i/bad", signedIn: false },
  { name: "waiting", path: "/i/good", signedIn: false, act: async (page) => { await page.getByRole("textbox").fill("Nora Klein"); await page.getByRole("button", { name: /^(Join now|Rejoindre)$/ }).click(); await page.locator(".pulse").waitFor(); } },
  { name: "prejoin", path: "/r/cafe" },
  { name: "room", path: "/r/cafe", livekit: true, act: inRoom },
  { name: "room-long-title", path: "/r/point-equipe", livekit: true, act: async (page) => { await inRoom(page); await page.locator(".room-top h1").evaluate((title) => { title.textContent = "Assemblée extraordinaire du comité de quartier"; }); } },
  { name: "room-chat", path: "/r/point-equipe", livekit: true, act: async (page) => { await inRoom(page); await page.keyboard.press("c"); await page.locator(".chat-form textarea").fill("Bonjour, voici https://example.org/notes."); await page.keyboard.press("Enter"); await page.locator(".chat-line").waitFor(); } },
  { name: "room-people", path: "/r/cafe", livekit: true, act: async (page) => { await inRoom(page); await page.keyboard.press("h"); await page.keyboard.press("p"); await page.locator(".person").first().waitFor(); } },
  { name: "room-invite", path: "/r/cafe", livekit: true, act: async (page) => { await inRoom(page); await page.keyboard.press("p"); await page.getByRole("button", { name: /^(Invite…|Inviter…)$/ }).last().click(); await page.locator("dialog .list").waitFor(); } },
  { name: "after", path: "/r/cafe", livekit: true, act: async (page) => { await inRoom(page); await page.getByRole("button", { name: /^(Leave|Quitter)$/ }).click(); await page.getByRole("menuitem").first().click(); await page.locator(".after-icon").waitFor(); } },
  { name: "embed", path: "/embed/cafe", signedIn: false },
  { name: "not-found", path: "/nowhere" },
];

const VARIANTS = [
  { locale: "fr", theme: "light", phone: false },
  { locale: "en", theme: "dark", phone: false },
  { locale: "fr", theme: "dark", phone: true },
  { locale: "en", theme: "light", phone: true },
].filter((variant) => !values.locale || `${variant.locale}${variant.phone ? "-phone" : ""}` === values.locale);

// Under `CI` nothing is passed over: without a server for meetings this is a failure.
if (process.env.CI === "true" && !process.env.GREFFIER_LIVEKIT) throw new Error("GREFFIER_LIVEKIT must name a livekit-server");
const livekit = await startLiveKit(process.env.GREFFIER_LIVEKIT);
const mock = await startMock({ media: makeMedia(join(here, "..", "node_modules", ".cache", "greffier-media")), livekit });
const browser = await openBrowser();
const faults = [];
mkdirSync(out, { recursive: true });
try {
  for (const variant of VARIANTS) {
    for (const page of PAGES) {
      if (values.only && !values.only.split(",").some((wanted) => page.name.startsWith(wanted))) continue;
      if (page.livekit && !livekit) continue;
      const [began, before] = [Date.now(), faults.length];
      await look(page, variant).catch((error) => faults.push(`${page.name} (${describe(variant)}): ${error.message.split("\n")[0]}`));
      console.log(`${faults.length === before ? "✓" : "✗"} ${page.name} (${describe(variant)}, ${Date.now() - began} ms)`);
      for (const fault of faults.slice(before)) console.error(`    ${fault}`);
    }
  }
} finally {
  await browser.close();
  await mock.close();
  livekit?.close();
}
console.log(`${faults.length === 0 ? "✓ no faults" : `${faults.length} faults`}; screenshots are in ${out}`);
process.exitCode = faults.length === 0 ? 0 : 1;

function describe({ locale, theme, phone }) {
  return `${locale}, ${theme}, ${phone ? "phone" : "desktop"}`;
}

async function look({ name, path, act, livekit, signedIn = true }, variant) {
  mock.state.signedIn = signedIn;
  mock.state.recording = null;
  mock.state.waiting = [];
  const { context, complaints } = await openContext(browser, variant);
  try {
    const page = await context.newPage();
    // A busy machine is not a fault of the pages.
    page.setDefaultTimeout(20_000);
    await page.goto(mock.url + path, { waitUntil: "load" });
    await page.locator("h1, .gate-card").first().waitFor();
    await page.locator(".skeleton").first().waitFor({ state: "detached" });
    const file = `${name}.${variant.locale}.${variant.phone ? "phone" : "desktop"}.png`;
    // What stood in the way is seen best.
    await act?.(page).catch(async (error) => {
      await page.screenshot({ path: join(out, `failed-${file}`) });
      throw error;
    });
    await page.waitForTimeout(250);
    await page.screenshot({ path: join(out, file), fullPage: !livekit });
    // The room lies over the document and adds nothing to its width.
    const width = await page.evaluate(() => Math.max(...[...document.querySelectorAll("html, .room")].map((whole) => whole.scrollWidth - whole.clientWidth)));
    if (width > 0) faults.push(`${name} (${describe(variant)}): ${width} px wider than the screen`);
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }));
    for (const violation of violations) {
      if (violation.impact !== "serious" && violation.impact !== "critical") continue;
      faults.push(`${name} (${describe(variant)}): ${violation.id}: ${violation.nodes.slice(0, 2).map((node) => `${node.target.join(" ")} ${node.any[0]?.message ?? ""}`).join(" | ")}`);
    }
    for (const complaint of complaints) if (!/status of 40[14]|favicon/.test(complaint)) faults.push(`${name} (${describe(variant)}): console: ${complaint.slice(0, 200)}`);
  } finally {
    await context.close();
  }
}
