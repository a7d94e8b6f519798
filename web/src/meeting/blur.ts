import type { LocalVideoTrack } from "livekit-client";

/**
 * Background blur: MediaPipe's segmenter behind LiveKit's processor, both served from our own origin. The model is put
 * in place when the pages are built (`scripts/blur-assets.mjs`); a build without it says so and offers no switch.
 */
const WASM = "/blur/wasm";
const MODEL = "/blur/selfie_segmenter.tflite";
const RADIUS = 12;

let available: Promise<boolean> | undefined;

/** Whether this browser and this build can blur. */
export function blurAvailable(): Promise<boolean> {
  available ??= (async () => {
    const answer = await fetch(MODEL, { method: "HEAD" }).catch(() => undefined);
    // A page served in place of a missing file is no model.
    if (!answer?.ok || (answer.headers.get("content-type") ?? "").includes("text/html")) return false;
    const { supportsBackgroundProcessors } = await import("@livekit/track-processors");
    return supportsBackgroundProcessors();
  })();
  return available;
}

/** Blurs, or stops blurring, what a camera sends. */
export async function setBlur(track: LocalVideoTrack, wanted: boolean): Promise<void> {
  if (!wanted) {
    if (track.getProcessor()) await track.stopProcessor();
    return;
  }
  if (track.getProcessor()) return;
  const { BackgroundProcessor } = await import("@livekit/track-processors");
  await track.setProcessor(
    BackgroundProcessor({ mode: "background-blur", blurRadius: RADIUS, assetPaths: { tasksVisionFileSet: WASM, modelAssetPath: MODEL } }),
  );
}
