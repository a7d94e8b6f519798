import { useState } from "react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { Disc, Play } from "lucide-react";

import { client } from "../api/client.ts";
import type { Recording, StorageUse } from "../api/contract.ts";
import { pages } from "../api/paths.ts";
import { useRecordings, useRested } from "../api/queries.ts";
import { PageHead } from "../app/shell.tsx";
import { formatBytes, formatDateTime, formatLength } from "../i18n/format.ts";
import { useSession } from "../session/session.tsx";
import { Button, ButtonLink, SearchField, Segmented } from "../ui/controls.tsx";
import { Empty, Fault, Placeholder } from "../ui/surfaces.tsx";
import { RecordingStateBadge, useTitleOf } from "./state.tsx";

type Filter = "all" | "capturing" | "sealed" | "failed";

export default function RecordingsPage() {
  const { t } = useTranslation();
  const [text, setText] = useState("");
  const [filter, setFilter] = useState<Filter>("all");
  const recordings = useRecordings({ q: useRested(text.trim()), ...(filter !== "all" && { state: filter }) });
  const { items } = recordings;
  const used = useUsed(items, recordings.hasNextPage, text === "" && filter === "all");
  return (
    <>
      <PageHead title={t("recordings.title")} lead={used ?? t("recordings.lead")} />
      <div className="row wrap filters">
        <div className="grow"><SearchField label={t("recordings.search")} value={text} onChange={(event) => setText(event.target.value)} /></div>
        <Segmented<Filter> label={t("recordings.filter")} value={filter} onChange={setFilter} options={(["all", "capturing", "sealed", "failed"] as const).map((value) => ({ value, label: t(`recordings.filter_${value}`) }))} />
      </div>
      <section className="card flush list-card">
        {recordings.isPending && <Placeholder lines={5} />}
        {recordings.isError && <Fault error={recordings.error} onRetry={() => void recordings.refetch()} />}
        {items?.length === 0 && (text || filter !== "all" ? <Empty icon={<Disc size={30} />} title={t("recordings.none_found")} /> : <Empty icon={<Disc size={30} />} title={t("recordings.none")}>{t("recordings.none_hint")}</Empty>)}
        {items && items.length > 0 && <ul className="list">{items.map((recording) => <Line key={recording.id} recording={recording} />)}</ul>}
      </section>
      {recordings.hasNextPage && <div className="more-button"><Button busy={recordings.isFetchingNextPage} onClick={() => void recordings.fetchNextPage()}>{t("common.more")}</Button></div>}
    </>
  );
}

/**
 * How much there is. What was loaded says it only when it is all there is; administrators are told by the server what the
 * whole takes.
 */
function useUsed(items: readonly Recording[] | undefined, more: boolean, everything: boolean): string | undefined {
  const { t } = useTranslation();
  const { user } = useSession();
  const storage = useQuery({ queryKey: ["admin", "storage"], queryFn: () => client.get<StorageUse>("/api/admin/storage"), enabled: user?.role === "admin" && everything });
  if (!items || items.length === 0) return undefined;
  if (storage.data && everything) return t("recordings.used_all", { size: formatBytes(storage.data.journals_bytes + storage.data.renders_bytes) });
  if (more) return t("recordings.shown", { count: items.length });
  return t("recordings.used", { count: items.length, size: formatBytes(items.reduce((sum, recording) => sum + recording.bytes, 0)) });
}

function Line({ recording }: { recording: Recording }) {
  const { t } = useTranslation();
  const titleOf = useTitleOf();
  return (
    <li>
      <span className="room-icon"><Disc size={19} aria-hidden /></span>
      <div className="grow">
        <Link className="plain strong truncate" style={{ display: "block" }} to={pages.recording(recording.id)}>{titleOf(recording)}</Link>
        <div className="soft small truncate">
          {formatDateTime(recording.started_at ?? recording.created_at)} · {formatLength(recording.duration_ms)} · {t("recordings.people", { count: recording.participants })} · {formatBytes(recording.bytes)}
        </div>
      </div>
      <span className={recording.state === "sealed" ? "only-wide" : undefined}><RecordingStateBadge recording={recording} /></span>
      {recording.state === "sealed" && <ButtonLink size="small" to={pages.recording(recording.id)} aria-label={t("recordings.watch_of", { title: titleOf(recording) })}><Play size={16} />{t("recordings.watch")}</ButtonLink>}
    </li>
  );
}
