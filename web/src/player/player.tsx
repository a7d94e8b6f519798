import { useEffect, useMemo, useRef, useState, useSyncExternalStore, type CSSProperties } from "react";
import { useTranslation } from "react-i18next";
import { Expand, Gauge, LayoutGrid, Link as LinkIcon, MonitorUp, Pause, Play, RotateCcw, RotateCw, UserRound, Users, Volume2, VolumeX } from "lucide-react";

import type { Timeline } from "../api/contract.ts";
import { useShortcuts } from "../meeting/shortcuts.ts";
import { formatClock } from "../i18n/format.ts";
import { arrange, type Rect } from "../stage/arrange.ts";
import { useSize } from "../stage/use-size.ts";
import { IconButton, Segmented } from "../ui/controls.tsx";
import { Avatar, Menu, MenuItem, Notice, useCopy } from "../ui/surfaces.tsx";
import { Engine, RATES } from "./engine.ts";
import { cameraOn, inChunks, shownAt, sourcesOf, speakerTurns, type PlayerLayout, type Source } from "./model.ts";
import { Moments } from "./moments.tsx";
import { Lanes } from "./timeline.tsx";
import { spanAt } from "./sync.ts";

const TICK_MS = 80;

export function Player({ timeline, startAt }: { timeline: Timeline; startAt: number }) {
  const { t } = useTranslation();
  const [engine] = useState(() => new Engine({ duration: timeline.duration_ms, pauses: timeline.pauses, startAt }));
  const sources = useMemo(() => sourcesOf(timeline), [timeline]);
  const turns = useMemo(() => speakerTurns(timeline), [timeline]);
  const [layout, setLayout] = useState<PlayerLayout>(() => (sources.some((source) => source.kind === "screen_share") ? "screen" : "grid"));
  const [chosen, setChosen] = useState<string | undefined>(timeline.participants[0]?.identity);
  const [volume, setVolume] = useState(1);
  const [muted, setMuted] = useState(false);
  const frame = useRef<HTMLDivElement>(null);
  const state = useSyncExternalStore(engine.subscribe, engine.snapshot);
  useEffect(() => {
    const timer = setInterval(() => engine.tick(), TICK_MS);
    return () => clearInterval(timer);
  }, [engine]);

  const step = (ms: number) => engine.seek(engine.position() + ms);
  const faster = (by: number) => {
    const at = RATES.findIndex((rate) => rate === engine.snapshot().rate);
    engine.setRate(RATES[Math.min(RATES.length - 1, Math.max(0, at + by))] ?? 1);
  };
  const fullscreen = () => void (document.fullscreenElement ? document.exitFullscreen() : frame.current?.requestFullscreen());
  useShortcuts({
    " ": () => engine.toggle(), k: () => engine.toggle(), j: () => step(-10_000), l: () => step(10_000),
    ArrowLeft: () => step(-5_000), ArrowRight: () => step(5_000), Home: () => engine.seek(0), End: () => engine.seek(timeline.duration_ms),
    "<": () => faster(-1), ">": () => faster(1), m: () => setMuted((was) => !was), f: fullscreen,
    "1": () => setLayout("grid"), "2": () => setLayout("speaker"), "3": () => setLayout("screen"), "4": () => setLayout("one"),
  });

  return (
    <div className="player-columns">
      <div className="player always-dark" ref={frame} data-testid="player" data-playing={state.playing} data-waiting={state.waiting} data-spread={Math.round(state.spread)} data-position={Math.round(state.position)}>
        <PlayerStage {...{ timeline, sources, turns, layout, chosen, engine, muted, volume }} at={state.position} broken={state.broken} onToggle={() => engine.toggle()} waiting={state.waiting} />
        <Lanes timeline={timeline} sources={sources} position={state.position} onSeek={(at) => engine.seek(at)} />
        <Bar {...{ engine, timeline, layout, setLayout, chosen, setChosen, muted, setMuted, volume, setVolume, fullscreen }} />
        {state.broken.length > 0 && <Notice tone="warn">{t("player.broken", { count: state.broken.length })}</Notice>}
      </div>
      <Moments timeline={timeline} position={state.position} onSeek={(at) => engine.seek(at)} />
    </div>
  );
}

type StageProperties = {
  timeline: Timeline; sources: Source[]; turns: ReturnType<typeof speakerTurns>; layout: PlayerLayout; chosen: string | undefined; engine: Engine;
  muted: boolean; volume: number; at: number; broken: readonly string[]; waiting: boolean; onToggle: () => void;
};

function PlayerStage({ timeline, sources, turns, layout, chosen, engine, muted, volume, at, broken, waiting, onToggle }: StageProperties) {
  const { t } = useTranslation();
  const [ref, size] = useSize<HTMLDivElement>();
  const { sources: shown, focus } = shownAt(sources, turns, layout, chosen, at);
  const ids = shown.map((source) => source.id);
  const key = ids.join(" ");
  const places = useMemo(() => arrange(ids, focus, size), [key, focus, size]);
  const gap = spanAt(timeline.gaps, at);
  return (
    <div className="player-stage" ref={ref} onClick={onToggle}>
      {sources.map((source) => {
        const person = timeline.participants.find((one) => one.identity === source.identity);
        return (
          <PlayerTile
            key={source.id}
            {...{ source, engine, muted, volume }}
            rect={places.get(source.id)}
            large={source.id === focus}
            picture={cameraOn(timeline, source, at) && !broken.includes(source.id)}
            speaking={source.kind === "participant" && Boolean(person && spanAt(person.speaking, at))}
          />
        );
      })}
      {shown.length === 0 && <p className="player-nobody">{t("player.nobody")}</p>}
      {gap && <p className="player-gap" role="status">{t("player.gap")}</p>}
      {waiting && <span className="player-wait" role="status" aria-label={t("common.loading")}><span className="spinner big" /></span>}
    </div>
  );
}

