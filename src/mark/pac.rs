//! Tables `pac` and `nm`: phase–amplitude coupling and n:m phase locking.
//!
//! Signals are band-passed epoch by epoch ([`BandAnalytic`]). A coupling is computed within each epoch and averaged, or,
//! with `pooled`, computed once from the samples of all epochs. Surrogates pair each epoch's phases with its own amplitude
//! turned by a random time, at least 1 s (or a third of a shorter epoch): what the two rhythms would give if they did not
//! know of each other (Canolty et al. 2006, 10.1126/science.1128115). The times depend on the seed and the trial only. A
//! strictly periodic slow wave (a stimulator's) stays coupled however it is turned: there p says nothing.
//!
//! Two things look like coupling and are not. An amplitude band narrower than twice the phase's frequency has filtered
//! the modulation's side bands away and gives about 0 (Aru et al. 2015, 10.1016/j.conb.2014.08.002): `note` says
//! `amplitude_band_narrow`. A slow wave that is not a sine has harmonics in the fast band, locked to its own phase
//! (Kramer et al. 2008, 10.1016/j.jneumeth.2008.01.020): `harmonic_share` is the part of the fast band's energy that
//! such harmonics explain, and above a fifth `note` says `harmonics`.

use crate::dsp::analytic::BandAnalytic;
use crate::dsp::fir::Flanks;
use crate::dsp::pac::{Paired, Phases, Tally, Turns, add_harmonics};
use crate::dsp::window::Window;
use crate::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::names::{glob, nearest};
use crate::signal::Epoch;
use crate::table::{Cell, Column, Table, TableSpec};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Columns of `pac`.
pub static PAC: TableSpec = TableSpec {
    name: "pac",
    about: "How a channel's amplitude in a fast band goes with its phase in a slow band",
    series: false,
    columns: &[
        Column::new("channel", "", "Name of the channel"),
        Column::new("phase_low_hz", "Hz", "Lower edge of the band whose phase is taken"),
        Column::new("phase_high_hz", "Hz", "Upper edge of the band whose phase is taken"),
        Column::new("amplitude_low_hz", "Hz", "Lower edge of the band whose amplitude is taken"),
        Column::new("amplitude_high_hz", "Hz", "Upper edge of the band whose amplitude is taken"),
        Column::new(
            "measure",
            "",
            "mi: modulation index; mvl: mean vector length, in uV; ndpac: of the z-scored amplitude",
        ),
        Column::new(
            "value",
            "",
            "The coupling; empty where a phase bin held no sample (mi) or the amplitude is steady",
        ),
        Column::new("n_epochs", "", "Epochs behind it"),
        Column::new(
            "n_empty_bins",
            "",
            "Phase bins without a sample, of 18: the most in any epoch, or of all when pooled",
        ),
        Column::new("z", "", "Distance from the mean of the surrogates in their standard deviations"),
        Column::new("p", "", "(1 + surrogates that come as far) / (1 + surrogates)"),
        Column::new(
            "note",
            "",
            "What to mind: amplitude_band_narrow, harmonics, bad_channel; several with spaces between",
        ),
        Column::new(
            "harmonic_share",
            "",
            "Part of the fast band's energy locked to the slow phase as its harmonics, 0 to 1",
        ),
    ],
};

/// Columns of `nm`.
pub static NM: TableSpec = TableSpec {
    name: "nm",
    about: "n:m locking between the phases of two bands, in one channel or across two",
    series: false,
    columns: &[
        Column::new("channel_a", "", "Channel of the first phase"),
        Column::new("channel_b", "", "Channel of the second phase"),
        Column::new("n", "", "The first phase is taken so many times"),
        Column::new("m", "", "The second phase is taken so many times"),
        Column::new("a_low_hz", "Hz", "Lower edge of the first band"),
        Column::new("a_high_hz", "Hz", "Upper edge of the first band"),
        Column::new("b_low_hz", "Hz", "Lower edge of the second band"),
        Column::new("b_high_hz", "Hz", "Upper edge of the second band"),
        Column::new("value", "", "Magnitude of the mean of exp(i(n phase_a - m phase_b)) over all samples, 0 to 1"),
        Column::new("n_samples", "", "Samples behind it; neighbours are not independent"),
        Column::new(
            "note",
            "",
            "own_harmonics: within a channel a wave that is not a sine locks to itself; bands_do_not_meet: n times the first band does not reach m times the second",
        ),
    ],
};

