//! Measures from cross-spectra: one pass, memory that does not grow with time.
//!
//! An epoch's spectra go into a queue; when it is full every pair's sums are brought up to date for all of it at once, so
//! that they pass through the cache once per queue. Pairs are ordered in blocks of channels for the same reason. Sums run
//! in the order of the epochs and pairs never mix: neither the queue nor the threads change a bit.

use super::measures::{self, Measure};
use super::method::{Band, Method, Plan, Row};
use super::sets::{self, Between};
use super::spectra::{Spectra, Stretch};
use super::surrogates::{Pair, Spool, Surrogates, score};
use super::{ConnectivityConfig, Mode};
use crate::dsp::cross::{Bin, Sums};
use crate::flow::{EpochInfo, Problems, Report};
use crate::signal::Epoch;
use rayon::prelude::*;
use std::ops::Range;

/// Epochs in the queue.
const QUEUE: usize = 8;
/// Pairs that a thread takes at once.
const PIECE: usize = 32;
/// Pairs are taken in blocks of this many channels squared: their spectra stay in the second-level cache.
const BLOCK: usize = 8;

/// Plans the pairwise measures, and those between sets: they share the sums.
pub(super) fn build(
    config: &ConnectivityConfig,
    plan: &Plan,
    _: &EpochInfo,
    problems: &mut Problems,
) -> Option<Box<dyn Method>> {
    Spectral::new(config, plan, problems).map(|method| Box::new(method) as Box<dyn Method>)
}

/// A thread's transform, and its part of the queue.
type Slots<'a> = (&'a mut Spectra, &'a mut [f64]);
/// Which channels of an epoch count.
type Used<'a> = &'a mut [Stretch];

/// The sums of one condition.
#[derive(Clone)]
struct Sum {
    /// Per pair [`Sums::rows`] rows of bins.
    values: Vec<f64>,
    /// Epochs per pair.
    n: Vec<u32>,
}

/// One channel in one condition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    epochs: u64,
    flat: u64,
    not_finite: u64,
}

pub(super) struct Spectral {
    plan: Plan,
    measures: Vec<Measure>,
    between: Vec<Between>,
    /// What rows are about: bands, or single bins.
    groups: Vec<(Band, Range<usize>)>,
    /// The bands themselves, for measures that need one.
    bands: Vec<(Band, Range<usize>)>,
    channels: Vec<usize>,
    pairs: Vec<Pair>,
    kept: Sums,
    tapers: usize,
    bins: usize,
    /// One per thread.
    spectra: Vec<Spectra>,
    /// (epoch, channel) spectra, which of them count, and the condition of each epoch.
    queue: Vec<f64>,
    used: Vec<Stretch>,
    conditions: Vec<usize>,
    sums: Vec<Sum>,
    seen: Vec<Seen>,
    surrogates: Option<Surrogates>,
}

