import { useState, type FormEvent } from "react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link, useNavigate } from "react-router";
import { CalendarPlus, CalendarDays, Disc, Ellipsis, History, Link as LinkIcon, Mic, SlidersHorizontal, Trash, UserPlus, Users, Video } from "lucide-react";

import { client } from "../api/client.ts";
import type { Call, Room } from "../api/contract.ts";
import { pages, paths } from "../api/paths.ts";
import { useCalls, usePages, useRecordings, useRooms } from "../api/queries.ts";
import { PageHead } from "../app/shell.tsx";
import { formatDay, formatLength, formatRelative, formatTime } from "../i18n/format.ts";
import { useSession } from "../session/session.tsx";
import { Button, ButtonLink, IconButton } from "../ui/controls.tsx";
import { Avatar, Confirm, Empty, Fault, Menu, MenuItem, Placeholder, useCopy, useToasts } from "../ui/surfaces.tsx";
import { recordingOf } from "../recordings/of-call.ts";
import { mayChange } from "../rooms/may.ts";
import { linkTarget } from "./join-link.ts";
import { NewMeeting } from "./new-meeting.tsx";
import "./dashboard.css";

export function DashboardPage() {
  const { t } = useTranslation();
  const { user } = useSession();
  const [making, setMaking] = useState<"now" | "later">();
  const live = useRooms("live");
  const upcoming = useRooms("upcoming");
  // Neither live, nor to come, nor over: meetings that stay, and planned ones whose time has passed.
  const mine = usePages<Room>(["rooms", "idle"], paths.rooms, { state: "idle", limit: 12 });
  const standing = mine.items;
  return (
    <>
      <PageHead title={t("dashboard.hello", { name: firstName(user?.name ?? "") })} lead={capital(formatDay(new Date()))} />
      <section className="hero" aria-label={t("dashboard.start")}>
        <div className="hero-actions">
          <Button look="primary" size="large" onClick={() => setMaking("now")}><Video size={20} />{t("dashboard.new")}</Button>
          <Button size="large" onClick={() => setMaking("later")}><CalendarPlus size={20} />{t("dashboard.plan")}</Button>
        </div>
        <JoinByLink />
      </section>
      {live.data && live.data.items.length > 0 && (
        <section className="section">
          <h2>{t("dashboard.live")}</h2>
          <ul className="live-cards">{live.data.items.map((room) => <LiveCard key={room.name} room={room} />)}</ul>
        </section>
      )}
      <div className="columns">
        <div className="stack">
          <section className="section">
            <h2>{t("dashboard.upcoming")}</h2>
            <div className="card flush list-card">
              {upcoming.isPending && <Placeholder />}
              {upcoming.isError && <Fault error={upcoming.error} onRetry={() => void upcoming.refetch()} />}
              {upcoming.data?.items.length === 0 && <Empty icon={<CalendarDays size={30} />} title={t("dashboard.upcoming_none")}>{t("dashboard.upcoming_hint")}</Empty>}
              {upcoming.data && upcoming.data.items.length > 0 && <ul className="list">{upcoming.data.items.map((room) => <RoomLine key={room.name} room={room} />)}</ul>}
            </div>
          </section>
          <section className="section">
            <h2>{t("dashboard.mine")}</h2>
            <div className="card flush list-card">
              {mine.isPending && <Placeholder />}
              {mine.isError && <Fault error={mine.error} onRetry={() => void mine.refetch()} />}
              {standing?.length === 0 && (
                <Empty icon={<Users size={30} />} title={t("dashboard.mine_none")}>
                  <p>{t("dashboard.mine_hint")}</p>
                  {user?.role === "admin" && <ButtonLink size="small" to="/admin/users"><UserPlus size={16} />{t("dashboard.invite_users")}</ButtonLink>}
                </Empty>
              )}
              {standing && standing.length > 0 && <ul className="list">{standing.map((room) => <RoomLine key={room.name} room={room} />)}</ul>}
              {mine.hasNextPage && <div className="more-button"><Button size="small" busy={mine.isFetchingNextPage} onClick={() => void mine.fetchNextPage()}>{t("common.more")}</Button></div>}
            </div>
          </section>
        </div>
        <section className="section">
          <div className="row"><h2 className="grow">{t("dashboard.recent")}</h2><Link to="/history" className="small">{t("dashboard.all")}</Link></div>
          <RecentCalls />
        </section>
      </div>
      {making && <NewMeeting scheduled={making === "later"} onClose={() => setMaking(undefined)} />}
    </>
  );
}

const firstName = (name: string) => name.split(/\s/u)[0] ?? name;
const capital = (text: string) => text.charAt(0).toLocaleUpperCase() + text.slice(1);

function JoinByLink() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [fault, setFault] = useState(false);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const target = linkTarget(String(new FormData(event.currentTarget).get("link")), window.location.origin);
    setFault(target === undefined);
    if (target) void navigate(target);
  };
  return (
    <form className="join-link" onSubmit={submit}>
      <label className="visually-hidden" htmlFor="join-link">{t("dashboard.link")}</label>
      <LinkIcon size={18} aria-hidden />
      <input id="join-link" name="link" className="input" required placeholder={t("dashboard.link")} autoComplete="off" aria-invalid={fault || undefined} onInput={() => setFault(false)} />
      <Button type="submit">{t("dashboard.join")}</Button>
      {fault && <span className="join-fault" role="alert">{t("dashboard.link_wrong")}</span>}
    </form>
  );
}

