import { useCallback, useEffect, useState } from "react";

import { readStored, writeStored } from "../ui/theme.ts";

/** What somebody wants to enter with; kept in this browser for the next time. */
export type Choices = {
  name: string;
  microphone: boolean;
  camera: boolean;
  blur: boolean;
  microphoneId: string;
  cameraId: string;
  speakerId: string;
};

const KEY = "greffier.choices";
const DEFAULTS: Choices = { name: "", microphone: true, camera: true, blur: false, microphoneId: "", cameraId: "", speakerId: "" };

export function readChoices(): Choices {
  try {
    const stored: unknown = JSON.parse(readStored(KEY) ?? "{}");
    const known = Object.entries(stored as object).filter(([name, value]) => typeof value === typeof DEFAULTS[name as keyof Choices]);
    return { ...DEFAULTS, ...Object.fromEntries(known) };
  } catch {
    return DEFAULTS;
  }
}

export function useChoices(): [Choices, (change: Partial<Choices>) => void] {
  const [choices, setChoices] = useState(readChoices);
  const change = useCallback((part: Partial<Choices>) => {
    setChoices((before) => {
      const after = { ...before, ...part };
      writeStored(KEY, JSON.stringify(after));
      return after;
    });
  }, []);
  return [choices, change];
}

/** The devices there are. Their names are only known once one of them is in use: `granted` says when to look again. */
export function useDevices(granted: boolean): { microphones: MediaDeviceInfo[]; cameras: MediaDeviceInfo[]; speakers: MediaDeviceInfo[] } {
  const [devices, setDevices] = useState<MediaDeviceInfo[]>([]);
  useEffect(() => {
    const media = navigator.mediaDevices;
    if (!media) return;
    let current = true;
    const look = () => void media.enumerateDevices().then((found) => current && setDevices(found), () => undefined);
    look();
    media.addEventListener("devicechange", look);
    return () => {
      current = false;
      media.removeEventListener("devicechange", look);
    };
  }, [granted]);
  const of = (kind: MediaDeviceKind) => devices.filter((device) => device.kind === kind && device.deviceId !== "");
  return { microphones: of("audioinput"), cameras: of("videoinput"), speakers: of("audiooutput") };
}

/** Browsers that cannot choose where sound goes have no such list. */
export const canChooseSpeaker = (): boolean => typeof HTMLMediaElement !== "undefined" && "setSinkId" in HTMLMediaElement.prototype;

/** How loud it is, 0 to 1, about fifteen times a second. */
export function useLevel(track: MediaStreamTrack | undefined): number {
  const [level, setLevel] = useState(0);
  useEffect(() => {
    if (!track) return setLevel(0);
    const context = new AudioContext();
    const analyser = new AnalyserNode(context, { fftSize: 512 });
    const source = context.createMediaStreamSource(new MediaStream([track]));
    source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      let sum = 0;
      for (const sample of samples) sum += sample * sample;
      // Speech lies around -30 dB: the scale goes from -60 dB to 0.
      const decibels = 10 * Math.log10(sum / samples.length + 1e-9);
      setLevel(Math.min(1, Math.max(0, (decibels + 60) / 60)));
    }, 66);
    return () => {
      clearInterval(timer);
      source.disconnect();
      void context.close();
    };
  }, [track]);
  return level;
}
