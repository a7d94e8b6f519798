import { useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { CircleAlert, LogIn, LogOut, MessageSquare, MonitorUp, MonitorX, Pause } from "lucide-react";

import type { Timeline } from "../api/contract.ts";
import { formatClock } from "../i18n/format.ts";
import { SearchField } from "../ui/controls.tsx";
import { Empty } from "../ui/surfaces.tsx";
import { momentsOf, searchMoments } from "./model.ts";

const ICONS = { join: LogIn, leave: LogOut, share: MonitorUp, share_end: MonitorX, chat: MessageSquare, pause: Pause, gap: CircleAlert };

/** Everything that happened, in order, to be searched and jumped to. */
export function Moments({ timeline, position, onSeek }: { timeline: Timeline; position: number; onSeek: (at: number) => void }) {
  const { t } = useTranslation();
  const [query, setQuery] = useState("");
  const moments = useMemo(() => momentsOf(timeline), [timeline]);
  const wanted = useDeferredValue(query);
  const found = useMemo(() => searchMoments(moments, wanted), [moments, wanted]);
  const current = found.findLastIndex((moment) => moment.at_ms <= position + 250);
  const list = useRef<HTMLOListElement>(null);
  useEffect(() => {
    // Only the list itself is scrolled, never the page.
    const box = list.current;
    const line = box?.children[current];
    if (!box || !(line instanceof HTMLElement) || box.matches(":hover, :focus-within")) return;
    box.scrollTo({ top: line.offsetTop - box.clientHeight / 2 });
  }, [current]);
  return (
    <aside className="card moments" aria-label={t("player.moments")}>
      <h2>{t("player.moments")}</h2>
      <SearchField label={t("player.search")} value={query} onChange={(event) => setQuery(event.target.value)} />
      {found.length === 0 && <Empty title={query ? t("player.search_none") : t("player.moments_none")} />}
      <ol ref={list} className="moments-list">
        {found.map((moment, index) => {
          const Icon = ICONS[moment.kind];
          return (
            <li key={`${moment.at_ms}-${index}`}>
              <button type="button" className="moment" aria-current={index === current || undefined} onClick={() => onSeek(moment.at_ms)}>
                <Icon size={16} aria-hidden />
                <span className="grow">
                  {moment.kind === "chat"
                    ? <><strong>{moment.who}</strong><span className="moment-text">{moment.text}</span></>
                    : t(`player.moment_${moment.kind}`, { name: moment.who })}
                </span>
                <span className="numbers soft small">{formatClock(moment.at_ms)}</span>
              </button>
            </li>
          );
        })}
      </ol>
    </aside>
  );
}
