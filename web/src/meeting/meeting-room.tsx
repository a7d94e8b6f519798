import { useEffect, useMemo, useRef, useState } from "react";
import { LiveKitRoom, RoomAudioRenderer, useConnectionState, useIsRecording, useLocalParticipant, useStartAudio } from "@livekit/components-react";
import { ConnectionState, type DisconnectReason, type LocalVideoTrack, type Participant, Room, RoomEvent, VideoPresets } from "livekit-client";
import { useTranslation } from "react-i18next";
import { Volume2, WifiOff } from "lucide-react";

import type { Admission, MemberRole } from "../api/contract.ts";
import { useServerEvents } from "../api/events.ts";
import { useRoom } from "../api/queries.ts";
import { InviteButton } from "../rooms/invitations.tsx";
import { Button } from "../ui/controls.tsx";
import { useToasts } from "../ui/surfaces.tsx";
import { blurAvailable, setBlur } from "./blur.ts";
import { ChatPanel, useMeetingChat } from "./chat.tsx";
import { ControlBar, type Panel } from "./controls.tsx";
import type { Choices } from "./devices.ts";
import type { Meeting, MeetingEvents } from "./flow.tsx";
import { PeoplePanel, useWaitingPeople } from "./people.tsx";
import { useQualityReports } from "./quality.ts";
import { ReactionLayer, useReactions } from "./reactions.tsx";
import { RecordingBadge, type RecordingStatus } from "./recording.tsx";
import { Stage, type View } from "./stage.tsx";

type Properties = {
  meeting: Meeting;
  admission: Admission;
  serverUrl: string;
  choices: Choices;
  change: (part: Partial<Choices>) => void;
  guest: boolean;
  embedded: boolean;
  events?: MeetingEvents;
  onDisconnected: (reason: DisconnectReason | undefined) => void;
};

