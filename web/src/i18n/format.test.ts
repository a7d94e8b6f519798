// @vitest-environment jsdom
import { beforeAll, describe, expect, it } from "vitest";
import i18next from "i18next";

import { formatBytes, formatClock, formatLength, formatRelative } from "./format.ts";
import { chooseLanguage, startLanguage } from "./index.ts";

beforeAll(async () => {
  await startLanguage();
});

describe("formats", () => {
  it("write lengths and clocks", () => {
    expect([0, 999, 61_000, 3_723_000, -5].map(formatClock)).toEqual(["0:00", "0:00", "1:01", "1:02:03", "0:00"]);
    expect([4_000, 59_400, 90_000, 3_600_000, 3_900_000].map(formatLength)).toEqual(["4 s", "59 s", "2 min", "1 h", "1 h 5 min"]);
  });
  it("write sizes as the language has them", async () => {
    chooseLanguage("en");
    await i18next.changeLanguage("en");
    expect([0, 999, 1000, 1_250_000, 812_000_000, 9.9e15].map(formatBytes)).toEqual(["0 B", "999 B", "1 kB", "1.3 MB", "812 MB", "9,900 TB"]);
    chooseLanguage("fr");
    await i18next.changeLanguage("fr");
    expect(formatBytes(1_250_000)).toBe("1,3 Mo");
  });
  it("write times from now", async () => {
    await i18next.changeLanguage("fr");
    const now = Date.parse("2026-05-04T12:00:00Z");
    expect(formatRelative("2026-05-04T11:55:00Z", now)).toBe("il y a 5 minutes");
    expect(formatRelative("2026-05-03T12:00:00Z", now)).toBe("hier");
    expect(formatRelative("2026-05-04T14:00:00Z", now)).toBe("dans 2 heures");
  });
});
