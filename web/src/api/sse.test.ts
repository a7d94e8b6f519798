import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Client } from "./client.ts";
import { EventParser, listen, type ServerEvent } from "./sse.ts";

const TEXT = "\u00e9: ignored\nevent: progress\r\ndata: {\"a\":1}\rid: 7\r\n\r\n: a comment\nretry: 2500\ndata:one\ndata: two\n\nevent: nothing\n\n";

describe("the event parser", () => {
  it("gives the same events wherever the chunks are cut", () => {
    const expected = [{ type: "progress", data: '{"a":1}', id: "7" }, { type: "message", data: "one\ntwo", id: "7" }];
    for (let cut = 0; cut <= TEXT.length; cut += 1) {
      for (const second of [cut, Math.min(TEXT.length, cut + 3)]) {
        const parser = new EventParser();
        const events = [...parser.push(TEXT.slice(0, cut)), ...parser.push(TEXT.slice(cut, second)), ...parser.push(TEXT.slice(second))];
        expect(events, `cut at ${cut}`).toEqual(expected);
        expect(parser.retry).toBe(2500);
      }
    }
  });
});

const streamOf = (...chunks: string[]) => new Response(new ReadableStream({
  start(controller) {
    for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
    controller.close();
  },
}));

describe("listening", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const clientOf = (answers: (() => Response)[]) => {
    let asked = 0;
    const client = new Client({ locks: undefined, fetch: async () => (answers[Math.min(asked++, answers.length - 1)] as () => Response)() });
    return { client, asked: () => asked };
  };

  it("takes a broken line up again, and ends with the last event", async () => {
    const seen: ServerEvent[] = [];
    const { client, asked } = clientOf([
      () => streamOf("event: progress\nda", "ta: 1\n\n"),
      () => { throw new TypeError("broken"); },
      () => streamOf("event: end\ndata: 2\n\nevent: after\ndata: 3\n\n"),
    ]);
    const done = listen("/api/x", (event) => seen.push(event), { signal: new AbortController().signal, client, isLast: (event) => event.type === "end" });
    await vi.runAllTimersAsync();
    await done;
    expect(seen.map((event) => event.type)).toEqual(["progress", "end"]);
    expect(asked()).toBe(3);
  });

  it("does not ask again where it was refused", async () => {
    const { client, asked } = clientOf([() => new Response("{}", { status: 403 })]);
    await listen("/api/x", () => undefined, { signal: new AbortController().signal, client });
    expect(asked()).toBe(1);
  });

  it("stops when told", async () => {
    const { client, asked } = clientOf([() => streamOf("")]);
    const stop = new AbortController();
    const done = listen("/api/x", () => undefined, { signal: stop.signal, client });
    await vi.advanceTimersByTimeAsync(10);
    stop.abort();
    await done;
    const before = asked();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked()).toBe(before);
  });
});
