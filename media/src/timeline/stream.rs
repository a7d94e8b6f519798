//! What is known of one stream's time, and where its timestamps jumped.

use std::collections::VecDeque;

use super::{
    SpanCurves,
    curve::{BLOCK, Curve, Minima, median},
};

const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1000 * MILLISECOND;

/// A packet earlier than the network can be, or this much later than it was so far, belongs to another count of
/// timestamps, or was held up.
const JUMP: i64 = SECOND;
/// No network holds packets up so long: it is the timestamps that jumped.
const CERTAIN_JUMP: i64 = 10 * SECOND;
/// Nor so steadily.
const STEADY_JUMP: i64 = 8 * SECOND;

/// Reports agree with the ones before within this; beyond it is an error, or the sender's wall clock was set.
const REPORT_TOLERANCE: i64 = 150 * MILLISECOND;
/// Reports that agree with each other within this, against the ones before, tell of a clock that was set.
const STEP_TOLERANCE: i64 = 50 * MILLISECOND;
/// So many of them in a row.
const STEP_REPORTS: usize = 3;
/// So many make a block, and fewer join the next or the last one: a report that was sent while its sender was held up tells
/// of a time that never was, and alone or with one other it would count.
const BLOCK_REPORTS: usize = 3;
/// Reports before the first packet that are kept for it.
const MAX_EARLY_REPORTS: usize = 4;

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) presence: usize,
    spans: Vec<Span>,
    /// What may be the next span, if it lasts.
    candidate: Option<Span>,
    early_reports: VecDeque<Report>,
    /// Least arrival − wall seen lately, by reports: it survives jumps of the timestamps.
    references: VecDeque<i64>,
    suspects: Vec<Suspect>,
}

/// A stretch of a stream over which timestamps count on without a jump.
#[derive(Debug, Clone)]
pub(super) struct Span {
    first: i64,
    last: i64,
    first_arrival: i64,
    last_arrival: i64,
    /// Arrival − media, over media.
    delays: Minima,
    /// Media and wall − media of reports that were believed.
    reports: Vec<(i64, i64)>,
}

#[derive(Debug, Clone, Copy)]
struct Report {
    media: i64,
    wall: i64,
    arrival: i64,
}

/// A report that disagrees with the ones before.
#[derive(Debug, Clone, Copy)]
struct Suspect {
    media: i64,
    offset: i64,
    /// By how much.
    off: i64,
}

impl Span {
    fn new(media: i64, arrival: i64) -> Self {
        let mut span = Self {
            first: media,
            last: media,
            first_arrival: arrival,
            last_arrival: arrival,
            delays: Minima::default(),
            reports: Vec::new(),
        };
        span.add(media, arrival);
        span
    }

    fn add(&mut self, media: i64, arrival: i64) {
        self.last = self.last.max(media);
        self.last_arrival = self.last_arrival.max(arrival);
        self.delays.add(media, arrival - media);
    }

    /// The least delay that can be expected now.
    fn delay(&self) -> i64 {
        self.delays.recent().unwrap_or_default()
    }

    pub(super) fn first(&self) -> i64 {
        self.first
    }

    pub(super) fn last(&self) -> i64 {
        self.last
    }

    pub(super) fn curves(&self) -> SpanCurves {
        let wall = (!self.reports.is_empty()).then(|| self.wall_curve());
        SpanCurves {
            arrival: self.delays.lower_envelope(),
            wall,
        }
    }

    /// One point per block of reports: their medians.
    fn wall_curve(&self) -> Curve {
        let mut reports = self.reports.clone();
        reports.sort_unstable();
        let block = |report: &(i64, i64)| report.0.div_euclid(BLOCK);
        let mut points = Vec::new();
        let mut rest = &*reports;
        while let Some(first) = rest.first() {
            let cut = (BLOCK_REPORTS..=rest.len().saturating_sub(BLOCK_REPORTS))
                .find(|&at| block(&rest[at]) != block(first))
                .unwrap_or(rest.len());
            let (reports, after) = rest.split_at(cut);
            let media = median(reports.iter().map(|report| report.0));
            points.extend(media.zip(median(reports.iter().map(|report| report.1))));
            rest = after;
        }
        Curve::new(points).flattened()
    }
}

impl Stream {
    pub(super) fn new(presence: usize) -> Self {
        Self {
            presence,
            spans: Vec::new(),
            candidate: None,
            early_reports: VecDeque::new(),
            references: VecDeque::new(),
            suspects: Vec::new(),
        }
    }

