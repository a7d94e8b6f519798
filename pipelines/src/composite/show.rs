//! What is to be seen: the tiles of a scene, each with its newest picture.

use std::collections::BTreeMap;

use greffier_media::{
    ids::TrackSid,
    layout::{Canvas as Size, Content, Fit, Rect, Scene, Tile},
};

use super::{
    canvas::{ACTIVE, BACKGROUND, BLACK, Brush, Canvas, Mask, Yuv},
    decode::Picture,
    text::Scribe,
};
use crate::engine::EngineError;

/// A tile without a picture.
const PLAIN: Yuv = [62, 134, 124];
/// What stays of the picture under a name, of 256.
const UNDER_NAME: u32 = 110;

/// Pictures of tracks, each the newest, numbered as they come.
#[derive(Default)]
pub(super) struct Pictures {
    newest: BTreeMap<TrackSid, (u64, Picture)>,
    count: u64,
}

impl Pictures {
    pub fn put(&mut self, track: &TrackSid, picture: Picture) {
        self.count += 1;
        match self.newest.get_mut(track) {
            Some(newest) => *newest = (self.count, picture),
            None => drop(self.newest.insert(track.clone(), (self.count, picture))),
        }
    }

    /// Forgets what is not in a scene: what comes back later must not begin with an old picture.
    fn keep(&mut self, scene: &Scene) {
        let shows = |track: &TrackSid| scene.tiles.iter().any(|tile| track_of(tile) == Some(track));
        self.newest.retain(|track, _| shows(track));
    }
}

/// The tiles of a scene on a canvas. Only what changed is drawn again.
pub(super) struct Show {
    canvas: Canvas,
    tiles: Vec<Shown>,
    /// `None` if nothing is to be written.
    scribe: Option<Scribe>,
}

struct Shown {
    tile: Tile,
    brush: Option<Brush>,
    /// Number of the picture that was drawn last: 0 is none.
    drawn: Option<u64>,
}

impl Show {
    pub fn new(size: Size, labels: bool) -> Result<Self, EngineError> {
        Ok(Self {
            canvas: Canvas::new(size)?,
            tiles: Vec::new(),
            scribe: labels.then(Scribe::new),
        })
    }

    /// Another scene begins.
    pub fn set_scene(&mut self, scene: &Scene, pictures: &mut Pictures) -> Result<(), EngineError> {
        pictures.keep(scene);
        self.canvas.fill(self.canvas.whole(), BACKGROUND)?;
        let mut tiles = scene.tiles.clone();
        tiles.sort_by_key(|tile| tile.z);
        let shown = |tile| Shown {
            tile,
            brush: None,
            drawn: None,
        };
        self.tiles = tiles.into_iter().map(shown).collect();
        Ok(())
    }

    /// What is to be seen now.
    pub fn picture(&mut self, pictures: &Pictures) -> Result<gstreamer::Buffer, EngineError> {
        let Self { canvas, tiles, scribe } = self;
        let count = tiles.len();
        for shown in tiles {
            let newest = track_of(&shown.tile).and_then(|track| pictures.newest.get(track));
            let number = newest.map_or(0, |(number, _)| *number);
            if shown.drawn.replace(number) == Some(number) {
                continue;
            }
            match newest {
                Some((_, picture)) => shown.draw(canvas, picture)?,
                None => draw_plain(canvas, &shown.tile, scribe)?,
            }
            draw_label(canvas, &shown.tile, scribe)?;
            // Who has it all needs no frame.
            if shown.tile.active_speaker && count > 1 {
                let thickness = (canvas.whole().height / 180).max(2) & !1;
                canvas.frame(shown.tile.rect, thickness, ACTIVE)?;
            }
        }
        canvas.picture()
    }
}

impl Shown {
    fn draw(&mut self, canvas: &mut Canvas, picture: &Picture) -> Result<(), EngineError> {
        let Content::Video { fit, .. } = self.tile.content else {
            return Ok(());
        };
        let brush = match &mut self.brush {
            Some(brush) if brush.fits(picture) => brush,
            other => other.insert(Brush::new(picture, canvas, self.tile.rect, fit)?),
        };
        if fit == Fit::Contain {
            canvas.fill(self.tile.rect, BLACK)?;
        }
        canvas.draw(picture, brush)
    }
}

fn track_of(tile: &Tile) -> Option<&TrackSid> {
    match &tile.content {
        Content::Video { track, .. } => Some(track),
        _ => None,
    }
}

/// A tile without a picture: letters, or a number, in its middle.
fn draw_plain(canvas: &mut Canvas, tile: &Tile, scribe: &mut Option<Scribe>) -> Result<(), EngineError> {
    let rect = tile.rect;
    canvas.fill(rect, PLAIN)?;
    let text = match &tile.content {
        Content::Avatar { initials } => initials,
        Content::More { .. } => &tile.label,
        Content::Video { .. } => return Ok(()),
    };
    let Some(scribe) = scribe else { return Ok(()) };
    let size = (rect.height.min(rect.width) / 4).max(8);
    let mask = scribe.write(text, size, rect.width);
    let middle = |from: u32, length: u32, of: usize| from + length.saturating_sub(u32::try_from(of).unwrap_or(0)) / 2;
    canvas.write(
        middle(rect.x, rect.width, mask.width),
        middle(rect.y, rect.height, mask.height),
        mask,
    )
}

/// The name, on a darkened stripe in the lower left corner.
fn draw_label(canvas: &mut Canvas, tile: &Tile, scribe: &mut Option<Scribe>) -> Result<(), EngineError> {
    let Some(scribe) = scribe.as_mut().filter(|_| tile.identity.is_some()) else {
        return Ok(());
    };
    let rect = tile.rect;
    let size = (canvas.whole().height / 32).clamp(10, 64).min(rect.height / 4).max(6);
    let pad = (size / 3).max(2) & !1;
    let Some(most) = rect.width.checked_sub(4 * pad).filter(|most| *most > size) else {
        return Ok(());
    };
    let mask: &Mask = scribe.write(&tile.label, size, most);
    let even = |length: usize| (u32::try_from(length).unwrap_or(0) + 1) & !1;
    let (width, height) = (even(mask.width) + 2 * pad, even(mask.height));
    if mask.width == 0 || height + pad > rect.height {
        return Ok(());
    }
    let stripe = Rect {
        x: rect.x + pad,
        y: rect.y + rect.height - height - pad,
        width,
        height,
    };
    canvas.shade(stripe, UNDER_NAME)?;
    canvas.write(stripe.x + pad, stripe.y, mask)
}
