import type { TFunction } from "i18next";

import { ApiError } from "../api/client.ts";
import { en } from "./en.ts";

type ProblemCode = keyof typeof en.problems;

function isKnown(code: string): code is ProblemCode {
  return Object.hasOwn(en.problems, code);
}

/** What went wrong, for people. A code that is new to the pages falls back to what its status says. */
export function explain(t: TFunction, error: unknown): string {
  if (error instanceof ApiError) {
    if (error.status === 429 && error.retryAfter) return t("problems.rate_limited_for", { count: error.retryAfter });
    if (isKnown(error.code)) return t(`problems.${error.code}`);
    const byStatus = new ApiError(error.status, {}).code;
    return isKnown(byStatus) ? t(`problems.${byStatus}`) : t("problems.unknown");
  }
  if (error instanceof DOMException && error.name === "NotAllowedError") return t("problems.device_refused");
  if (error instanceof DOMException && error.name === "NotFoundError") return t("problems.device_missing");
  if (error instanceof DOMException && error.name === "NotReadableError") return t("problems.device_busy");
  return t("problems.unknown");
}
