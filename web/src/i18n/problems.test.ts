// @vitest-environment jsdom
import { beforeAll, describe, expect, it } from "vitest";
import i18next from "i18next";

import { ApiError } from "../api/client.ts";
import { fr } from "./fr.ts";
import { startLanguage } from "./index.ts";
import { explain } from "./problems.ts";

beforeAll(async () => {
  await startLanguage();
  await i18next.changeLanguage("fr");
});

describe("problems", () => {
  it("are told by their code, in the user's language", () => {
    expect(explain(i18next.t, new ApiError(404, { code: "recording_not_found", detail: "no such recording" }))).toBe(fr.problems.recording_not_found);
  });
  it("fall back to the status for codes that are new, and never show the server's own words", () => {
    expect(explain(i18next.t, new ApiError(409, { code: "brand_new", detail: "internal words" }))).toBe(fr.problems.conflict);
    expect(explain(i18next.t, new ApiError(502, {}))).toBe(fr.problems.internal);
    expect(explain(i18next.t, new ApiError(418, { code: "toString" }))).toBe(fr.problems.invalid);
    expect(explain(i18next.t, new Error("TypeError: x is undefined"))).toBe(fr.problems.unknown);
  });
  it("say how long to wait", () => {
    expect(explain(i18next.t, new ApiError(429, { code: "rate_limited" }, 12))).toContain("12 secondes");
    expect(explain(i18next.t, new ApiError(429, { code: "too_many_requests" }, 1))).toContain("1 seconde.");
  });
  it("say what is wrong with a device", () => {
    expect(explain(i18next.t, new DOMException("x", "NotAllowedError"))).toBe(fr.problems.device_refused);
  });
});
