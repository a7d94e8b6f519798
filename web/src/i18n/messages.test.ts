// @vitest-environment jsdom
import i18next from "i18next";
import { afterEach, describe, expect, it, vi } from "vitest";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { preferredLanguage, startLanguage } from "./index.ts";
import { en } from "./en.ts";
import { fr } from "./fr.ts";

function flatten(tree: object, prefix = ""): Map<string, string> {
  const all = new Map<string, string>();
  for (const [key, value] of Object.entries(tree)) {
    if (typeof value === "string") all.set(prefix + key, value);
    else for (const [inner, text] of flatten(value as object, `${prefix}${key}.`)) all.set(inner, text);
  }
  return all;
}

const english = flatten(en);
const french = flatten(fr);
const holes = (text: string) => [...text.matchAll(/\{\{(\w+)\}\}/g)].map((match) => match[1]).sort();

describe("messages", () => {
  it("have the same keys in both languages, and none is empty", () => {
    expect([...french.keys()].sort()).toEqual([...english.keys()].sort());
    for (const [key, text] of [...english, ...french]) expect(text.trim(), key).not.toBe("");
  });

  it("have the same holes to fill", () => {
    for (const [key, text] of english) expect(holes(french.get(key) ?? ""), key).toEqual(holes(text));
  });

  it("are translated: few are the same in both", () => {
    const same = [...english].filter(([key, text]) => french.get(key) === text && /[a-z]{4}/i.test(text));
    // Words that French and English share.
    expect(same.length / english.size).toBeLessThan(0.06);
  });

  it("are all used somewhere", () => {
    const root = join(import.meta.dirname, "..");
    const sources = readdirSync(root, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.tsx?$/.test(name) && !name.includes("i18n/en") && !name.includes("i18n/fr") && !name.includes(".test."))
      .map((name) => readFileSync(join(root, name), "utf8"))
      .join("\n");
    const unused = [...english.keys()].filter((key) => {
      const base = key.replace(/_(one|other)$/, "");
      // Keys that are put together, such as `room.quality_${word}`, and those that the server chooses.
      const composed = new RegExp(`\\\`${base.split(".").slice(0, -1).join("\\.")}\\.[a-z_]*\\$\\{`).test(sources);
      return !sources.includes(base) && !composed;
    });
    expect(unused).toEqual([]);
  });
});

describe("the language", () => {
  afterEach(() => void vi.unstubAllGlobals());

  it("is what was chosen, then the browser's", () => {
    expect(preferredLanguage("en", ["fr-CH"])).toBe("en");
    expect(preferredLanguage(null, ["de-DE", "en-GB", "fr"])).toBe("en");
    expect(preferredLanguage(null, ["fr-CA"])).toBe("fr");
    expect(preferredLanguage("xx", ["de"])).toBeUndefined();
    expect(preferredLanguage(null, [])).toBeUndefined();
  });

  it("is the server's setting for whoever's browser speaks neither, and English without it", async () => {
    vi.stubGlobal("navigator", { languages: ["de-DE"] });
    for (const [answer, expected] of [[{ default_language: "fr" }, "fr"], [{ default_language: "en" }, "en"], [undefined, "en"]] as const) {
      vi.stubGlobal("fetch", vi.fn(async () => { if (!answer) throw new TypeError("unreachable"); return new Response(JSON.stringify(answer)); }));
      await startLanguage();
      expect(i18next.language).toBe(expected);
      expect(document.documentElement.lang).toBe(expected);
    }
  });
});
