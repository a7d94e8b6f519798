//! What commands say on the terminal: results on standard output, everything else beside it.

use std::fmt::Display;
use std::io::Write as _;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use indicatif::HumanBytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A result. Somebody who closes the pipe has seen enough.
pub fn line(text: impl Display) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").is_err() {
        std::process::exit(0);
    }
}

/// What is worth knowing, and no result.
pub fn note(text: impl Display) {
    // Nobody reads it, then.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Why there is no result, with everything behind it.
pub fn error(error: &anyhow::Error) {
    note(format_args!("error: {error}"));
    for cause in error.chain().skip(1) {
        note(format_args!("  because: {cause}"));
    }
}

pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_header(header.iter().copied());
    table
}

pub fn bytes(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// `1:02:03`
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// In the time zone of whoever looks.
pub fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_a_player() {
        assert_eq!(duration(0), "0:00");
        assert_eq!(duration(61_999), "1:01");
        assert_eq!(duration(3_723_000), "1:02:03");
    }
}
