import { useState } from "react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link, useParams } from "react-router";
import { ArrowLeft, Disc, History } from "lucide-react";

import { client } from "../api/client.ts";
import type { Call, CallParticipant } from "../api/contract.ts";
import { pages } from "../api/paths.ts";
import { useCalls, useStatistics } from "../api/queries.ts";
import { PageHead } from "../app/shell.tsx";
import { CallLine } from "../dashboard/dashboard.tsx";
import { formatDateTime, formatLength, formatNumber, formatShortDay, formatTime } from "../i18n/format.ts";
import { Button, ButtonLink, Segmented } from "../ui/controls.tsx";
import { Avatar, Empty, Fault, Placeholder } from "../ui/surfaces.tsx";
import { BarChart } from "../ui/charts.tsx";
import { dateOf, fillDays, isoDay } from "./days.ts";

type Measure = "calls" | "minutes" | "participants";
type Span = "7" | "30" | "90";

export default function HistoryPage() {
  const { t } = useTranslation();
  const [span, setSpan] = useState<Span>("30");
  const [measure, setMeasure] = useState<Measure>("minutes");
  const [today] = useState(() => new Date());
  const { from, to } = range(today, Number(span));
  const statistics = useStatistics(from, to);
  const days = statistics.data && fillDays(statistics.data.days, from, to);
  const sum = (name: Measure) => days?.reduce((total, day) => total + day[name], 0) ?? 0;
  const longest = Math.max(0, ...(days ?? []).map((day) => day.minutes));
  const calls = useCalls(undefined, 20);
  return (
    <>
      <PageHead title={t("history.title")}>
        <Segmented<Span> label={t("history.span")} value={span} onChange={setSpan} options={(["7", "30", "90"] as const).map((value) => ({ value, label: t("history.days", { count: Number(value) }) }))} />
      </PageHead>
      <div className="figures">
        {(["calls", "minutes", "participants"] as const).map((name) => (
          <button key={name} type="button" className="card figure" aria-pressed={name === measure} onClick={() => setMeasure(name)}>
            <span className="soft small">{t(`history.${name}`)}</span>
            <strong className="numbers">{days ? (name === "minutes" ? formatLength(sum(name) * 60_000) : formatNumber(sum(name))) : "–"}</strong>
          </button>
        ))}
      </div>
      <section className="card chart-card" aria-label={t(`history.${measure}`)}>
        {statistics.isPending && <div className="skeleton" style={{ height: 210 }} />}
        {statistics.isError && <Fault error={statistics.error} onRetry={() => void statistics.refetch()} />}
        {days && (
          <BarChart
            title={t(`history.${measure}`)}
            format={measure === "minutes" ? formatMinutes : (count) => formatNumber(count, 1)}
            step={measure === "minutes" && longest >= 180 ? 60 : 1}
            bars={days.map((day) => ({ key: day.day, label: formatShortDay(dateOf(day.day)), value: day[measure], title: `${formatShortDay(dateOf(day.day))}: ${measure === "minutes" ? formatMinutes(day.minutes) : formatNumber(day[measure])}` }))}
          />
        )}
      </section>
      <section className="section">
        <h2>{t("history.list")}</h2>
        <div className="card flush list-card">
          {calls.isPending && <Placeholder lines={5} />}
          {calls.isError && <Fault error={calls.error} onRetry={() => void calls.refetch()} />}
          {calls.items?.length === 0 && <Empty icon={<History size={30} />} title={t("dashboard.recent_none")}>{t("dashboard.recent_hint")}</Empty>}
          {calls.items && calls.items.length > 0 && <ul className="list">{calls.items.map((call) => <CallLine key={call.id} call={call} />)}</ul>}
        </div>
        {calls.hasNextPage && <div className="more-button"><Button busy={calls.isFetchingNextPage} onClick={() => void calls.fetchNextPage()}>{t("common.more")}</Button></div>}
      </section>
    </>
  );
}

