import { useEffect, useState, type FormEvent } from "react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams } from "react-router";
import { ArrowLeft, Braces, FileText, Gauge, Play, Square } from "lucide-react";

import { ApiError, client } from "../api/client.ts";
import type { LoadStep, LoadTest, LoadTick, NewLoadTest } from "../api/contract.ts";
import { paths } from "../api/paths.ts";
import { usePages } from "../api/queries.ts";
import { listen } from "../api/sse.ts";
import { formatClock, formatDateTime, formatNumber } from "../i18n/format.ts";
import { Button, SelectField, Switch, TextArea, TextField } from "../ui/controls.tsx";
import { useFaults } from "../ui/form.tsx";
import { Dialog, Empty, Notice, Progress, useToasts } from "../ui/surfaces.tsx";
import { LineChart } from "../ui/charts.tsx";
import { Part } from "./admin.tsx";
import { lateness, lossPercent, megabits, readSteps, readTick } from "./tick.ts";

const TEMPLATES = ["meeting-6", "webinar-1x200", "classroom", "audio-room-50", "breakouts-20x5", "screen-share"] as const;
const TONES = { queued: "info", running: "info", finished: "good", failed: "danger", stopped: "warn" } as const;

const titleOf = (test: LoadTest): string => test.scenario.name ?? test.id;

export function LoadTestsPage() {
  const { t } = useTranslation();
  const [making, setMaking] = useState(false);
  const tests = usePages<LoadTest>(["loadtests"], "/api/loadtests", { limit: 30 });
  return (
    <Part title={t("admin.loadtests")} query={tests} tools={<Button look="primary" onClick={() => setMaking(true)}><Gauge size={17} />{t("load.new")}</Button>}>
      <p className="soft">{t("load.text")}</p>
      {tests.items && (
        <div className="card flush list-card">
          {tests.items.length === 0 && <Empty icon={<Gauge size={30} />} title={t("load.none")} />}
          <ul className="list">
            {tests.items.map((test) => (
              <li key={test.id}>
                <div className="grow">
                  <Link className="plain strong" to={`/admin/loadtests/${encodeURIComponent(test.id)}`}>{titleOf(test)}</Link>
                  <div className="soft small">{formatDateTime(test.created_at)}{test.scenario.description ? ` · ${test.scenario.description}` : ""}</div>
                </div>
                <LoadState test={test} />
              </li>
            ))}
          </ul>
        </div>
      )}
      {making && <NewTest onClose={() => setMaking(false)} />}
    </Part>
  );
}

function LoadState({ test }: { test: LoadTest }) {
  const { t } = useTranslation();
  const judged = test.summary?.thresholds ?? [];
  const failed = judged.some((threshold) => !threshold.passed);
  return (
    <>
      {judged.length > 0 && <span className={`badge ${failed ? "danger" : "good"}`}>{failed ? t("load.threshold_failed") : t("load.threshold_passed")}</span>}
      <span className={`badge ${TONES[test.state]}`}><span className="dot" />{t(`load.state_${test.state}`)}</span>
    </>
  );
}

const OWN = "own";
const EXAMPLE = `name: my-meetings
rooms: 5
duration: 60s
ramp: 10s
participants:
  - role: person
    count: 4
    camera: {codec: vp8, resolution: 720p}
    microphone: {}
    layout: 3x3
thresholds:
  join_p95: 2s
  loss: 0.5%
`;

