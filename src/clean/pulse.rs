//! `pulse`: cut the stimulation pulse out of the stream and bridge the gap, before any filter can ring on it.
//!
//! Samples a…b around every event that carries a pulse are replaced: a and b follow from `cut_ms` by the house's window rule,
//! both ends included. Windows that touch or overlap, of one pulse or of several, are one gap. What may serve as support are
//! measured samples of the same segment: never another gap's, never one that is not finite.
//!
//! | `fill` | the gap holds | support on each side |
//! |---|---|---|
//! | `linear` | the straight line through (a−1, x\[a−1\]) and (b+1, x\[b+1\]) | 1 sample, or the median of `anchor_samples` |
//! | `pchip` | the monotone cubic, continuous at the joins, without overshoot | the 2 nearest samples (of 10 ms) |
//! | `cubic` | the least-squares cubic; does not meet the samples at the joins | `fit_ms`, 5 ms |
//! | `ar` | autoregressive continuation of both sides, blended | `fit_ms`, 20 ms; order ⌈n/3⌉, at most `max_order` |
//! | `constant` | the mean over `baseline_ms` | – |
//! | `nan` | nothing: the gap stays visible, and poisons every recursive filter after it | – |
//!
//! On broadband EEG `linear` is at least as good as the others; `ar` wins on near-deterministic oscillations (Cline et al.
//! 2021, 10.1109/NER49283.2021.9441147). None is a measurement, and nothing inside a gap may be reported as one.
//!
//! Where support is missing: on one side (a segment's end, NaN) the other side's level is held; on both sides the gap is 0; too
//! little for the method gives the straight line; a merged gap longer than `max_gap_ms` holds the level before it. Each such
//! case is counted ([`PulseCounts`]).
//!
//! The order of the autoregressive model is capped (`max_order`, 40) because ⌈n/3⌉ grows with the rate (134 at 20 kHz) but not
//! what it describes. Burg's method bounds it whatever the data ([`crate::dsp::burg`]).

mod bridge;
mod queue;

use crate::flow::{BuildContext, Problems, Stage, StageConfig};
use crate::signal::{Block, Event, EventName, LANES, Lanes, StreamInfo};
use crate::unit::window_offsets;
use bridge::{Bridge, Outcome};
use queue::{Merged, Queue};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How many events may be pending: cued, but their windows not yet passed.
pub const PENDING_EVENTS: usize = 4096;

/// What a gap is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fill {
    /// A straight line.
    #[default]
    Linear,
    /// A least-squares cubic polynomial.
    Cubic,
    /// A monotone piecewise cubic.
    Pchip,
    /// Autoregressive continuation from both sides, blended.
    Ar,
    /// The mean of a baseline.
    Constant,
    /// NaN.
    Nan,
}

/// One window, `[-2, 12]`, or several, `[[-2, 12], [499, 511]]`; ms from the event, both ends included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Windows {
    /// One window.
    One([f64; 2]),
    /// Several: the pulse and the recharging of the stimulator, say.
    Many(Vec<[f64; 2]>),
}

impl Windows {
    /// The windows as a list.
    pub fn list(&self) -> &[[f64; 2]] {
        match self {
            Self::One(window) => std::slice::from_ref(window),
            Self::Many(windows) => windows,
        }
    }
}

/// Recipe part `pulse`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pulse {
    /// What is cut, ms from the pulse.
    pub cut_ms: Windows,
    /// What takes its place.
    pub fill: Fill,
    /// Support on each side, ms; by default what the method needs (see the module's table).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fit_ms: Option<f64>,
    /// `linear`: each anchor is the median of this many samples.
    pub anchor_samples: usize,
    /// `constant`: where the level is taken from, ms from the event.
    pub baseline_ms: [f64; 2],
    /// `ar`: highest order.
    pub max_order: usize,
    /// Longest merged gap that is bridged, ms; by default four times the longest window. It sets the Stage's delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_gap_ms: Option<f64>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            cut_ms: Windows::One([-2.0, 12.0]),
            fill: Fill::Linear,
            fit_ms: None,
            anchor_samples: 1,
            baseline_ms: [-500.0, -10.0],
            max_order: 40,
            max_gap_ms: None,
        }
    }
}

