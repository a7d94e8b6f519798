"""Pumps that hand sound and pictures to libwebrtc in step with the wall clock, and tell how well they kept time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import numpy as np
from livekit import rtc

from pattern import FRAME_SAMPLES, SAMPLE_RATE, Canvas, Pattern

FRAME_S = FRAME_SAMPLES / SAMPLE_RATE
# A picture handed over later than this after its turn is left out: a camera does not catch up.
PICTURE_LATE_S = 0.05

Report = Callable[..., None]


class Pump(threading.Thread):
    """Runs in its own thread with its own event loop, so that signalling never delays media."""

    def __init__(self, source: str, report: Report) -> None:
        super().__init__(name=f"pump-{source}", daemon=True)
        self.source = source
        self.report = report
        # Set and cleared by the script; what is played while muted is in the ground truth as muted.
        self.muted = False
        self._ending = threading.Event()
        self._go = threading.Event()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self.first: float | None = None
        self.last: float | None = None
        self.count = 0

    def run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # told to the harness: a dead pump must not look like a lost packet
            self._failure = error
            self._ready.set()
            self.report("failed", step=f"pump {self.source}", error=repr(error))

    async def _main(self) -> None:
        self.create()
        self._ready.set()
        try:
            await asyncio.to_thread(self._go.wait)
            await self.pump()
        finally:
            await self.close()

    def prepare(self) -> None:
        """Starts the thread and waits until its source exists."""
        self.start()
        self._ready.wait()
        if self._failure:
            raise self._failure

    def go(self) -> None:
        """Begins to hand over: the track is published."""
        self._go.set()

    def end(self) -> None:
        """Stops handing over, and tells when the last was handed over."""
        self._ending.set()
        self._go.set()
        self.join()
        self.report("ended", source=self.source, first=self.first, last=self.last, count=self.count)

    def handed(self, at: float) -> None:
        """Notes one handed over."""
        if self.first is None:
            self.first = at
            self.report("first", source=self.source, at=at)
        self.last = at
        self.count += 1

    @property
    def stopped(self) -> bool:
        return self._ending.is_set()

    # What a source provides.
    def create(self) -> None:
        raise NotImplementedError

    async def pump(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class SoundPump(Pump):
    """Silence, and a beep on each whole second, exact to the sample."""

    def __init__(self, source: str, pattern: Pattern, report: Report) -> None:
        super().__init__(source, report)
        self.pattern = pattern

    def create(self) -> None:
        # No queue: a frame goes to the encoder when it is handed over, as from a sound card.
        self.rtc_source = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=0)

    async def close(self) -> None:
        await self.rtc_source.aclose()

    async def pump(self) -> None:
        # Frame n is the sound of the 10 ms from n / 100 s on; late frames are caught up with, none is left out, so that
        # the sound stays whole and only its arrival is late (which the report tells).
        index = int(time.time() / FRAME_S) + 1
        per_second = round(1 / FRAME_S)
        beep = np.zeros(0, dtype=np.int16)
        worst = 0.0
        while not self.stopped:
            due = index * FRAME_S
            delay = due - time.time()
            if delay > 0:
                await asyncio.sleep(delay)
            handed = time.time()
            worst = max(worst, handed - due)
            second, within = divmod(index, per_second)
            if within == 0:
                beep = self.pattern.beep(second)
                self.report("beep", source=self.source, second=second, late=handed - due, muted=self.muted)
            elif within == per_second - 1:
                self.report("pace", source=self.source, second=second, late=worst, left_out=0)
                worst = 0.0
            samples = beep[within * FRAME_SAMPLES : (within + 1) * FRAME_SAMPLES]
            if len(samples) == 0:
                samples = np.zeros(FRAME_SAMPLES, dtype=np.int16)
            await self.rtc_source.capture_frame(rtc.AudioFrame(samples.tobytes(), SAMPLE_RATE, 1, FRAME_SAMPLES))
            self.handed(due)
            index += 1


class PicturePump(Pump):
    """Dark moving bands with the time code, and a flash on each whole second."""

    def __init__(self, source: str, pattern: Pattern, width: int, height: int, fps: int, report: Report) -> None:
        super().__init__(source, report)
        self.pattern = pattern
        self.fps = fps
        self.is_screen = source == "screen_share"
        self.canvas = Canvas(pattern, self.is_screen, width, height)

    def create(self) -> None:
        self.rtc_source = rtc.VideoSource(self.canvas.width, self.canvas.height, is_screencast=self.is_screen)

    async def close(self) -> None:
        await self.rtc_source.aclose()

    async def pump(self) -> None:
        # Pictures stand on a grid of 1/fps that meets every whole second.
        index = int(time.time() * self.fps) + 1
        worst, left_out = 0.0, 0
        while not self.stopped:
            second, within = divmod(index, self.fps)
            due = second + within / self.fps
            delay = due - time.time()
            if delay > 0:
                await asyncio.sleep(delay)
            flash = within / self.fps < self.pattern.flash_s
            if time.time() - due > PICTURE_LATE_S:
                left_out += 1
            else:
                # The time in the code is that of the hand-over, which is also the one libwebrtc stamps.
                captured = time.time()
                data = self.canvas.draw(captured, flash)
                self.rtc_source.capture_frame(
                    rtc.VideoFrame(self.canvas.width, self.canvas.height, rtc.VideoBufferType.I420, data)
                )
                worst = max(worst, time.time() - due)
                self.handed(captured)
                if within == 0:
                    late = captured - due
                    self.report("flash", source=self.source, second=second, late=late, muted=self.muted)
            if within == self.fps - 1:
                self.report("pace", source=self.source, second=second, late=worst, left_out=left_out)
                worst, left_out = 0.0, 0
            index += 1
