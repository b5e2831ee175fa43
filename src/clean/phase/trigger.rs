//! Triggers at a phase: the rule, who applies it to a Stage's output, and a tracker for an acquisition callback.

use super::bank::Bank;
use super::learn::{Learnt, learn};
use super::sites::Site;
use super::{Method, Phase};
use crate::flow::{BuildContext, Model, Problems, Watch};
use crate::signal::{Block, Channel, ChannelKind, Segment, StreamInfo};
use crate::table::{Cell, Column, Table, TableSpec};
use crate::unit::{Clock, Unit};
use crate::{Error, Result};
use std::sync::Arc;

/// Columns of `triggers`.
pub static TRIGGERS: TableSpec = TableSpec {
    name: "triggers",
    about: "A moment at which a stimulator was to be triggered, as the samples up to then told",
    series: true,
    columns: &[
        Column::new("sample", "", "0-based index of the stored sample with which the trigger was given"),
        Column::new("onset_s", "s", "Its time from the start of the recording, gaps counted"),
        Column::new("channel", "", "Channel or site whose phase was followed"),
        Column::new("target_deg", "deg", "The phase wanted: 0 is the peak, 90 the falling zero crossing"),
        Column::new("phase_deg", "deg", "Phase at that sample, without the advance"),
        Column::new("amplitude_uv", "uV", "Amplitude of the rhythm at that sample"),
        Column::new(
            "phase_sd_deg",
            "deg",
            "Circular standard deviation of the phase; empty where the method does not tell",
        ),
        Column::new("gate_uv", "uV", "Amplitude below which there is no trigger"),
        Column::new("advance_ms", "ms", "How much earlier than its target phase the trigger comes"),
    ],
};

/// A trigger, as an acquisition callback gets it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trigger {
    /// Samples pushed before the one that gave it.
    pub sample: u64,
    /// Phase at that sample, deg: it lies `advance` before the target.
    pub phase_deg: f64,
    /// Amplitude at that sample, µV.
    pub amplitude_uv: f64,
    /// Circular standard deviation of the phase, deg; NaN where the method does not tell.
    pub phase_sd_deg: f64,
}

/// The rule: a crossing of the target from below, an amplitude, and time since the last.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    target_deg: f64,
    ahead_deg: f64,
    pub gate_uv: f64,
    refractory: u64,
    since: u64,
    last: f64,
}

impl Gate {
    fn new(config: &Phase, learnt: &Learnt, site: usize, rate_hz: f64) -> Option<Self> {
        // the rhythm's own frequency where the oscillator knows better
        let own = learnt.sites[site].state_space.as_ref().map(|m| m.oscillators[0].frequency_hz);
        Some(Self {
            target_deg: config.target_deg?,
            ahead_deg: 360.0 * own.unwrap_or(learnt.frequency_hz) * config.advance_ms / 1e3,
            gate_uv: learnt.sites[site].gate_uv.map_or(config.min_uv, |uv| uv.max(config.min_uv)),
            refractory: (config.refractory_ms * rate_hz / 1e3).round() as u64,
            since: u64::MAX,
            last: f64::NAN,
        })
    }

    /// Whether to trigger. A step back over the target, or a jump of half a turn and more, is no crossing.
    pub fn push(&mut self, phase_deg: f64, amplitude: f64) -> bool {
        let off = (phase_deg + self.ahead_deg - self.target_deg + 180.0).rem_euclid(360.0) - 180.0;
        let crossed = self.last < 0.0 && off >= 0.0 && off - self.last < 180.0;
        self.last = off;
        self.since = self.since.saturating_add(1);
        let fires = crossed && amplitude >= self.gate_uv && self.since >= self.refractory;
        if fires {
            self.since = 0;
        }
        fires
    }

    /// A gap: no crossing spans it, but the refractory time goes on as far as samples tell.
    pub fn gap(&mut self) {
        self.last = f64::NAN;
    }

    pub fn reset(&mut self) {
        (self.since, self.last) = (u64::MAX, f64::NAN);
    }
}

/// Follows one site sample by sample, with no pipeline: for an acquisition callback. The same numbers as the Stage.
pub struct Tracker {
    site: Site,
    bank: Bank,
    gate: Option<Gate>,
    channels: usize,
    seen: u64,
    last: [f64; 3],
}