function LiveCard({ room }: { room: Room }) {
  const { t } = useTranslation();
  const here = room.participants_now;
  return (
    <li className="card live-card">
      <div className="row wrap">
        <span className="badge good"><span className="dot" />{t("dashboard.live_now")}</span>
        {room.recording && room.recording.state === "capturing" && <span className="badge danger"><Disc size={13} />{t("recording.running")}</span>}
        {room.call && <span className="soft small push numbers">{formatRelative(room.call.started_at)}</span>}
      </div>
      <h3 className="truncate">{room.title}</h3>
      <div className="row wrap">
        <span className="avatars">{here.slice(0, 5).map((person) => <Avatar key={person.identity} name={person.name || person.identity} id={person.identity} size={30} />)}</span>
        <span className="soft small grow">{t("dashboard.people_here", { count: here.length })}</span>
        <ButtonLink look="primary" to={pages.room(room.name)}>{t("dashboard.join")}</ButtonLink>
      </div>
    </li>
  );
}

function RoomLine({ room }: { room: Room }) {
  const { t } = useTranslation();
  const { say, complain } = useToasts();
  const copy = useCopy();
  const queries = useQueryClient();
  const { user } = useSession();
  const navigate = useNavigate();
  const [deleting, setDeleting] = useState(false);
  const remove = useMutation({
    mutationFn: () => client.delete(paths.room(room.name)),
    onSuccess: () => {
      setDeleting(false);
      say(t("dashboard.deleted"));
      void queries.invalidateQueries({ queryKey: ["rooms"] });
    },
    onError: complain,
  });
  const Icon = room.call_type === "audio" ? Mic : Video;
  const upcoming = room.scheduled_for ? Date.parse(room.scheduled_for) > Date.now() : false;
  return (
    <li>
      <span className="room-icon"><Icon size={19} aria-hidden /></span>
      <div className="grow">
        <div className="truncate strong">{room.title}</div>
        <div className="soft small truncate">
          {room.scheduled_for ? `${formatDay(room.scheduled_for)}, ${formatTime(room.scheduled_for)}${room.duration_minutes ? ` · ${formatLength(room.duration_minutes * 60_000)}` : ""}` : t("dashboard.owner", { name: room.owner.name })}
        </div>
      </div>
      <ButtonLink size="small" to={pages.room(room.name)}>{room.state === "idle" && !upcoming ? t("dashboard.open") : t("dashboard.join")}</ButtonLink>
      <Menu button={(open) => <IconButton {...open} size="small" label={t("dashboard.more", { title: room.title })}><Ellipsis size={18} /></IconButton>}>
        {(close) => (
          <>
            <MenuItem icon={<LinkIcon size={17} />} onSelect={() => { copy(window.location.origin + pages.room(room.name)); close(); }}>{t("dashboard.copy_link")}</MenuItem>
            <MenuItem icon={<CalendarDays size={17} />} disabled={!room.scheduled_for} onSelect={() => { close(); void downloadCalendar(room).catch(complain); }}>{t("dashboard.calendar_file")}</MenuItem>
            <MenuItem icon={<SlidersHorizontal size={17} />} onSelect={() => { close(); void navigate(pages.details(room.name)); }}>{t("dashboard.details")}</MenuItem>
            {mayChange(user, room) && <MenuItem danger icon={<Trash size={17} />} onSelect={() => { close(); setDeleting(true); }}>{t("common.delete")}</MenuItem>}
          </>
        )}
      </Menu>
      {deleting && <Confirm title={t("dashboard.delete_title")} text={t("dashboard.delete_text", { title: room.title })} action={t("common.delete")} busy={remove.isPending} onConfirm={() => remove.mutate()} onClose={() => setDeleting(false)} />}
    </li>
  );
}

/** A link would send no token, so the file is fetched and handed over. */
async function downloadCalendar(room: Room): Promise<void> {
  const response = await client.raw("GET", paths.inRoom(room.name, "calendar.ics"));
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const url = URL.createObjectURL(await response.blob());
  const link = Object.assign(document.createElement("a"), { href: url, download: `${room.name}.ics` });
  link.click();
  URL.revokeObjectURL(url);
}

function RecentCalls() {
  const { t } = useTranslation();
  const calls = useCalls(undefined, 8);
  return (
    <div className="card flush list-card">
      {calls.isPending && <Placeholder lines={4} />}
      {calls.isError && <Fault error={calls.error} onRetry={() => void calls.refetch()} />}
      {calls.items?.length === 0 && <Empty icon={<History size={30} />} title={t("dashboard.recent_none")}>{t("dashboard.recent_hint")}</Empty>}
      {calls.items && calls.items.length > 0 && <ul className="list">{calls.items.slice(0, 8).map((call) => <CallLine key={call.id} call={call} />)}</ul>}
    </div>
  );
}

export function CallLine({ call }: { call: Call }) {
  const { t } = useTranslation();
  const names = call.participants.map((person) => person.name || person.identity);
  const length = call.ended_at ? formatLength(new Date(call.ended_at).getTime() - new Date(call.started_at).getTime()) : t("dashboard.live_now");
  const recording = recordingOf(call, useRecordings({}).items);
  return (
    <li>
      <div className="grow">
        <Link className="plain strong truncate" to={`/history/${encodeURIComponent(call.id)}`} style={{ display: "block" }}>{call.title || call.room}</Link>
        <div className="soft small truncate">{formatRelative(call.started_at)} · {length} · {names.join(", ")}</div>
      </div>
      {recording && <ButtonLink size="small" to={pages.recording(recording)} aria-label={t("recordings.watch_of", { title: call.title || call.room })}><Disc size={16} />{t("recordings.watch")}</ButtonLink>}
    </li>
  );
}
