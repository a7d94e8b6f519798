import { useCallback, useEffect, useRef, useState, type ReactNode } from "react";
import { useLocalParticipant, useLocalParticipantPermissions, useMediaDeviceSelect, useParticipantAttributes, useTrackToggle, useTracks } from "@livekit/components-react";
import { Track, type Room } from "livekit-client";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import {
  ChevronUp, CircleDot, Ellipsis, Expand, Hand, LayoutGrid, MessageSquare, Mic, MicOff, MonitorUp, MonitorX, Pause, PhoneOff, PictureInPicture2, Play, Smile, Square, UserRound, Users, Video, VideoOff,
} from "lucide-react";

import { client } from "../api/client.ts";
import { paths } from "../api/paths.ts";
import { Menu, MenuItem, useToasts } from "../ui/surfaces.tsx";
import { canChooseSpeaker, type Choices } from "./devices.ts";
import type { Meeting } from "./flow.tsx";
import { useBlurAvailable } from "./prejoin.tsx";
import { useRecordingControl, type RecordingStatus } from "./recording.tsx";
import { HAND, REACTIONS } from "./signals.ts";
import { useShortcuts } from "./shortcuts.ts";
import type { View } from "./stage.tsx";

export type Panel = "chat" | "people";

type Properties = {
  room: Room;
  roomName: string;
  meeting: Meeting;
  moderator: boolean;
  recording: RecordingStatus;
  choices: Choices;
  change: (part: Partial<Choices>) => void;
  view: View;
  setView: (view: View) => void;
  panel: Panel | undefined;
  toggle: (panel: Panel) => void;
  unread: number;
  waiting: number;
  react: (emoji: string) => void;
};

const canShareScreen = () => typeof navigator.mediaDevices?.getDisplayMedia === "function";

export function ControlBar(properties: Properties) {
  const { room, meeting, panel, toggle, unread, waiting } = properties;
  const { t } = useTranslation();
  const { complain } = useToasts();
  const permissions = useLocalParticipantPermissions();
  // Until the server has said what is allowed, everything that the role allows is.
  const speaks = permissions?.canPublish ?? meeting.role !== "listener";
  const microphone = useTrackToggle({ source: Track.Source.Microphone, room, onDeviceError: complain });
  const camera = useTrackToggle({ source: Track.Source.Camera, room, onDeviceError: complain });
  const screen = useTrackToggle({ source: Track.Source.ScreenShare, room, captureOptions: { audio: true, selfBrowserSurface: "exclude", surfaceSwitching: "include" }, onDeviceError: complain });
  const hand = useHand();
  const video = meeting.callType === "video";
  const safely = useCallback((work: () => Promise<unknown> | undefined) => void Promise.resolve(work()).catch(complain), [complain]);
  useShortcuts({
    m: () => speaks && safely(() => microphone.toggle()),
    v: () => speaks && video && safely(() => camera.toggle()),
    h: hand.toggle,
    c: () => toggle("chat"),
    p: () => toggle("people"),
  });
  return (
    <footer className="controls" aria-label={t("room.controls")} role="toolbar">
      {speaks ? (
        <>
          <Split room={room} kind="audioinput" choices={properties.choices} change={properties.change}>
            <Control label={microphone.enabled ? t("room.mic_off") : t("room.mic_on")} short={t("room.microphone")} keyHint="M" off={!microphone.enabled} busy={microphone.pending} onClick={() => safely(() => microphone.toggle())}>
              {microphone.enabled ? <Mic /> : <MicOff />}
            </Control>
          </Split>
          {video && (
            <Split room={room} kind="videoinput" choices={properties.choices} change={properties.change}>
              <Control label={camera.enabled ? t("room.camera_off") : t("room.camera_on")} short={t("room.camera")} keyHint="V" off={!camera.enabled} busy={camera.pending} onClick={() => safely(() => camera.toggle())}>
                {camera.enabled ? <Video /> : <VideoOff />}
              </Control>
            </Split>
          )}
          {canShareScreen() && (
            <Control label={screen.enabled ? t("room.screen_off") : t("room.screen_on")} short={t("room.screen")} active={screen.enabled} busy={screen.pending} wide onClick={() => safely(() => screen.toggle())}>
              {screen.enabled ? <MonitorX /> : <MonitorUp />}
            </Control>
          )}
        </>
      ) : <span className="controls-note">{t("room.listener_note")}</span>}
      <Control label={hand.up ? t("room.hand_down") : t("room.hand_up")} short={t("room.hand")} keyHint="H" active={hand.up} onClick={hand.toggle}><Hand /></Control>
      <Menu up button={(open) => <Control {...open} label={t("room.react")} short={t("room.react")} wide><Smile /></Control>}>
        {(close) => <div className="reaction-choice">{REACTIONS.map((emoji) => <button key={emoji} type="button" role="menuitem" className="menu-item" aria-label={t("room.react_with", { emoji })} onClick={() => { properties.react(emoji); close(); }}>{emoji}</button>)}</div>}
      </Menu>
      <Control label={t("room.chat")} short={t("room.chat")} keyHint="C" active={panel === "chat"} count={unread} onClick={() => toggle("chat")}><MessageSquare /></Control>
      <Control label={t("room.people")} short={t("room.people")} keyHint="P" active={panel === "people"} count={waiting} onClick={() => toggle("people")}><Users /></Control>
      <RecordingMenu {...properties} />
      <MoreMenu {...properties} />
      <Leave {...properties} />
    </footer>
  );
}

