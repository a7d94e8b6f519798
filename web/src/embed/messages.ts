import type { LeaveReason } from "../meeting/flow.tsx";

/** What an embedded meeting tells the page around it. */
export type EmbedMessage =
  | { source: "greffier"; type: "joined"; room: string; identity: string }
  | { source: "greffier"; type: "left"; room: string; reason: LeaveReason }
  | { source: "greffier"; type: "recording"; room: string; active: boolean };

type EmbedEvent = EmbedMessage extends infer Message ? (Message extends EmbedMessage ? Omit<Message, "source" | "room"> : never) : never;

/**
 * The page around this one, if it is one of those that the configuration allows. Without its word nothing is told to
 * anybody: a message to `*` would reach whoever frames us.
 */
export function parentOrigin(allowed: readonly string[], own: string, ancestors: readonly string[] | undefined, referrer: string): string | undefined {
  const parent = ancestors?.[0] ?? (URL.canParse(referrer) ? new URL(referrer).origin : undefined);
  return parent !== undefined && (parent === own || allowed.includes(parent)) ? parent : undefined;
}

export function teller(room: string, origin: string | undefined, target: Pick<Window, "postMessage"> | undefined): (event: EmbedEvent) => void {
  return (event) => {
    if (origin && target) target.postMessage({ source: "greffier", room, ...event }, origin);
  };
}

export type Credentials = { kind: "livekit"; token: string; identity: string; moderator: boolean; records: boolean } | { kind: "bearer"; token: string } | { kind: "invitation"; token: string } | { kind: "none" };

/**
 * How an embedding page says who somebody is, behind the `#` that no server sees: `#token=` (a LiveKit token, or one
 * of the application's own) or `#invitation=`.
 */
export function readCredentials(hash: string): Credentials {
  const params = new URLSearchParams(hash.replace(/^#/, ""));
  const invitation = params.get("invitation");
  if (invitation) return { kind: "invitation", token: invitation };
  const token = params.get("token");
  if (!token) return { kind: "none" };
  const claims = readClaims(token);
  const video = claims?.["video"];
  if (claims && typeof video === "object" && video !== null) {
    const grants = video as { roomAdmin?: unknown; roomRecord?: unknown };
    return { kind: "livekit", token, identity: typeof claims["sub"] === "string" ? claims["sub"] : "", moderator: grants.roomAdmin === true, records: grants.roomRecord === true };
  }
  return { kind: "bearer", token };
}

/** A token's claims, unchecked: only the servers can check them, and do. */
function readClaims(token: string): Record<string, unknown> | undefined {
  try {
    const part = (token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/");
    const value: unknown = JSON.parse(atob(part));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
