import { useMemo } from "react";
import { useTranslation } from "react-i18next";

import type { Recording } from "../api/contract.ts";
import { useRooms } from "../api/queries.ts";

/** What people call a recording: its own title, or its room's, or the room's name. */
export function useTitleOf(): (recording: Recording) => string {
  const { data } = useRooms(undefined);
  const titles = useMemo(() => new Map(data?.items.map((room) => [room.name, room.title])), [data]);
  return (recording) => recording.labels["title"] || titles.get(recording.room) || recording.room;
}

const TONES = { requested: "info", joining: "info", capturing: "danger", sealing: "info", sealed: "good", failed: "danger" } as const;

export function RecordingStateBadge({ recording }: { recording: Recording }) {
  const { t } = useTranslation();
  const paused = recording.paused && recording.state === "capturing";
  return <span className={`badge ${paused ? "warn" : TONES[recording.state]}`}><span className="dot" />{paused ? t("recordings.state_paused") : t(`recordings.state_${recording.state}`)}</span>;
}
