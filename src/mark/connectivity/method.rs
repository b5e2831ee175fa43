//! What the estimators of connectivity have in common: which pairs, which bands, which stretch of the epoch, and the
//! rows they give.

use super::ConnectivityConfig;
use crate::flow::{BuildContext, EpochInfo, Problems, Report};
use crate::names::{glob, nearest};
use crate::signal::Epoch;
use std::ops::Range;

/// A family of measures that share one pass over the epochs.
pub(super) trait Method: Send {
    /// A kept epoch. Quiet: no allocation, lock, log or panic.
    fn observe(&mut self, epoch: &Epoch);

    /// The values of one condition, in any order: the marker sorts them.
    fn rows(&self, report: &Report<'_>, condition: usize, out: &mut Vec<Row>);

    /// Remarks on channels, for the table `channels`: (channel, what is wrong).
    fn channel_notes(&self, _report: &Report<'_>) -> Vec<(usize, String)> {
        Vec::new()
    }

    /// Forgets all epochs.
    fn reset(&mut self);

    /// Bytes of its buffers.
    fn memory_bytes(&self) -> u64;
}

/// One value of one measure in one band between two nodes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// Name, as in `measures`.
    pub measure: &'static str,
    /// The band's name; the bin's frequency with `full`.
    pub band: String,
    /// From here on, Hz.
    pub low_hz: f64,
    /// To here, not included, Hz.
    pub high_hz: f64,
    /// Index of the first node: a channel of the epoch, or the number of channels plus the number of a set
    /// ([`Plan::node_name`]).
    pub a: usize,
    /// Index of the second node. An undirected measure is written once, with `a` before `b`.
    pub b: usize,
    /// NaN: not defined, an empty cell.
    pub value: f64,
    /// Epochs behind it.
    pub n_epochs: u64,
    /// What independent signals would give on average; NaN where it is not known.
    pub null_expectation: f64,
    /// Distance from the surrogates' mean in their standard deviations; NaN without surrogates.
    pub z: f64,
    /// Share of surrogates that come as far, `(1 + #) / (1 + K)`; NaN without surrogates.
    pub p: f64,
    /// A remark, or empty.
    pub note: &'static str,
}

impl Row {
    /// A row with empty numbers.
    pub fn empty(measure: &'static str, band: &Band, (a, b): (usize, usize)) -> Self {
        Self {
            measure,
            band: band.name.clone(),
            low_hz: band.low_hz,
            high_hz: band.high_hz,
            a,
            b,
            value: f64::NAN,
            n_epochs: 0,
            null_expectation: f64::NAN,
            z: f64::NAN,
            p: f64::NAN,
            note: "",
        }
    }
}

/// A half-open band, `low_hz ≤ f < high_hz`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Band {
    pub name: String,
    pub low_hz: f64,
    pub high_hz: f64,
}

/// A named group of channels, for the measures between groups.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Set {
    pub name: String,
    pub channels: Vec<usize>,
}

/// What every method works on.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Channels that occur in a pair or a set, ascending.
    pub channels: Vec<usize>,
    /// Pairs of channels, each once with the earlier channel first, ascending.
    pub pairs: Vec<(usize, usize)>,
    /// Bands by ascending edges.
    pub bands: Vec<Band>,
    /// Groups of channels.
    pub sets: Vec<Set>,
    /// Samples of the epoch that are looked at.
    pub window: Range<usize>,
    /// Sampling rate, Hz.
    pub rate_hz: f64,
    /// Number of conditions.
    pub conditions: usize,
    /// Threads that `observe` may use.
    pub threads: usize,
    /// Seed of everything drawn at random.
    pub seed: u64,
}