const HIDDEN: CSSProperties = { visibility: "hidden", width: 2, height: 2 };

/** A file stays mounted, and sounds, whether or not it has a place in the layout. */
function PlayerTile({ source, engine, rect, large, picture, speaking, muted, volume }: { source: Source; engine: Engine; rect: Rect | undefined; large: boolean; picture: boolean; speaking: boolean; muted: boolean; volume: number }) {
  const { t } = useTranslation();
  const ref = useRef<HTMLVideoElement>(null);
  useEffect(() => (ref.current ? engine.attach(source, ref.current) : undefined), [engine, source]);
  useEffect(() => {
    if (!ref.current) return;
    ref.current.volume = volume;
    ref.current.muted = muted;
  }, [muted, volume]);
  const screen = source.kind === "screen_share";
  const name = source.name || source.identity;
  const style = rect ? { transform: `translate(${rect.x}px, ${rect.y}px)`, width: rect.width, height: rect.height } : HIDDEN;
  return (
    <div className="tile" style={style} data-large={large} data-screen={screen} data-speaking={speaking} data-identity={source.identity} aria-hidden={!rect}>
      <video ref={ref} src={inChunks(source.url)} preload="auto" playsInline style={picture ? undefined : { opacity: 0 }} />
      {!picture && <div className="tile-face over"><Avatar name={name} id={source.identity} size={Math.min(110, Math.max(34, (rect?.height ?? 90) * 0.4))} /></div>}
      <div className="tile-name">{screen && <MonitorUp size={15} aria-hidden />}<span className="truncate">{screen ? t("room.screen_of", { name }) : name}</span></div>
    </div>
  );
}

function Bar({ engine, timeline, layout, setLayout, chosen, setChosen, muted, setMuted, volume, setVolume, fullscreen }: {
  engine: Engine; timeline: Timeline; layout: PlayerLayout; setLayout: (layout: PlayerLayout) => void; chosen: string | undefined; setChosen: (identity: string) => void;
  muted: boolean; setMuted: (muted: boolean) => void; volume: number; setVolume: (volume: number) => void; fullscreen: () => void;
}) {
  const { t } = useTranslation();
  const copy = useCopy();
  const { position, playing, rate } = useSyncExternalStore(engine.subscribe, engine.snapshot);
  const link = () => {
    const url = new URL(window.location.href);
    url.search = `?t=${Math.floor(engine.position() / 1000)}`;
    copy(url.href);
  };
  return (
    <div className="player-bar">
      <div className="row player-transport">
        <IconButton label={t("player.back_10")} onClick={() => engine.seek(engine.position() - 10_000)}><RotateCcw size={19} /></IconButton>
        <button type="button" className="player-play" aria-label={playing ? t("player.pause") : t("player.play")} onClick={() => engine.toggle()}>{playing ? <Pause size={22} /> : <Play size={22} />}</button>
        <IconButton label={t("player.on_10")} onClick={() => engine.seek(engine.position() + 10_000)}><RotateCw size={19} /></IconButton>
        <span className="numbers player-time"><span data-testid="position">{formatClock(position)}</span><span className="soft"> / {formatClock(timeline.duration_ms)}</span></span>
      </div>
      <Segmented<PlayerLayout>
        label={t("player.layout")}
        value={layout}
        onChange={setLayout}
        options={[
          { value: "grid", label: t("player.grid"), icon: <LayoutGrid size={16} /> },
          { value: "speaker", label: t("player.speaker"), icon: <Users size={16} /> },
          { value: "screen", label: t("player.screen"), icon: <MonitorUp size={16} /> },
          { value: "one", label: t("player.one"), icon: <UserRound size={16} /> },
        ]}
      />
      {layout === "one" && (
        <select className="input player-who" aria-label={t("player.who")} value={chosen} onChange={(event) => setChosen(event.target.value)}>
          {timeline.participants.map((person) => <option key={person.identity} value={person.identity}>{person.name || person.identity}</option>)}
        </select>
      )}
      <div className="row player-tools">
        <IconButton label={muted ? t("player.unmute") : t("player.mute")} onClick={() => setMuted(!muted)}>{muted || volume === 0 ? <VolumeX size={19} /> : <Volume2 size={19} />}</IconButton>
        <input type="range" className="range" aria-label={t("player.volume")} min={0} max={1} step={0.05} value={muted ? 0 : volume} onChange={(event) => { setMuted(false); setVolume(Number(event.target.value)); }} />
        <Menu up button={(open) => <button type="button" {...open} className="button quiet" aria-label={`${rate}× ${t("player.speed")}`} title={t("player.speed")}><Gauge size={18} /><span className="numbers">{rate}×</span></button>}>
          {(close) => RATES.map((one) => <MenuItem key={one} checked={one === rate} onSelect={() => { engine.setRate(one); close(); }}>{one}×</MenuItem>)}
        </Menu>
        <IconButton label={t("player.link")} onClick={link}><LinkIcon size={18} /></IconButton>
        <IconButton label={t("room.fullscreen")} onClick={fullscreen}><Expand size={18} /></IconButton>
      </div>
    </div>
  );
}
