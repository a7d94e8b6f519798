//! Names as pictures: shaping, right-to-left scripts and missing glyphs are cosmic-text's.

use std::collections::HashMap;

use cosmic_text::{
    Attrs, Buffer, Color, Ellipsize, EllipsizeHeightLimit, FontSystem, Metrics, Shaping, SwashCache, Wrap,
};

use super::canvas::Mask;

/// Of a name, so many characters are looked at: none is longer on any tile.
const LONGEST: usize = 80;

/// Writes texts, each once.
pub(super) struct Scribe {
    fonts: FontSystem,
    glyphs: SwashCache,
    known: HashMap<(String, u32, u32), Mask>,
}

impl Scribe {
    /// Looks through the system's fonts.
    pub fn new() -> Self {
        Self {
            fonts: FontSystem::new(),
            glyphs: SwashCache::new(),
            known: HashMap::new(),
        }
    }

    /// One line of text of this size, at most so wide, both in pixels. Empty if there is nothing to be seen.
    pub fn write(&mut self, text: &str, size: u32, width: u32) -> &Mask {
        let text: String = text
            .chars()
            .filter(|letter| !letter.is_control())
            .take(LONGEST)
            .collect();
        let key = (text, size, width);
        if !self.known.contains_key(&key) {
            let mask = self.draw(&key.0, size, width);
            self.known.insert(key.clone(), mask);
        }
        &self.known[&key]
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        reason = "widths of a line on a picture of at most 7680 pixels"
    )]
    fn draw(&mut self, text: &str, size: u32, width: u32) -> Mask {
        let (size, most) = (size as f32, width as f32);
        let mut buffer = Buffer::new(&mut self.fonts, Metrics::new(size, (size * 1.25).ceil()));
        buffer.set_wrap(Wrap::None);
        buffer.set_ellipsize(Ellipsize::End(EllipsizeHeightLimit::Lines(1)));
        buffer.set_size(Some(most), None);
        buffer.set_text(text, &Attrs::new(), Shaping::Advanced, None);
        buffer.shape_until_scroll(&mut self.fonts, false);
        // Lines of right-to-left text stand at the right of their box.
        let runs = || buffer.layout_runs().flat_map(|run| run.glyphs.iter());
        let left = runs().map(|glyph| glyph.x).fold(f32::INFINITY, f32::min);
        let right = runs().map(|glyph| glyph.x + glyph.w).fold(0.0, f32::max).min(most);
        if left >= right {
            return Mask::default();
        }
        let left = left.max(0.0).floor();
        let (mask_width, mask_height) = ((right - left).ceil() as usize, (size * 1.25).ceil() as usize);
        let mut coverage = vec![0; mask_width * mask_height];
        let left = left as i32;
        buffer.draw(
            &mut self.fonts,
            &mut self.glyphs,
            Color::rgb(255, 255, 255),
            |x, y, width, height, colour| {
                // Glyphs that bring their own colours keep what is light in them.
                let light = u32::from(colour.r().max(colour.g()).max(colour.b()));
                let alpha = (u32::from(colour.a()) * light / 255) as u8;
                for (x, y) in (0..height as i32).flat_map(|dy| (0..width as i32).map(move |dx| (x + dx - left, y + dy)))
                {
                    let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
                        continue;
                    };
                    if x < mask_width && y < mask_height {
                        let sample: &mut u8 = &mut coverage[y * mask_width + x];
                        *sample = alpha.max(*sample);
                    }
                }
            },
        );
        Mask {
            width: mask_width,
            height: mask_height,
            coverage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_whatever_they_are() {
        let mut scribe = Scribe::new();
        let short = scribe.write("Ana", 20, 400).clone();
        assert!((20..80).contains(&short.width), "{}", short.width);
        assert!(
            short.coverage.iter().any(|sample| *sample > 200),
            "something is written"
        );
        let long = scribe.write(&"M".repeat(1_000_000), 20, 120).clone();
        assert!((60..=120).contains(&long.width), "{}", long.width);
        assert_eq!(scribe.write("", 20, 400), &Mask::default());
        assert_eq!(scribe.write("\u{0}\n\t", 20, 400), &Mask::default());
        for name in ["Ωμέγα", "שלום", "👩‍👩‍👧‍👦", "x\u{301}\u{302}\u{303}"] {
            let mask = scribe.write(name, 20, 400);
            assert_eq!(mask.coverage.len(), mask.width * mask.height, "{name}");
        }
    }
}
