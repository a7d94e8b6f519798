//! The picture that all others are drawn on: I420, limited range, BT.601.

use greffier_media::{
    codec::Dims,
    layout::{Canvas as Size, Fit, Rect},
};
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo, prelude::*};
use gstreamer as gst;
use gstreamer_video as gst_video;

use super::decode::Picture;
use crate::engine::EngineError;

/// A colour: luma, and the two differences.
pub(super) type Yuv = [u8; 3];

pub(super) const BLACK: Yuv = [16, 128, 128];
/// Behind and between the tiles.
pub(super) const BACKGROUND: Yuv = [26, 128, 128];
/// Around who speaks: a green that is seen on any picture.
pub(super) const ACTIVE: Yuv = [150, 90, 70];
/// The whitest white there is.
const WHITE: u32 = 235;

/// How WebRTC's codecs have colours unless they say otherwise, which hardly anybody does.
pub(super) const COLORIMETRY: &str = "bt601";

pub(super) struct Canvas {
    info: VideoInfo,
    buffer: gst::Buffer,
}

/// Coverage of text: one byte a pixel, 255 for all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mask {
    pub width: usize,
    pub height: usize,
    pub coverage: Vec<u8>,
}

impl Canvas {
    pub fn new(size: Size) -> Result<Self, EngineError> {
        let info = info(VideoFormat::I420, Dims::new(size.width(), size.height()))?;
        let buffer = gst::Buffer::with_size(info.size()).map_err(|_| unusable())?;
        let mut canvas = Self { info, buffer };
        canvas.fill(canvas.whole(), BACKGROUND)?;
        Ok(canvas)
    }

    pub fn whole(&self) -> Rect {
        Rect {
            x: 0,
            y: 0,
            width: self.info.width(),
            height: self.info.height(),
        }
    }

    /// What is on it now, in a buffer of its own.
    pub fn picture(&self) -> Result<gst::Buffer, EngineError> {
        self.buffer.copy_deep().map_err(|_| unusable())
    }

    pub fn fill(&mut self, rect: Rect, colour: Yuv) -> Result<(), EngineError> {
        self.rows(rect, |plane, row| row.fill(colour[plane]))
    }

    /// A frame along the inside of a rectangle.
    pub fn frame(&mut self, rect: Rect, thickness: u32, colour: Yuv) -> Result<(), EngineError> {
        let Rect { x, y, width, height } = rect;
        let thick = thickness.min(width / 2).min(height / 2);
        for (x, y, width, height) in [
            (x, y, width, thick),
            (x, y + height - thick, width, thick),
            (x, y, thick, height),
            (x + width - thick, y, thick, height),
        ] {
            self.fill(Rect { x, y, width, height }, colour)?;
        }
        Ok(())
    }

    /// Darkens a rectangle to so much of 256.
    pub fn shade(&mut self, rect: Rect, part: u32) -> Result<(), EngineError> {
        self.rows(rect, |plane, row| {
            let towards = u32::from(BLACK[plane]);
            for sample in row {
                *sample = mixed(towards, u32::from(*sample), part);
            }
        })
    }

    /// White text whose upper left corner stands at `x`, `y`; what does not fit is cut off.
    pub fn write(&mut self, x: u32, y: u32, mask: &Mask) -> Result<(), EngineError> {
        let whole = self.whole();
        let side =
            |length: usize, from: u32, end: u32| u32::try_from(length).unwrap_or(0).min(end.saturating_sub(from));
        let (width, height) = (side(mask.width, x, whole.width), side(mask.height, y, whole.height));
        let mut lines = mask.coverage.chunks_exact(mask.width.max(1));
        let rect = Rect { x, y, width, height };
        self.luma(rect, |row| {
            for (sample, coverage) in row.iter_mut().zip(lines.next().unwrap_or_default()) {
                *sample = mixed(WHITE, u32::from(*sample), 256 - u32::from(*coverage) * 256 / 255);
            }
        })
    }

    /// Draws a picture by a brush made for it.
    pub fn draw(&mut self, picture: &Picture, brush: &Brush) -> Result<(), EngineError> {
        let buffer = self.buffer.make_mut();
        let mut target = VideoFrameRef::from_buffer_ref_writable(buffer, &self.info).map_err(|_| unusable())?;
        brush.converter.frame_ref(&picture.as_video_frame_ref(), &mut target);
        Ok(())
    }

    fn luma(&mut self, rect: Rect, mut change: impl FnMut(&mut [u8])) -> Result<(), EngineError> {
        self.rows(rect, |plane, row| {
            if plane == 0 {
                change(row);
            }
        })
    }

    /// Each row of each plane in a rectangle.
    fn rows(&mut self, rect: Rect, mut change: impl FnMut(usize, &mut [u8])) -> Result<(), EngineError> {
        let buffer = self.buffer.make_mut();
        let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer, &self.info).map_err(|_| unusable())?;
        for plane in 0..3_u8 {
            let halved = |length: u32| if plane == 0 { length } else { length / 2 } as usize;
            let (left, top) = (halved(rect.x), halved(rect.y));
            let (width, height) = (halved(rect.width), halved(rect.height));
            let stride = usize::try_from(frame.plane_stride()[usize::from(plane)]).map_err(|_| unusable())?;
            let data = frame.plane_data_mut(plane.into()).map_err(|_| unusable())?;
            for row in data.chunks_mut(stride).skip(top).take(height) {
                if let Some(row) = row.get_mut(left..left + width) {
                    change(plane.into(), row);
                }
            }
        }
        Ok(())
    }
}

