import type { Call, Recording } from "../api/contract.ts";

/** A recording may have been asked for a moment before the first person was in. */
const BEFORE_MS = 60_000;

/** Which recording belongs to a call: the one the server names, or the first of its room that began during it. */
export function recordingOf(call: Call, recordings: readonly Recording[] | undefined): string | undefined {
  if (call.recordings?.[0]) return call.recordings[0];
  const from = Date.parse(call.started_at) - BEFORE_MS;
  const to = call.ended_at ? Date.parse(call.ended_at) : Infinity;
  const during = (recordings ?? []).filter((recording) => {
    const at = Date.parse(recording.started_at ?? recording.created_at);
    return recording.room === call.room && recording.state !== "failed" && at >= from && at <= to;
  });
  // Lists are newest first.
  return during.at(-1)?.id;
}