impl Tracker {
    /// A tracker for frames of the channels `names`, in µV. `model`: from [`Phase::calibrate`], where [`Phase::learns`].
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) with every problem of the config, also where it describes more than one site.
    pub fn new(config: &Phase, rate_hz: f64, names: &[&str], model: Option<&Model>) -> Result<Self> {
        let mut problems = Problems::default();
        let channels = microvolt(names);
        let plan = config.plan(rate_hz, &channels, &[], model, &mut problems);
        if let Some((sites, ..)) = plan.as_ref().filter(|(sites, ..)| sites.len() != 1) {
            problems.add("channels", format!("a tracker follows one site, not {}", sites.len()));
        }
        problems.into_result()?;
        let Some((mut sites, learnt, bank)) = plan else { return Err(Error::usage("the tracker could not be built")) };
        let gate = Gate::new(config, &learnt, 0, rate_hz);
        let site = sites.swap_remove(0);
        Ok(Self { site, bank, gate, channels: names.len(), seen: 0, last: [f64::NAN; 3] })
    }

    /// Takes a frame (a value per channel), says whether to trigger now. Allocates nothing, cannot fail: a channel that is missing
    /// counts as NaN.
    pub fn push(&mut self, frame: &[f64]) -> Option<Trigger> {
        debug_assert_eq!(frame.len(), self.channels, "a value per channel");
        let value = self.site.value(|c| frame.get(c).copied().unwrap_or(f64::NAN));
        let known = *self.bank.push(&[value]).first()?;
        self.last = [known.phase_deg, known.amplitude, known.phase_sd_deg];
        self.seen += 1;
        let fires = self.gate.as_mut().is_some_and(|gate| gate.push(known.phase_deg, known.amplitude));
        fires.then_some(Trigger {
            sample: self.seen - 1,
            phase_deg: known.phase_deg,
            amplitude_uv: known.amplitude,
            phase_sd_deg: known.phase_sd_deg,
        })
    }

    /// Phase, deg, at the last sample; NaN until the window is full.
    pub fn phase_deg(&self) -> f64 {
        self.last[0]
    }

    /// Amplitude, µV, at the last sample.
    pub fn amplitude_uv(&self) -> f64 {
        self.last[1]
    }

    /// Circular standard deviation of the phase, deg, with method `kalman`.
    pub fn phase_sd_deg(&self) -> f64 {
        self.last[2]
    }

    /// Samples were lost: the window starts anew.
    pub fn gap(&mut self) {
        self.bank.reset();
        self.gate.iter_mut().for_each(Gate::gap);
    }

    /// Delay, taps and errors, in words.
    pub fn notes(&self) -> String {
        self.bank.notes()
    }
}

impl Phase {
    /// Learns from a stretch without gaps what the config leaves open: `rows[channel][sample]`, in µV.
    ///
    /// # Errors
    /// When the config has a problem, rows differ in length, or the data show no rhythm.
    pub fn calibrate(&self, rate_hz: f64, names: &[&str], rows: &[Vec<f64>]) -> Result<Model> {
        let mut problems = Problems::default();
        self.check(rate_hz, &mut problems);
        let sites = self.sites(&microvolt(names), &[], &mut problems);
        problems.into_result()?;
        let len = rows.first().map_or(0, Vec::len);
        if rows.len() != names.len() || rows.iter().any(|r| r.len() != len) {
            return Err(Error::usage(format!(
                "{} rows for {} channels, or of different lengths",
                rows.len(),
                names.len()
            )));
        }
        let sites = sites.unwrap_or_default();
        let data = sites.iter().map(|site| vec![(0..len).map(|i| site.value(|c| rows[c][i])).collect()]).collect();
        learn(self, &sites.iter().map(|s| s.name.clone()).collect::<Vec<_>>(), &data, rate_hz)
    }
}

fn microvolt(names: &[&str]) -> Vec<Channel> {
    names.iter().map(|name| Channel::new(*name, ChannelKind::Eeg, Unit::Microvolt)).collect()
}

