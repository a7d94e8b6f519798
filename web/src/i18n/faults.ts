import type { TFunction } from "i18next";

import { ApiError } from "../api/client.ts";

/** What can be wrong with a field, in words of ours: `faults.<reason>`, with what it has to fill in. */
type Reason =
  | { reason: "required" | "email" | "choice" | "person" | "current_password" | "unknown_field" | "kind" | "past" | "page" | "day" | "label" | "name" | "push" | "language" | "signs" | "identity" | "owner" | "reserved" | "one" | "other" }
  | { reason: "between_letters" | "between"; min: string; max: string }
  | { reason: "longest" | "shortest" | "at_least" | "at_most" | "password"; count: number };

/** The server says what is wrong in English; its ways of saying it are few, and a test knows them all. */
const RULES: [RegExp, (match: RegExpMatchArray) => Reason][] = [
  [/^missing field|^length is lower than 1$|must not be empty/, () => ({ reason: "required" })],
  [/at least (\d+) characters/, (found) => ({ reason: "password", count: Number(found[1]) })],
  [/e-mail address of somebody/, () => ({ reason: "person" })],
  [/an e-mail address/, () => ({ reason: "email" })],
  [/(\d+) (?:byte )?to (\d+) (bytes|KiB)/, (found) => ({ reason: "between_letters", min: found[1] as string, max: String(Number(found[2]) * (found[3] === "KiB" ? 1024 : 1)) })],
  [/^length is greater than (\d+)/, (found) => ({ reason: "longest", count: Number(found[1]) })],
  [/^length is lower than (\d+)/, (found) => ({ reason: "shortest", count: Number(found[1]) })],
  [/^greater than (-?\d+)/, (found) => ({ reason: "at_most", count: Number(found[1]) })],
  [/^lower than (-?\d+)/, (found) => ({ reason: "at_least", count: Number(found[1]) })],
  [/(?:from )?(\d+) to (\d+)/, (found) => ({ reason: "between", min: found[1] as string, max: found[2] as string })],
  [/at most (\d+) (?:bytes|types)/, (found) => ({ reason: "longest", count: Number(found[1]) })],
  [/at least (\d+)/, (found) => ({ reason: "at_least", count: Number(found[1]) })],
  [/at most (\d+)/, (found) => ({ reason: "at_most", count: Number(found[1]) })],
  [/name at least one/, () => ({ reason: "one" })],
  [/is not the current password/, () => ({ reason: "current_password" })],
  [/language tag|`en` or `fr`/, () => ({ reason: "language" })],
  [/in the past|in the future|still to come/, () => ({ reason: "past" })],
  [/what a page before gave|one that a page before gave/, () => ({ reason: "page" })],
  [/must be a day|a day of our time|up to two years later/, () => ({ reason: "day" })],
  [/a label's name/, () => ({ reason: "label" })],
  [/who the token is for/, () => ({ reason: "identity" })],
  [/push service|browser's, in base64url/, () => ({ reason: "push" })],
  [/one owner, who stays it/, () => ({ reason: "owner" })],
  [/what Greffier says itself/, () => ({ reason: "reserved" })],
  [/^unknown variant|one of|none of the texts|must be a scope/, () => ({ reason: "choice" })],
  [/^unknown field/, () => ({ reason: "unknown_field" })],
  [/^invalid (?:type|value)|must be an object/, () => ({ reason: "kind" })],
  [/control characters/, () => ({ reason: "signs" })],
];

export function reasonOf(detail: string): Reason {
  for (const [rule, say] of RULES) {
    const found = detail.match(rule);
    if (found) return say(found);
  }
  return { reason: "other" };
}

/** What is wrong with a field, for people. */
export function explainFault(t: TFunction, detail: string): string {
  const { reason, ...holes } = reasonOf(detail);
  return t(`faults.${reason}`, holes);
}

/**
 * What a form shows at its fields. `at` gives the fault of a field by its JSON pointer, or of anything below it; `rest`
 * are those that belong to no field the form has, told above it.
 */
export function faultsOf(t: TFunction, error: unknown, pointers: readonly string[]): { at: (pointer: string) => string | undefined; rest: string[]; placed: boolean } {
  const errors = error instanceof ApiError ? error.problem.errors ?? [] : [];
  const belongs = (pointer: string, to: string) => pointer === to || pointer.startsWith(`${to}/`);
  // A serde fault of a missing field points at the object that lacks it.
  const named = errors.map((one) => ({ ...one, pointer: one.detail.match(/^missing field `(\w+)`/)?.[1] ? `${one.pointer}/${one.detail.match(/^missing field `(\w+)`/)?.[1]}` : one.pointer }));
  const rest = named.filter((one) => !pointers.some((pointer) => belongs(one.pointer, pointer)));
  return {
    at: (pointer) => {
      const found = named.find((one) => belongs(one.pointer, pointer));
      return found && explainFault(t, found.detail);
    },
    rest: rest.map((one) => `${one.pointer.replace(/^[/?]/, "")}: ${explainFault(t, one.detail)}`),
    placed: named.length > 0 && rest.length === 0,
  };
}
