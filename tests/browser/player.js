// A page that plays one file at a time and says what it saw.

// The analyser of the harness reads pictures averaged to this grid.
const COLUMNS = 64;
const ROWS = 36;

function once(target, name, limitMs) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no "${name}" within ${limitMs} ms`)), limitMs);
    target.addEventListener(name, () => (clearTimeout(timer), resolve()), { once: true });
    target.addEventListener("error", () => (clearTimeout(timer), reject(new Error(mediaError(target)))), { once: true });
  });
}

function mediaError(video) {
  return `media error ${video.error?.code}: ${video.error?.message}`;
}

/** The picture that is shown, as means of red, green, blue in each cell of the grid, in base64. */
function grid(video) {
  const { videoWidth: width, videoHeight: height } = video;
  if (!width) return null;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(video, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const bytes = new Uint8Array(COLUMNS * ROWS * 3);
  for (let row = 0, at = 0; row < ROWS; row++) {
    const [top, bottom] = [row, row + 1].map((n) => Math.floor((n * height) / ROWS));
    for (let column = 0; column < COLUMNS; column++) {
      const [left, right] = [column, column + 1].map((n) => Math.floor((n * width) / COLUMNS));
      const sum = [0, 0, 0];
      for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++) {
          for (let channel = 0; channel < 3; channel++) sum[channel] += data[(y * width + x) * 4 + channel];
        }
      }
      const count = (bottom - top) * (right - left);
      for (let channel = 0; channel < 3; channel++) bytes[at++] = Math.round(sum[channel] / count);
    }
  }
  return btoa(String.fromCharCode(...bytes));
}

/** Resolves when a picture is on screen that was not when this was called; at once for sound alone. */
function presented(video, limitMs) {
  if (!video.videoWidth) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, limitMs);
    video.requestVideoFrameCallback(() => (clearTimeout(timer), resolve()));
  });
}

window.play = async ({ url, play_s, seeks }) => {
  document.body.replaceChildren();
  const video = document.createElement("video");
  video.muted = true;
  video.preload = "auto";
  document.body.append(video);
  try {
    const loaded = once(video, "loadedmetadata", 15_000);
    video.src = url;
    await loaded;
    const began = performance.now();
    await video.play();
    // Until it has played so far, or stands still for much longer than that.
    const target = Math.min(play_s, Math.max(video.duration - 0.2, 0));
    while (video.currentTime < target && !video.ended && performance.now() - began < play_s * 3000 + 5000) {
      await once(video, "timeupdate", 10_000);
    }
    const played_s = video.currentTime;
    const took_s = (performance.now() - began) / 1000;
    video.pause();
    const quality = video.getVideoPlaybackQuality();
    const seen = [];
    for (const asked of seeks) {
      const seeked = once(video, "seeked", 10_000);
      const shown = presented(video, 2000);
      video.currentTime = asked;
      await seeked;
      await shown;
      seen.push({ asked, landed: video.currentTime, grid: grid(video) });
    }
    return {
      error: null,
      duration: video.duration,
      width: video.videoWidth,
      height: video.videoHeight,
      played_s,
      took_s,
      decoded: quality.totalVideoFrames,
      dropped: quality.droppedVideoFrames,
      audio_bytes: video.webkitAudioDecodedByteCount,
      seeks: seen,
    };
  } catch (error) {
    return { error: `${error.message ?? error}`, media_error: video.error ? mediaError(video) : null };
  }
};