impl Spectral {
    pub fn new(config: &ConnectivityConfig, plan: &Plan, problems: &mut Problems) -> Option<Self> {
        let measures: Vec<Measure> = config.measures.iter().filter_map(|m| Measure::named(m)).collect();
        let wants = |name: &str| config.measures.iter().any(|m| m == name);
        let mut kept = Sums::default();
        measures.iter().for_each(|m| m.needs(&mut kept));
        let between = if wants("mic") || wants("mim") {
            sets::plan(plan, wants("mic"), wants("mim"), problems)
        } else {
            Vec::new()
        };
        kept.power |= !between.is_empty();
        if measures.is_empty() && between.is_empty() {
            return None;
        }
        let spectra = Spectra::new(config, plan, problems)?;
        if config.mode == Mode::Morlet && measures.contains(&Measure::Psi) {
            problems.add("measures", "psi needs Fourier bins: mode multitaper or fourier");
            return None;
        }
        let mut listed = plan.pairs.clone();
        if measures.is_empty() {
            listed.clear();
        }
        let mut all: Vec<(usize, usize)> = listed.iter().copied().chain(sets::pairs(plan, &between)).collect();
        all.sort_unstable();
        all.dedup();
        let channels = plan.channels.clone();
        let slot = |c: usize| channels.binary_search(&c).unwrap_or(0);
        let pair =
            |&(a, b): &(usize, usize)| Pair { a: slot(a), b: slot(b), listed: listed.binary_search(&(a, b)).is_ok() };
        let mut pairs: Vec<Pair> = all.iter().map(pair).collect();
        pairs.sort_by_key(|p| (p.a / BLOCK, p.b / BLOCK, p.a, p.b));

        let bands: Vec<_> = plan.bands.iter().map(|band| (band.clone(), spectra.band(band))).collect();
        let single = |range: Range<usize>| {
            let hz = spectra.hz[range.start];
            (Band { name: hz.to_string(), low_hz: hz, high_hz: hz }, range)
        };
        let groups = if config.full {
            let starts = (0..spectra.hz.len()).filter(|&k| k == 0 || spectra.hz[k] != spectra.hz[k - 1]);
            starts.map(|k| single(k..spectra.hz.partition_point(|f| *f <= spectra.hz[k]))).collect()
        } else {
            bands.clone()
        };
        let surrogates = match config.surrogates {
            0 => None,
            count => match Spool::new(channels.len() * spectra.len()) {
                Ok(spool) => Some(Surrogates { count, seed: plan.seed, spool }),
                Err(error) => {
                    problems.add("surrogates", format!("no temporary file for the spectra: {error}"));
                    return None;
                }
            },
        };
        let sum = Sum { values: vec![0.0; pairs.len() * kept.rows() * spectra.bins], n: vec![0; pairs.len()] };
        Some(Self {
            queue: vec![0.0; QUEUE * channels.len() * spectra.len()],
            used: vec![Stretch::Used; QUEUE * channels.len()],
            conditions: Vec::with_capacity(QUEUE),
            sums: vec![sum; plan.conditions],
            seen: vec![Seen::default(); plan.conditions * channels.len()],
            tapers: spectra.tapers,
            bins: spectra.bins,
            spectra: vec![spectra; plan.threads],
            plan: plan.clone(),
            measures,
            between,
            groups,
            bands,
            channels,
            pairs,
            kept,
            surrogates,
        })
    }

    fn row_len(&self) -> usize {
        self.kept.rows() * self.bins
    }

    /// Values of one channel's spectra.
    fn stride(&self) -> usize {
        self.queue.len() / (QUEUE * self.channels.len()).max(1)
    }

    /// The spectra of one epoch into the queue, channels shared among the threads.
    fn transform(&mut self, epoch: &Epoch) {
        let (at, stride, n) = (self.conditions.len(), self.stride(), self.channels.len());
        let queue = &mut self.queue[at * n * stride..(at + 1) * n * stride];
        let used = &mut self.used[at * n..(at + 1) * n];
        let share = n.div_ceil(self.spectra.len()).max(1);
        let fill = |(((spectra, queue), used), channels): ((Slots<'_>, Used<'_>), &[usize])| {
            for ((out, used), &c) in queue.chunks_exact_mut(stride).zip(used).zip(channels) {
                *used = spectra.fill(epoch.channel(c), out);
            }
        };
        if self.spectra.len() == 1 {
            let all = self.spectra.iter_mut().zip([queue]).zip([used]).zip([self.channels.as_slice()]);
            all.for_each(fill);
        } else {
            (self.spectra.par_iter_mut())
                .zip(queue.par_chunks_mut(share * stride))
                .zip(used.par_chunks_mut(share))
                .zip(self.channels.par_chunks(share))
                .for_each(fill);
        }
    }

    /// Brings all sums up to date.
    fn flush(&mut self) {
        let (row_len, parallel) = (self.row_len(), self.spectra.len() > 1);
        let mut sums = std::mem::take(&mut self.sums);
        for (condition, sum) in sums.iter_mut().enumerate() {
            if !self.conditions.contains(&condition) {
                continue;
            }
            let add = |((values, n), pairs): ((&mut [f64], &mut [u32]), &[Pair])| {
                for ((row, n), pair) in values.chunks_exact_mut(row_len).zip(n).zip(pairs) {
                    *n += self.add_queued(condition, *pair, row);
                }
            };
            if parallel {
                (sum.values.par_chunks_mut(PIECE * row_len))
                    .zip(sum.n.par_chunks_mut(PIECE))
                    .zip(self.pairs.par_chunks(PIECE))
                    .for_each(add);
            } else {
                add(((&mut sum.values, &mut sum.n), &self.pairs));
            }
        }
        self.sums = sums;
        self.conditions.clear();
    }

