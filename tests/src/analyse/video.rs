//! Time codes and flashes in pictures, pictures that stand still, changes of size.

use crate::pattern::{CODE_COLUMNS, CODE_HEIGHT, CODE_ROWS, COLOURS, Source, TimeCode, Wall};

/// Every picture is shrunk to this grid (columns, rows) by averaging before it is read: four columns and three rows for
/// each cell of the time code, of which the middle ones are read.
pub const GRID: (usize, usize) = (64, 36);
/// Bytes of a grid: red, green, blue.
pub const GRID_BYTES: usize = GRID.0 * GRID.1 * 3;

/// Black and white cells must differ by at least this much brightness (of 255) for the code to be tried at all.
const CONTRAST: f64 = 60.0;
/// A picture is a flash of a colour if its mean lies closer to it than this (distance in RGB): less than half the distance
/// between any two colours or between a colour and the background.
const NEAR: f64 = 47.0;
/// How long the same capture time may stay on screen before it counts as a visible freeze, in seconds.
pub const FREEZE_S: f64 = 0.5;

/// What one decoded picture says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Picture {
    /// When it is shown, in seconds on the recording's time line.
    pub at: f64,
    /// Its size as decoded, in pixels.
    pub size: (u32, u32),
    /// Who captured it and when; none if the code cannot be read.
    pub code: Option<TimeCode>,
    /// Index of the colour it is filled with.
    pub flash: Option<usize>,
}

impl Picture {
    /// Reads a picture that was shrunk to [`GRID`] (rows of red, green, blue).
    pub fn read(at: f64, size: (u32, u32), grid: &[u8]) -> Self {
        Self {
            at,
            size,
            code: read_code(grid),
            flash: read_flash(grid),
        }
    }

    /// The source its code names.
    pub fn source(&self) -> Option<Source> {
        self.code.map(|code| code.source)
    }
}

/// A run of pictures in one peer's colour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flash {
    /// Index of the colour in [`COLOURS`].
    pub peer: usize,
    /// Camera or screen share, as its first readable code says.
    pub source: Option<Source>,
    /// When its first picture is shown, in seconds on the recording's time line.
    pub at: f64,
    /// When that picture was captured, if its code can be read.
    pub captured: Option<Wall>,
}

/// A stretch during which no new picture appeared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Freeze {
    /// From the last new picture to the next one, in seconds on the recording's time line.
    pub from: f64,
    pub to: f64,
    /// The capture time that stood still, if any was ever seen.
    pub captured: Option<Wall>,
}

/// What is in the pictures of a recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Video {
    /// Every decoded picture, in order.
    pub pictures: Vec<Picture>,
    /// Runs of a peer's colour.
    pub flashes: Vec<Flash>,
}

impl Video {
    /// Finds the flashes in decoded pictures.
    pub fn measure(pictures: Vec<Picture>) -> Self {
        let mut flashes: Vec<Flash> = Vec::new();
        let mut before = None;
        for picture in &pictures {
            match picture.flash {
                Some(peer) if before != Some(peer) => flashes.push(Flash {
                    peer,
                    source: picture.source(),
                    at: picture.at,
                    captured: picture.code.map(|code| code.captured),
                }),
                _ => {}
            }
            before = picture.flash;
        }
        Self { pictures, flashes }
    }

    /// When the first picture is shown.
    pub fn begins(&self) -> Option<f64> {
        self.pictures.first().map(|picture| picture.at)
    }

    /// When the last picture is shown (not until when: a container may hold it).
    pub fn ends(&self) -> Option<f64> {
        self.pictures.last().map(|picture| picture.at)
    }

    /// How many pictures have no readable code.
    pub fn unreadable(&self) -> usize {
        self.pictures.iter().filter(|picture| picture.code.is_none()).count()
    }

    /// Changes of size: the first size, and each other one, with the time from which it is shown.
    pub fn sizes(&self) -> Vec<(f64, (u32, u32))> {
        let mut sizes: Vec<(f64, (u32, u32))> = Vec::new();
        for picture in &self.pictures {
            if sizes.last().is_none_or(|&(_, size)| size != picture.size) {
                sizes.push((picture.at, picture.size));
            }
        }
        sizes
    }

