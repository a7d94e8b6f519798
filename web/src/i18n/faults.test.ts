import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import i18next from "i18next";
import { beforeAll, describe, expect, it } from "vitest";

import { ApiError } from "../api/client.ts";
import { en } from "./en.ts";
import { fr } from "./fr.ts";
import { explainFault, faultsOf, reasonOf } from "./faults.ts";

beforeAll(async () => {
  await i18next.init({ lng: "fr", resources: { en: { translation: en }, fr: { translation: fr } }, interpolation: { escapeValue: false } });
});

/** Rust sources of a crate without their tests: what the server says is written there. */
function sourcesOf(folder: string): string[] {
  const root = join(import.meta.dirname, "../../..", folder);
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".rs") && !name.endsWith("tests.rs"))
    .map((name) => readFileSync(join(root, name), "utf8").split("#[cfg(test)]")[0] as string);
}

const all = (texts: string[], patterns: RegExp[]): string[] =>
  [...new Set(texts.flatMap((text) => patterns.flatMap((pattern) => [...text.matchAll(pattern)].map((found) => found[1] as string))))];

describe("what is wrong with a field", () => {
  it("is told in words of its own for everything the API says", () => {
    const api = sourcesOf("api/src");
    const said = [
      ...all(api, [/invalid_field\(\s*[^,]+,\s*"([^"]+)"/g, /detail: "([^"]+)"\.to_owned\(\)/g]),
      ...all([...sourcesOf("store/src/accounts"), ...sourcesOf("store/src/meetings"), ...sourcesOf("store/src/recordings")], [/rule: "([^"]+)"/g]).map((rule) => `must be ${rule}`),
      // What `garde` and `serde` say of themselves.
      "missing field `title`", "length is lower than 1", "length is greater than 200", "lower than 1", "greater than 8760", "unknown field `x`", "invalid type: string, expected u32", "unknown variant `x`, expected `audio` or `video`",
    ];
    expect(said.length).toBeGreaterThan(20);
    expect(said.filter((detail) => reasonOf(detail).reason === "other")).toEqual([]);
  });

  it("names the limit", () => {
    expect(explainFault(i18next.t, "must be 1 to 200 bytes without control characters")).toContain("200");
    expect(explainFault(i18next.t, "must be at least 10 characters and at most 1024 bytes long")).toContain("10");
    expect(explainFault(i18next.t, "length is lower than 1")).toBe(fr.faults.required);
    expect(explainFault(i18next.t, "nobody foresaw this")).toBe(fr.faults.other);
  });

  it("stands at its field, and above the form where there is none", () => {
    const error = new ApiError(422, { code: "invalid", errors: [
      { pointer: "/participants/1", detail: "must be the id or e-mail address of somebody with an account" },
      { pointer: "", detail: "missing field `title`" },
      { pointer: "/options/colour", detail: "unknown field `colour`" },
    ] });
    const faults = faultsOf(i18next.t, error, ["/participants", "/title"]);
    expect(faults.at("/participants")).toBe(fr.faults.person);
    expect(faults.at("/title")).toBe(fr.faults.required);
    expect(faults.rest).toHaveLength(1);
    expect(faults.placed).toBe(false);
    expect(faultsOf(i18next.t, error, ["/participants", "/title", "/options"]).placed).toBe(true);
  });
});

describe("the codes of problems", () => {
  it("all have a text", () => {
    const codes = all(sourcesOf("api/src"), [
      /with_code\(\s*"([a-z_]+)"/g, /too_many\(\s*"([a-z_]+)"/g, /unauthenticated\(\s*"([a-z_]+)"/g, /theirs\([^,]+,\s*"([a-z_]+)"/g,
      /code:\s*"([a-z_]+)"/g, /\(\s*"([a-z_]+)",\s*(?:Shown|Kept)\)/g, /(?:ApiError|Self)::new\(\s*[A-Za-z_:]+,\s*"([a-z_]+)"/g,
    ]);
    expect(codes.length).toBeGreaterThan(50);
    expect(codes.filter((code) => !Object.hasOwn(en.problems, code))).toEqual([]);
  });
});
