//! Where tiles go: rectangles with even corners and sides, as video encoders want them.

use super::{Canvas, Rect};

/// Tiles keep between 4:3 and 16:9: faces fit both, and a cell of another shape stays partly empty.
const NARROWEST: (u32, u32) = (4, 3);
const WIDEST: (u32, u32) = (16, 9);

/// The strip beside the main tile takes this part of the canvas' longer side.
const STRIP_PART: u32 = 5;
/// No more tiles than this stand in the strip.
const STRIP_TILES: usize = 6;

fn even(length: u32) -> u32 {
    length & !1
}

/// Between tiles, and around them.
fn gap(canvas: Canvas) -> u32 {
    even(canvas.width().min(canvas.height()) / 90)
}

/// `count` tiles of one size in rows and columns, the last row centred; as large as they can be.
pub(super) fn grid(canvas: Canvas, count: usize) -> Vec<Rect> {
    let Ok(count) = u32::try_from(count) else {
        return Vec::new();
    };
    if count <= 1 {
        return vec![whole(canvas); count as usize];
    }
    let gap = gap(canvas);
    let tile_in = |columns: u32| {
        let rows = count.div_ceil(columns);
        let width = canvas.width().saturating_sub(gap * (columns + 1)) / columns;
        let height = canvas.height().saturating_sub(gap * (rows + 1)) / rows;
        (inscribed(width, height), rows)
    };
    let area = |columns: &u32| {
        let ((width, height), _) = tile_in(*columns);
        // Of equals, the one with fewer empty cells.
        (width * height, std::cmp::Reverse(count.div_ceil(*columns) * columns))
    };
    let columns = (1..=count).max_by_key(area).unwrap_or(1);
    let ((width, height), rows) = tile_in(columns);
    let top = centred(canvas.height(), rows, height, gap);
    let tile = |index: u32| {
        let (row, column) = (index / columns, index % columns);
        let in_row = columns.min(count - row * columns);
        let left = centred(canvas.width(), in_row, width, gap);
        Rect {
            x: left + column * (width + gap),
            y: top + row * (height + gap),
            width,
            height,
        }
    };
    (0..count).map(tile).collect()
}

/// One large tile, and up to `count` small ones in a strip along the canvas' longer side, at its end. The first
/// rectangle is the large one; as many follow as fit.
pub(super) fn main_and_strip(canvas: Canvas, count: usize) -> Vec<Rect> {
    if count == 0 {
        return vec![whole(canvas)];
    }
    let gap = gap(canvas);
    let landscape = canvas.width() >= canvas.height();
    let (long, short) = if landscape {
        (canvas.width(), canvas.height())
    } else {
        (canvas.height(), canvas.width())
    };
    // Along the longer side the strip is `depth` thick; its tiles stand in a row along the shorter side.
    let depth = even(long / STRIP_PART);
    let cell = if landscape {
        even(depth * WIDEST.1 / WIDEST.0)
    } else {
        even(depth * WIDEST.0 / WIDEST.1)
    };
    let fitting = ((short.saturating_sub(gap)) / (cell + gap)).max(1) as usize;
    let count = count.min(fitting).min(STRIP_TILES);
    let cell = cell.min(even(short));
    let start = centred(short, u32::try_from(count).unwrap_or(1), cell, gap);
    let main = even(long.saturating_sub(depth + 2 * gap));
    let oriented = |along: u32, across: u32, length: u32, breadth: u32| {
        if landscape {
            Rect {
                x: along,
                y: across,
                width: length,
                height: breadth,
            }
        } else {
            Rect {
                x: across,
                y: along,
                width: breadth,
                height: length,
            }
        }
    };
    let strip = (0..u32::try_from(count).unwrap_or(1))
        .map(|index| oriented(main + gap, start + index * (cell + gap), depth, cell));
    std::iter::once(oriented(0, 0, main, even(short)))
        .chain(strip)
        .collect()
}

fn whole(canvas: Canvas) -> Rect {
    Rect {
        x: 0,
        y: 0,
        width: canvas.width(),
        height: canvas.height(),
    }
}

/// The largest tile of an allowed shape in a cell.
fn inscribed(width: u32, height: u32) -> (u32, u32) {
    let width = width.min(height * WIDEST.0 / WIDEST.1);
    let height = height.min(width * NARROWEST.1 / NARROWEST.0);
    (even(width), even(height))
}

/// Where the first of `count` pieces begins, so that all stand in the middle.
fn centred(length: u32, count: u32, piece: u32, gap: u32) -> u32 {
    even(length.saturating_sub(count * piece + (count - 1) * gap) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canvas(width: u32, height: u32) -> Canvas {
        Canvas::new(width, height).unwrap()
    }

    fn rects(rects: &[Rect]) -> Vec<(u32, u32, u32, u32)> {
        rects
            .iter()
            .map(|rect| (rect.x, rect.y, rect.width, rect.height))
            .collect()
    }

    #[test]
    fn one_has_it_all() {
        assert_eq!(rects(&grid(canvas(1280, 720), 1)), [(0, 0, 1280, 720)]);
        assert_eq!(rects(&main_and_strip(canvas(1280, 720), 0)), [(0, 0, 1280, 720)]);
        assert_eq!(grid(canvas(1280, 720), 0), []);
    }

    #[test]
    fn two_stand_side_by_side() {
        assert_eq!(
            rects(&grid(canvas(1280, 720), 2)),
            [(8, 124, 628, 470), (644, 124, 628, 470)]
        );
    }

    #[test]
    fn on_a_phone_they_stand_above_each_other() {
        let tiles = grid(canvas(720, 1280), 2);
        assert!(tiles[0].x == tiles[1].x && tiles[0].y < tiles[1].y, "{tiles:?}");
    }

    #[test]
    fn the_last_row_is_centred() {
        let tiles = grid(canvas(1280, 720), 5);
        assert_eq!(tiles[0].y, tiles[2].y, "three, then two");
        assert_eq!(
            tiles[3].x - tiles[0].x,
            tiles[2].x + tiles[2].width - (tiles[4].x + tiles[4].width)
        );
    }

    #[test]
    fn the_strip_stands_beside_the_main_tile() {
        let tiles = main_and_strip(canvas(1280, 720), 3);
        assert_eq!(rects(&tiles[..1]), [(0, 0, 1008, 720)]);
        assert!(
            tiles[1..]
                .iter()
                .all(|tile| (tile.width, tile.height, tile.x) == (256, 144, 1016))
        );
        assert_eq!(main_and_strip(canvas(1280, 720), 40).len(), 1 + 4, "four fit");
        let portrait = main_and_strip(canvas(720, 1280), 1);
        assert!(portrait[1].y >= portrait[0].height);
    }
}