/** Marks beside a chart are not always whole minutes. */
const formatMinutes = (minutes: number): string => (minutes === 0 || !Number.isInteger(minutes) ? `${formatNumber(minutes, 1)} min` : formatLength(minutes * 60_000));

function range(today: Date, days: number): { from: string; to: string } {
  const first = new Date(today);
  first.setDate(first.getDate() - days + 1);
  return { from: isoDay(first), to: isoDay(today) };
}

/** One call: who was there when, and how good their line was. */
export function CallPage() {
  const { t } = useTranslation();
  const { id = "" } = useParams();
  const call = useQuery({ queryKey: ["calls", "one", id], queryFn: ({ signal }) => client.get<Call>(`/api/calls/${encodeURIComponent(id)}`, undefined, signal), retry: false });
  if (call.isPending) return <Placeholder lines={6} />;
  if (!call.data) return <div className="stack"><Fault error={call.error} /><div><ButtonLink to="/history"><ArrowLeft size={17} />{t("history.back")}</ButtonLink></div></div>;
  const { data } = call;
  const start = new Date(data.started_at).getTime();
  const end = data.ended_at ? new Date(data.ended_at).getTime() : Date.now();
  return (
    <>
      <Link to="/history" className="small back-link"><ArrowLeft size={15} aria-hidden />{t("history.back")}</Link>
      <PageHead title={data.title || data.room} lead={`${formatDateTime(data.started_at)} · ${formatLength(end - start)}`}>
        {data.recordings?.map((recording) => <ButtonLink key={recording} look="primary" to={pages.recording(recording)}><Disc size={17} />{t("recordings.watch")}</ButtonLink>)}
      </PageHead>
      <div className="card flush table-frame">
        <table>
          <thead>
            <tr><th>{t("history.person")}</th><th className="presence-column">{t("history.presence")}</th><th className="number">{t("history.loss")}</th><th className="number">{t("history.jitter")}</th><th className="number">{t("history.rtt")}</th><th className="number">{t("history.bitrate")}</th><th className="number">{t("history.picture")}</th></tr>
          </thead>
          <tbody>{data.participants.map((person) => <PersonRow key={person.identity} person={person} start={start} end={end} />)}</tbody>
        </table>
      </div>
    </>
  );
}

function PersonRow({ person, start, end }: { person: CallParticipant; start: number; end: number }) {
  const name = person.name || person.identity;
  const span = Math.max(1, end - start);
  const spans = person.intervals.map((interval) => ({ from: new Date(interval.joined_at).getTime(), to: interval.left_at ? new Date(interval.left_at).getTime() : end }));
  const spoken = spans.map((one) => `${formatTime(new Date(one.from))} – ${formatTime(new Date(one.to))}`).join(", ");
  const { quality } = person;
  const show = (value: number | null | undefined, unit: string, digits = 0) => (value === null || value === undefined ? "–" : `${formatNumber(value, digits)} ${unit}`);
  return (
    <tr>
      <td><span className="row"><Avatar name={name} id={person.identity} size={28} /><span className="truncate">{name}</span></span></td>
      <td>
        <div className="presence" role="img" aria-label={spoken} title={spoken}>
          {spans.map((one) => <span key={one.from} style={{ left: `${((one.from - start) / span) * 100}%`, width: `${Math.max(0.6, ((one.to - one.from) / span) * 100)}%` }} />)}
        </div>
      </td>
      <td className="number">{show(quality?.packets_lost_percent, "%", 1)}</td>
      <td className="number">{show(quality?.jitter_ms, "ms")}</td>
      <td className="number">{show(quality?.rtt_ms, "ms")}</td>
      <td className="number">{show(quality?.bitrate_kbps, "kbit/s")}</td>
      <td className="number">{quality?.width && quality.height ? `${quality.width} × ${quality.height}` : "–"}</td>
    </tr>
  );
}
