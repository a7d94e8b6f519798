// @vitest-environment jsdom
import { describe, expect, it } from "vitest";

import { linkParts } from "./links.ts";
import { countersOf, sampleBetween } from "./quality.ts";
import { REACTIONS, readReaction } from "./signals.ts";

describe("links in messages", () => {
  it("are found, without the sentence around them", () => {
    expect(linkParts("Voir https://example.org/a?b=1, merci !")).toEqual([{ text: "Voir " }, { text: "https://example.org/a?b=1", href: "https://example.org/a?b=1" }, { text: ", merci !" }]);
    expect(linkParts("(http://a.ch).").map((part) => part.href)).toEqual([undefined, "http://a.ch", undefined]);
  });
  it("are only the web's own", () => {
    for (const text of ["javascript:alert(1)", "data:text/html,x", "plain", "https://"]) expect(linkParts(text).some((part) => part.href), text).toBe(false);
  });
  it("lose nothing of the text", () => {
    for (const text of ["a https://b.c d https://e.f", "", "https://x.y"]) expect(linkParts(text).map((part) => part.text).join("")).toBe(text);
  });
});

describe("reactions", () => {
  it("are those that the pages send, and nothing else", () => {
    for (const emoji of REACTIONS) expect(readReaction(new TextEncoder().encode(emoji))).toBe(emoji);
    for (const text of ["", "hello", "💩", "👍👍", "<b>", "x".repeat(1000)]) expect(readReaction(new TextEncoder().encode(text))).toBeUndefined();
  });
});

describe("quality", () => {
  const stats = [
    { type: "codec" },
    { type: "outbound-rtp", packetsSent: 100, bytesSent: 50_000, frameWidth: 320, frameHeight: 180 },
    { type: "outbound-rtp", packetsSent: 300, bytesSent: 250_000, frameWidth: 1280, frameHeight: 720 },
    { type: "remote-inbound-rtp", packetsLost: 3, jitter: 0.004, roundTripTime: 0.05 },
  ];
  it("sums layers up and takes the other side's losses", () => {
    expect(countersOf(stats, "send", 5)).toEqual({ at: 5, packets: 400, bytes: 300_000, lost: 3, jitterMs: 4, rttMs: 50, width: 1280, height: 720 });
    expect(countersOf(stats, "receive", 5)).toBeUndefined();
    expect(countersOf([{ type: "inbound-rtp", packetsReceived: 10, bytesReceived: 1000, packetsLost: 1, jitter: 0.002 }], "receive", 1)).toMatchObject({ packets: 10, lost: 1, jitterMs: 2 });
  });
  it("says what happened between two readings", () => {
    const before = { at: 0, packets: 100, lost: 2, bytes: 10_000 };
    expect(sampleBetween(before, { at: 10_000, packets: 600, lost: 7, bytes: 1_260_000, rttMs: 21.4 })).toEqual({ packets: 500, packets_lost: 5, bitrate_kbps: 1000, rtt_ms: 21 });
    expect(sampleBetween(before, { at: 10_000, packets: 50, lost: 0, bytes: 5_000 })).toBeUndefined();
    expect(sampleBetween(before, { at: 10_000, packets: 200, lost: 1, bytes: 20_000 })).toMatchObject({ packets_lost: 0 });
  });
});