    /// What was captured and is not here: stretches of capture time longer than `least` seconds between one picture and the
    /// next, as (last before, first after).
    pub fn missing(&self, least: f64) -> Vec<(Wall, Wall)> {
        let mut captured: Vec<Wall> = self
            .pictures
            .iter()
            .filter_map(|picture| Some(picture.code?.captured))
            .collect();
        captured.sort_by(|a, b| a.0.total_cmp(&b.0));
        captured
            .windows(2)
            .map(|pair| (pair[0], pair[1]))
            .filter(|(a, b)| b.since(*a) > least)
            .collect()
    }

    /// Stretches longer than [`FREEZE_S`] without a picture of a later capture time, up to `until` (the recording's end).
    pub fn freezes(&self, until: f64) -> Vec<Freeze> {
        let mut freezes = Vec::new();
        let mut newest: Option<(f64, Wall)> = None;
        for picture in &self.pictures {
            let Some(code) = picture.code else { continue };
            match newest {
                Some((_, captured)) if code.captured.since(captured) <= 0.0 => {}
                Some((from, captured)) => {
                    push_if_long(
                        &mut freezes,
                        Freeze {
                            from,
                            to: picture.at,
                            captured: Some(captured),
                        },
                    );
                    newest = Some((picture.at, code.captured));
                }
                None => newest = Some((picture.at, code.captured)),
            }
        }
        match (newest, self.begins()) {
            (Some((from, captured)), _) => {
                push_if_long(
                    &mut freezes,
                    Freeze {
                        from,
                        to: until,
                        captured: Some(captured),
                    },
                );
            }
            (None, Some(from)) => push_if_long(
                &mut freezes,
                Freeze {
                    from,
                    to: until,
                    captured: None,
                },
            ),
            (None, None) => {}
        }
        freezes
    }
}

fn push_if_long(freezes: &mut Vec<Freeze>, freeze: Freeze) {
    if freeze.to - freeze.from > FREEZE_S {
        freezes.push(freeze);
    }
}

/// Mean of a rectangle of the grid, as red, green, blue.
fn mean(grid: &[u8], columns: std::ops::Range<usize>, rows: std::ops::Range<usize>) -> [f64; 3] {
    let mut sum = [0.0; 3];
    for y in rows.clone() {
        for x in columns.clone() {
            for (channel, sum) in sum.iter_mut().enumerate() {
                *sum += f64::from(grid[(y * GRID.0 + x) * 3 + channel]);
            }
        }
    }
    sum.map(|sum| sum / (columns.len() * rows.len()) as f64)
}

fn read_code(grid: &[u8]) -> Option<TimeCode> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of 36 rows"
    )]
    let top = (GRID.1 as f64 * (1.0 - CODE_HEIGHT)).round() as usize;
    let (width, height) = (GRID.0 / CODE_COLUMNS, (GRID.1 - top) / CODE_ROWS);
    let cells: Vec<f64> = (0..CODE_COLUMNS * CODE_ROWS)
        .map(|cell| {
            let (x, y) = (cell % CODE_COLUMNS * width, top + cell / CODE_COLUMNS * height);
            // The middle: neighbours bleed into the edges of a cell.
            mean(grid, x + 1..x + width - 1, y + 1..y + height - 1)
                .iter()
                .sum::<f64>()
                / 3.0
        })
        .collect();
    let darkest = cells.iter().copied().fold(f64::INFINITY, f64::min);
    let brightest = cells.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if brightest - darkest < CONTRAST {
        return None;
    }
    let threshold = f64::midpoint(darkest, brightest);
    TimeCode::from_bits(
        cells
            .iter()
            .fold(0, |bits, &cell| bits << 1 | u64::from(cell > threshold)),
    )
}