    /// Adds the queued epochs of a condition to a pair's sums; their number.
    fn add_queued(&self, condition: usize, pair: Pair, row: &mut [f64]) -> u32 {
        let (stride, channels) = (self.stride(), self.channels.len());
        let (mut n, mut epochs) = (0, [(&[][..], &[][..]); QUEUE]);
        for (e, _) in self.conditions.iter().enumerate().filter(|(_, c)| **c == condition) {
            if self.used[e * channels + pair.a] != Stretch::Used || self.used[e * channels + pair.b] != Stretch::Used {
                continue;
            }
            let of = |slot: usize| &self.queue[(e * channels + slot) * stride..][..stride];
            epochs[n] = (of(pair.a), of(pair.b));
            n += 1;
        }
        self.kept.add_epochs(self.tapers, self.bins, &epochs[..n], row);
        n as u32
    }

    /// A pair's sums and epochs as of now, the queue included.
    fn sums(&self, condition: usize, p: usize, row: &mut Vec<f64>) -> u32 {
        let (sum, len) = (&self.sums[condition], self.row_len());
        row.clear();
        row.extend_from_slice(&sum.values[p * len..(p + 1) * len]);
        sum.n[p] + self.add_queued(condition, self.pairs[p], row)
    }

    fn bin(&self, sums: &[f64], k: usize) -> Bin {
        self.kept.bin(sums, self.bins, k)
    }

    /// A measure's mean over a group's bins where it is defined, and that of its null expectation.
    fn mean(&self, measure: Measure, range: &Range<usize>, sums: &[f64], n: f64) -> (f64, f64) {
        let tapers = self.tapers as f64;
        if measure == Measure::Psi {
            return (measures::phase_slope(range.clone().map(|k| self.bin(sums, k)), n, tapers), 0.0);
        }
        let (mut value, mut null, mut defined) = (0.0, 0.0, 0.0);
        for bin in range.clone().map(|k| self.bin(sums, k)) {
            let v = measure.value(&bin, n, tapers);
            if v.is_finite() {
                value += v;
                null += measure.null(&bin, n, tapers);
                defined += 1.0;
            }
        }
        if defined == 0.0 { (f64::NAN, f64::NAN) } else { (value / defined, null / defined) }
    }

    /// What the rows of a measure are about.
    fn groups(&self, measure: Measure) -> &[(Band, Range<usize>)] {
        if measure == Measure::Psi { &self.bands } else { &self.groups }
    }

    /// The rows of one pair.
    fn pair_rows(&self, condition: usize, p: usize) -> Vec<Row> {
        let pair = self.pairs[p];
        let mut sums = Vec::new();
        let n = self.sums(condition, p, &mut sums);
        let nodes = (self.channels[pair.a], self.channels[pair.b]);
        let mut rows = Vec::new();
        for &measure in &self.measures {
            for (band, range) in self.groups(measure) {
                let (value, null) = self.mean(measure, range, &sums, f64::from(n));
                let null = if value.is_finite() { null } else { f64::NAN };
                let row = Row::empty(measure.name(), band, nodes);
                rows.push(Row { value, n_epochs: n.into(), null_expectation: null, ..row });
            }
        }
        if let Some(surrogates) = self.surrogates.as_ref().filter(|_| n > 1) {
            let shape = (self.kept, self.tapers, self.bins);
            if let Some(drawn) = surrogates.sums(condition, pair, shape, self.channels.len(), self.stride()) {
                let drawn: Vec<&[f64]> = drawn.chunks_exact(self.row_len()).collect();
                let cells =
                    self.measures.iter().flat_map(|m| self.groups(*m).iter().map(move |(_, range)| (*m, range)));
                for (row, (measure, range)) in rows.iter_mut().zip(cells) {
                    let values = drawn.iter().map(|sums| self.mean(measure, range, sums, f64::from(n)).0);
                    (row.z, row.p) = score(|v| measure.distance(v), row.value, &values.collect::<Vec<_>>());
                }
            }
        }
        rows
    }
}

impl Method for Spectral {
    fn observe(&mut self, epoch: &Epoch) {
        let (at, n) = (self.conditions.len(), self.channels.len());
        let condition = usize::from(epoch.condition);
        if condition >= self.sums.len() {
            return;
        }
        self.transform(epoch);
        self.conditions.push(condition);
        for (seen, used) in self.seen[condition * n..].iter_mut().zip(&self.used[at * n..(at + 1) * n]) {
            seen.epochs += 1;
            seen.flat += u64::from(*used == Stretch::Flat);
            seen.not_finite += u64::from(*used == Stretch::NotFinite);
        }
        if let Some(surrogates) = &mut self.surrogates {
            let len = self.queue.len() / QUEUE;
            let used = self.used[at * n..(at + 1) * n].iter().map(|u| *u == Stretch::Used).collect();
            surrogates.spool.push(condition, used, &self.queue[at * len..(at + 1) * len]);
        }
        if self.conditions.len() == QUEUE {
            self.flush();
        }
    }