impl Pulse {
    /// Plans the Stage; `None` exactly when it reported a problem.
    pub fn plan(&self, input: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<PulseStage> {
        let before = problems.list().len();
        let rate = input.rate_hz();
        let windows = self.windows(rate, problems);
        let longest = windows.iter().map(|(lo, hi)| hi - lo + 1).max().unwrap_or(1);
        let gap = self.max_gap_ms.map_or(4 * longest, |ms| self.samples("max_gap_ms", ms, rate, problems));
        if gap < longest {
            problems.add("max_gap_ms", format!("{gap} samples is below the longest window, {longest} samples"));
        }
        let fit = self.support(rate, problems);
        let baseline = (self.fill == Fill::Constant).then(|| self.baseline(rate, &windows, problems)).flatten();
        if problems.list().len() > before {
            return None;
        }
        let (lo, _) = *windows.first()?;
        let clock = input.clock;
        // late ticks in samples of this stream, rounded up
        let late = (u128::from(context.late_ticks) * u128::from(clock.up)).div_ceil(u128::from(clock.down));
        let late = i64::try_from(late).unwrap_or(i64::MAX / 4);
        // What a gap's first sample a waits for: the longest gap and its support, a + gap − 1 + fit, and the last word on events
        // whose window could touch them: those up to that sample − lo, cued `late` samples later.
        let delay = gap + fit.max(1) - 1 + (late - lo).max(0);
        let history = windows.iter().map(|(lo, _)| baseline.map_or(0, |b| lo - b.0)).max().unwrap_or(0).max(fit);
        let groups = input.channels.len().div_ceil(LANES);
        let ring_len = (history + delay) as usize;
        let (gap, fit) = (gap as usize, fit as usize);
        if ring_len > 1 << 26 {
            problems.add("cut_ms", format!("would need {ring_len} samples of memory per channel"));
            return None;
        }
        context.bridged_ms.extend_from_slice(self.cut_ms.list());
        let shortest = windows.iter().map(|(lo, hi)| hi - lo + 1).min().unwrap_or(1) as usize;
        Some(PulseStage {
            output: StreamInfo { max_block: input.max_block.max(delay as usize), ..input.clone() },
            pulses: context.pulses.clone(),
            fit,
            baseline,
            history: history as usize,
            delay: delay as usize,
            longest: gap,
            queue: Queue::new(windows, PENDING_EVENTS),
            past: VecDeque::with_capacity(history as usize / (shortest + 1) + 2),
            ring: vec![[0.0; LANES]; groups * ring_len],
            ring_len,
            bridge: Bridge::new(self.fill, self.anchor_samples, fit, self.max_order, gap),
            patch: vec![[0.0; LANES]; groups * gap],
            open: None,
            pre: Vec::with_capacity(fit),
            post: Vec::with_capacity(fit),
            line: vec![0.0; gap],
            span: None,
            carried_to: None,
            counts: PulseCounts::default(),
        })
    }

    /// The windows as sample offsets, sorted, those that touch joined.
    fn windows(&self, rate: f64, problems: &mut Problems) -> Vec<(i64, i64)> {
        let list = self.cut_ms.list();
        if list.is_empty() {
            problems.add("cut_ms", "no window to cut");
        }
        let mut windows = Vec::new();
        for &[lo, hi] in list {
            match window_offsets([lo, hi], rate) {
                _ if !(lo <= hi && lo.abs() <= 1e4 && hi.abs() <= 1e4) => {
                    problems.add("cut_ms", format!("{lo}…{hi} ms is no window within ±10 s"));
                }
                None => problems.add("cut_ms", format!("{lo}…{hi} ms holds no sample at {rate} Hz")),
                Some(offsets) => windows.push(offsets),
            }
        }
        windows.sort_unstable();
        windows.dedup_by(|next, kept| {
            let joins = next.0 <= kept.1 + 1;
            if joins {
                kept.1 = kept.1.max(next.1);
            }
            joins
        });
        windows
    }

    /// Samples of support on each side.
    fn support(&self, rate: f64, problems: &mut Problems) -> i64 {
        if !(1..=10_000).contains(&self.anchor_samples) {
            problems.add("anchor_samples", format!("{} is not between 1 and 10000", self.anchor_samples));
        }
        if self.fill == Fill::Ar && !(1..=1000).contains(&self.max_order) {
            problems.add("max_order", format!("{} is not between 1 and 1000", self.max_order));
        }
        let anchors = self.anchor_samples as i64;
        let default_ms = match self.fill {
            Fill::Linear | Fill::Constant => {
                if self.fit_ms.is_some() {
                    problems.add("fit_ms", "has no meaning here; `anchor_samples` sets the support");
                }
                return anchors;
            }
            Fill::Nan => return 0,
            Fill::Pchip => 10.0,
            Fill::Cubic => 5.0,
            Fill::Ar => 20.0,
        };
        let fit = self.samples("fit_ms", self.fit_ms.unwrap_or(default_ms), rate, problems);
        // of the monotone cubic only the two nearest samples count
        if self.fill == Fill::Pchip { fit.min(16).max(anchors) } else { fit.max(anchors) }
    }

    fn baseline(&self, rate: f64, windows: &[(i64, i64)], problems: &mut Problems) -> Option<(i64, i64)> {
        let [lo, hi] = self.baseline_ms;
        let Some(offsets) = window_offsets([lo, hi], rate).filter(|_| lo.abs() <= 1e4 && hi.abs() <= 1e4) else {
            problems.add("baseline_ms", format!("{lo}…{hi} ms holds no sample within ±10 s at {rate} Hz"));
            return None;
        };
        if windows.iter().any(|w| offsets.1 >= w.0) {
            problems.add("baseline_ms", format!("{lo}…{hi} ms does not end before the first cut"));
        }
        Some(offsets)
    }

    /// A duration in whole samples, at least one.
    fn samples(&self, key: &str, ms: f64, rate: f64, problems: &mut Problems) -> i64 {
        if !(ms > 0.0 && ms <= 1e4) {
            problems.add(key, format!("{ms} ms is not between 0 and 10 s"));
            return 1;
        }
        (((ms + 1e-6) * rate / 1e3).floor() as i64).max(1)
    }
}

impl StageConfig for Pulse {
    fn build(&self, input: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        Some(Box::new(self.plan(input, context, problems)?))
    }
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct PulseCounts {
    /// Gaps, merged ones once.
    pub gaps: u64,
    /// Samples replaced (each counts once, for all channels together).
    pub filled_samples: u64,
    /// Channel gaps with too little support for the method: bridged by a straight line.
    pub fallbacks: u64,
    /// Channel gaps with support on one side only: its level was held.
    pub held: u64,
    /// Channel gaps without any support: zeros.
    pub zeros: u64,
    /// Merged gaps longer than `max_gap_ms`: the level before them was held.
    pub too_long: u64,
    /// Events cued after the stated bound: the samples that had left already were not bridged.
    pub late_events: u64,
    /// Events given up because too many were pending.
    pub lost_events: u64,
    /// Largest step between a gap's value and the measured sample beside it, in the channels' unit.
    pub max_step: f64,
}

/// The segment that is passing through.
#[derive(Debug, Clone, Copy)]
struct Span {
    segment: u32,
    /// First sample.
    first: i64,
    /// One past the last sample taken in.
    end: i64,
    /// One past the last sample given out.
    released: i64,
}

/// The gap whose first sample has left and whose last one may not have.
#[derive(Debug, Clone, Copy)]
struct Open {
    first: i64,
    last: i64,
    /// Longer than the patch: its first value is held.
    held: bool,
}

/// Bridges pulses in a stream; see the [module](self).
///
/// The raw samples pass through a ring of `history + delay` samples (large blocks mostly bypass it); a gap's values are computed
/// once, when its first sample leaves, into a patch that is laid over the output. The ring keeps what was measured.
///
/// Up to [`PENDING_EVENTS`] events may be pending. `cue` a long recording's events as the stream comes near them (seconds
/// ahead), not all at once: beyond the room the ones farthest ahead are given up, and counted.
pub struct PulseStage {
    output: StreamInfo,
    pulses: Vec<EventName>,
    fit: usize,
    baseline: Option<(i64, i64)>,
    history: usize,
    delay: usize,
    longest: usize,
    queue: Queue,
    past: VecDeque<(i64, i64)>,
    ring: Vec<Lanes>,
    ring_len: usize,
    bridge: Bridge,
    patch: Vec<Lanes>,
    open: Option<Open>,
    pre: Vec<f64>,
    post: Vec<f64>,
    line: Vec<f64>,
    span: Option<Span>,
    /// After a reset: where the stream had come to.
    carried_to: Option<i64>,
    counts: PulseCounts,
}

/// The samples at hand: those in the ring, then those of the block that is coming in.
struct Reach<'a> {
    ring: &'a [Lanes],
    ring_len: usize,
    input: Option<&'a Block>,
    /// First sample that the ring holds.
    first: i64,
    /// First sample of the incoming block, one past the ring's last.
    join: i64,
}

impl Reach<'_> {
    fn get(&self, channel: usize, sample: i64) -> f64 {
        let (group, lane) = (channel / LANES, channel % LANES);
        match self.input {
            Some(block) if sample >= self.join => block.group(group)[(sample - self.join) as usize][lane],
            _ => self.ring[group * self.ring_len + slot(sample, self.ring_len)][lane],
        }
    }
}

