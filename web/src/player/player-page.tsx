import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams, useSearchParams } from "react-router";
import { ArrowLeft, Trash } from "lucide-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";

import { client } from "../api/client.ts";
import type { Recording, Timeline } from "../api/contract.ts";
import { paths } from "../api/paths.ts";
import { useRoom } from "../api/queries.ts";
import { usePageTitle } from "../app/title.ts";
import { formatBytes, formatDateTime, formatLength } from "../i18n/format.ts";
import { mayChange, mayModerate } from "../rooms/may.ts";
import { useSession } from "../session/session.tsx";
import { RecordingStateBadge, useTitleOf } from "../recordings/state.tsx";
import { Button, ButtonLink } from "../ui/controls.tsx";
import { Confirm, Empty, Fault, Notice, Placeholder, useToasts } from "../ui/surfaces.tsx";
import { Downloads } from "./downloads.tsx";
import { startFrom } from "./model.ts";
import { Player } from "./player.tsx";
import "../stage/stage.css";
import "./player.css";

const UNFINISHED = new Set(["requested", "joining", "capturing", "sealing"]);
/** Copies are made in seconds: this is how often one looks whether they are there. */
const LOOK_AGAIN_MS = 1_500;

/** `/recordings/<id>?t=seconds` */
export default function PlayerPage() {
  const { t } = useTranslation();
  const titleOf = useTitleOf();
  const { id = "" } = useParams();
  const [params] = useSearchParams();
  const recording = useQuery({
    queryKey: ["recording", id],
    queryFn: ({ signal }) => client.get<Recording>(paths.recording(id), undefined, signal),
    refetchInterval: (query) => (query.state.data && UNFINISHED.has(query.state.data.state) ? LOOK_AGAIN_MS : false),
    retry: false,
  });
  const { user } = useSession();
  // Rights to a recording are those to its room.
  const room = useRoom(recording.data?.room ?? "", recording.data !== undefined && user?.role !== "admin");
  const sealed = recording.data?.state === "sealed";
  const timeline = useQuery({
    queryKey: ["timeline", id],
    queryFn: ({ signal }) => client.get<Timeline>(paths.ofRecording(id, "timeline"), undefined, signal),
    enabled: sealed,
    refetchInterval: (query) => (query.state.data && query.state.data.media.length === 0 && query.state.dataUpdateCount < 40 ? LOOK_AGAIN_MS : false),
    // Signed addresses of files must not change under a player that runs.
    refetchOnWindowFocus: false,
    staleTime: Infinity,
  });
  usePageTitle(recording.data ? titleOf(recording.data) : t("recordings.title"));
  if (recording.isPending) return <Placeholder lines={6} />;
  if (!recording.data) {
    return (
      <div className="stack">
        <Fault error={recording.error} onRetry={() => void recording.refetch()} />
        <div><ButtonLink to="/recordings"><ArrowLeft size={17} />{t("recordings.back")}</ButtonLink></div>
      </div>
    );
  }
  const ready = timeline.data && timeline.data.media.length > 0;
  const may = { remove: mayChange(user, room.data), render: mayModerate(user, room.data) };
  return (
    <>
      <Head recording={recording.data} removable={may.remove} />
      {recording.data.state === "failed" && <Notice tone="danger">{t("recordings.failed_text")}</Notice>}
      {UNFINISHED.has(recording.data.state) && <Empty icon={<span className="spinner big" />} title={t("player.not_yet")}>{t("player.not_yet_text")}</Empty>}
      {sealed && timeline.isError && <Fault error={timeline.error} onRetry={() => void timeline.refetch()} />}
      {sealed && !timeline.isError && !ready && (
        timeline.data && timeline.data.participants.length === 0
          ? <Empty title={t("player.nothing")}>{t("player.nothing_text")}</Empty>
          : <Empty icon={<span className="spinner big" />} title={t("player.preparing")}>{t("player.preparing_text")}</Empty>
      )}
      {ready && timeline.data && <Player key={id} timeline={timeline.data} startAt={startFrom(params.get("t"), timeline.data)} />}
      {sealed && <Downloads recording={recording.data} media={timeline.data?.media ?? []} renders={may.render} />}
    </>
  );
}

function Head({ recording, removable }: { recording: Recording; removable: boolean }) {
  const { t } = useTranslation();
  const titleOf = useTitleOf();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const { say, complain } = useToasts();
  const [deleting, setDeleting] = useState(false);
  const remove = useMutation({
    mutationFn: () => client.delete(paths.recording(recording.id)),
    onSuccess: () => {
      say(t("recordings.deleted"));
      void queries.invalidateQueries({ queryKey: ["recordings"] });
      void navigate("/recordings", { replace: true });
    },
    onError: complain,
  });
  const started = recording.started_at ?? recording.created_at;
  return (
    <div className="player-head">
      <Link to="/recordings" className="small back-link"><ArrowLeft size={15} aria-hidden />{t("recordings.back")}</Link>
      <div className="row wrap">
        <h1 className="grow">{titleOf(recording)}</h1>
        <RecordingStateBadge recording={recording} />
        {removable && <Button size="small" look="quiet" onClick={() => setDeleting(true)}><Trash size={16} />{t("common.delete")}</Button>}
      </div>
      <p className="soft">
        {formatDateTime(started)} · {formatLength(recording.duration_ms)} · {t("recordings.people", { count: recording.participants })} · {formatBytes(recording.bytes)}
      </p>
      {deleting && <Confirm title={t("recordings.delete_title")} text={t("recordings.delete_text")} action={t("common.delete")} busy={remove.isPending} onConfirm={() => remove.mutate()} onClose={() => setDeleting(false)} />}
    </div>
  );
}