impl Plan {
    /// Resolves names and windows; reports every problem. `None` exactly when there was one.
    pub fn new(
        config: &ConnectivityConfig,
        input: &EpochInfo,
        context: &BuildContext,
        problems: &mut Problems,
    ) -> Option<Self> {
        let before = problems.list().len();
        let window = match config.window_ms {
            Some(window_ms) => input.window_inside("window_ms", window_ms, problems).unwrap_or(0..0),
            None => 0..input.len,
        };
        let nyquist = input.rate_hz() / 2.0;
        let mut bands = Vec::new();
        for (name, &[low_hz, high_hz]) in &config.bands_hz {
            if !(low_hz >= 0.0 && high_hz > low_hz && high_hz <= nyquist) {
                let key = format!("bands_hz.{name}");
                problems.add(&key, format!("{low_hz}…{high_hz} Hz is not a band between 0 and {nyquist} Hz"));
            }
            bands.push(Band { name: name.clone(), low_hz, high_hz });
        }
        if bands.is_empty() {
            problems.add("bands_hz", "holds no band");
        }
        bands.sort_by(|x, y| x.low_hz.total_cmp(&y.low_hz).then(x.high_hz.total_cmp(&y.high_hz)));
        let sets: Vec<Set> = (config.sets.iter())
            .map(|(name, patterns)| {
                let key = format!("sets.{name}");
                let mut channels: Vec<usize> =
                    patterns.iter().flat_map(|p| matching(&key, p, input, problems)).collect();
                channels.sort_unstable();
                channels.dedup();
                Set { name: name.clone(), channels }
            })
            .collect();
        let pairs = pairs(config, input, problems);
        let mut channels: Vec<usize> = pairs.iter().flat_map(|&(a, b)| [a, b]).collect();
        channels.extend(sets.iter().flat_map(|s| s.channels.iter().copied()));
        channels.sort_unstable();
        channels.dedup();
        (problems.list().len() == before).then(|| Self {
            channels,
            pairs,
            bands,
            sets,
            window,
            rate_hz: input.rate_hz(),
            conditions: input.conditions,
            threads: context.threads.max(1),
            seed: context.seed,
        })
    }

    /// Seconds of the epoch that are looked at.
    pub fn duration_s(&self) -> f64 {
        self.window.len() as f64 / self.rate_hz
    }

    /// Name of a node: a channel, or behind the channels a set.
    pub fn node_name(&self, input: &EpochInfo, node: usize) -> String {
        let set = || self.sets.get(node - input.channels.len()).map(|s| s.name.clone()).unwrap_or_default();
        input.channels.get(node).map_or_else(set, |c| c.name.clone())
    }
}

/// Channels of this name or glob; a problem at `key` when there is none. Globs find EEG channels only.
fn matching(key: &str, pattern: &str, input: &EpochInfo, problems: &mut Problems) -> Vec<usize> {
    let name = |c: usize| input.channels[c].name.as_str();
    let all = 0..input.channels.len();
    let found: Vec<usize> = match all.clone().find(|&c| name(c) == pattern) {
        Some(c) => vec![c],
        None => all.clone().filter(|&c| input.is_eeg(c) && glob(pattern, name(c))).collect(),
    };
    if found.is_empty() {
        let hint = nearest(pattern, all.map(name)).map(|n| format!("; nearest: {n:?}")).unwrap_or_default();
        problems.add(key, format!("no channel that is analysed is called {pattern:?}{hint}"));
    }
    found
}

/// All pairs of EEG channels; or those of the seeds with all others, and those listed.
fn pairs(config: &ConnectivityConfig, input: &EpochInfo, problems: &mut Problems) -> Vec<(usize, usize)> {
    let eeg: Vec<usize> = (0..input.channels.len()).filter(|&c| input.is_eeg(c)).collect();
    let mut pairs = Vec::new();
    let mut add = |a: usize, b: usize| pairs.extend((a != b).then_some((a.min(b), a.max(b))));
    for pattern in &config.seeds {
        let seeds = matching("seeds", pattern, input, problems);
        seeds.iter().for_each(|&a| eeg.iter().for_each(|&b| add(a, b)));
    }
    for [a, b] in &config.pairs {
        let (left, right) = (matching("pairs", a, input, problems), matching("pairs", b, input, problems));
        left.iter().for_each(|&a| right.iter().for_each(|&b| add(a, b)));
    }
    if config.seeds.is_empty() && config.pairs.is_empty() {
        eeg.iter().enumerate().for_each(|(i, &a)| eeg[i + 1..].iter().for_each(|&b| add(a, b)));
        if eeg.len() < 2 && config.sets.is_empty() {
            problems.add("", "needs at least two EEG channels");
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}
