import { describe, expect, it, vi } from "vitest";

import { ApiError, Client, withQuery } from "./client.ts";
import type { Session } from "./contract.ts";

const user = { id: "usr_1", name: "Ana", role: "member" as const, disabled: false, has_password: true, created_at: "2026-01-01T00:00:00Z" };
const session = (token: string, expires_in = 600): Session => ({ access_token: token, expires_in, user });
const json = (status: number, body?: unknown, headers: Record<string, string> = {}) =>
  new Response(body === undefined ? null : JSON.stringify(body), { status, headers });

type Handler = (path: string, init: RequestInit) => Response | Promise<Response>;

function setUp(handler: Handler) {
  let now = 1_000_000;
  const calls: { path: string; method: string; authorization: string | undefined; headers: Record<string, string>; body: unknown }[] = [];
  const client = new Client({
    now: () => now,
    locks: undefined,
    fetch: async (input, init = {}) => {
      const headers = (init.headers ?? {}) as Record<string, string>;
      calls.push({ path: String(input), method: init.method ?? "GET", authorization: headers["authorization"], headers, body: init.body });
      return handler(String(input), init);
    },
  });
  return { client, calls, pass: (ms: number) => (now += ms) };
}

describe("the client", () => {
  it("sends the token, JSON, and a key with what creates", async () => {
    const { client, calls } = setUp(() => json(201, { id: 1 }));
    client.adopt(session("t1"));
    await expect(client.create("/api/x", { a: 1 })).resolves.toEqual({ id: 1 });
    expect(calls[0]).toMatchObject({ method: "POST", authorization: "Bearer t1", body: '{"a":1}' });
    expect(calls[0]?.headers["idempotency-key"]).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("renews a token that is about to expire, once for all who ask", async () => {
    const { client, calls, pass } = setUp((path) => (path === "/api/auth/refresh" ? json(200, session("t2")) : json(200, {})));
    client.adopt(session("t1", 60));
    pass(45_000);
    await Promise.all([client.get("/api/a"), client.get("/api/b"), client.get("/api/c")]);
    expect(calls.filter((call) => call.path === "/api/auth/refresh")).toHaveLength(1);
    expect(calls.filter((call) => call.path !== "/api/auth/refresh").every((call) => call.authorization === "Bearer t2")).toBe(true);
  });

  it("tries again after a 401 with a new token, and gives up when the session is over", async () => {
    const { client, calls } = setUp((path, init) => {
      if (path === "/api/auth/refresh") return json(200, session("t2"));
      return (init.headers as Record<string, string>)["authorization"] === "Bearer t2" ? json(200, { ok: true }) : json(401, { code: "invalid_token" });
    });
    client.adopt(session("t1"));
    await expect(client.get("/api/a")).resolves.toEqual({ ok: true });
    expect(calls.map((call) => call.path)).toEqual(["/api/a", "/api/auth/refresh", "/api/a"]);

    const over = setUp(() => json(401, { code: "unauthenticated" }));
    const ended = vi.fn();
    over.client.onSignedOut(ended);
    over.client.adopt(session("t1"));
    await expect(over.client.get("/api/a")).rejects.toMatchObject({ status: 401 });
    expect(ended).toHaveBeenCalledTimes(1);
    await expect(over.client.authorization()).resolves.toBeUndefined();
  });

  it("keeps the session when the server cannot be reached", async () => {
    const { client, pass } = setUp(() => {
      throw new TypeError("failed to fetch");
    });
    const ended = vi.fn();
    client.onSignedOut(ended);
    client.adopt(session("t1", 60));
    pass(50_000);
    await expect(client.get("/api/a")).rejects.toMatchObject({ status: 0, code: "unreachable" });
    expect(ended).not.toHaveBeenCalled();
  });

  it("uses a borrowed token only without an own one, and none where nobody is to be known", async () => {
    const { client, calls } = setUp(() => json(200, {}));
    client.borrow("livekit");
    await client.get("/api/a");
    client.adopt(session("own"));
    await client.get("/api/b");
    await client.request("GET", "/api/c", { anonymous: true });
    expect(calls.map((call) => call.authorization)).toEqual(["Bearer livekit", "Bearer own", undefined]);
  });

  it("reads problems, with their fields and how long to wait", async () => {
    const { client } = setUp(() => json(422, { code: "invalid", errors: [{ pointer: "/email", detail: "no address" }] }, { "retry-after": "7" }));
    const error = await client.post("/api/a", {}).then(() => undefined, (caught: unknown) => caught);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 422, code: "invalid", retryAfter: 7 });
    expect((error as ApiError).field("/email")).toBe("no address");
    expect((error as ApiError).field("/name")).toBeUndefined();
  });

  it("makes sense of answers that are no JSON", async () => {
    const { client } = setUp(() => new Response("<html>bad gateway</html>", { status: 502 }));
    await expect(client.get("/api/a")).rejects.toMatchObject({ code: "internal", status: 502 });
    const empty = setUp(() => json(204));
    await expect(empty.client.delete("/api/a")).resolves.toBeUndefined();
  });

  it("leaves out of a query what has no value, and escapes the rest", () => {
    expect(withQuery("/x", { a: 1, b: undefined, c: "", d: "ä&b", e: false })).toBe("/x?a=1&d=%C3%A4%26b&e=false");
    expect(withQuery("/x")).toBe("/x");
  });
});
