// Chromium, with a made-up camera and microphone.
import { chromium } from "playwright-core";
import { existsSync } from "node:fs";

const PLACES = [process.env.GREFFIER_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export async function openBrowser() {
  const executablePath = PLACES.find((place) => place && existsSync(place));
  if (!executablePath) throw new Error("no Chromium found; name one in GREFFIER_CHROMIUM");
  return chromium.launch({
    executablePath,
    headless: true,
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
      "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--auto-select-desktop-capture-source=Entire screen", "--autoplay-policy=no-user-gesture-required",
    ],
  });
}

export const DESKTOP = { viewport: { width: 1280, height: 800 } };
export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

/** A context with a language and a theme; everything that the console complains about is kept. */
export async function openContext(browser, { locale, theme = "light", phone = false }) {
  const context = await browser.newContext({ ...(phone ? PHONE : DESKTOP), locale, colorScheme: theme, permissions: ["camera", "microphone", "clipboard-read", "clipboard-write"], reducedMotion: "reduce" });
  const complaints = [];
  context.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  context.on("weberror", (error) => complaints.push(String(error.error())));
  return { context, complaints };
}
