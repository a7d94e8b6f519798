import { useEffect, useState, type FormEvent } from "react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Clapperboard, Download, FileAudio, FileVideo, File as FileIcon, X } from "lucide-react";

import { client } from "../api/client.ts";
import type { LayoutKind, Page, RecordingFile, Recording, Render, RenderRequest, TimelineMedia } from "../api/contract.ts";
import { paths } from "../api/paths.ts";
import { listen } from "../api/sse.ts";
import { formatBytes, formatDateTime } from "../i18n/format.ts";
import { Button, IconButton, SelectField, Switch } from "../ui/controls.tsx";
import { Dialog, Empty, Fault, Placeholder, Progress, useToasts } from "../ui/surfaces.tsx";

const asDownload = (url: string) => `${url}${url.includes("?") ? "&" : "?"}download=1`;

/** The files that there are, and those that can be made. */
export function Downloads({ recording, media, renders: mayRender }: { recording: Recording; media: readonly TimelineMedia[]; renders: boolean }) {
  const { t } = useTranslation();
  const [asking, setAsking] = useState(false);
  const files = useQuery({ queryKey: ["files", recording.id], queryFn: ({ signal }) => client.get<Page<RecordingFile>>(paths.ofRecording(recording.id, "files"), undefined, signal) });
  const renders = useQuery({
    queryKey: ["renders", recording.id],
    queryFn: ({ signal }) => client.get<Page<Render>>(paths.ofRecording(recording.id, "renders"), undefined, signal),
  });
  const made = files.data?.items.filter((file) => file.part === "render") ?? [];
  const working = renders.data?.items.filter((render) => render.state === "queued" || render.state === "running") ?? [];
  const failed = renders.data?.items.filter((render) => render.state === "failed") ?? [];
  return (
    <section className="card flush downloads" aria-label={t("files.title")}>
      <div className="list-row">
        <h2 className="grow">{t("files.title")}</h2>
        {made.length > 1 && <Button size="small" onClick={() => downloadAll(made)}><Download size={16} />{t("files.all")}</Button>}
        {mayRender && <Button size="small" look="primary" onClick={() => setAsking(true)}><Clapperboard size={16} />{t("files.composite")}</Button>}
      </div>
      {files.isPending && <Placeholder />}
      {files.isError && <Fault error={files.error} onRetry={() => void files.refetch()} />}
      <ul className="list">
        {working.map((render) => <Working key={render.id} render={render} recording={recording.id} cancellable={mayRender} />)}
        {failed.map((render) => (
          <li key={render.id}><X size={20} className="danger-mark" aria-hidden /><span className="grow">{t("files.render_failed", { kind: t(`files.kind_${kindOf(render.kind)}`) })}</span></li>
        ))}
        {made.map((file) => <FileLine key={file.url} file={file} at={renders.data?.items.find((render) => render.id === file.render)} of={media.find((one) => pathOf(one.url) === pathOf(file.url))} />)}
      </ul>
      {files.data && made.length === 0 && working.length === 0 && <Empty title={t("files.none")} />}
      {asking && <AskComposite recording={recording} onClose={() => setAsking(false)} />}
    </section>
  );
}

const KINDS = ["participant", "screen_share", "audio", "composite", "export", "tracks"] as const;
const kindOf = (kind: string): (typeof KINDS)[number] => KINDS.find((known) => known === kind) ?? "tracks";

/** Without the key, which each answer signs anew. */
const pathOf = (url: string): string => url.split("?")[0] ?? url;

function FileLine({ file, at, of }: { file: RecordingFile; at: Render | undefined; of: TimelineMedia | undefined }) {
  const { t } = useTranslation();
  const Icon = file.media_type.startsWith("video/") ? FileVideo : file.media_type.startsWith("audio/") ? FileAudio : FileIcon;
  const kind = of?.kind ?? at?.kind;
  const who = of && (of.name || of.identity);
  return (
    <li>
      <Icon size={20} aria-hidden className="soft" />
      <div className="grow">
        <div className="truncate">{kind ? t(`files.kind_${kindOf(kind)}`) : file.name}{who ? ` · ${who}` : ""}</div>
        <div className="soft small truncate">{file.name} · {formatBytes(file.bytes)}{at?.ended_at ? ` · ${formatDateTime(at.ended_at)}` : ""}</div>
      </div>
      <a className="button small" href={asDownload(file.url)} download={file.name} aria-label={t("files.download_one", { name: file.name })}><Download size={16} aria-hidden />{t("files.download")}</a>
    </li>
  );
}

