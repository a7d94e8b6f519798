import { describe, expect, it } from "vitest";

import { dateOf, fillDays, isoDay } from "./days.ts";

describe("days of a statistic", () => {
  it("have no holes, over the ends of months and clock changes", () => {
    const days = fillDays([{ day: "2026-03-29", calls: 2, minutes: 30, participants: 4 }], "2026-02-27", "2026-03-31");
    expect(days).toHaveLength(33);
    expect(new Set(days.map((day) => day.day)).size).toBe(33);
    expect(days.find((day) => day.day === "2026-03-29")?.calls).toBe(2);
    expect(days[2]?.day).toBe("2026-03-01");
  });

  it("are those of the clock on the wall, on both sides of Greenwich", () => {
    const zone = process.env["TZ"];
    try {
      for (const [name, at] of [["Asia/Tokyo", "2026-03-31T16:30:00Z"], ["America/Los_Angeles", "2026-04-02T05:00:00Z"]] as const) {
        process.env["TZ"] = name;
        expect(isoDay(new Date(at)), name).toBe("2026-04-01");
        expect(dateOf("2026-04-01").getDate(), name).toBe(1);
      }
    } finally {
      if (zone === undefined) delete process.env["TZ"];
      else process.env["TZ"] = zone;
    }
  });
});
