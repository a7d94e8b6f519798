import { useEffect, useMemo, useRef, useState, type FormEvent, type ReactNode } from "react";
import { createLocalAudioTrack, createLocalVideoTrack, type LocalAudioTrack, type LocalVideoTrack } from "livekit-client";
import { useTranslation } from "react-i18next";
import { Mic, MicOff, Video, VideoOff } from "lucide-react";

import type { CallType } from "../api/contract.ts";
import { explain } from "../i18n/problems.ts";
import { useSession } from "../session/session.tsx";
import { Button, SelectField, Switch, TextField } from "../ui/controls.tsx";
import { Avatar, Notice } from "../ui/surfaces.tsx";
import { blurAvailable, setBlur } from "./blur.ts";
import { canChooseSpeaker, useDevices, useLevel, type Choices } from "./devices.ts";

type PreviewTrack = LocalAudioTrack | LocalVideoTrack;

/** A track to look at before entering: made anew when its device changes, ended when it is no longer wanted. */
function usePreview<T extends PreviewTrack>(wanted: boolean, deviceId: string, make: (deviceId: string) => Promise<T>): { track: T | undefined; error: unknown } {
  const [state, setState] = useState<{ track: T | undefined; error: unknown }>({ track: undefined, error: undefined });
  useEffect(() => {
    if (!wanted) return setState({ track: undefined, error: undefined });
    let current = true;
    let made: T | undefined;
    make(deviceId).then(
      (track) => {
        made = track;
        if (current) setState({ track, error: undefined });
        else track.stop();
      },
      (error: unknown) => current && setState({ track: undefined, error }),
    );
    return () => {
      current = false;
      made?.stop();
    };
  }, [wanted, deviceId, make]);
  return state;
}

const makeAudio = (deviceId: string) => createLocalAudioTrack(deviceId ? { deviceId } : {});
const makeVideo = (deviceId: string) => createLocalVideoTrack({ ...(deviceId && { deviceId }), resolution: { width: 1280, height: 720 } });

