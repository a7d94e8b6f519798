//! What a participant's window shows of the others, and so what it asks the server for.

use greffier_media::codec::Dims;
use serde::{Deserialize, Serialize};

/// How others are shown, in a window of 1920 x 1080.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// Who speaks large, eight others small.
    #[serde(rename = "speaker")]
    Speaker,
    #[default]
    #[serde(rename = "3x3")]
    Grid3,
    #[serde(rename = "4x4")]
    Grid4,
    #[serde(rename = "5x5")]
    Grid5,
    /// The shared screen large, four cameras beside it.
    #[serde(rename = "screen")]
    Screen,
    /// No pictures.
    #[serde(rename = "none")]
    None,
}

/// A picture that could be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    pub screen: bool,
    /// Whether its participant speaks, or spoke last.
    pub focused: bool,
}

const WINDOW: Dims = Dims::new(1920, 1080);
const LARGE: Dims = Dims::new(1280, 720);
const SMALL: Dims = Dims::new(320, 180);

impl Layout {
    /// The size at which each is shown; `None` for what is out of sight.
    pub fn tiles(self, offers: &[Offer]) -> Vec<Option<Dims>> {
        let grid = |side: usize| {
            let side32 = u32::try_from(side).unwrap_or(1);
            let tile = Dims::new(WINDOW.width / side32, WINDOW.height / side32);
            (0..offers.len()).map(|n| (n < side * side).then_some(tile)).collect()
        };
        match self {
            Self::None => vec![None; offers.len()],
            Self::Grid3 => grid(3),
            Self::Grid4 => grid(4),
            Self::Grid5 => grid(5),
            Self::Speaker => {
                let large = offers
                    .iter()
                    .position(|o| o.screen)
                    .or_else(|| offers.iter().position(|o| o.focused));
                around(offers.len(), large.unwrap_or(0), LARGE, 8)
            }
            Self::Screen => match offers.iter().position(|offer| offer.screen) {
                Some(screen) => around(offers.len(), screen, WINDOW, 4),
                None => grid(3),
            },
        }
    }
}

/// One large, so many beside it, the rest out of sight.
fn around(count: usize, large: usize, dims: Dims, mut beside: usize) -> Vec<Option<Dims>> {
    (0..count)
        .map(|n| {
            if n == large {
                return Some(dims);
            }
            beside = beside.checked_sub(1)?;
            Some(SMALL)
        })
        .collect()
}

/// The layer that a tile should be served with: the smallest that is not smaller than the tile, or the largest there is.
pub fn layer_for(tile: Dims, layers: &[Dims]) -> Option<Dims> {
    let large_enough = layers
        .iter()
        .filter(|layer| layer.width >= tile.width)
        .min_by_key(|layer| layer.width);
    large_enough
        .or_else(|| layers.iter().max_by_key(|layer| layer.width))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAMERA: Offer = Offer {
        screen: false,
        focused: false,
    };

    #[test]
    fn a_grid_shows_as_many_as_it_has_places() {
        let tiles = Layout::Grid3.tiles(&[CAMERA; 12]);
        assert_eq!(tiles.iter().flatten().count(), 9);
        assert_eq!(tiles[0], Some(Dims::new(640, 360)));
        assert!(Layout::None.tiles(&[CAMERA; 3]).iter().all(Option::is_none));
    }

    #[test]
    fn who_speaks_is_large_unless_a_screen_is_shared() {
        let mut offers = [CAMERA; 12];
        offers[5].focused = true;
        let tiles = Layout::Speaker.tiles(&offers);
        assert_eq!(tiles[5], Some(LARGE));
        assert_eq!(tiles.iter().flatten().count(), 9);
        offers[7].screen = true;
        assert_eq!(Layout::Speaker.tiles(&offers)[7], Some(LARGE));
        let tiles = Layout::Screen.tiles(&offers);
        assert_eq!((tiles[7], tiles.iter().flatten().count()), (Some(WINDOW), 5));
    }

    #[test]
    fn a_tile_is_served_with_the_smallest_layer_that_fills_it() {
        let layers = [Dims::new(1280, 720), Dims::new(640, 360), Dims::new(320, 180)];
        assert_eq!(layer_for(Dims::new(640, 360), &layers), Some(layers[1]));
        assert_eq!(layer_for(Dims::new(384, 216), &layers), Some(layers[1]));
        assert_eq!(layer_for(Dims::new(1920, 1080), &layers), Some(layers[0]));
        assert_eq!(layer_for(SMALL, &[]), None);
    }
}