function Control({ label, short, keyHint, active, off, busy, wide, count = 0, danger, children, ...rest }: {
  label: string; short: string; keyHint?: string; active?: boolean; off?: boolean; busy?: boolean; wide?: boolean; count?: number; danger?: boolean; children: ReactNode; onClick: () => void;
} & { "aria-expanded"?: boolean; "aria-haspopup"?: "menu" }) {
  // What is written on it is part of its name, so that people who speak to their browser can ask for it.
  const words = label.toLowerCase().split(/\s+/u);
  const name = words.includes(short.toLowerCase()) ? label : `${short}: ${label}`;
  const names = ["control", active && "active", off && "off", wide && "only-wide-control", danger && "danger"].filter(Boolean).join(" ");
  return (
    <button type="button" {...rest} className={names} aria-label={count > 0 ? `${name} (${count})` : name} aria-pressed={rest["aria-haspopup"] ? undefined : Boolean(active)} aria-keyshortcuts={keyHint} title={keyHint ? `${label} (${keyHint})` : label} disabled={busy}>
      <span className="control-icon" aria-hidden>{children}{count > 0 && <span className="control-count">{Math.min(count, 99)}</span>}</span>
      <span className="control-text" aria-hidden>{short}</span>
    </button>
  );
}

function useHand(): { up: boolean; toggle: () => void } {
  const { complain } = useToasts();
  const { localParticipant } = useLocalParticipant();
  const { attributes } = useParticipantAttributes({ participant: localParticipant });
  const up = Boolean(attributes?.[HAND]);
  const toggle = useCallback(() => {
    void localParticipant.setAttributes({ [HAND]: up ? "" : new Date().toISOString() }).catch(complain);
  }, [localParticipant, up, complain]);
  return { up, toggle };
}

/** A switch, and beside it the devices it could use. */
function Split({ room, kind, choices, change, children }: { room: Room; kind: "audioinput" | "videoinput"; choices: Choices; change: (part: Partial<Choices>) => void; children: ReactNode }) {
  const { t } = useTranslation();
  return (
    <div className="split">
      {children}
      <Menu up start button={(open) => <button type="button" {...open} className="split-more" aria-label={kind === "audioinput" ? t("room.choose_microphone") : t("room.choose_camera")}><ChevronUp size={16} /></button>}>
        {(close) => (
          <>
            <DeviceItems room={room} kind={kind} title={kind === "audioinput" ? t("prejoin.microphone") : t("prejoin.camera")} onChosen={(id) => { change(kind === "audioinput" ? { microphoneId: id } : { cameraId: id }); close(); }} />
            {kind === "audioinput" && canChooseSpeaker() && <DeviceItems room={room} kind="audiooutput" title={t("prejoin.speaker")} onChosen={(id) => { change({ speakerId: id }); close(); }} />}
            {kind === "videoinput" && <BlurItem choices={choices} change={change} />}
          </>
        )}
      </Menu>
    </div>
  );
}