fn read_flash(grid: &[u8]) -> Option<usize> {
    // Two thirds of the height without the code, and without the rows next to the edges.
    let mean = mean(grid, 2..GRID.0 - 2, 2..GRID.1 * 2 / 3 - 2);
    COLOURS.iter().position(|colour| {
        let distance = colour
            .iter()
            .zip(mean)
            .map(|(&a, b)| (f64::from(a) - b).powi(2))
            .sum::<f64>()
            .sqrt();
        distance < NEAR
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;

    /// Shrinks a drawn picture to the grid, as ffmpeg's area scaler does.
    fn grid(picture: &[u8], width: usize, height: usize) -> Vec<u8> {
        let mut grid = Vec::with_capacity(GRID_BYTES);
        for y in 0..GRID.1 {
            for x in 0..GRID.0 {
                let columns = x * width / GRID.0..(x + 1) * width / GRID.0;
                let rows = y * height / GRID.1..(y + 1) * height / GRID.1;
                for channel in 0..3 {
                    let sum: usize = rows
                        .clone()
                        .flat_map(|y| columns.clone().map(move |x| (y * width + x) * 3 + channel))
                        .map(|at| usize::from(picture[at]))
                        .sum();
                    grid.push(u8::try_from(sum / (columns.len() * rows.len())).expect("a mean of bytes"));
                }
            }
        }
        grid
    }

    #[test]
    fn reads_what_was_drawn_in_every_colour_and_size() {
        for peer in 0..COLOURS.len() {
            for (width, height) in [(320, 180), (640, 360), (160, 90)] {
                for flash in [false, true] {
                    let captured = Wall(1_795_410_284.321);
                    let drawn = Pattern { peer }.draw(Source::ScreenShare, captured, flash, width, height);
                    let picture = Picture::read(1.5, (0, 0), &grid(&drawn, width, height));
                    assert_eq!(
                        picture.code,
                        Some(TimeCode {
                            peer,
                            source: Source::ScreenShare,
                            captured
                        })
                    );
                    assert_eq!(picture.flash, flash.then_some(peer), "{width}x{height}");
                }
            }
        }
    }

    #[test]
    fn blank_pictures_say_nothing() {
        for level in [0, 128, 255] {
            let picture = Picture::read(0.0, (0, 0), &[level; GRID_BYTES]);
            assert_eq!(picture.code, None);
            // The last colour is white, as an all-white picture is.
            assert_eq!(picture.flash, (level == 255).then_some(COLOURS.len() - 1));
        }
    }

    fn shown(at: f64, captured: f64) -> Picture {
        let code = TimeCode {
            peer: 0,
            source: Source::Camera,
            captured: Wall(captured),
        };
        Picture {
            at,
            size: (320, 180),
            code: Some(code),
            flash: None,
        }
    }

    #[test]
    fn a_held_picture_is_a_freeze_whether_repeated_or_left_standing() {
        let steady: Vec<_> = (0..40).map(|i| shown(f64::from(i) * 0.1, f64::from(i) * 0.1)).collect();
        assert_eq!(Video::measure(steady.clone()).freezes(4.0), []);

        let mut repeated = steady.clone();
        repeated[10..20]
            .iter_mut()
            .for_each(|picture| picture.code = steady[10].code);
        let freezes = Video::measure(repeated).freezes(4.0);
        assert_eq!(freezes.len(), 1);
        assert!(
            (freezes[0].from - 1.0).abs() < 1e-9 && (freezes[0].to - 2.0).abs() < 1e-9,
            "{freezes:?}"
        );

        let mut left = steady.clone();
        left.drain(11..20);
        assert_eq!(Video::measure(left).freezes(4.0), freezes);

        let to_the_end = Video::measure(steady).freezes(6.0);
        assert_eq!(to_the_end.len(), 1);
        assert!((to_the_end[0].from - 3.9).abs() < 1e-9 && (to_the_end[0].to - 6.0).abs() < 1e-9);
    }

    #[test]
    fn what_was_captured_and_is_not_there_is_told() {
        let mut pictures: Vec<_> = (0..40).map(|i| shown(f64::from(i) * 0.1, f64::from(i) * 0.1)).collect();
        assert_eq!(Video::measure(pictures.clone()).missing(0.15), []);
        pictures.drain(11..20);
        let missing = Video::measure(pictures).missing(0.15);
        assert_eq!(missing.len(), 1);
        assert!(
            (missing[0].0.0 - 1.0).abs() < 1e-9 && (missing[0].1.0 - 2.0).abs() < 1e-9,
            "{missing:?}"
        );
    }

    #[test]
    fn sizes_are_told_when_they_change() {
        let mut pictures: Vec<_> = (0..4).map(|i| shown(f64::from(i), f64::from(i))).collect();
        pictures[2].size = (640, 360);
        pictures[3].size = (640, 360);
        assert_eq!(Video::measure(pictures).sizes(), [(0.0, (320, 180)), (2.0, (640, 360))]);
    }
}