    pub(super) fn spans(&self) -> impl Iterator<Item = &Span> + Clone {
        self.spans.iter()
    }

    pub(super) fn packet(&mut self, media: i64, arrival: i64) {
        let Some(span) = self.spans.last_mut() else {
            self.spans.push(Span::new(media, arrival));
            return;
        };
        let newest = self.candidate.as_ref().map_or(span.last, |candidate| candidate.last);
        if media < newest {
            return;
        }
        match arrival - media - span.delay() {
            late if late < -JUMP => {
                self.candidate = None;
                self.spans.push(Span::new(media, arrival));
            }
            late if late > JUMP => {
                let candidate = self.candidate.get_or_insert_with(|| Span::new(media, arrival));
                candidate.add(media, arrival);
                let lasts = candidate.last_arrival - candidate.first_arrival > STEADY_JUMP;
                if late > CERTAIN_JUMP || lasts {
                    self.spans.extend(self.candidate.take());
                }
            }
            _ => {
                self.candidate = None;
                span.add(media, arrival);
            }
        }
    }

    /// `corrections` are those of the participant's wall clock, which this may find to have been set once more.
    pub(super) fn report(&mut self, media: i64, wall: i64, arrival: i64, corrections: &mut Vec<i64>) {
        self.early_reports.push_back(Report { media, wall, arrival });
        if self.spans.is_empty() {
            if self.early_reports.len() > MAX_EARLY_REPORTS {
                self.early_reports.pop_front();
            }
            return;
        }
        while let Some(report) = self.early_reports.pop_front() {
            self.place_report(report, corrections);
        }
    }

    fn place_report(&mut self, report: Report, corrections: &mut Vec<i64>) {
        let Some(span) = self.spans.last_mut() else { return };
        let delay_then = report.arrival - report.media;
        let fits = |span: &Span| (delay_then - span.delay()).abs() <= 2 * JUMP;
        let offset = report.wall - report.media;
        // While packets are late, a report that agrees with those before says that time did not jump.
        let last_offset = span.reports.last().map(|last| last.1);
        let agrees = corrections
            .iter()
            .any(|correction| last_offset.is_some_and(|last| (offset + correction - last).abs() <= REPORT_TOLERANCE));
        if agrees {
            self.candidate = None;
        }
        let span = match &mut self.candidate {
            Some(candidate) if fits(candidate) => candidate,
            _ if agrees || fits(span) => span,
            _ => return,
        };
        let delay = span.delay();
        let reference = median(self.references.iter().copied());
        let off = |correction: i64| reference.map_or(0, |reference| delay - offset - correction - reference);
        let Some(&correction) = corrections
            .iter()
            .rev()
            .min_by_key(|correction| off(**correction).abs())
        else {
            return;
        };
        if off(correction).abs() <= REPORT_TOLERANCE {
            self.suspects.clear();
            span.reports.push((report.media, offset + correction));
            self.references.push_back(delay - offset - correction);
            if self.references.len() > 5 {
                self.references.pop_front();
            }
            return;
        }
        let latest = corrections.last().copied().unwrap_or(0);
        let suspect = Suspect {
            media: report.media,
            offset: offset + latest,
            off: off(latest),
        };
        self.suspects
            .retain(|other| (other.off - suspect.off).abs() <= STEP_TOLERANCE);
        self.suspects.push(suspect);
        if self.suspects.len() == STEP_REPORTS {
            self.believe_suspects(latest, corrections);
        }
    }

    /// So many reports agree with each other against the ones before: either those were wrong, or the clock was set.
    fn believe_suspects(&mut self, latest: i64, corrections: &mut Vec<i64>) {
        let Some(step) = median(self.suspects.iter().map(|suspect| suspect.off)) else {
            return;
        };
        let Some(span) = self.candidate.as_mut().or(self.spans.last_mut()) else {
            return;
        };
        let delay = span.delay();
        let outvoted = self.references.len() < STEP_REPORTS;
        if outvoted {
            span.reports.clear();
            self.references.clear();
        } else {
            corrections.push(latest + step);
        }
        let correction = if outvoted { 0 } else { step };
        for suspect in self.suspects.drain(..) {
            let offset = suspect.offset + correction;
            span.reports.push((suspect.media, offset));
            self.references.push_back(delay - offset);
        }
        while self.references.len() > 5 {
            self.references.pop_front();
        }
    }
}