/// `use = "pac"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PacConfig {
    /// Bands whose phase is taken, Hz.
    pub phase_hz: Vec<[f64; 2]>,
    /// Bands whose amplitude is taken, Hz; each goes with every phase band. At least twice as wide as the phase's highest frequency.
    pub amplitude_hz: Vec<[f64; 2]>,
    /// `mi`, `mvl`, `ndpac`.
    pub measures: Vec<PacMeasure>,
    /// Channels by name or glob; empty: all EEG channels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// Time-shifted surrogates, for z and p; 0: none.
    pub surrogates: usize,
    /// One coupling from the samples of all epochs, instead of the mean of one per epoch.
    pub pooled: bool,
    /// n:m locking between bands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nm: Vec<NmConfig>,
    /// n:m locking also between different channels, both ways.
    pub across: bool,
}

/// A measure of phase–amplitude coupling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PacMeasure {
    /// [`Tally::modulation_index`].
    Mi,
    /// [`Tally::mean_vector`].
    Mvl,
    /// [`Tally::normalised_vector`].
    Ndpac,
}

const MEASURES: [(PacMeasure, &str); 3] =
    [(PacMeasure::Mi, "mi"), (PacMeasure::Mvl, "mvl"), (PacMeasure::Ndpac, "ndpac")];

/// One n:m ratio: `n` times the phase in `a_hz` against `m` times that in `b_hz`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NmConfig {
    /// Times the first phase.
    pub n: u32,
    /// Times the second phase.
    pub m: u32,
    /// First band, Hz.
    pub a_hz: [f64; 2],
    /// Second band, Hz.
    pub b_hz: [f64; 2],
}

impl Default for PacConfig {
    /// Theta phase, gamma amplitude, modulation index and mean vector length, 200 surrogates.
    fn default() -> Self {
        Self {
            phase_hz: vec![[4.0, 8.0]],
            amplitude_hz: vec![[30.0, 80.0]],
            measures: vec![PacMeasure::Mi, PacMeasure::Mvl],
            channels: Vec::new(),
            surrogates: 200,
            pooled: false,
            nm: Vec::new(),
            across: false,
        }
    }
}

/// The harmonic share from which on a coupling is doubted.
const HARMONIC_SHARE: f64 = 0.2;
/// A band-passed signal this much smaller than what was recorded is rounding.
const FLAT: f64 = 1e-12;

/// A pair of bands: indices of filters, and the harmonics of the slow band that fall into the fast one.
#[derive(Debug, Clone)]
struct Coupling {
    phase: usize,
    amplitude: usize,
    first_harmonic: u32,
    harmonics: usize,
}

/// Everything that does not change.
struct Plan {
    config: PacConfig,
    /// Bands in Hz, each once.
    bands: Vec<[f64; 2]>,
    couplings: Vec<Coupling>,
    /// Per n:m ratio its two bands.
    ratios: Vec<[usize; 2]>,
    conditions: usize,
    n: usize,
    least_shift: usize,
    seed: u64,
}

/// Sums of one channel and one pair of bands under one condition.
#[derive(Debug, Clone, Default)]
struct Sums {
    n_epochs: u64,
    empty_bins: usize,
    /// Per measure: sum over epochs, and epochs with a value.
    values: [(f64, u64); 3],
    /// Per surrogate and measure: sum over the same epochs.
    drawn: Vec<[f64; 3]>,
    /// Pooled: the tallies themselves.
    tally: Tally,
    paired: Paired,
    drawn_paired: Vec<Paired>,
    harmonics: Vec<[f64; 2]>,
    energy: f64,
}

/// Working space of one thread.
#[derive(Clone)]
struct Scratch {
    filters: Vec<BandAnalytic>,
    re: Vec<Vec<f64>>,
    im: Vec<Vec<f64>>,
    phases: Phases,
    /// The amplitude, twice in a row.
    twice: Vec<f64>,
    running: Vec<f64>,
    turn: Vec<f64>,
}

/// One channel.
struct Slot {
    channel: usize,
    /// `[condition][coupling]`
    sums: Vec<Sums>,
    /// This epoch's `e^{inφ}` and `e^{imφ}` per n:m ratio.
    turns: Vec<[Turns; 2]>,
    /// Whether this epoch can be used.
    usable: bool,
}