export function PreJoin({ title, lead, callType, needsName, choices, change, busy, error, action, listener, extra, onJoin }: {
  title: string;
  lead?: ReactNode;
  callType: CallType;
  needsName: boolean;
  choices: Choices;
  change: (part: Partial<Choices>) => void;
  busy: boolean;
  error: unknown;
  action: string;
  /** Only listens: neither camera nor microphone is asked for. */
  listener: boolean;
  extra?: ReactNode;
  onJoin: () => void;
}) {
  const { t } = useTranslation();
  const { user } = useSession();
  const video = callType === "video";
  const audioPreview = usePreview(choices.microphone && !listener, choices.microphoneId, makeAudio);
  const videoPreview = usePreview(choices.camera && video && !listener, choices.cameraId, makeVideo);
  const devices = useDevices(Boolean(audioPreview.track ?? videoPreview.track));
  const canBlur = useBlurAvailable();
  const [blurFault, setBlurFault] = useState<unknown>();

  const { track } = videoPreview;
  useEffect(() => {
    if (!track || !canBlur) return;
    setBlur(track, choices.blur).then(() => setBlurFault(undefined), setBlurFault);
  }, [track, choices.blur, canBlur]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    onJoin();
  };
  const deviceError = audioPreview.error ?? videoPreview.error;
  return (
    <main className="prejoin" id="content">
      <div className="prejoin-view always-dark">
        {track && choices.camera ? <Preview track={track} /> : (
          <div className="prejoin-nobody">
            <Avatar name={user?.name || choices.name || "?"} id={user?.id} size={96} />
            <span>{listener ? t("prejoin.listener") : video ? t("prejoin.camera_off") : t("prejoin.audio_meeting")}</span>
          </div>
        )}
        {!listener && (
          <div className="prejoin-switches">
            <button type="button" className="round" aria-pressed={choices.microphone} aria-label={choices.microphone ? t("room.mic_off") : t("room.mic_on")} onClick={() => change({ microphone: !choices.microphone })}>
              {choices.microphone ? <Mic /> : <MicOff />}
            </button>
            {video && (
              <button type="button" className="round" aria-pressed={choices.camera} aria-label={choices.camera ? t("room.camera_off") : t("room.camera_on")} onClick={() => change({ camera: !choices.camera })}>
                {choices.camera ? <Video /> : <VideoOff />}
              </button>
            )}
          </div>
        )}
      </div>
      <form className="prejoin-form stack" onSubmit={submit}>
        <div>
          <h1>{title}</h1>
          {lead && <p className="soft">{lead}</p>}
        </div>
        {Boolean(error) && <Notice tone="danger">{explain(t, error)}</Notice>}
        {Boolean(deviceError) && <Notice tone="warn">{explain(t, deviceError)} {t("prejoin.without_device")}</Notice>}
        {needsName && <TextField label={t("prejoin.name")} value={choices.name} maxLength={80} required autoComplete="name" onChange={(event) => change({ name: event.target.value })} />}
        {!listener && (
          <>
            <div>
              <DeviceSelect label={t("prejoin.microphone")} devices={devices.microphones} value={choices.microphoneId} onChange={(microphoneId) => change({ microphoneId })} />
              <LevelMeter track={audioPreview.track?.mediaStreamTrack} />
            </div>
            {video && <DeviceSelect label={t("prejoin.camera")} devices={devices.cameras} value={choices.cameraId} onChange={(cameraId) => change({ cameraId })} />}
          </>
        )}
        {canChooseSpeaker() && <DeviceSelect label={t("prejoin.speaker")} devices={devices.speakers} value={choices.speakerId} onChange={(speakerId) => change({ speakerId })} />}
        {video && !listener && (
          <Switch
            label={t("prejoin.blur")}
            hint={canBlur === false ? t("prejoin.blur_missing") : blurFault ? t("prejoin.blur_failed") : undefined}
            disabled={!canBlur}
            checked={choices.blur && canBlur === true}
            onChange={(event) => change({ blur: event.target.checked })}
          />
        )}
        {extra}
        <Button type="submit" look="primary" size="large" wide busy={busy}>{action}</Button>
      </form>
    </main>
  );
}

/** `undefined` until it is known. */
export function useBlurAvailable(): boolean | undefined {
  const [available, setAvailable] = useState<boolean>();
  useEffect(() => void blurAvailable().then(setAvailable, () => setAvailable(false)), []);
  return available;
}

function Preview({ track }: { track: LocalVideoTrack }) {
  const ref = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    track.attach(element);
    return () => void track.detach(element);
  }, [track]);
  return <video ref={ref} className="mirrored" muted playsInline />;
}

export function DeviceSelect({ label, devices, value, onChange }: { label: string; devices: MediaDeviceInfo[]; value: string; onChange: (id: string) => void }) {
  const { t } = useTranslation();
  const known = devices.some((device) => device.deviceId === value);
  return (
    <SelectField label={label} value={known ? value : ""} onChange={(event) => onChange(event.target.value)}>
      <option value="">{t("prejoin.default_device")}</option>
      {devices.filter((device) => device.deviceId !== "default").map((device) => <option key={device.deviceId} value={device.deviceId}>{device.label || t("prejoin.unnamed_device")}</option>)}
    </SelectField>
  );
}

export function LevelMeter({ track }: { track: MediaStreamTrack | undefined }) {
  const { t } = useTranslation();
  const level = useLevel(track);
  const bars = useMemo(() => Array.from({ length: 20 }, (_, index) => (index + 1) / 20), []);
  return (
    <div className="level" role="meter" aria-label={t("prejoin.level")} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(level * 100)}>
      {bars.map((bar) => <span key={bar} className={level >= bar ? "lit" : undefined} />)}
    </div>
  );
}
