import { expect, it } from "vitest";

import { mayChange, mayModerate } from "./may.ts";

it("offers what the server allows: all to administrators, changes to owners, links to moderators too", () => {
  const member = { role: "member" } as const;
  const rights = (role: "owner" | "moderator" | "speaker" | "member" | "listener" | undefined) => [mayChange(member, role && { role }), mayModerate(member, role && { role })];
  expect(rights("owner")).toEqual([true, true]);
  expect(rights("moderator")).toEqual([false, true]);
  for (const role of ["speaker", "member", "listener", undefined] as const) expect(rights(role)).toEqual([false, false]);
  expect(mayChange({ role: "admin" }, undefined)).toBe(true);
  expect(mayModerate(undefined, undefined)).toBe(false);
});