struct Pac {
    plan: Plan,
    /// One per thread.
    scratch: Vec<Scratch>,
    slots: Vec<Slot>,
    /// This epoch's surrogate shifts.
    shifts: Vec<usize>,
    /// `[condition][ratio][a][b]`: sum and samples.
    locked: Vec<([f64; 2], u64)>,
}

impl MarkerConfig for PacConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        if self.nm.is_empty() { &self.every_table()[..1] } else { self.every_table() }
    }

    fn every_table(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 2] = [&PAC, &NM];
        &TABLES
    }

    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>> {
        let before = problems.list().len();
        let n = input.len;
        let channels = self.find_channels(input, problems);
        let mut bands: Vec<[f64; 2]> = Vec::new();
        let mut filters: Vec<BandAnalytic> = Vec::new();
        let mut band = |key: String, band_hz: [f64; 2], problems: &mut Problems| {
            bands.iter().position(|b| *b == band_hz).or_else(|| {
                let flanks = Flanks { band_hz, stop: false, transition_hz: [None; 2], window: Window::Hamming };
                match flanks.design(input.rate_hz()) {
                    Ok(design) => filters.push(BandAnalytic::new(&design.taps, n.max(1))),
                    Err(error) => {
                        problems.add(&key, error.message());
                        return None;
                    }
                }
                bands.push(band_hz);
                Some(bands.len() - 1)
            })
        };
        let slow: Vec<_> =
            self.phase_hz.iter().enumerate().map(|(i, b)| band(format!("phase_hz[{i}]"), *b, problems)).collect();
        let fast: Vec<_> = self
            .amplitude_hz
            .iter()
            .enumerate()
            .map(|(i, b)| band(format!("amplitude_hz[{i}]"), *b, problems))
            .collect();
        let mut ratios = Vec::new();
        for (i, nm) in self.nm.iter().enumerate() {
            if !(1..=64).contains(&nm.n) || !(1..=64).contains(&nm.m) {
                problems.add(&format!("nm[{i}]"), format!("{}:{} is not a ratio of numbers from 1 to 64", nm.n, nm.m));
            }
            let a = band(format!("nm[{i}].a_hz"), nm.a_hz, problems);
            ratios.extend(a.zip(band(format!("nm[{i}].b_hz"), nm.b_hz, problems)).map(|(a, b)| [a, b]));
        }
        if self.measures.is_empty() {
            problems.add("measures", "names no measure");
        }
        if n < 8 {
            problems.add("", format!("needs epochs of at least 8 samples; here {n}"));
        }
        if problems.list().len() > before {
            return None;
        }
        let mut couplings = Vec::new();
        for (phase, amplitude) in slow.iter().flatten().flat_map(|p| fast.iter().flatten().map(move |a| (*p, *a))) {
            let ([low, high], [from, to]) = (bands[phase], bands[amplitude]);
            let first = (from / high).ceil().max(2.0);
            let harmonics = ((to / low.max(0.5)).floor() - first + 1.0).clamp(0.0, 64.0) as usize;
            couplings.push(Coupling { phase, amplitude, first_harmonic: first as u32, harmonics });
        }
        let threads = context.threads.max(1);
        let zeros = vec![vec![0.0; n]; filters.len()];
        let scratch = Scratch {
            re: zeros.clone(),
            im: zeros,
            filters,
            phases: Phases::new(n),
            twice: vec![0.0; 2 * n],
            running: vec![0.0; 2 * n + 1],
            turn: vec![0.0; 2 * n],
        };
        let fresh = |coupling: &Coupling| Sums {
            drawn: vec![[0.0; 3]; if self.pooled { 0 } else { self.surrogates }],
            drawn_paired: vec![Paired::default(); if self.pooled { self.surrogates } else { 0 }],
            harmonics: vec![[0.0; 2]; coupling.harmonics],
            ..Sums::default()
        };
        let slot = |&channel: &usize| Slot {
            channel,
            sums: (0..input.conditions).flat_map(|_| couplings.iter().map(fresh)).collect(),
            turns: ratios.iter().map(|_| [Turns::new(n), Turns::new(n)]).collect(),
            usable: false,
        };
        let slots: Vec<Slot> = channels.iter().map(slot).collect();
        let locked = input.conditions * ratios.len() * slots.len() * slots.len();
        let plan = Plan {
            config: self.clone(),
            bands,
            couplings,
            conditions: input.conditions,
            n,
            least_shift: (input.rate_hz().ceil() as usize).min(n / 3),
            seed: context.seed,
            ratios,
        };
        Some(Box::new(Pac {
            scratch: vec![scratch; threads],
            slots,
            shifts: vec![0; self.surrogates],
            locked: vec![Default::default(); locked],
            plan,
        }))
    }
}

