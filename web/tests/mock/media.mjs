// Media to play: a picture that flashes and a tone that beeps on each whole second, so that step can be judged.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";

const LENGTH = 60;
/** Name, colour, tone in Hz, and when their first frame is, in seconds: whoever comes later has a file that begins later. */
const PEOPLE = [["usr_1", "#1f5f54", 440, 0], ["usr_2", "#7a4a1d", 660, 0], ["usr_3", "#2d4a86", 880, 9]];

/** Makes what is missing; needs ffmpeg. */
export function makeMedia(folder) {
  mkdirSync(folder, { recursive: true });
  for (const [name, colour, tone, start] of PEOPLE) {
    const file = join(folder, `${name}.webm`);
    const length = LENGTH - start;
    if (existsSync(file)) continue;
    ffmpeg(
      "-f", "lavfi", "-i", `color=c=${colour}:s=640x360:r=25:d=${length}`,
      "-f", "lavfi", "-i", `aevalsrc='0.4*sin(2*PI*${tone}*t)*lt(mod(t,1),0.1)':s=48000:d=${length}`,
      "-vf", "drawbox=x=240+100*sin(t*2):y=100:w=160:h=160:color=white@0.25:t=fill,drawbox=w=iw:h=24:color=white:t=fill:enable='lt(mod(t,1),0.1)'",
      "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k", "-g", "50", "-c:a", "libopus", "-b:a", "32k", "-output_ts_offset", String(start), file,
    );
  }
  const screen = join(folder, "screen.webm");
  if (!existsSync(screen)) ffmpeg("-f", "lavfi", "-i", "testsrc2=s=1280x720:r=10:d=25", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "600k", "-g", "30", screen);
  // An hour at a camera's bit rate, for as many people as are wanted: the same packets again and again, so that only one
  // minute is encoded.
  const long = join(folder, "hour.webm");
  if (!existsSync(long)) {
    const minute = join(folder, "minute.webm");
    ffmpeg(
      "-f", "lavfi", "-i", `testsrc2=s=640x360:r=25:d=${LENGTH},noise=alls=12:allf=t`, "-f", "lavfi", "-i", `sine=f=440:r=48000:d=${LENGTH}`,
      "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "600k", "-minrate", "600k", "-maxrate", "600k", "-g", "250", "-c:a", "libopus", "-b:a", "32k", minute,
    );
    ffmpeg("-stream_loop", "59", "-i", minute, "-c", "copy", "-t", "3600", long);
  }
  return folder;
}

function ffmpeg(...args) {
  execFileSync("ffmpeg", ["-hide_banner", "-loglevel", "error", "-y", ...args], { stdio: "inherit" });
}
