"""Writes down what a peer receives of the others, as decoded by libwebrtc, for the analyser of the harness to measure."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from livekit import rtc

# What the analyser works on: sounds at this rate, pictures averaged to this grid.
SAMPLE_RATE = 16_000
COLUMNS, ROWS = 64, 36
# A stream that is opened as its track comes up stays empty for good now and then, while libwebrtc decodes the pictures; then
# another one is opened. In seconds.
FIRST_PICTURE_S = 1.0

# One record: wall time in ns, width and height (0 for sound), length of what follows.
RECORD = struct.Struct("<QHHI")


class Listener:
    """One file per received track: a line of JSON that says whose it is, then records."""

    def __init__(self, folder: Path, report: Callable[..., None]) -> None:
        self.folder = folder
        self.report = report
        self.count = 0
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def listen(self, track: rtc.RemoteTrack, source: str, sender: str) -> None:
        """Writes what comes over this track from now on."""
        path = self.folder / f"{self.count:03}-{sender}-{source}.received"
        self.count += 1
        header = {"from": sender, "source": source, "track": track.sid}
        receive = self._pictures if track.kind == rtc.TrackKind.KIND_VIDEO else self._sounds
        self.tasks[track.sid] = asyncio.create_task(receive(track, path, header))
        self.report("receiving", **header, file=path.name)

    async def stop(self, sid: str) -> None:
        """Ends the file of a track that is no longer subscribed: its receiver may go on with somebody else's media."""
        task = self.tasks.pop(sid, None)
        if task is not None:
            await self._end([task])

    async def close(self) -> None:
        """Ends the files."""
        await self._end(list(self.tasks.values()))

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                self.report("failed", step="listen", error=repr(result))

    async def _sounds(self, track: rtc.RemoteTrack, path: Path, header: dict[str, str]) -> None:
        stream = rtc.AudioStream(track, sample_rate=SAMPLE_RATE, num_channels=1)
        with path.open("wb", buffering=1 << 16) as file:
            file.write(json.dumps(header).encode() + b"\n")
            try:
                async for event in stream:
                    samples = bytes(event.frame.data)
                    file.write(RECORD.pack(time.time_ns(), 0, 0, len(samples)) + samples)
            finally:
                await stream.aclose()

    async def _pictures(self, track: rtc.RemoteTrack, path: Path, header: dict[str, str]) -> None:
        def write(frame: rtc.VideoFrame) -> None:
            grid = shrink(bytes(frame.data), frame.width, frame.height)
            file.write(RECORD.pack(time.time_ns(), frame.width, frame.height, len(grid)) + grid)

        with path.open("wb", buffering=1 << 16) as file:
            file.write(json.dumps(header).encode() + b"\n")
            stream = await self._flowing(track, write)
            try:
                async for event in stream:
                    write(event.frame)
            finally:
                await stream.aclose()

    async def _flowing(self, track: rtc.RemoteTrack, write: Callable[[rtc.VideoFrame], None]) -> rtc.VideoStream:
        """A stream of a track's pictures, once the first has been written."""
        while True:
            stream = rtc.VideoStream(track, format=rtc.VideoBufferType.I420)
            try:
                event = await asyncio.wait_for(anext(stream), FIRST_PICTURE_S)
            except (TimeoutError, StopAsyncIteration):
                self.report("opens_again", track=track.sid)
                await stream.aclose()
            except BaseException:
                await stream.aclose()
                raise
            else:
                write(event.frame)
                return stream


def shrink(i420: bytes, width: int, height: int) -> bytes:
    """Averages a picture to COLUMNS x ROWS of red, green, blue (BT.601 limited range)."""
    planes = np.frombuffer(i420, dtype=np.uint8)
    half = ((width + 1) // 2, (height + 1) // 2)
    y = planes[: width * height].reshape(height, width)
    u, v = planes[width * height :][: 2 * half[0] * half[1]].reshape(2, half[1], half[0])
    luma, blue, red = (average(plane) for plane in (y, u, v))
    luma = 1.164 * (luma - 16)
    rgb = np.stack(
        [luma + 1.596 * (red - 128), luma - 0.813 * (red - 128) - 0.392 * (blue - 128), luma + 2.017 * (blue - 128)],
        axis=-1,
    )
    return np.clip(np.round(rgb), 0, 255).astype(np.uint8).tobytes()


def average(plane: np.ndarray) -> np.ndarray:
    """Means of a plane's cells. LiveKit ends a track with blank pictures smaller than the grid: those are enlarged first."""
    for axis, least in ((0, ROWS), (1, COLUMNS)):
        plane = np.repeat(plane, -(-least // plane.shape[axis]), axis=axis)
    rows, columns = (np.arange(n) * size // n for n, size in ((ROWS, plane.shape[0]), (COLUMNS, plane.shape[1])))
    sums = np.add.reduceat(np.add.reduceat(plane.astype(np.uint32), rows, axis=0), columns, axis=1)
    heights = np.diff(np.append(rows, plane.shape[0]))
    widths = np.diff(np.append(columns, plane.shape[1]))
    return sums / np.outer(heights, widths)