function newRoom(choices: Choices): Room {
  return new Room({
    adaptiveStream: true,
    dynacast: true,
    disconnectOnPageLeave: true,
    audioCaptureDefaults: { ...(choices.microphoneId && { deviceId: choices.microphoneId }), echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    videoCaptureDefaults: { ...(choices.cameraId && { deviceId: choices.cameraId }), resolution: VideoPresets.h720.resolution },
    ...(choices.speakerId && { audioOutput: { deviceId: choices.speakerId } }),
    publishDefaults: { simulcast: true, red: true, dtx: true, screenShareEncoding: { maxBitrate: 3_000_000, maxFramerate: 15 } },
  });
}

/** The meeting itself: one connection, from the first packet to leaving. */
export function MeetingRoom(properties: Properties) {
  const { meeting, admission, serverUrl, choices, onDisconnected } = properties;
  const { complain } = useToasts();
  // Made once: later changes of devices go to the running room.
  const [room] = useState(() => newRoom(choices));
  const [publish] = useState(() => ({ audio: choices.microphone && meeting.role !== "listener", video: choices.camera && meeting.callType === "video" && meeting.role !== "listener" }));
  return (
    <LiveKitRoom
        room={room}
        serverUrl={serverUrl}
        token={admission.token}
        audio={publish.audio}
        video={publish.video}
        className="room always-dark"
        onDisconnected={onDisconnected}
        onError={(error) => {
          complain(error);
          // Never in: there is nothing to be put out of.
          if (room.state === ConnectionState.Disconnected) onDisconnected(undefined);
        }}
      >
        <RoomAudioRenderer />
        <Inside {...properties} room={room} />
    </LiveKitRoom>
  );
}

function Inside({ room, meeting: entered, admission, choices, change, guest, embedded, events }: Properties & { room: Room }) {
  const { t } = useTranslation();
  const [panel, setPanel] = useState<Panel>();
  const [view, setView] = useState<View>("auto");
  const [pinned, setPinned] = useState<string>();
  const connection = useConnectionState(room);
  const now = useRoleNow(room, admission.room);
  // Guests have no place in the list: what they may do stands in what they came with.
  const role = guest ? entered.role : now ?? entered.role;
  const meeting = useMemo(() => ({ ...entered, role }), [entered, role]);
  const moderator = meeting.role === "owner" || meeting.role === "moderator";
  const invites = moderator && !guest;
  const chat = useMeetingChat(room, admission.room, panel === "chat");
  const waiting = useWaitingPeople(admission.room, moderator);
  const { reactions, react } = useReactions();
  const recording = useRecordingStatus(room, admission.room);
  useQualityReports(room, admission.room);
  useServerEvents(undefined, guest || embedded);
  useChosenBlur(room, choices.blur);
  useMeetingEvents(room, recording.active, events);
  const toggle = (next: Panel) => setPanel((now) => (now === next ? undefined : next));

  return (
    <div className={recording.active && !recording.paused ? "room-inside recorded" : "room-inside"} data-connection={connection}>
      <header className="room-top">
        <h1 className="truncate">{meeting.title}</h1>
        <RecordingBadge status={recording} />
        <Clock room={room} />
      </header>
      <div className="room-middle">
        <main className="room-stage" id="content">
          <Stage view={view} pinned={pinned} onPin={setPinned} invite={invites && <InviteButton room={admission.room} />} />
          <ReactionLayer reactions={reactions} />
          <ConnectionBanner state={connection} />
          <StartAudio room={room} />
        </main>
        {panel === "chat" && <ChatPanel chat={chat} onClose={() => setPanel(undefined)} />}
        {panel === "people" && <PeoplePanel room={admission.room} moderator={moderator} invites={invites} waiting={waiting} pinned={pinned} onPin={setPinned} onClose={() => setPanel(undefined)} />}
      </div>
      <ControlBar
        room={room}
        roomName={admission.room}
        meeting={meeting}
        moderator={meeting.records ?? moderator}
        recording={recording}
        choices={choices}
        change={change}
        view={view}
        setView={setView}
        panel={panel}
        toggle={toggle}
        unread={chat.unread}
        waiting={waiting.length}
        react={react}
      />
      <span className="visually-hidden" role="status">{connection === ConnectionState.Connected ? t("room.connected") : ""}</span>
    </div>
  );
}

/**
 * LiveKit tells everybody whether a recorder is in the room; our server tells whoever is there, guests by the token they
 * came in with, whether it has been paused. Either is enough to say that the meeting is recorded.
 */
function useRecordingStatus(room: Room, name: string): RecordingStatus {
  const announced = useIsRecording(room);
  const { data, refetch } = useRoom(name);
  useEffect(() => void refetch(), [announced, refetch]);
  const current = data?.recording;
  const running = current?.state === "capturing" || current?.state === "joining" || current?.state === "requested";
  return { active: announced || running, paused: running && Boolean(current?.paused), id: current?.id, starting: running && current?.state !== "capturing" };
}

/** What somebody is to the room by now: whoever is made less has less to press, at once. */
function useRoleNow(room: Room, name: string): MemberRole | undefined {
  const { data, refetch } = useRoom(name);
  useEffect(() => {
    // Events of the server's say it too; this one comes by the meeting's own line.
    const changed = (_: unknown, participant: Participant) => void (participant.isLocal && refetch());
    room.on(RoomEvent.ParticipantPermissionsChanged, changed);
    return () => void room.off(RoomEvent.ParticipantPermissionsChanged, changed);
  }, [room, refetch]);
  return data?.role ?? undefined;
}

function useChosenBlur(room: Room, wanted: boolean): void {
  const { complain } = useToasts();
  const { cameraTrack } = useLocalParticipant({ room });
  const track = cameraTrack?.track as LocalVideoTrack | undefined;
  useEffect(() => {
    if (!track) return;
    blurAvailable().then((can) => (can ? setBlur(track, wanted) : undefined)).catch(complain);
  }, [track, wanted, complain]);
}

function useMeetingEvents(room: Room, recorded: boolean, events: MeetingEvents | undefined): void {
  const latest = useRef(events);
  latest.current = events;
  useEffect(() => {
    const joined = () => latest.current?.onJoined?.(room.localParticipant.identity);
    room.on(RoomEvent.Connected, joined);
    return () => void room.off(RoomEvent.Connected, joined);
  }, [room]);
  const before = useRef(false);
  useEffect(() => {
    if (before.current !== recorded) latest.current?.onRecording?.(recorded);
    before.current = recorded;
  }, [recorded]);
}

function ConnectionBanner({ state }: { state: ConnectionState }) {
  const { t } = useTranslation();
  if (state === ConnectionState.Connected) return null;
  const again = state === ConnectionState.Reconnecting || state === ConnectionState.SignalReconnecting;
  return (
    <div className={again ? "room-banner warn" : "room-banner"} role="status">
      {again ? <WifiOff size={18} aria-hidden /> : <span className="spinner" aria-hidden />}
      {again ? t("room.reconnecting") : t("room.connecting")}
    </div>
  );
}

/** Browsers let no sound out of a page that nobody has touched. */
function StartAudio({ room }: { room: Room }) {
  const { t } = useTranslation();
  const { canPlayAudio, mergedProps } = useStartAudio({ room, props: {} });
  if (canPlayAudio) return null;
  return <div className="room-banner"><Button look="primary" onClick={mergedProps.onClick as () => void}><Volume2 size={18} />{t("room.start_audio")}</Button></div>;
}

function Clock({ room }: { room: Room }) {
  const [minutes, setMinutes] = useState<number>();
  const connection = useConnectionState(room);
  const since = useMemo(() => (connection === ConnectionState.Connected ? Date.now() : undefined), [connection]);
  useEffect(() => {
    if (since === undefined) return;
    const tick = () => setMinutes(Math.floor((Date.now() - since) / 60_000));
    tick();
    const timer = setInterval(tick, 10_000);
    return () => clearInterval(timer);
  }, [since]);
  return <span className="room-clock numbers">{minutes === undefined ? "" : `${minutes} min`}</span>;
}