function NewTest({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [template, setTemplate] = useState<string>(TEMPLATES[0]);
  const [own, setOwn] = useState(false);
  const start = useMutation({
    mutationFn: (body: NewLoadTest) => client.create<LoadTest>("/api/loadtests", body),
    onSuccess: (test) => {
      void queries.invalidateQueries({ queryKey: ["loadtests"] });
      void navigate(`/admin/loadtests/${encodeURIComponent(test.id)}`);
    },
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    start.mutate({
      scenario: template === OWN ? String(form.get("yaml")) : template,
      workers: Number(form.get("workers")),
      find_limit: form.get("find_limit") !== null,
      i_own_this_server: own,
    });
  };
  // What is wrong with a scenario, and in which line, only the server can say.
  const detail = start.error instanceof ApiError && start.error.status === 422 ? start.error.problem.errors?.[0]?.detail ?? start.error.problem.detail : undefined;
  const faults = useFaults(start.error, ["/scenario", "/workers"]);
  return (
    <Dialog title={t("load.new")} wide onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        {faults.notice}
        <Notice tone="warn">{t("load.warning")}</Notice>
        <SelectField label={t("load.template")} value={template} onChange={(event) => setTemplate(event.target.value)}>
          {TEMPLATES.map((name) => <option key={name} value={name}>{t(`load.template_${name}`)}</option>)}
          <option value={OWN}>{t("load.own")}</option>
        </SelectField>
        {template === OWN && <TextArea label={t("load.yaml")} name="yaml" rows={15} className="mono" spellCheck={false} required defaultValue={EXAMPLE} fault={detail} />}
        <TextField label={t("load.workers")} name="workers" type="number" min={1} max={16} defaultValue={1} required fault={faults.at("/workers")} />
        <Switch label={t("load.find_limit")} hint={t("load.find_limit_hint")} name="find_limit" />
        <Switch label={t("load.own_server")} hint={t("load.own_server_hint")} checked={own} onChange={(event) => setOwn(event.target.checked)} />
        {own && <Switch label={t("load.own_server_sure")} name="sure" required />}
        <div className="dialog-foot"><Button onClick={onClose}>{t("common.cancel")}</Button><Button type="submit" look="primary" busy={start.isPending}><Play size={17} />{t("load.start")}</Button></div>
      </form>
    </Dialog>
  );
}

/** The longest series that is drawn: an hour. */
const MOST_TICKS = 3_600;

export function LoadTestPage() {
  const { t } = useTranslation();
  const { id = "" } = useParams();
  const queries = useQueryClient();
  const { complain } = useToasts();
  const test = useQuery({ queryKey: ["loadtests", "one", id], queryFn: () => client.get<LoadTest>(paths.loadTest(id)), retry: false });
  const [ticks, setTicks] = useState<LoadTick[]>([]);
  const [steps, setSteps] = useState<LoadStep[]>([]);
  const running = test.data?.state === "running" || test.data?.state === "queued";
  useEffect(() => {
    const stop = new AbortController();
    setTicks([]);
    setSteps([]);
    void listen(paths.ofLoadTest(id, "events"), (event) => {
      const tick = event.type === "tick" ? readTick(event.data) : undefined;
      // A search for the limit begins anew with each step.
      if (tick) setTicks((all) => [...(tick.second > (all.at(-1)?.second ?? -1) ? all.slice(1 - MOST_TICKS) : []), tick]);
      if (event.type === "steps") setSteps(readSteps(event.data));
      if (event.type === "end") void queries.invalidateQueries({ queryKey: ["loadtests"] });
    }, { signal: stop.signal, isLast: (event) => event.type === "end" });
    return () => stop.abort();
  }, [id, queries]);
  const halt = useMutation({ mutationFn: () => client.post(paths.ofLoadTest(id, "stop")), onSuccess: () => void queries.invalidateQueries({ queryKey: ["loadtests"] }), onError: complain });
  const { data } = test;
  const last = ticks.at(-1);
  const seconds = (value: number) => formatClock(value * 1000);
  const line = (read: (tick: LoadTick) => number) => ticks.map((tick) => ({ x: tick.second, y: read(tick) }));
  const measured = (read: (tick: LoadTick) => number | null) => ticks.flatMap((tick) => (read(tick) === null ? [] : [{ x: tick.second, y: read(tick) ?? 0 }]));
  return (
    <>
      <Link to="/admin/loadtests" className="small back-link"><ArrowLeft size={15} aria-hidden />{t("admin.loadtests")}</Link>
      <Part
        title={data ? titleOf(data) : t("admin.loadtests")}
        query={test}
        tools={data && (
          <>
            <LoadState test={data} />
            {running && <Button size="small" look="danger" busy={halt.isPending} onClick={() => halt.mutate()}><Square size={15} />{t("load.stop")}</Button>}
            {data.has_report && <Button size="small" onClick={() => void saveFile(id, "report.html").catch(complain)}><FileText size={16} />{t("load.report")}</Button>}
            {data.has_report && <Button size="small" onClick={() => void saveFile(id, "result.json").catch(complain)}><Braces size={16} />{t("load.result")}</Button>}
          </>
        )}
      >
        {data?.failure && <Notice tone="danger">{data.failure}</Notice>}
        {data?.summary?.verdict && <Notice tone={data.summary.verdict.outcome === "passed" ? "good" : "warn"}>{data.summary.verdict.sentence}</Notice>}
        {data?.summary?.thresholds && data.summary.thresholds.length > 0 && <Thresholds thresholds={data.summary.thresholds} />}
        <Steps steps={data?.summary?.limit?.steps ?? steps} />
        {running && <Progress value={last ? last.second / Math.max(1, last.seconds) : 0} label={t("files.progress")} />}
        {(running || ticks.length > 0) && (
          <>
            <div className="figures">
              <Figure label={t("load.participants")} value={last && formatNumber(last.participants)} />
              <Figure label={t("load.joins")} value={last && formatNumber(last.joins)} />
              <Figure label={t("load.packets")} value={last && `${formatNumber(last.received)}/s`} />
              <Figure label={t("load.loss")} value={last && `${formatNumber(lossPercent(last), 2)} %`} />
              <Figure label={t("load.bitrate")} value={last && `${formatNumber(megabits(last), 1)} Mbit/s`} />
              <Figure label={t("load.tester_cpu")} value={last && `${formatNumber(last.tester.cpu_percent)} %`} />
              <Figure label={t("load.tester_memory")} value={last && `${formatNumber(last.tester.rss_mebibytes)} MiB`} />
            </div>
            <div className="card stack">
              <LineChart title={t("load.people_chart")} formatX={seconds} series={[{ name: t("load.participants"), points: line((tick) => tick.participants) }, { name: t("load.tracks"), points: line((tick) => tick.tracks) }]} />
              <LineChart title={t("load.loss_chart")} formatX={seconds} series={[{ name: t("load.loss"), points: line(lossPercent) }]} />
              <LineChart title={t("load.latency_chart")} formatX={seconds} series={[{ name: t("load.sound"), points: measured((tick) => tick.audio_latency.p95) }, { name: t("load.pictures"), points: measured((tick) => tick.video_latency.p95) }]} />
              <LineChart title={t("load.bitrate_chart")} formatX={seconds} series={[{ name: t("load.bitrate"), points: line(megabits) }]} />
              <LineChart title={t("load.freezes_chart")} formatX={seconds} series={[{ name: t("load.freezes_chart"), points: line((tick) => tick.freezes) }]} />
              <LineChart title={t("load.tester_chart")} formatX={seconds} series={[{ name: t("load.tester_cpu_percent"), points: line((tick) => tick.tester.cpu_percent) }, { name: t("load.tester_late"), points: line(lateness) }]} />
            </div>
          </>
        )}
      </Part>
    </>
  );
}

function Thresholds({ thresholds }: { thresholds: { name: string; limit: string; value?: string | null; passed: boolean }[] }) {
  const { t } = useTranslation();
  return (
    <div className="card flush table-frame">
      <table>
        <thead><tr><th>{t("load.limit_name")}</th><th className="number">{t("load.limit")}</th><th className="number">{t("load.measured")}</th><th /></tr></thead>
        <tbody>
          {thresholds.map((one) => (
            <tr key={one.name}>
              <td><code>{one.name}</code></td><td className="number">{one.limit}</td><td className="number">{one.value ?? "–"}</td>
              <td><span className={`badge ${one.passed ? "good" : "danger"}`}>{one.passed ? t("load.threshold_passed") : t("load.threshold_failed")}</span></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** How far a search for the limit has come. */
function Steps({ steps }: { steps: LoadStep[] }) {
  const { t } = useTranslation();
  if (steps.length === 0) return null;
  return (
    <div className="card flush table-frame">
      <table>
        <thead><tr><th className="number">{t("load.rooms")}</th><th className="number">{t("load.participants")}</th><th className="number">{t("load.tracks")}</th><th>{t("load.step_result")}</th></tr></thead>
        <tbody>
          {steps.map((step, number) => (
            <tr key={number}>
              <td className="number">{formatNumber(step.rooms)}</td><td className="number">{formatNumber(step.participants)}</td><td className="number">{formatNumber(step.tracks)}</td>
              <td><span className={`badge ${step.held ? "good" : "danger"}`}>{step.held ? t("load.step_held") : t("load.step_failed")}</span> <span className="soft small">{step.sentence}</span></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Figure({ label, value }: { label: string; value: string | undefined }) {
  return <div className="card figure"><span className="soft small">{label}</span><strong className="numbers">{value ?? "–"}</strong></div>;
}

/** What is kept of a test needs the token that a plain link would not send. */
async function saveFile(id: string, file: "report.html" | "result.json"): Promise<void> {
  const response = await client.raw("GET", paths.ofLoadTest(id, file));
  if (!response.ok) throw new ApiError(response.status, {});
  const url = URL.createObjectURL(await response.blob());
  const link = Object.assign(document.createElement("a"), { href: url, download: `greffier-load-${id}.${file.split(".")[1] ?? ""}` });
  link.click();
  URL.revokeObjectURL(url);
}