fn slot(sample: i64, ring_len: usize) -> usize {
    sample.rem_euclid(ring_len as i64) as usize
}

impl PulseStage {
    /// What has happened so far.
    pub fn counts(&self) -> PulseCounts {
        self.counts
    }

    fn begin(&mut self, input: &Block) {
        let first = input.first();
        match self.carried_to.take() {
            // time ran backwards: a new recording, in which the old one's events mean nothing
            Some(end) if first < end => self.queue.drop_carried(),
            // what came before this segment's first sample belongs to the last one
            Some(_) => self.queue.drop_before(first),
            None => {}
        }
        self.span = Some(Span { segment: input.segment(), first, end: first, released: first });
    }

    /// Gives samples up to `upto`, with gaps bridged; events from `horizon` on do not count.
    fn release(&mut self, input: Option<&Block>, span: Span, upto: i64, horizon: i64, out: &mut Block) {
        let from = span.released;
        out.start(span.segment, from, (upto - from).max(0) as usize);
        if upto <= from {
            return;
        }
        // raw samples: from the ring, then straight from the input
        let middle = upto.min(span.end);
        for g in 0..out.groups() {
            let ring = &self.ring[g * self.ring_len..(g + 1) * self.ring_len];
            let target = out.group_mut(g);
            if middle > from {
                copy_ring(ring, from, &mut target[..(middle - from) as usize]);
            }
            if let Some(block) = input.filter(|_| upto > span.end) {
                let source = middle.max(from);
                let (a, b) = ((source - span.end) as usize, (upto - span.end) as usize);
                target[(source - from) as usize..].copy_from_slice(&block.group(g)[a..b]);
            }
        }
        while let Some(mut open) = self.next_gap(input, span, upto, horizon) {
            if open.held {
                open.last = self.queue.extend(open.last, upto, horizon);
            }
            let (a, b) = (open.first.max(from), open.last.min(upto - 1));
            if a <= b {
                self.lay(open, a, b, out);
                self.counts.filled_samples += (b - a + 1) as u64;
            }
            // a held gap stays open one sample longer: the next window may touch it
            if open.last + i64::from(open.held) >= upto {
                self.open = Some(open);
                break;
            }
            self.open = None;
            let gone = open.last - self.history as i64 - self.longest as i64;
            while self.past.front().is_some_and(|p| p.1 < gone) || self.past.len() == self.past.capacity() {
                self.past.pop_front();
            }
            self.past.push_back((open.first, open.last));
        }
    }

