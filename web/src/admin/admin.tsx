import { useEffect, useRef, useState, type ReactNode } from "react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link, Navigate, NavLink, Outlet, useLocation } from "react-router";

import { ApiError, client } from "../api/client.ts";
import type { AdminOverview, AdminRoom, AuditEntry, Job, Page, StorageUse } from "../api/contract.ts";
import { pages } from "../api/paths.ts";
import { usePages, useRested } from "../api/queries.ts";
import { usePageTitle } from "../app/title.ts";
import { formatBytes, formatDateTime, formatNumber, formatRelative, formatUptime } from "../i18n/format.ts";
import { explain } from "../i18n/problems.ts";
import { useSession } from "../session/session.tsx";
import { Button, ButtonLink, SearchField } from "../ui/controls.tsx";
import { Empty, Fault, Placeholder, Progress } from "../ui/surfaces.tsx";
import { RecordingStateBadge } from "../recordings/state.tsx";
import "./admin.css";

const TABS = ["overview", "users", "rooms", "jobs", "storage", "audit", "settings", "keys", "loadtests"] as const;

export default function AdminLayout() {
  const { t } = useTranslation();
  const { user } = useSession();
  usePageTitle(t("nav.admin"));
  const nav = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  // On a phone the parts stand in a row that is longer than the screen.
  useEffect(() => {
    const bar = nav.current;
    const here = bar?.querySelector<HTMLElement>(".active");
    if (bar && here) bar.scrollLeft += here.getBoundingClientRect().left - bar.getBoundingClientRect().left - (bar.clientWidth - here.offsetWidth) / 2;
  }, [pathname]);
  if (user && user.role !== "admin") return <Navigate to="/" replace />;
  return (
    <div className="admin">
      <nav ref={nav} className="admin-nav" aria-label={t("nav.admin")}>
        <h1>{t("nav.admin")}</h1>
        {TABS.map((tab) => <NavLink key={tab} to={tab === "overview" ? "/admin" : `/admin/${tab}`} end={tab === "overview"}>{t(`admin.${tab}`)}</NavLink>)}
      </nav>
      <div className="admin-body"><Outlet /></div>
    </div>
  );
}

/** A part's title, and its state while it is being fetched. */
export function Part({ title, query, tools, children }: { title: string; query?: { isPending: boolean; isError: boolean; error: unknown; refetch: () => unknown }; tools?: ReactNode; children: ReactNode }) {
  usePageTitle(title);
  return (
    <section className="stack">
      <div className="row wrap"><h2 className="grow admin-title">{title}</h2>{tools}</div>
      {query?.isPending && <div className="card flush"><Placeholder lines={5} /></div>}
      {query?.isError && <Fault error={query.error} onRetry={() => void query.refetch()} />}
      {children}
    </section>
  );
}

export function OverviewPage() {
  const { t } = useTranslation();
  const overview = useQuery({ queryKey: ["admin", "overview"], queryFn: () => client.get<AdminOverview>("/api/admin/overview"), refetchInterval: 10_000 });
  const { data } = overview;
  const figures: [string, string][] = data ? [
    [t("admin.rooms_live"), formatNumber(data.rooms_live)],
    [t("admin.people_now"), formatNumber(data.participants_now)],
    [t("admin.recording_now"), formatNumber(data.recordings_running)],
    [t("admin.recordings_all"), formatNumber(data.recordings_total)],
    [t("admin.jobs_open"), formatNumber(data.jobs_queued + data.jobs_running)],
    [t("admin.jobs_failed"), formatNumber(data.jobs_failed)],
    [t("admin.users"), formatNumber(data.users)],
    [t("admin.used"), formatBytes(data.bytes_used)],
  ] : [];
  return (
    <Part title={t("admin.overview")} query={overview}>
      {data && (
        <>
          <div className="figures">{figures.map(([label, value]) => <div key={label} className="card figure"><span className="soft small">{label}</span><strong className="numbers">{value}</strong></div>)}</div>
          <div className="card">
            <dl className="facts">
              <dt>{t("admin.livekit")}</dt><dd>{data.livekit_reachable ? <span className="badge good"><span className="dot" />{t("admin.reachable")}</span> : <span className="badge danger"><span className="dot" />{t("admin.unreachable")}</span>}</dd>
              <dt>{t("admin.version")}</dt><dd>{data.version}</dd>
              <dt>{t("admin.uptime")}</dt><dd>{formatUptime(data.uptime_seconds)}</dd>
              {data.bytes_free !== null && data.bytes_free !== undefined && <><dt>{t("admin.free")}</dt><dd>{formatBytes(data.bytes_free)}</dd></>}
            </dl>
          </div>
        </>
      )}
    </Part>
  );
}

