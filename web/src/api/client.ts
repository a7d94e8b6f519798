import type { Problem, Session } from "./contract.ts";

/** An answer that is not a success, as `application/problem+json` tells it (RFC 9457). */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly problem: Problem;
  /** Seconds to wait before another try, if the server says. */
  readonly retryAfter: number | undefined;

  constructor(status: number, problem: Problem, retryAfter?: number) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
    this.name = "ApiError";
    this.status = status;
    this.code = problem.code ?? codeOf(status);
    this.problem = problem;
    this.retryAfter = retryAfter;
  }

  /** What is wrong with one field; `pointer` is a JSON pointer such as `/email`. */
  field(pointer: string): string | undefined {
    return this.problem.errors?.find((error) => error.pointer === pointer)?.detail;
  }
}

/** A code for answers that come without one, from a proxy for instance. */
function codeOf(status: number): string {
  if (status === 0) return "unreachable";
  if (status === 401) return "unauthenticated";
  if (status === 403) return "forbidden";
  if (status === 404) return "not_found";
  if (status === 409) return "conflict";
  if (status === 413) return "too_large";
  if (status === 429) return "rate_limited";
  return status >= 500 ? "internal" : "invalid";
}

export type Query = { [name: string]: string | number | boolean | null | undefined };
export type RequestOptions = { query?: Query; body?: unknown; signal?: AbortSignal; idempotent?: boolean; anonymous?: boolean };

/** Fields that have no value are left out. */
export function withQuery(path: string, query?: Query): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") params.set(name, String(value));
  }
  const text = params.toString();
  return text ? `${path}?${text}` : path;
}

type Token = { value: string; expiresAt: number };

/** Access tokens are renewed when they have less than this left. */
const RENEW_BEFORE_MS = 30_000;

export type ClientOptions = { fetch?: typeof fetch; now?: () => number; locks?: LockManager | undefined };

/**
 * Speaks with the server. The access token lives here, in memory; what survives a reload is the refresh cookie, which no
 * script can read.
 */
export class Client {
  readonly #fetch: typeof fetch;
  readonly #now: () => number;
  readonly #locks: LockManager | undefined;
  #token: Token | undefined;
  /** A token of somebody else's making (LiveKit's, or an embedding application's), for people without an account. */
  #borrowed: string | undefined;
  #refreshing: Promise<Session | undefined> | undefined;
  #onSignedOut: () => void = () => undefined;

  constructor(options: ClientOptions = {}) {
    this.#fetch = options.fetch ?? ((...args) => globalThis.fetch(...args));
    this.#now = options.now ?? Date.now;
    this.#locks = "locks" in options ? options.locks : globalThis.navigator?.locks;
  }

  /** Called when a session that was there has ended. */
  onSignedOut(listener: () => void): void {
    this.#onSignedOut = listener;
  }

  borrow(token: string | undefined): void {
    this.#borrowed = token;
  }

  adopt(session: Session): void {
    this.#token = { value: session.access_token, expiresAt: this.#now() + session.expires_in * 1000 };
  }

  forget(): void {
    this.#token = undefined;
  }

  /**
   * Trades the refresh cookie for an access token; `undefined` without a session. Tabs take turns: the cookie changes
   * with each use, and using one twice ends the session.
   */
  refresh(): Promise<Session | undefined> {
    this.#refreshing ??= this.#inTurn(async () => {
      const response = await this.#send("/api/auth/refresh", { method: "POST" });
      if (response.status === 401) return undefined;
      const session = await read<Session>(response);
      this.adopt(session);
      return session;
    }).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (!this.#locks) return work();
    return this.#locks.request("greffier-refresh", work) as Promise<T>;
  }

  /** The `Authorization` header's value; renews what is about to expire. */
  async authorization(): Promise<string | undefined> {
    if (this.#token && this.#token.expiresAt - this.#now() < RENEW_BEFORE_MS) {
      await this.#renew();
    }
    const value = this.#token?.value ?? this.#borrowed;
    return value && `Bearer ${value}`;
  }

  /** A refusal ends the session; a server that cannot be reached does not. */
  async #renew(): Promise<boolean> {
    const session = await this.refresh();
    if (session) return true;
    this.#token = undefined;
    this.#onSignedOut();
    return false;
  }

  async #send(path: string, init: RequestInit): Promise<Response> {
    try {
      return await this.#fetch(path, { credentials: "same-origin", ...init });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ApiError(0, { code: "unreachable", detail: String(error) });
    }
  }

  /** Sends a request and gives the raw answer; one that is refused for an expired token is tried once more. */
  async raw(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    const headers: Record<string, string> = { accept: "application/json" };
    let body: string | undefined;
    if (options.body !== undefined) {
      headers["content-type"] = "application/json";
      body = JSON.stringify(options.body);
    }
    if (options.idempotent) headers["idempotency-key"] = crypto.randomUUID();
    const url = withQuery(path, options.query);
    const attempt = async () => {
      const authorization = options.anonymous ? undefined : await this.authorization();
      return this.#send(url, {
        method,
        headers: authorization ? { ...headers, authorization } : headers,
        ...(body === undefined ? {} : { body }),
        ...(options.signal ? { signal: options.signal } : {}),
      });
    };
    const response = await attempt();
    if (response.status === 401 && this.#token && !options.anonymous && (await this.#renew())) return attempt();
    return response;
  }

  async request<T>(method: string, path: string, options?: RequestOptions): Promise<T> {
    return read<T>(await this.raw(method, path, options));
  }

  get = <T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> =>
    this.request<T>("GET", path, { ...(query ? { query } : {}), ...(signal ? { signal } : {}) });
  /** `body` may be left out. */
  post = <T>(path: string, body?: unknown): Promise<T> => this.request<T>("POST", path, body === undefined ? {} : { body });
  /** A creating call: sent twice by a bad line, it still creates once. */
  create = <T>(path: string, body: unknown): Promise<T> => this.request<T>("POST", path, { body, idempotent: true });
  patch = <T>(path: string, body: unknown): Promise<T> => this.request<T>("PATCH", path, { body });
  put = <T>(path: string, body: unknown): Promise<T> => this.request<T>("PUT", path, { body });
  delete = <T = void>(path: string): Promise<T> => this.request<T>("DELETE", path);
}

async function read<T>(response: Response): Promise<T> {
  const text = await response.text();
  if (!response.ok) throw new ApiError(response.status, parseProblem(text), retryAfter(response));
  if (!text) return undefined as T;
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new ApiError(response.status, { code: "internal", detail: "the answer is not JSON" });
  }
}

function parseProblem(text: string): Problem {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Problem) : {};
  } catch {
    return {};
  }
}

function retryAfter(response: Response): number | undefined {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return Number.isFinite(seconds) ? seconds : undefined;
}

/** The one that the pages share. */
export const client = new Client();