impl PacConfig {
    fn find_channels(&self, input: &EpochInfo, problems: &mut Problems) -> Vec<usize> {
        let eeg = || (0..input.channels.len()).filter(|&c| input.is_eeg(c));
        let name = |c: usize| input.channels[c].name.as_str();
        for pattern in &self.channels {
            if !eeg().any(|c| glob(pattern, name(c))) {
                let hint = nearest(pattern, eeg().map(name)).map(|n| format!("; nearest: {n:?}")).unwrap_or_default();
                problems.add("channels", format!("there is no EEG channel {pattern:?}{hint}"));
            }
        }
        eeg().filter(|&c| self.channels.is_empty() || self.channels.iter().any(|p| glob(p, name(c)))).collect()
    }
}

impl Plan {
    /// One channel's epoch: filters it and adds to the channel's sums. Whether it could be used.
    fn add(&self, epoch: &Epoch, slot: &mut Slot, scratch: &mut Scratch, shifts: &[usize]) -> bool {
        let Scratch { filters, re, im, phases, twice, running, turn } = scratch;
        let (x, n) = (epoch.channel(slot.channel), self.n);
        let largest = x.iter().fold(0.0_f64, |m, v| if v.is_finite() { m.max(v.abs()) } else { f64::INFINITY });
        if epoch.bad[slot.channel] || largest == f64::INFINITY {
            return false;
        }
        for ((filter, re), im) in filters.iter_mut().zip(re.iter_mut()).zip(im.iter_mut()) {
            filter.apply(x, re, im);
            if re.iter().all(|v| v.abs() <= FLAT * largest) {
                return false;
            }
        }
        for ((nm, bands), turns) in self.config.nm.iter().zip(&self.ratios).zip(&mut slot.turns) {
            for ((turns, &band), k) in turns.iter_mut().zip(bands).zip([nm.n, nm.m]) {
                turns.set(&re[band], &im[band], k);
            }
        }
        let first = usize::from(epoch.condition) * self.couplings.len();
        for (coupling, sums) in self.couplings.iter().zip(slot.sums.iter_mut().skip(first)) {
            phases.set(&re[coupling.phase], &im[coupling.phase]);
            let fast = (&re[coupling.amplitude][..], &im[coupling.amplitude][..]);
            let mut sum = 0.0;
            for (i, (x, y)) in fast.0.iter().zip(fast.1).enumerate() {
                let a = (x * x + y * y).sqrt();
                (twice[i], twice[n + i]) = (a, a);
            }
            for (running, a) in running[1..].iter_mut().zip(twice.iter()) {
                sum += a;
                *running = sum;
            }
            let (tally, paired) = (phases.tally(&twice[..n]), phases.pair(&twice[..n]));
            sums.n_epochs += 1;
            sums.energy += twice[..n].iter().map(|a| a * a).sum::<f64>();
            add_harmonics(phases, coupling.first_harmonic, fast, turn, &mut sums.harmonics);
            let drawn = shifts.iter().map(|&shift| phases.pair_shifted(twice, running, shift));
            if self.config.pooled {
                sums.tally.merge(&tally);
                sums.paired.merge(&paired);
                sums.drawn_paired.iter_mut().zip(drawn).for_each(|(sum, drawn)| sum.merge(&drawn));
                continue;
            }
            sums.empty_bins = sums.empty_bins.max(tally.empty_bins());
            let values = measure(&tally, &paired);
            for (sum, value) in sums.values.iter_mut().zip(values) {
                *sum = (sum.0 + value.unwrap_or(0.0), sum.1 + u64::from(value.is_some()));
            }
            for (sum, drawn) in sums.drawn.iter_mut().zip(drawn) {
                sum.iter_mut().zip(measure(&tally, &drawn)).for_each(|(sum, value)| *sum += value.unwrap_or(0.0));
            }
        }
        true
    }