export function RoomsPage() {
  const { t } = useTranslation();
  const rooms = useQuery({ queryKey: ["rooms", "admin"], queryFn: () => client.get<Page<AdminRoom>>("/api/admin/rooms"), refetchInterval: 10_000 });
  return (
    <Part title={t("admin.rooms")} query={rooms}>
      {rooms.data && (
        <div className="card flush table-frame">
          {rooms.data.items.length === 0 ? <Empty title={t("admin.rooms_none")} /> : (
            <table>
              <thead><tr><th>{t("admin.room")}</th><th>{t("admin.since")}</th><th className="number">{t("admin.people")}</th><th>{t("admin.recording")}</th><th /></tr></thead>
              <tbody>
                {rooms.data.items.map((room) => (
                  <tr key={room.name}>
                    <td><div className="strong">{room.title || room.name}</div><div className="soft small">{room.participants.map((person) => person.name || person.identity).join(", ")}</div></td>
                    <td>{room.started_at ? formatRelative(room.started_at) : "–"}</td>
                    <td className="number">{room.participants.length}</td>
                    <td>{room.recording ? <RecordingStateBadge recording={room.recording} /> : "–"}</td>
                    <td className="number"><ButtonLink size="small" to={pages.room(room.name)}>{t("dashboard.join")}</ButtonLink></td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </div>
      )}
    </Part>
  );
}

const JOB_TONES = { queued: "info", running: "info", done: "good", failed: "danger", cancelled: "warn" } as const;

/** What jobs do, as far as there are words for it. */
const JOB_KINDS = ["render.copy", "render.encode"];

export function JobsPage() {
  const { t } = useTranslation();
  const jobs = usePages<Job>(["jobs"], "/api/admin/jobs", { limit: 50 });
  return (
    <Part title={t("admin.jobs")} query={jobs}>
      {jobs.items && (
        <div className="card flush table-frame">
          {jobs.items.length === 0 ? <Empty title={t("admin.jobs_none")} /> : (
            <table>
              <thead><tr><th>{t("admin.job")}</th><th>{t("admin.state")}</th><th className="number">{t("admin.attempts")}</th><th>{t("admin.created")}</th></tr></thead>
              <tbody>
                {jobs.items.map((job) => (
                  <tr key={job.id}>
                    <td><div className="strong">{JOB_KINDS.includes(job.kind) ? t(`admin.kind_${job.kind.replace(".", "_")}` as "admin.kind_render_copy") : job.kind}</div><div className="soft small mono">{job.id}</div>{job.error && <div className="danger-mark small">{job.error}</div>}</td>
                    <td>
                      <span className={`badge ${JOB_TONES[job.state]}`}>{t(`admin.job_${job.state}`)}</span>
                      {job.state === "running" && typeof job.progress === "number" && <Progress value={job.progress} label={t("files.progress")} />}
                    </td>
                    <td className="number">{job.attempts ?? "–"}</td>
                    <td>{formatRelative(job.created_at)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </div>
      )}
      {jobs.hasNextPage && <div className="more-button"><Button busy={jobs.isFetchingNextPage} onClick={() => void jobs.fetchNextPage()}>{t("common.more")}</Button></div>}
    </Part>
  );
}

export function StoragePage() {
  const { t } = useTranslation();
  const storage = useQuery({ queryKey: ["admin", "storage"], queryFn: () => client.get<StorageUse>("/api/admin/storage") });
  const { data } = storage;
  const used = data ? data.journals_bytes + data.renders_bytes : 0;
  const total = data?.total_bytes ?? (data?.free_bytes ? used + data.free_bytes : undefined);
  return (
    <Part title={t("admin.storage")} query={storage}>
      {data && (
        <>
          <div className="figures">
            <div className="card figure"><span className="soft small">{t("admin.journals")}</span><strong>{formatBytes(data.journals_bytes)}</strong></div>
            <div className="card figure"><span className="soft small">{t("admin.renders")}</span><strong>{formatBytes(data.renders_bytes)}</strong></div>
            {data.free_bytes !== null && data.free_bytes !== undefined && <div className="card figure"><span className="soft small">{t("admin.free")}</span><strong>{formatBytes(data.free_bytes)}</strong></div>}
          </div>
          {total && data.free_bytes !== null && data.free_bytes !== undefined && <div className="card stack tight"><span>{t("admin.disk", { used: formatBytes(total - data.free_bytes), total: formatBytes(total) })}</span><Progress value={(total - data.free_bytes) / total} label={t("admin.storage")} /></div>}
          {data.recordings && data.recordings.length > 0 && (
            <div className="card flush table-frame">
              <table>
                <thead><tr><th>{t("admin.largest")}</th><th className="number">{t("admin.size")}</th></tr></thead>
                <tbody>{data.recordings.map((recording) => <tr key={recording.id}><td><Link to={pages.recording(recording.id)}>{recording.room}</Link></td><td className="number">{formatBytes(recording.bytes)}</td></tr>)}</tbody>
              </table>
            </div>
          )}
        </>
      )}
    </Part>
  );
}

/** `ok`, or the code of what was answered instead. */
function Outcome({ outcome }: { outcome: string }) {
  const { t } = useTranslation();
  if (outcome === "ok") return <span className="badge good">{t("admin.outcome_ok")}</span>;
  return <span className="badge danger" title={explain(t, new ApiError(Number(outcome) || 400, { code: outcome }))}>{t("admin.outcome_refused", { code: outcome })}</span>;
}

export function AuditPage() {
  const { t } = useTranslation();
  const [text, setText] = useState("");
  const audit = usePages<AuditEntry>(["audit"], "/api/admin/audit", { q: useRested(text.trim()), limit: 50 });
  return (
    <Part title={t("admin.audit")} query={audit} tools={<SearchField label={t("admin.audit_search")} value={text} onChange={(event) => setText(event.target.value)} />}>
      {audit.items && (
        <div className="card flush table-frame">
          {audit.items.length === 0 ? <Empty title={t("admin.audit_none")} /> : (
            <table>
              <thead><tr><th>{t("admin.when")}</th><th>{t("admin.who")}</th><th>{t("admin.what")}</th><th>{t("admin.target")}</th><th>{t("admin.outcome")}</th><th>{t("admin.address")}</th></tr></thead>
              <tbody>
                {audit.items.map((entry) => (
                  <tr key={entry.id}>
                    <td className="numbers nowrap">{formatDateTime(entry.at)}</td><td>{entry.actor}</td><td><code>{entry.action}</code></td><td className="mono">{entry.target ?? "–"}</td><td><Outcome outcome={entry.outcome} /></td><td className="mono">{entry.address ?? "–"}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </div>
      )}
      {audit.hasNextPage && <div className="more-button"><Button busy={audit.isFetchingNextPage} onClick={() => void audit.fetchNextPage()}>{t("common.more")}</Button></div>}
    </Part>
  );
}
