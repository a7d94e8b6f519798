//! What a terminal shows while a test runs.

use greffier_agent::load::Progress;
use greffier_agent::load::measure::Tick;
use indicatif::{ProgressBar, ProgressStyle};

/// The view; on what is no terminal it says nothing.
pub struct Live {
    bar: ProgressBar,
    lost: u64,
    freezes: u64,
    second: u32,
}

const STYLE: &str = "{spinner} {prefix} [{bar:32}] {pos}/{len} s\n  {wide_msg}";

impl Live {
    pub fn new(name: &str) -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template(STYLE) {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        bar.set_message("preparing: clips, processes");
        Self {
            bar,
            lost: 0,
            freezes: 0,
            second: 0,
        }
    }

    pub fn show(&mut self, progress: &Progress) {
        match progress {
            Progress::Preparing => {}
            Progress::Running { tick, seconds } => {
                // What is shown first may have been seen before.
                if tick.second > self.second {
                    self.second = tick.second;
                    self.lost += tick.lost;
                    self.freezes += tick.freezes;
                }
                self.bar.set_length(u64::from(*seconds));
                self.bar.set_position(u64::from(tick.second));
                self.bar.set_message(self.line(tick));
            }
            Progress::Ending => self.bar.set_message("everybody leaves"),
            Progress::Ended => self.bar.finish_and_clear(),
        }
    }

    fn line(&self, tick: &Tick) -> String {
        let latency = |times: &greffier_agent::load::measure::Times| {
            times.quantile_ms(0.95).map_or("–".to_owned(), |ms| format!("{ms:.0}"))
        };
        format!(
            "{} in rooms, {} joins, {} tracks · {}/s in, {}/s out · {} lost, {} freezes · p95 {} ms sound, {} ms picture · \
             tester {:.0} % CPU, {:.0} ms late",
            tick.participants,
            tick.joins,
            tick.tracks,
            tick.received,
            tick.sent,
            self.lost,
            self.freezes,
            latency(&tick.audio_latency),
            latency(&tick.video_latency),
            tick.tester.cpu_percent,
            tick.tester.send_lag_ms.max(tick.tester.loop_lag_ms),
        )
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