    /// What to mind about a pair of bands, and the share of harmonics.
    fn doubts(&self, coupling: &Coupling, sums: &Sums) -> (String, Option<f64>) {
        let ([_, phase], [low, high]) = (self.bands[coupling.phase], self.bands[coupling.amplitude]);
        let whole = sums.energy * sums.n_epochs as f64 * self.n as f64;
        let explained: f64 = sums.harmonics.iter().map(|[x, y]| x * x + y * y).sum();
        let share = (whole > 0.0).then(|| explained / whole);
        let narrow = (high - low < 2.0 * phase).then_some("amplitude_band_narrow");
        let harmonics = share.is_some_and(|s| s > HARMONIC_SHARE).then_some("harmonics");
        (narrow.into_iter().chain(harmonics).collect::<Vec<_>>().join(" "), share)
    }
}

/// In the order of [`MEASURES`].
fn measure(tally: &Tally, paired: &Paired) -> [Option<f64>; 3] {
    [tally.modulation_index(paired), tally.mean_vector(paired), tally.normalised_vector(paired)]
}

impl Sums {
    /// The value of a measure, and of its surrogates.
    fn value(&self, pooled: bool, which: usize) -> (Option<f64>, Vec<f64>) {
        if pooled {
            let drawn = self.drawn_paired.iter().filter_map(|p| measure(&self.tally, p)[which]).collect();
            return (measure(&self.tally, &self.paired)[which], drawn);
        }
        let (sum, n) = self.values[which];
        if n == 0 {
            return (None, Vec::new());
        }
        (Some(sum / n as f64), self.drawn.iter().map(|d| d[which] / n as f64).collect())
    }

    fn forget(&mut self) {
        self.drawn.fill([0.0; 3]);
        self.drawn_paired.fill(Paired::default());
        self.harmonics.fill([0.0; 2]);
        let (drawn, drawn_paired) = (std::mem::take(&mut self.drawn), std::mem::take(&mut self.drawn_paired));
        *self = Self { drawn, drawn_paired, harmonics: std::mem::take(&mut self.harmonics), ..Self::default() };
    }
}

/// Distance from the surrogates' mean in their standard deviations, and the share that come as far.
fn against(value: f64, drawn: &[f64]) -> (Option<f64>, Option<f64>) {
    if drawn.len() < 2 {
        return (None, None);
    }
    let k = drawn.len() as f64;
    let mean = drawn.iter().sum::<f64>() / k;
    let sd = (drawn.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / (k - 1.0)).sqrt();
    let above = drawn.iter().filter(|d| **d >= value).count() as f64;
    ((sd > 0.0).then(|| (value - mean) / sd), Some((1.0 + above) / (1.0 + k)))
}

impl Marker for Pac {
    fn observe(&mut self, epoch: &Epoch) {
        let Self { plan, scratch, slots, shifts, locked } = self;
        if usize::from(epoch.condition) >= plan.conditions {
            return;
        }
        let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
        random.set_stream(epoch.trial);
        let room = (plan.n - 2 * plan.least_shift) as u64 + 1;
        shifts.iter_mut().for_each(|s| *s = plan.least_shift + (random.next_u64() % room) as usize);
        let shifts = &shifts[..];
        if let [scratch] = &mut scratch[..] {
            slots.iter_mut().for_each(|slot| slot.usable = plan.add(epoch, slot, scratch, shifts));
        } else {
            let piece = slots.len().div_ceil(scratch.len()).max(1);
            slots.par_chunks_mut(piece).zip(scratch).for_each(|(slots, scratch)| {
                slots.iter_mut().for_each(|slot| slot.usable = plan.add(epoch, slot, scratch, shifts));
            });
        }
        let (k, ratios) = (slots.len(), plan.ratios.len());
        for r in 0..ratios {
            let first = (usize::from(epoch.condition) * ratios + r) * k * k;
            for (at, cell) in locked[first..first + k * k].iter_mut().enumerate() {
                let (a, b) = (at / k, at % k);
                if (a == b || plan.config.across) && slots[a].usable && slots[b].usable {
                    let [x, y] = slots[a].turns[r][0].locking(&slots[b].turns[r][1]);
                    *cell = ([cell.0[0] + x, cell.0[1] + y], cell.1 + plan.n as u64);
                }
            }
        }
    }