/// Scales pictures of one kind into one rectangle.
pub(super) struct Brush {
    converter: gst_video::VideoConverter,
    of: (VideoFormat, Dims),
}

impl Brush {
    /// For pictures like this one.
    pub fn new(picture: &Picture, canvas: &Canvas, rect: Rect, fit: Fit) -> Result<Self, EngineError> {
        let of = kind(picture);
        let (format, dims) = of;
        let (source, target) = match fit {
            Fit::Cover => (centred(dims, Dims::new(rect.width, rect.height)), rect),
            Fit::Contain => {
                let inner = centred(Dims::new(rect.width, rect.height), dims);
                let (x, y) = (rect.x + inner.x, rect.y + inner.y);
                (whole(dims), Rect { x, y, ..inner })
            }
        };
        let number = |length: u32| i32::try_from(length).unwrap_or(i32::MAX);
        let mut config = gst_video::VideoConverterConfig::new();
        config.set_src_x(number(source.x));
        config.set_src_y(number(source.y));
        config.set_src_width(Some(number(source.width)));
        config.set_src_height(Some(number(source.height)));
        config.set_dest_x(number(target.x));
        config.set_dest_y(number(target.y));
        config.set_dest_width(Some(number(target.width)));
        config.set_dest_height(Some(number(target.height)));
        config.set_fill_border(false);
        config.set_resampler_method(gst_video::VideoResamplerMethod::Linear);
        let converter =
            gst_video::VideoConverter::new(&info(format, dims)?, &canvas.info, Some(config)).map_err(|_| unusable())?;
        Ok(Self { converter, of })
    }

    pub fn fits(&self, picture: &Picture) -> bool {
        self.of == kind(picture)
    }
}

fn kind(picture: &Picture) -> (VideoFormat, Dims) {
    (picture.format(), Dims::new(picture.width(), picture.height()))
}

fn whole(dims: Dims) -> Rect {
    Rect {
        x: 0,
        y: 0,
        width: dims.width,
        height: dims.height,
    }
}

/// The largest part of `outer` that has the shape of `shape`, in its middle; all numbers even.
fn centred(outer: Dims, shape: Dims) -> Rect {
    let even = |length: u64| u32::try_from(length).unwrap_or(u32::MAX) & !1;
    let [outer_width, outer_height, width, height] =
        [outer.width, outer.height, shape.width, shape.height].map(u64::from);
    let (width, height) = if outer_width * height > outer_height * width {
        (outer_height * width / height.max(1), outer_height)
    } else {
        (outer_width, outer_width * height / width.max(1))
    };
    let (width, height) = (even(width).max(2), even(height).max(2));
    Rect {
        x: (outer.width.saturating_sub(width) / 2) & !1,
        y: (outer.height.saturating_sub(height) / 2) & !1,
        width,
        height,
    }
}

fn info(format: VideoFormat, dims: Dims) -> Result<VideoInfo, EngineError> {
    let colorimetry = COLORIMETRY.parse().map_err(|_| unusable())?;
    VideoInfo::builder(format, dims.width, dims.height)
        .colorimetry(&colorimetry)
        .fps(gst::Fraction::new(0, 1))
        .build()
        .map_err(|_| unusable())
}

/// `part` of 256 of one, the rest of the other.
fn mixed(other: u32, one: u32, part: u32) -> u8 {
    u8::try_from((one * part + other * (256 - part)) / 256).unwrap_or(u8::MAX)
}

fn unusable() -> EngineError {
    EngineError::Output { what: "a picture" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_the_shape_and_the_middle() {
        let rect = |x, y, width, height| Rect { x, y, width, height };
        let hd = Dims::new(1280, 720);
        assert_eq!(centred(hd, hd), rect(0, 0, 1280, 720));
        assert_eq!(centred(hd, Dims::new(100, 100)), rect(280, 0, 720, 720));
        assert_eq!(centred(Dims::new(720, 1280), hd), rect(0, 438, 720, 404));
        assert_eq!(centred(Dims::new(3, 3), Dims::new(1, 7000)).width, 2);
    }

    #[test]
    fn what_is_filled_is_filled_and_nothing_else() {
        crate::init().unwrap();
        let mut canvas = Canvas::new(Size::new(64, 64).unwrap()).unwrap();
        let rect = Rect {
            x: 8,
            y: 16,
            width: 32,
            height: 4,
        };
        canvas.fill(rect, [200, 10, 20]).unwrap();
        let picture = canvas.picture().unwrap();
        let bytes = picture.map_readable().unwrap();
        let count = |value: u8| bytes.split(|byte| *byte == value).count() - 1;
        assert_eq!(count(200), 32 * 4);
        assert_eq!((bytes[16 * 64 + 8], bytes[16 * 64 + 7]), (200, 26));
        assert_eq!(count(10), 16 * 2);
    }
}
