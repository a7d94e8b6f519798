import { useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import {
  isTrackReference, ParticipantContext, useConnectionQualityIndicator, useIsMuted, useIsSpeaking, usePagination, useParticipantAttributes, useTracks, VideoTrack,
  type TrackReferenceOrPlaceholder,
} from "@livekit/components-react";
import { ConnectionQuality, Track, type Participant } from "livekit-client";
import { useTranslation } from "react-i18next";
import { ChevronLeft, ChevronRight, Hand, MicOff, MonitorUp, Pin, PinOff, SignalHigh, SignalLow, SignalMedium, SignalZero } from "lucide-react";

import { arrange, type Rect } from "../stage/arrange.ts";
import { useSize } from "../stage/use-size.ts";
import { IconButton } from "../ui/controls.tsx";
import { Avatar } from "../ui/surfaces.tsx";
import { HAND } from "./signals.ts";

/** `auto` shows a screen share large while there is one, and a grid otherwise. */
export type View = "auto" | "grid" | "speaker";

export const tileId = (track: TrackReferenceOrPlaceholder): string => `${track.participant.identity}/${track.source}`;

const NARROW = 700;
const PER_PAGE = { wide: 16, narrow: 6 };

/** `invite` is offered to whoever is alone. */
export function Stage({ view, pinned, onPin, invite }: { view: View; pinned: string | undefined; onPin: (id: string | undefined) => void; invite?: ReactNode }) {
  const { t } = useTranslation();
  const [ref, size] = useSize<HTMLDivElement>();
  const tracks = useTracks([{ source: Track.Source.ScreenShare, withPlaceholder: false }, { source: Track.Source.Camera, withPlaceholder: true }], { onlySubscribed: false });
  const perPage = size.width < NARROW ? PER_PAGE.narrow : PER_PAGE.wide;
  const { tracks: shown, totalPageCount, currentPage, nextPage, prevPage } = usePagination(perPage, tracks);
  const speaker = useMainSpeaker(tracks);
  const focus = focusOf(tracks, view, pinned, speaker);
  // What is large is on every page.
  const focused = tracks.find((track) => tileId(track) === focus);
  const visible = focused && !shown.some((track) => tileId(track) === focus) ? [focused, ...shown] : shown;
  const places = useMemo(() => arrange(visible.map(tileId), focus, size), [visible.map(tileId).join(" "), focus, size]);
  const alone = tracks.length === 1 && tracks[0]?.participant.isLocal;
  return (
    <div className="stage" ref={ref}>
      {visible.map((track) => {
        const id = tileId(track);
        const rect = places.get(id);
        return rect && <Tile key={id} track={track} rect={rect} large={id === focus} pinned={id === pinned} onPin={() => onPin(id === pinned ? undefined : id)} />;
      })}
      {alone && <div className="stage-alone"><p>{t("room.alone")}</p>{invite}</div>}
      {totalPageCount > 1 && (
        <nav className="stage-pages" aria-label={t("room.pages")}>
          <IconButton label={t("room.page_before")} size="small" disabled={currentPage === 1} onClick={prevPage}><ChevronLeft size={18} /></IconButton>
          <span className="numbers">{currentPage} / {totalPageCount}</span>
          <IconButton label={t("room.page_after")} size="small" disabled={currentPage === totalPageCount} onClick={nextPage}><ChevronRight size={18} /></IconButton>
        </nav>
      )}
    </div>
  );
}

function focusOf(tracks: TrackReferenceOrPlaceholder[], view: View, pinned: string | undefined, speaker: string | undefined): string | undefined {
  const has = (id: string | undefined) => id !== undefined && tracks.some((track) => tileId(track) === id);
  if (has(pinned)) return pinned;
  if (view === "grid") return undefined;
  const screen = tracks.filter((track) => track.source === Track.Source.ScreenShare).at(-1);
  if (screen) return tileId(screen);
  if (view !== "speaker") return undefined;
  if (has(speaker)) return speaker;
  const other = tracks.find((track) => !track.participant.isLocal) ?? tracks[0];
  return other && tileId(other);
}

const HOLD_MS = 1_500;

/** Whoever speaks, and has gone on for a moment: a cough moves nobody into the middle. */
function useMainSpeaker(tracks: TrackReferenceOrPlaceholder[]): string | undefined {
  const [speaker, setSpeaker] = useState<string>();
  const latest = useRef(tracks);
  latest.current = tracks;
  useEffect(() => {
    let candidate: string | undefined;
    let since = 0;
    const timer = setInterval(() => {
      const loudest = latest.current
        .filter((track) => track.source === Track.Source.Camera && track.participant.isSpeaking && !track.participant.isLocal)
        .sort((a, b) => b.participant.audioLevel - a.participant.audioLevel)[0];
      const id = loudest && tileId(loudest);
      if (id !== candidate) {
        candidate = id;
        since = Date.now();
      }
      if (id && Date.now() - since >= HOLD_MS) setSpeaker(id);
    }, 300);
    return () => clearInterval(timer);
  }, []);
  return speaker;
}

function Tile({ track, rect, large, pinned, onPin }: { track: TrackReferenceOrPlaceholder; rect: Rect; large: boolean; pinned: boolean; onPin: () => void }) {
  const { t } = useTranslation();
  const { participant } = track;
  const screen = track.source === Track.Source.ScreenShare;
  const speaking = useIsSpeaking(participant);
  const off = useIsMuted(track);
  const name = participant.name || participant.identity;
  const title = screen ? t("room.screen_of", { name }) : participant.isLocal ? t("room.you", { name }) : name;
  const place = { transform: `translate(${rect.x}px, ${rect.y}px)`, width: rect.width, height: rect.height };
  const live = isTrackReference(track) && (screen || !off);
  return (
    <ParticipantContext value={participant}>
      <div className="tile" data-speaking={speaking && !screen} data-screen={screen} data-large={large} data-identity={participant.identity} style={place} role="group" aria-label={title} onDoubleClick={onPin}>
        {live ? (
          <VideoTrack trackRef={track} className={participant.isLocal && !screen ? "mirrored" : undefined} onContextMenu={(event) => event.preventDefault()} />
        ) : (
          <div className="tile-face"><Avatar name={name} id={participant.identity} size={Math.min(104, Math.max(36, rect.height * 0.4))} /></div>
        )}
        {!screen && <RaisedHand participant={participant} />}
        <div className="tile-name">
          {screen ? <MonitorUp size={15} aria-hidden /> : <MutedMark participant={participant} />}
          <span className="truncate">{title}</span>
          {!screen && <Quality participant={participant} />}
        </div>
        <button type="button" className="tile-pin" aria-pressed={pinned} aria-label={pinned ? t("room.unpin", { name: title }) : t("room.pin", { name: title })} onClick={onPin}>
          {pinned ? <PinOff size={16} /> : <Pin size={16} />}
        </button>
      </div>
    </ParticipantContext>
  );
}

export function MutedMark({ participant }: { participant: Participant }) {
  const { t } = useTranslation();
  const muted = useIsMuted({ participant, source: Track.Source.Microphone });
  return muted ? <MicOff size={15} className="muted-mark" aria-label={t("room.muted")} role="img" /> : null;
}

function RaisedHand({ participant }: { participant: Participant }) {
  const { t } = useTranslation();
  const { attributes } = useParticipantAttributes({ participant });
  if (!attributes?.[HAND]) return null;
  return <span className="tile-hand" role="img" aria-label={t("room.hand_is_up")}><Hand size={18} aria-hidden /></span>;
}

const SIGNALS = {
  [ConnectionQuality.Excellent]: [SignalHigh, "excellent"],
  [ConnectionQuality.Good]: [SignalMedium, "good"],
  [ConnectionQuality.Poor]: [SignalLow, "poor"],
  [ConnectionQuality.Lost]: [SignalZero, "lost"],
} as const;

export function Quality({ participant }: { participant: Participant }) {
  const { t } = useTranslation();
  const { quality } = useConnectionQualityIndicator({ participant });
  if (quality === ConnectionQuality.Unknown) return null;
  const [Icon, word] = SIGNALS[quality];
  return <Icon size={15} className={`signal ${word}`} role="img" aria-label={t(`room.quality_${word}`)} />;
}
