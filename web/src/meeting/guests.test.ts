import { expect, it } from "vitest";

import { keepGuest, knownGuest } from "./guests.ts";

it("sends back what a guest was given, to the room that gave it", () => {
  expect(knownGuest("demo")).toEqual({});
  keepGuest("demo", { guest: "secret" });
  expect(knownGuest("demo")).toEqual({ guest: "secret" });
  expect(knownGuest("other")).toEqual({});
  // Who is known already is given nothing new.
  keepGuest("demo", { guest: null });
  keepGuest("demo", {});
  expect(knownGuest("demo")).toEqual({ guest: "secret" });
});