    fn report(&self, report: &Report<'_>) -> Vec<Table> {
        let plan = &self.plan;
        let (mut pac, mut nm) = (Table::new(&PAC), Table::new(&NM));
        let bad = |slot: &Slot| report.bad.get(slot.channel).copied().unwrap_or(false);
        let name = |slot: &Slot| Cell::from(report.input.channels[slot.channel].name.clone());
        for (c, _) in report.averages.iter().enumerate().filter(|(_, a)| a.n() > 0) {
            let condition = u16::try_from(c).ok();
            for slot in &self.slots {
                let sums = slot.sums.iter().skip(c * plan.couplings.len());
                for (coupling, sums) in plan.couplings.iter().zip(sums) {
                    let asked = MEASURES.iter().enumerate().filter(|(_, m)| plan.config.measures.contains(&m.0));
                    for (which, (_, measure)) in asked {
                        let (value, drawn) = sums.value(plan.config.pooled, which);
                        let (z, p) = value.map_or((None, None), |v| against(v, &drawn));
                        let (mut note, mut share) = plan.doubts(coupling, sums);
                        let hide = bad(slot);
                        if hide {
                            (note, share) = ("bad_channel".to_owned(), None);
                        }
                        let shown = |v: Option<f64>| Cell::from(v.filter(|_| !hide));
                        let pooled = plan.config.pooled;
                        let empty = if pooled { sums.tally.empty_bins() } else { sums.empty_bins };
                        let n_epochs = if pooled { sums.n_epochs } else { sums.values[which].1 };
                        let (phase, amplitude) = (plan.bands[coupling.phase], plan.bands[coupling.amplitude]);
                        let head = [name(slot), phase[0].into(), phase[1].into(), amplitude[0].into()];
                        let tail = [
                            amplitude[1].into(),
                            (*measure).into(),
                            shown(value),
                            n_epochs.into(),
                            Cell::from((sums.n_epochs > 0).then_some(empty)),
                            shown(z),
                            shown(p),
                            note.into(),
                            share.into(),
                        ];
                        pac.push(condition, head.into_iter().chain(tail));
                    }
                }
            }
            let (k, ratios) = (self.slots.len(), plan.ratios.len());
            for (r, (ratio, bands)) in plan.config.nm.iter().zip(&plan.ratios).enumerate() {
                let [a_hz, b_hz] = bands.map(|b| plan.bands[b]);
                let (n, m) = (f64::from(ratio.n), f64::from(ratio.m));
                let apart = n * a_hz[1] <= m * b_hz[0] || m * b_hz[1] <= n * a_hz[0];
                for (a, b) in (0..k * k).map(|at| (at / k, at % k)).filter(|(a, b)| plan.config.across || a == b) {
                    let (sum, samples) = self.locked[((c * ratios + r) * k + a) * k + b];
                    let (left, right) = (&self.slots[a], &self.slots[b]);
                    let hide = bad(left) || bad(right);
                    let value = (samples > 0 && !hide).then(|| sum[0].hypot(sum[1]) / samples as f64);
                    let own = (a == b && ratio.n != ratio.m).then_some("own_harmonics");
                    let notes = [hide.then_some("bad_channel"), apart.then_some("bands_do_not_meet"), own];
                    let head = [name(left), name(right), ratio.n.into(), ratio.m.into()];
                    let edges = [a_hz[0], a_hz[1], b_hz[0], b_hz[1]].map(Cell::from);
                    let note = notes.into_iter().flatten().collect::<Vec<_>>().join(" ");
                    nm.push(
                        condition,
                        head.into_iter().chain(edges).chain([value.into(), samples.into(), note.into()]),
                    );
                }
            }
        }
        if plan.config.nm.is_empty() { vec![pac] } else { vec![pac, nm] }
    }

    fn reset(&mut self) {
        self.slots.iter_mut().flat_map(|s| &mut s.sums).for_each(Sums::forget);
        self.locked.fill(Default::default());
    }

    fn memory_bytes(&self) -> u64 {
        let scratch = |s: &Scratch| {
            let filters: u64 = s.filters.iter().map(BandAnalytic::memory_bytes).sum();
            filters + s.phases.memory_bytes() + (16 * s.re.len() * self.plan.n + 48 * self.plan.n) as u64
        };
        let sums =
            |s: &Sums| size_of::<Sums>() + 24 * s.drawn.len() + 160 * s.drawn_paired.len() + 16 * s.harmonics.len();
        let slot = |s: &Slot| {
            let turns: u64 = s.turns.iter().flatten().map(Turns::memory_bytes).sum();
            turns + s.sums.iter().map(sums).sum::<usize>() as u64
        };
        let slots: u64 = self.slots.iter().map(slot).sum();
        self.scratch.iter().map(scratch).sum::<u64>() + slots + size_of_val(&self.locked[..]) as u64
    }
}

#[cfg(test)]
#[path = "pac/tests.rs"]
mod tests;
