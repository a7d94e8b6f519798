import { useEffect } from "react";
import { useQueryClient } from "@tanstack/react-query";

import { listen, type ServerEvent } from "./sse.ts";

/** Which of what has been asked for is no longer true after an event of this type. */
const STALE: { [type: string]: string[] } = {
  notification: ["notifications"],
  "room.live": ["rooms", "room"],
  "room.ended": ["rooms", "room", "removed", "calls", "statistics"],
  "room.changed": ["rooms", "room", "removed", "waiting"],
  waiting: ["waiting"],
  recording: ["recordings", "recording", "room", "rooms"],
};

/** Keeps everything on the page true while the server has news. */
export function useServerEvents(onEvent?: (event: ServerEvent) => void, enabled = true): void {
  const queries = useQueryClient();
  useEffect(() => {
    if (!enabled) return;
    const stop = new AbortController();
    void listen("/api/events", (event) => {
      // Something was missed: nothing is known to be true any more.
      if (event.type === "missed") void queries.invalidateQueries();
      for (const key of STALE[event.type] ?? []) void queries.invalidateQueries({ queryKey: [key] });
      onEvent?.(event);
    }, { signal: stop.signal });
    return () => stop.abort();
  }, [queries, onEvent, enabled]);
}