function DeviceItems({ room, kind, title, onChosen }: { room: Room; kind: MediaDeviceKind; title: string; onChosen: (id: string) => void }) {
  const { t } = useTranslation();
  const { complain } = useToasts();
  const { devices, activeDeviceId, setActiveMediaDevice } = useMediaDeviceSelect({ kind, room });
  return (
    <>
      <div className="menu-title">{title}</div>
      {devices.length === 0 && <div className="menu-title">{t("room.no_device")}</div>}
      {devices.map((device) => (
        <MenuItem key={device.deviceId} checked={device.deviceId === activeDeviceId} onSelect={() => { setActiveMediaDevice(device.deviceId).then(() => onChosen(device.deviceId), complain); }}>
          {device.label || t("prejoin.unnamed_device")}
        </MenuItem>
      ))}
    </>
  );
}

function BlurItem({ choices, change }: { choices: Choices; change: (part: Partial<Choices>) => void }) {
  const { t } = useTranslation();
  const available = useBlurAvailable();
  return (
    <>
      <hr />
      <MenuItem checked={choices.blur && available === true} disabled={!available} onSelect={() => change({ blur: !choices.blur })}>{t("prejoin.blur")}</MenuItem>
      {available === false && <div className="menu-title">{t("prejoin.blur_missing")}</div>}
    </>
  );
}

function RecordingMenu({ moderator, recording, roomName }: Properties) {
  const { t } = useTranslation();
  const control = useRecordingControl(roomName);
  if (!moderator) return null;
  if (!recording.active) {
    return <Control label={t("recording.start")} short={t("recording.start_short")} busy={control.isPending} wide onClick={() => control.mutate("start")}><CircleDot /></Control>;
  }
  return (
    <Menu up button={(open) => <Control {...open} label={t("recording.manage")} short={t("recording.short")} danger busy={control.isPending} wide><CircleDot /></Control>}>
      {(close) => <RecordingItems {...{ recording, close }} act={control.mutate} />}
    </Menu>
  );
}

function RecordingItems({ recording, act, close }: { recording: RecordingStatus; act: (verb: "start" | "pause" | "resume" | "stop") => void; close: () => void }) {
  const { t } = useTranslation();
  const choose = (verb: "start" | "pause" | "resume" | "stop") => () => { act(verb); close(); };
  if (!recording.active) return <MenuItem icon={<CircleDot size={17} />} onSelect={choose("start")}>{t("recording.start")}</MenuItem>;
  return (
    <>
      {recording.paused
        ? <MenuItem icon={<Play size={17} />} onSelect={choose("resume")}>{t("recording.resume")}</MenuItem>
        : <MenuItem icon={<Pause size={17} />} onSelect={choose("pause")}>{t("recording.pause")}</MenuItem>}
      <MenuItem danger icon={<Square size={17} />} onSelect={choose("stop")}>{t("recording.stop")}</MenuItem>
    </>
  );
}