    /// The gap that is open, or else the next one that begins before `upto`.
    fn next_gap(&mut self, input: Option<&Block>, span: Span, upto: i64, horizon: i64) -> Option<Open> {
        if self.open.is_some() {
            return self.open;
        }
        while self.queue.first(horizon)? < upto {
            let gap = self.queue.take(horizon, self.longest as i64)?;
            if gap.last >= span.released {
                return Some(self.bridge_gap(input, span, gap));
            }
        }
        None
    }

    /// Computes a gap's values into the patch.
    fn bridge_gap(&mut self, input: Option<&Block>, span: Span, mut gap: Merged) -> Open {
        let end = input.map_or(span.end, Block::end);
        if input.is_none() {
            gap.last = gap.last.min(end - 1);
        }
        gap.first = gap.first.max(span.first);
        let oldest = span.first.max(span.end - self.ring_len as i64);
        let reach = Reach { ring: &self.ring, ring_len: self.ring_len, input, first: oldest, join: span.end };
        let measured_from = self.past.back().map_or(oldest, |p| oldest.max(p.1 + 1));
        let fit = self.fit as i64;
        let pre = (gap.first - fit).max(measured_from)..gap.first;
        let post = gap.last + 1..(gap.last + 1 + fit).min(end).min(gap.next.unwrap_or(i64::MAX));
        let held = gap.len() > self.longest as i64;
        let len = if held { 1 } else { gap.len().max(0) as usize };
        for channel in 0..self.output.channels.len() {
            self.pre.clear();
            self.pre.extend(pre.clone().map(|s| reach.get(channel, s)));
            self.post.clear();
            self.post.extend(post.clone().filter(|_| !held).map(|s| reach.get(channel, s)));
            let level =
                self.baseline.and_then(|b| level(&reach, channel, (gap.event + b.0, gap.event + b.1), &self.past));
            let line = &mut self.line[..len];
            match self.bridge.fill(&self.pre, &self.post, level, line) {
                Outcome::AsAsked => {}
                Outcome::Line => self.counts.fallbacks += 1,
                Outcome::Held if held => {}
                Outcome::Held => self.counts.held += 1,
                Outcome::Zeros => self.counts.zeros += 1,
            }
            // NaN compares false and so never counts as a step
            for (beside, at) in [(self.pre.last(), 0), (self.post.first(), len.saturating_sub(1))] {
                if let (Some(beside), Some(value)) = (beside, line.get(at)) {
                    let step = (beside - value).abs();
                    if step > self.counts.max_step && step.is_finite() {
                        self.counts.max_step = step;
                    }
                }
            }
            let patch = &mut self.patch[channel / LANES * self.longest..][..len];
            patch.iter_mut().zip(line).for_each(|(tile, v)| tile[channel % LANES] = *v);
        }
        self.counts.gaps += 1;
        self.counts.too_long += u64::from(held);
        Open { first: gap.first, last: gap.last, held }
    }

