import { useMemo, useRef, useState, type PointerEvent } from "react";
import { useTranslation } from "react-i18next";

import type { Timeline } from "../api/contract.ts";
import { formatClock } from "../i18n/format.ts";
import { momentsOf, type Source } from "./model.ts";
import { strokes } from "./strokes.ts";

/** Who was there and who spoke, a line for each; shares, messages and pauses above; and where we are. */
export function Lanes({ timeline, sources, position, onSeek }: { timeline: Timeline; sources: Source[]; position: number; onSeek: (at: number) => void }) {
  const { t } = useTranslation();
  const area = useRef<HTMLDivElement>(null);
  const [hover, setHover] = useState<number>();
  const duration = Math.max(1, timeline.duration_ms);
  const lanes = useMemo(() => timeline.participants.map((person) => ({ identity: person.identity, name: person.name || person.identity, here: strokes(person.joined, duration), words: strokes(person.speaking, duration) })), [timeline, duration]);
  const shares = useMemo(() => strokes(sources.filter((source) => source.kind === "screen_share").flatMap((source) => source.present), duration), [sources, duration]);
  const holes = useMemo(() => strokes([...timeline.pauses, ...timeline.gaps], duration), [timeline, duration]);
  const marks = useMemo(() => momentsOf(timeline).filter((moment) => moment.kind === "chat"), [timeline]);

  const at = (event: PointerEvent) => {
    const box = area.current?.getBoundingClientRect();
    return box ? Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * duration : 0;
  };
  const pointer = {
    onPointerDown: (event: PointerEvent<HTMLDivElement>) => { event.currentTarget.setPointerCapture(event.pointerId); onSeek(at(event)); },
    onPointerMove: (event: PointerEvent<HTMLDivElement>) => { setHover(at(event)); if (event.buttons === 1) onSeek(at(event)); },
    onPointerLeave: () => setHover(undefined),
  };
  const percent = (ms: number) => `${(ms / duration) * 100}%`;
  return (
    <div className="lanes">
      <input
        type="range"
        className="scrub"
        aria-label={t("player.position")}
        aria-valuetext={formatClock(position)}
        min={0}
        max={duration}
        step={1000}
        value={Math.min(position, duration)}
        style={{ "--done": percent(position) } as React.CSSProperties}
        onChange={(event) => onSeek(Number(event.target.value))}
      />
      <div className="lanes-body">
        <div className="lanes-names" aria-hidden>
          {lanes.map((lane) => <span key={lane.identity} className="truncate">{lane.name}</span>)}
        </div>
        <div className="lanes-area" ref={area} {...pointer}>
          {lanes.map((lane) => (
            <svg key={lane.identity} className="lane" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label={t("player.lane", { name: lane.name })}>
              <path className="lane-here" d={lane.here} />
              <path className="lane-words" d={lane.words} />
            </svg>
          ))}
          <svg className="lanes-over" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden>
            <path className="lane-share" d={shares} />
            <path className="lane-hole" d={holes} />
          </svg>
          {marks.map((mark, index) => <span key={index} className="lane-mark" style={{ left: percent(mark.at_ms) }} title={`${mark.who}: ${mark.text}`} />)}
          <span className="lane-now" style={{ left: percent(position) }} />
          {hover !== undefined && <span className="lane-hover numbers" style={{ left: percent(hover) }}>{formatClock(hover)}</span>}
        </div>
      </div>
    </div>
  );
}
