import { useEffect, useRef, useState } from "react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Disc, Pause } from "lucide-react";

import { client } from "../api/client.ts";
import { paths } from "../api/paths.ts";
import { Button } from "../ui/controls.tsx";
import { useToasts } from "../ui/surfaces.tsx";

export type RecordingStatus = { active: boolean; paused: boolean; starting: boolean; id: string | undefined };

/** Always in sight while a meeting is recorded, and said aloud to those who do not see it. */
export function RecordingBadge({ status }: { status: RecordingStatus }) {
  const { t } = useTranslation();
  const [notice, setNotice] = useState(false);
  const before = useRef(false);
  useEffect(() => {
    if (status.active && !before.current) setNotice(true);
    if (!status.active) setNotice(false);
    before.current = status.active;
  }, [status.active]);
  return (
    <>
      <div role="status" aria-live="assertive">
        {status.active && (
          <span className={status.paused ? "rec-badge paused" : "rec-badge"} data-testid="recording-indicator">
            {status.paused ? <Pause size={15} aria-hidden /> : <span className="rec-dot" aria-hidden />}
            <span>{status.paused ? t("recording.is_paused") : t("recording.is_on")}</span>
          </span>
        )}
      </div>
      {notice && (
        <div className="rec-notice" role="alertdialog" aria-label={t("recording.notice_title")}>
          <Disc size={20} aria-hidden />
          <span>{t("recording.notice")}</span>
          <Button size="small" onClick={() => setNotice(false)}>{t("recording.understood")}</Button>
        </div>
      )}
    </>
  );
}

export type RecordingVerb = "start" | "pause" | "resume" | "stop";

export function useRecordingControl(room: string) {
  const queries = useQueryClient();
  const { complain } = useToasts();
  return useMutation({
    mutationFn: (verb: RecordingVerb) => client.post(paths.inRoom(room, `recording/${verb}`)),
    onSettled: () => {
      void queries.invalidateQueries({ queryKey: ["room", room] });
      void queries.invalidateQueries({ queryKey: ["recordings"] });
    },
    onError: complain,
  });
}