    fn rows(&self, report: &Report<'_>, condition: usize, out: &mut Vec<Row>) {
        let listed = |p: &usize| self.pairs[*p].listed;
        if self.spectra.len() > 1 {
            let rows: Vec<Vec<Row>> =
                (0..self.pairs.len()).into_par_iter().filter(listed).map(|p| self.pair_rows(condition, p)).collect();
            out.extend(rows.into_iter().flatten());
        } else {
            out.extend((0..self.pairs.len()).filter(listed).flat_map(|p| self.pair_rows(condition, p)));
        }
        for between in &self.between {
            let good = |set: usize| -> Vec<usize> {
                let bad = |c: &usize| report.bad.get(*c).copied().unwrap_or(false);
                self.plan.sets[set].channels.iter().copied().filter(|c| !bad(c)).collect()
            };
            let mut sums = Vec::new();
            let pair_of = |a: usize, b: usize| {
                let slots = (self.channels.binary_search(&a.min(b)), self.channels.binary_search(&a.max(b)));
                self.pairs.iter().position(|p| (Ok(p.a), Ok(p.b)) == slots)
            };
            let cells = sets::Cells::new([good(between.a), good(between.b)], |a, b| {
                let p = pair_of(a, b)?;
                let n = self.sums(condition, p, &mut sums);
                Some((n, (0..self.bins).map(|k| self.bin(&sums, k)).collect()))
            });
            let first = report.input.channels.len();
            cells.rows(between, &self.groups, self.tapers, (first + between.a, first + between.b), out);
        }
    }

    fn channel_notes(&self, report: &Report<'_>) -> Vec<(usize, String)> {
        let name = |slot: usize| report.input.channels[self.channels[slot]].name.as_str();
        let mut notes = Vec::new();
        for (slot, &channel) in self.channels.iter().enumerate() {
            let all = || self.seen.iter().skip(slot).step_by(self.channels.len());
            let sum = |what: fn(&Seen) -> u64| all().map(what).sum::<u64>();
            let (epochs, flat, not_finite) = (sum(|s| s.epochs), sum(|s| s.flat), sum(|s| s.not_finite));
            if flat == epochs && epochs > 0 {
                notes.push((channel, "flat".to_owned()));
            } else if flat > 0 {
                notes.push((channel, format!("flat in {flat} of {epochs} epochs")));
            }
            if not_finite > 0 {
                notes.push((channel, format!("not finite in {not_finite} of {epochs} epochs")));
            }
        }
        // a pair without lag in most bins of all epochs is one signal twice
        let mut sums = Vec::new();
        for (p, pair) in self.pairs.iter().enumerate() {
            let bins = self.spectra.first().map_or(0, |s| s.hz.len());
            let without_lag = |row: &[f64]| 2 * row[self.bins..][..bins].iter().filter(|im| **im == 0.0).count() > bins;
            let copy = |condition: usize, sums: &mut Vec<f64>| {
                // a lag seen so far is no copy, whatever waits in the queue
                let len = self.row_len();
                without_lag(&self.sums[condition].values[p * len..(p + 1) * len])
                    && self.sums(condition, p, sums) > 0
                    && without_lag(sums)
            };
            if (0..self.sums.len()).any(|condition| copy(condition, &mut sums)) {
                notes.push((self.channels[pair.a], format!("copy of {}", name(pair.b))));
                notes.push((self.channels[pair.b], format!("copy of {}", name(pair.a))));
            }
        }
        notes
    }

    fn reset(&mut self) {
        for sum in &mut self.sums {
            sum.values.fill(0.0);
            sum.n.fill(0);
        }
        self.conditions.clear();
        self.seen.fill(Seen::default());
        if let Some(surrogates) = &mut self.surrogates {
            surrogates.spool.reset();
        }
    }

    fn memory_bytes(&self) -> u64 {
        let sums: usize = self.sums.iter().map(|s| 8 * s.values.len() + 4 * s.n.len()).sum();
        let spectra: u64 = self.spectra.iter().map(Spectra::memory_bytes).sum();
        (sums + 8 * self.queue.len()) as u64 + spectra
    }
}