function MoreMenu({ room, roomName, view, setView, moderator, recording, react }: Properties) {
  const { t } = useTranslation();
  const control = useRecordingControl(roomName);
  const pip = usePictureInPicture();
  return (
    <Menu up button={(open) => <Control {...open} label={t("room.more")} short={t("room.more")}><Ellipsis /></Control>}>
      {(close) => (
        <>
          <div className="menu-title">{t("room.view")}</div>
          <MenuItem icon={<LayoutGrid size={17} />} checked={view === "auto"} onSelect={() => { setView("auto"); close(); }}>{t("room.view_auto")}</MenuItem>
          <MenuItem icon={<LayoutGrid size={17} />} checked={view === "grid"} onSelect={() => { setView("grid"); close(); }}>{t("room.view_grid")}</MenuItem>
          <MenuItem icon={<UserRound size={17} />} checked={view === "speaker"} onSelect={() => { setView("speaker"); close(); }}>{t("room.view_speaker")}</MenuItem>
          <hr />
          {pip.possible && <MenuItem icon={<PictureInPicture2 size={17} />} onSelect={() => { pip.toggle(); close(); }}>{t("room.pip")}</MenuItem>}
          <MenuItem icon={<Expand size={17} />} onSelect={() => { void toggleFullscreen(); close(); }}>{t("room.fullscreen")}</MenuItem>
          <div className="only-narrow">
            <hr />
            {canShareScreen() && <MenuItem icon={<MonitorUp size={17} />} onSelect={() => { void room.localParticipant.setScreenShareEnabled(!room.localParticipant.isScreenShareEnabled, { audio: true }); close(); }}>{t("room.screen_on")}</MenuItem>}
            <div className="reaction-choice">{REACTIONS.map((emoji) => <button key={emoji} type="button" role="menuitem" className="menu-item" aria-label={t("room.react_with", { emoji })} onClick={() => { react(emoji); close(); }}>{emoji}</button>)}</div>
            {moderator && <RecordingItems {...{ recording, close }} act={control.mutate} />}
          </div>
        </>
      )}
    </Menu>
  );
}

async function toggleFullscreen(): Promise<void> {
  if (document.fullscreenElement) await document.exitFullscreen();
  else await document.documentElement.requestFullscreen?.();
}

/** A small window that follows whoever is speaking, or the screen that is shared. */
function usePictureInPicture(): { possible: boolean; toggle: () => void } {
  const { complain } = useToasts();
  const tracks = useTracks([Track.Source.ScreenShare, Track.Source.Camera], { onlySubscribed: true });
  const element = useRef<HTMLVideoElement | null>(null);
  const [open, setOpen] = useState(false);
  const main = tracks.find((track) => track.source === Track.Source.ScreenShare)
    ?? tracks.find((track) => !track.participant.isLocal && track.participant.isSpeaking)
    ?? tracks.find((track) => !track.participant.isLocal)
    ?? tracks[0];
  const track = main?.publication.track;
  useEffect(() => {
    const video = element.current;
    if (!open || !video || !track) return;
    track.attach(video);
    return () => void track.detach(video);
  }, [open, track]);
  useEffect(() => () => {
    if (element.current && document.pictureInPictureElement === element.current) void document.exitPictureInPicture();
  }, []);
  const toggle = () => {
    if (document.pictureInPictureElement) return void document.exitPictureInPicture();
    if (!track) return;
    const video = (element.current ??= Object.assign(document.createElement("video"), { muted: true, autoplay: true, playsInline: true }));
    video.onleavepictureinpicture = () => setOpen(false);
    track.attach(video);
    const show = () => video.requestPictureInPicture().then(() => setOpen(true), complain);
    if (video.readyState >= HTMLMediaElement.HAVE_METADATA) void show();
    else video.addEventListener("loadedmetadata", () => void show(), { once: true });
  };
  return { possible: document.pictureInPictureEnabled && Boolean(track), toggle };
}

function Leave({ room, roomName, meeting }: Properties) {
  const { t } = useTranslation();
  const { complain } = useToasts();
  const end = useMutation({ mutationFn: () => client.delete(paths.room(roomName)), onError: complain });
  const leave = () => void room.disconnect();
  if (meeting.role !== "owner") return <button type="button" className="control leave" aria-label={t("room.leave")} onClick={leave}><span className="control-icon"><PhoneOff /></span><span className="control-text" aria-hidden>{t("room.leave")}</span></button>;
  return (
    <Menu up button={(open) => <button type="button" {...open} className="control leave" aria-label={t("room.leave")}><span className="control-icon"><PhoneOff /></span><span className="control-text" aria-hidden>{t("room.leave")}</span></button>}>
      {() => (
        <>
          <MenuItem icon={<PhoneOff size={17} />} onSelect={leave}>{t("room.leave_only")}</MenuItem>
          <MenuItem danger icon={<Users size={17} />} onSelect={() => end.mutate()}>{t("room.end_all")}</MenuItem>
        </>
      )}
    </Menu>
  );
}