    /// Lays samples a…b of the patch over the output.
    fn lay(&self, open: Open, a: i64, b: i64, out: &mut Block) {
        let (at, len) = ((a - out.first()) as usize, (b - a + 1) as usize);
        for g in 0..out.groups() {
            let patch = &self.patch[g * self.longest..(g + 1) * self.longest];
            let target = &mut out.group_mut(g)[at..at + len];
            if open.held {
                target.fill(patch[0]);
            } else {
                target.copy_from_slice(&patch[(a - open.first) as usize..][..len]);
            }
        }
    }

    /// Keeps the block's last samples in the ring.
    fn keep(&mut self, input: &Block) {
        let n = input.len().min(self.ring_len);
        let at = slot(input.end() - n as i64, self.ring_len);
        let head = n.min(self.ring_len - at);
        for g in 0..input.groups() {
            let source = &input.group(g)[input.len() - n..];
            let ring = &mut self.ring[g * self.ring_len..(g + 1) * self.ring_len];
            ring[at..at + head].copy_from_slice(&source[..head]);
            ring[..n - head].copy_from_slice(&source[head..]);
        }
    }
}

/// Copies the ring's samples from `from` on.
fn copy_ring(ring: &[Lanes], from: i64, target: &mut [Lanes]) {
    let at = slot(from, ring.len());
    let head = target.len().min(ring.len() - at);
    let rest = target.len() - head;
    target[..head].copy_from_slice(&ring[at..at + head]);
    target[head..].copy_from_slice(&ring[..rest]);
}