/** One after the other: browsers drop downloads that begin together. */
function downloadAll(files: RecordingFile[]): void {
  files.forEach((file, index) => {
    setTimeout(() => Object.assign(document.createElement("a"), { href: asDownload(file.url), download: file.name }).click(), index * 400);
  });
}

/** A file being made: its progress comes as events, its end makes the lists stale. */
function Working({ render, recording, cancellable }: { render: Render; recording: string; cancellable: boolean }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const { complain } = useToasts();
  const [progress, setProgress] = useState(render.progress);
  useEffect(() => {
    const stop = new AbortController();
    void listen(paths.ofRender(render.id, "events"), (event) => {
      const value = (parse(event.data) as { progress?: unknown }).progress;
      if (typeof value === "number") setProgress(value);
    }, { signal: stop.signal, isLast: (event) => event.type === "end" }).then(() => {
      if (stop.signal.aborted) return;
      void queries.invalidateQueries({ queryKey: ["files", recording] });
      void queries.invalidateQueries({ queryKey: ["renders", recording] });
      void queries.invalidateQueries({ queryKey: ["timeline", recording] });
    });
    return () => stop.abort();
  }, [render.id, recording, queries]);
  const cancel = useMutation({ mutationFn: () => client.post(paths.ofRender(render.id, "cancel")), onError: complain });
  return (
    <li>
      <span className="spinner" aria-hidden />
      <div className="grow stack tight">
        <div className="row"><span className="grow truncate">{t("files.making", { kind: t(`files.kind_${kindOf(render.kind)}`) })}</span><span className="numbers soft">{Math.round(progress * 100)} %</span></div>
        <Progress value={progress} label={t("files.progress")} />
      </div>
      {cancellable && <IconButton size="small" label={t("files.cancel")} disabled={cancel.isPending} onClick={() => cancel.mutate()}><X size={17} /></IconButton>}
    </li>
  );
}

function parse(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

const SIZES = [["1280x720", 1280, 720], ["1920x1080", 1920, 1080], ["854x480", 854, 480]] as const;

function AskComposite({ recording, onClose }: { recording: Recording; onClose: () => void }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const { say } = useToasts();
  const [kind, setKind] = useState<"composite" | "audio">("composite");
  const ask = useMutation({
    mutationFn: (request: RenderRequest) => client.create<Render>(paths.ofRecording(recording.id, "renders"), request),
    onSuccess: () => {
      say(t("files.asked"));
      void queries.invalidateQueries({ queryKey: ["renders", recording.id] });
      onClose();
    },
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    if (kind === "audio") return ask.mutate({ kind, format: String(form.get("audio")) as "ogg" | "mp3" | "wav", separate: form.has("separate") });
    const [, width, height] = SIZES[Number(form.get("size"))] ?? SIZES[0];
    ask.mutate({ kind, layout: String(form.get("layout")) as LayoutKind, format: String(form.get("format")) as "mp4" | "webm", width, height, fps: 30, labels: form.has("labels") });
  };
  return (
    <Dialog title={t("files.composite")} onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        {ask.isError && <Fault error={ask.error} />}
        <p className="soft">{t("files.composite_text")}</p>
        <SelectField label={t("files.kind")} value={kind} onChange={(event) => setKind(event.target.value as typeof kind)}>
          <option value="composite">{t("files.kind_composite")}</option>
          <option value="audio">{t("files.kind_audio")}</option>
        </SelectField>
        {kind === "composite" ? (
          <>
            <SelectField label={t("player.layout")} name="layout" defaultValue="speaker">
              <option value="grid">{t("player.grid")}</option>
              <option value="speaker">{t("player.speaker")}</option>
              <option value="screen">{t("player.screen")}</option>
            </SelectField>
            <div className="two-columns">
              <SelectField label={t("files.size")} name="size">{SIZES.map(([name], index) => <option key={name} value={index}>{name.replace("x", " × ")}</option>)}</SelectField>
              <SelectField label={t("files.format")} name="format"><option value="mp4">MP4 (H.264, AAC)</option><option value="webm">WebM (VP8, Opus)</option></SelectField>
            </div>
            <Switch name="labels" defaultChecked label={t("files.labels")} />
          </>
        ) : (
          <>
            <SelectField label={t("files.format")} name="audio"><option value="ogg">Ogg (Opus)</option><option value="mp3">MP3</option><option value="wav">WAV</option></SelectField>
            <Switch name="separate" label={t("files.separate")} />
          </>
        )}
        <div className="dialog-foot">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button type="submit" look="primary" busy={ask.isPending}>{t("files.make")}</Button>
        </div>
      </form>
    </Dialog>
  );
}
