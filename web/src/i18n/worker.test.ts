import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";

const source = readFileSync(join(import.meta.dirname, "../../public/sw.js"), "utf8");

/** Runs the service worker with a browser around it, and pushes to it. */
async function pushed(address: string, browser: string, note: object): Promise<[string, { body: string; data: { path: string } }]> {
  const listeners = new Map<string, (event: object) => void>();
  const showNotification = vi.fn(async () => undefined);
  const self = {
    location: { href: `https://meet.example${address}` }, navigator: { language: browser }, registration: { showNotification }, skipWaiting: () => undefined,
    addEventListener: (type: string, listener: (event: object) => void) => listeners.set(type, listener),
  };
  new Function("self", source)(self);
  listeners.get("push")?.({ data: { json: () => note }, waitUntil: () => undefined });
  return showNotification.mock.calls[0] as unknown as [string, { body: string; data: { path: string } }];
}

it("notifications are in the language that was chosen in the pages", async () => {
  const note = { kind: "recording_ready", title: "Point", recording: "rec_1" };
  expect((await pushed("/sw.js?lang=fr", "en-GB", note))[1].body).toBe("L’enregistrement est prêt");
  expect((await pushed("/sw.js?lang=en", "fr-FR", note))[1].body).toBe("The recording is ready");
  expect((await pushed("/sw.js", "fr-FR", note))[1].body).toBe("L’enregistrement est prêt");
  expect((await pushed("/sw.js", "de-DE", note))[1]).toMatchObject({ body: "The recording is ready", data: { path: "/recordings/rec_1" } });
});