/// Mean of the measured, finite samples of a window.
fn level(reach: &Reach<'_>, channel: usize, window: (i64, i64), past: &VecDeque<(i64, i64)>) -> Option<f64> {
    let (mut n, mut sum) = (0_u64, 0.0);
    let mut gaps = past.iter().peekable();
    for sample in window.0.max(reach.first)..=window.1 {
        while gaps.next_if(|g| g.1 < sample).is_some() {}
        let value = reach.get(channel, sample);
        if value.is_finite() && gaps.peek().is_none_or(|g| sample < g.0) {
            n += 1;
            sum += value;
        }
    }
    (n > 0).then(|| sum / n as f64)
}

impl Stage for PulseStage {
    fn output(&self) -> &StreamInfo {
        &self.output
    }

    fn lookahead(&self) -> u64 {
        self.delay as u64
    }

    fn cue(&mut self, event: &Event) {
        if !self.pulses.contains(&event.name) {
            return;
        }
        let sample = self.output.clock.nearest_sample(event.tick);
        if let Some(span) = self.span {
            let first = self.queue.first_of(sample).max(span.first);
            if first < span.released && sample >= span.first {
                self.counts.late_events += 1;
            }
        }
        if !self.queue.cue(sample) {
            self.counts.lost_events += 1;
        }
    }

    fn push(&mut self, input: &Block, out: &mut Block) {
        if input.is_empty() {
            let (segment, at) = self.span.map_or((input.segment(), input.first()), |s| (s.segment, s.released));
            return out.start(segment, at, 0);
        }
        if self.span.is_none() {
            self.begin(input);
        }
        let Some(span) = self.span else { return };
        let upto = (input.end() - self.delay as i64).max(span.released);
        self.release(Some(input), span, upto, i64::MAX, out);
        self.keep(input);
        self.span = Some(Span { end: input.end(), released: upto, ..span });
    }

    fn finish(&mut self, out: &mut Block) {
        let Some(span) = self.span else { return out.start(0, 0, 0) };
        // events beyond the last sample belong to the next segment, even where their window reaches back
        self.release(None, span, span.end, span.end, out);
        self.span = Some(Span { released: span.end, ..span });
    }

    fn reset(&mut self) {
        if let Some(span) = self.span.take() {
            self.queue.carry_from(span.end);
            self.carried_to = Some(span.end);
        }
        self.open = None;
        self.past.clear();
    }

    fn memory_bytes(&self) -> u64 {
        let tiles = (self.ring.len() + self.patch.len()) * size_of::<Lanes>();
        let rows = (self.pre.capacity() + self.post.capacity() + self.line.len() + 2 * self.past.capacity()) * 8;
        (tiles + rows) as u64 + self.queue.memory_bytes() + self.bridge.memory_bytes()
    }

    fn notes(&self) -> String {
        let ms = |samples: usize| samples as f64 * 1e3 / self.output.rate_hz();
        let c = &self.counts;
        let mut text = format!("bridges gaps of up to {} ms, delay {} ms", ms(self.longest), ms(self.delay));
        if self.fit > 0 {
            text.push_str(&format!(", {} samples of support on each side", self.fit));
        }
        if let Some(order) = self.bridge.ar_order(self.fit) {
            text.push_str(&format!(", autoregressive order {order}"));
        }
        if self.pulses.is_empty() {
            text.push_str("; no event is known to carry a pulse: nothing will be bridged");
        }
        if c.gaps > 0 {
            text.push_str(&format!(
                "; {} gaps, {} samples filled, largest step at a join {:.3}",
                c.gaps, c.filled_samples, c.max_step
            ));
        }
        for (n, what) in [
            (c.fallbacks, "channel gaps bridged by a line for want of samples"),
            (c.held, "channel gaps with samples on one side only"),
            (c.zeros, "channel gaps set to 0 for want of any sample"),
            (c.too_long, "merged gaps too long to bridge, held"),
            (c.late_events, "events cued too late"),
            (c.lost_events, "events given up: too many pending"),
        ] {
            if n > 0 {
                text.push_str(&format!("; {n} {what}"));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests;
