"""The beep, the flash and the time code of one peer. The numbers come from tests/src/pattern.rs; only the drawing is here."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

SAMPLE_RATE = 48_000
# Samples in one frame: libwebrtc takes 10 ms at a time.
FRAME_SAMPLES = SAMPLE_RATE // 100
BLACK, WHITE = 16, 235


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, initial value 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021) & 0xFFFF if crc & 0x8000 else crc << 1
    return crc


def yuv(colour: list[int]) -> tuple[int, int, int]:
    """BT.601 limited range, the matrix that libwebrtc and ffmpeg take for small pictures."""
    r, g, b = (c / 255 for c in colour)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return round(16 + 219 * y), round(128 + 224 * (b - y) / 1.772), round(128 + 224 * (r - y) / 1.402)


@dataclass
class Pattern:
    """What one peer shows and plays; the fields are those of Pattern::settings."""

    peer: int
    tone_hz: float
    colour: list[int]
    beep_s: list[float]
    ramp_s: float
    amplitude: float
    flash_s: float
    marks: int
    mark_period: int
    code_columns: int
    code_rows: int
    code_height: float

    def beep(self, second: int) -> np.ndarray:
        """The beep of a whole second as 16-bit samples, silence up to whole frames after it."""
        length = self.beep_s[self.marks >> second % self.mark_period & 1]
        count = round(length * SAMPLE_RATE)
        at = np.arange(count) / SAMPLE_RATE
        edge = np.minimum(np.minimum(at, length - at) / self.ramp_s, 1.0)
        level = 0.5 - 0.5 * np.cos(np.pi * edge)
        beep = self.amplitude * level * np.sin(2 * math.pi * self.tone_hz * at)
        frames = -(-count // FRAME_SAMPLES)
        samples = np.zeros(frames * FRAME_SAMPLES, dtype=np.int16)
        samples[:count] = np.round(beep * 32767)
        return samples


class Canvas:
    """Draws I420 pictures of one size."""

    def __init__(self, pattern: Pattern, is_screen: bool, width: int, height: int) -> None:
        if width % 2 or height % 2:
            raise ValueError("I420 pictures have even sizes")
        self.pattern = pattern
        self.is_screen = is_screen
        self.width, self.height = width, height
        self.code_top = height - round(height * pattern.code_height)
        # Dark diagonal bands; a picture is a window into them that moves.
        y, x = np.mgrid[0:height, 0 : 2 * width]
        self.bands = (36 + 20 * np.sin((x + y) / 12)).astype(np.uint8)
        # The cell in which each pixel of the code's part lies.
        columns = np.arange(width) * pattern.code_columns // width
        rows = np.arange(height - self.code_top) * pattern.code_rows // (height - self.code_top)
        self.cells = rows[:, None] * pattern.code_columns + columns[None, :]

    def draw(self, captured: float, flash: bool) -> bytes:
        """The picture captured at this wall time (seconds)."""
        width, height = self.width, self.height
        frame = np.full(width * height * 3 // 2, 128, dtype=np.uint8)
        luma = frame[: width * height].reshape(height, width)
        if flash:
            y, u, v = yuv(self.pattern.colour)
            luma[:] = y
            chroma = frame[width * height :].reshape(2, height // 2, width // 2)
            # The code below stays grey, so that its cells stay black and white.
            chroma[0, : self.code_top // 2] = u
            chroma[1, : self.code_top // 2] = v
        else:
            shift = int(captured * 120) % width
            luma[:] = self.bands[:, shift : shift + width]
        luma[self.code_top :] = self._code(captured)[self.cells]
        return frame.tobytes()

    def _code(self, captured: float) -> np.ndarray:
        word = round(captured * 1000) << 6 | self.pattern.peer << 1 | self.is_screen
        bits = word << 16 | crc16(word.to_bytes(6, "big"))
        count = self.pattern.code_columns * self.pattern.code_rows
        return np.array([WHITE if bits >> (count - 1 - i) & 1 else BLACK for i in range(count)], dtype=np.uint8)