/// Who applies the rule to the Stage's output; `None` without a target.
pub(super) fn watch(
    config: &Phase,
    input: &StreamInfo,
    output: &StreamInfo,
    context: &BuildContext,
) -> Option<Box<dyn Watch>> {
    let mut problems = Problems::default();
    let sites = config.sites(&input.channels, &context.bad, &mut problems)?;
    let learnt = Learnt::of(config, &sites, context.model.as_ref(), &mut problems)?;
    let gates =
        (0..sites.len()).map(|s| Gate::new(config, &learnt, s, output.rate_hz())).collect::<Option<Vec<_>>>()?;
    Some(Box::new(Triggers {
        gates,
        names: sites.into_iter().map(|s| s.name).collect(),
        own: input.channels.len(),
        width: config.outputs().len(),
        has_sd: config.method == Method::Kalman,
        target_deg: config.target_deg?,
        advance_ms: config.advance_ms,
        clock: output.clock,
        segments: context.segments.clone(),
        queue: Vec::with_capacity(config.queue as usize),
        lost: 0,
    }))
}

/// One that waits.
struct Waiting {
    site: u32,
    segment: u32,
    sample: i64,
    values: [f64; 3],
}

struct Triggers {
    gates: Vec<Gate>,
    names: Vec<String>,
    own: usize,
    width: usize,
    has_sd: bool,
    target_deg: f64,
    advance_ms: f64,
    clock: Clock,
    segments: Arc<[Segment]>,
    /// Never grows beyond its capacity.
    queue: Vec<Waiting>,
    lost: u64,
}

impl Triggers {
    fn seconds(&self, segment: u32, tick: f64) -> f64 {
        match self.segments.get(segment as usize) {
            Some(s) => s.start_s + self.clock.input.seconds(tick - s.first.0 as f64),
            None => self.clock.input.seconds(tick),
        }
    }
}

impl Watch for Triggers {
    fn before(&mut self, _: &Block) {}

    fn after(&mut self, output: &Block) {
        for i in 0..output.len() {
            for (s, gate) in self.gates.iter_mut().enumerate() {
                let at = self.own + s * self.width;
                let (phase, amplitude) = (output.get(at, i), output.get(at + 1, i));
                if !gate.push(phase, amplitude) {
                    continue;
                }
                if self.queue.len() == self.queue.capacity() {
                    self.lost += 1;
                    continue;
                }
                let sd = if self.has_sd { output.get(at + 2, i) } else { f64::NAN };
                let sample = output.first() + i as i64;
                let values = [phase, amplitude, sd];
                self.queue.push(Waiting { site: s as u32, segment: output.segment(), sample, values });
            }
        }
    }

    fn end_segment(&mut self) {
        self.gates.iter_mut().for_each(Gate::gap);
    }

    /// No rows, only the columns: rows leave through `drain`.
    fn report(&self) -> Vec<Table> {
        vec![Table::new(&TRIGGERS)]
    }

    fn drain(&mut self, out: &mut Vec<Table>) {
        if self.queue.is_empty() && self.lost == 0 {
            return;
        }
        let mut table = Table::new(&TRIGGERS);
        for waiting in &self.queue {
            let tick = self.clock.tick_of(waiting.sample);
            let (site, [phase, amplitude, sd]) = (waiting.site as usize, waiting.values);
            let cells: [Cell; 9] = [
                (tick.round() as i64).into(),
                self.seconds(waiting.segment, tick).into(),
                self.names[site].clone().into(),
                self.target_deg.into(),
                phase.into(),
                amplitude.into(),
                sd.into(),
                self.gates[site].gate_uv.into(),
                self.advance_ms.into(),
            ];
            table.push(None, cells);
        }
        self.queue.clear();
        if self.lost > 0 {
            // nothing disappears: a row says how many did not fit
            let mut cells = [const { Cell::Missing }; 9];
            cells[2] = format!("{} triggers lost: the queue was full", self.lost).into();
            table.push(None, cells);
            self.lost = 0;
        }
        out.push(table);
    }

    fn reset(&mut self) {
        self.gates.iter_mut().for_each(Gate::reset);
        self.queue.clear();
        self.lost = 0;
    }

    fn memory_bytes(&self) -> u64 {
        (self.queue.capacity() * size_of::<Waiting>()) as u64
    }
}
