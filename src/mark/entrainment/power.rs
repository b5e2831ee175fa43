//! Table `phase_power`: power of a band by the phase of the stimulation.

use super::reference::{Kind, Place};
use crate::dsp::analytic::BandAnalytic;
use crate::dsp::fir::Flanks;
use crate::dsp::pac::{BINS, Paired, Phases, Tally};
use crate::dsp::window::Window;
use crate::flow::{EpochInfo, Problems, Report};
use crate::mark::bands::Bands;
use crate::signal::Epoch;
use crate::table::{Cell, Column, Table, TableSpec};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::f64::consts::TAU;

/// Columns of `phase_power`.
pub static PHASE_POWER: TableSpec = TableSpec {
    name: "phase_power",
    about: "Power of a channel's band in one of 18 bins of the stimulation's phase",
    series: true,
    columns: &[
        Column::new("stimulus", "", "Number of the kind of stimulation, as in `entrainment`"),
        Column::new("channel", "", "EEG channel, as the file spells it"),
        Column::new("band", "", "Name of the band"),
        Column::new("low_hz", "Hz", "Start of the band"),
        Column::new("high_hz", "Hz", "End of the band"),
        Column::new("phase_deg", "", "Middle of the bin, degrees: 0 where the current has its positive peak"),
        Column::new("power_uv2", "uV2", "Mean square of the band's envelope in the bin, over two: the band's power"),
        Column::new("n_samples", "", "Samples in the bin; neighbours are not independent"),
        Column::new("mi", "", "Modulation index of the mean amplitudes over all bins (Tort et al. 2010)"),
        Column::new("p", "", "How often the phase turned at random, epoch by epoch, gives as much"),
        Column::new("n_epochs", "", "Epochs behind it"),
        Column::new("valid", "", "0 where an epoch lies in the stimulation: see `tacs`"),
        Column::new(
            "note",
            "",
            "amplitude_band_narrow: narrower than twice the stimulation's frequency, so the modulation has been filtered away",
        ),
    ],
};

/// Sums of one channel and band for one kind in one condition.
#[derive(Debug, Clone)]
struct Sums {
    epochs: u64,
    tally: Tally,
    amplitude: Paired,
    power: [f64; BINS],
    /// Mean amplitudes per bin, summed over epochs: as they are, and turned.
    means: [f64; BINS],
    drawn: Vec<[f64; BINS]>,
}

impl Sums {
    fn new(surrogates: usize) -> Self {
        Self {
            epochs: 0,
            tally: Tally::default(),
            amplitude: Paired::default(),
            power: [0.0; BINS],
            means: [0.0; BINS],
            drawn: vec![[0.0; BINS]; surrogates],
        }
    }

    fn reset(&mut self) {
        (self.epochs, self.tally, self.amplitude) = (0, Tally::default(), Paired::default());
        (self.power, self.means) = ([0.0; BINS], [0.0; BINS]);
        self.drawn.fill([0.0; BINS]);
    }
}

/// Power by phase, of all channels and bands.
pub(super) struct PhasePower {
    bands: Bands,
    filters: Vec<BandAnalytic>,
    shape: (usize, usize, usize),
    seed: u64,
    phases: Phases,
    angles: Vec<f64>,
    re: Vec<f64>,
    im: Vec<f64>,
    /// This epoch's turns, in bins.
    turns: Vec<usize>,
    /// `[condition][kind][channel][band]`
    sums: Vec<Sums>,
    /// `[condition][kind]`: whether an epoch lay in the stimulation.
    during: Vec<bool>,
}

/// Most memory that the surrogates may take.
const MOST_BYTES: f64 = 4e9;
/// A band-passed signal this much smaller than what was recorded is rounding.
const FLAT: f64 = 1e-12;

impl PhasePower {
    /// For (conditions, kinds, channels).
    pub fn new(
        bands: &Bands,
        surrogates: usize,
        input: &EpochInfo,
        shape: (usize, usize, usize),
        seed: u64,
        problems: &mut Problems,
    ) -> Option<Self> {
        let before = problems.list().len();
        let n = input.len;
        let mut filters = Vec::new();
        for (name, band_hz) in &bands.0 {
            let flanks = Flanks { band_hz: *band_hz, stop: false, transition_hz: [None; 2], window: Window::Hamming };
            match flanks.design(input.rate_hz()) {
                Ok(design) => filters.push(BandAnalytic::new(&design.taps, n.max(1))),
                Err(error) => problems.add(&format!("power_hz.{name}"), error.message()),
            }
        }
        let count = shape.0 * shape.1 * shape.2 * bands.0.len();
        let bytes = count as f64 * (surrogates as f64 + 5.0) * (8 * BINS) as f64;
        if bytes > MOST_BYTES {
            let message = format!("{surrogates} for {count} series take {:.1} GB; at most 4 GB", bytes / 1e9);
            problems.add("surrogates", message);
        }
        (problems.list().len() == before).then(|| Self {
            bands: bands.clone(),
            filters,
            shape,
            seed,
            phases: Phases::new(n),
            angles: vec![0.0; n],
            re: vec![0.0; n],
            im: vec![0.0; n],
            turns: vec![0; surrogates],
            sums: vec![Sums::new(surrogates); count],
            during: vec![false; shape.0 * shape.1],
        })
    }

    /// A kept epoch, whole.
    pub fn observe(&mut self, epoch: &Epoch, place: &Place, condition: usize, channels: &[usize]) {
        if self.filters.is_empty() || epoch.filled.contains(&true) {
            return;
        }
        for (i, angle) in self.angles.iter_mut().enumerate() {
            let cycles = place.start + place.step * i as f64;
            // the nearest whole number of cycles away: −π ≤ φ ≤ π
            *angle = TAU * (cycles - cycles.round());
        }
        self.phases.set_angles(&self.angles);
        // what is drawn depends on the seed and the trial, and on nothing else
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(epoch.trial);
        self.turns.iter_mut().for_each(|t| *t = (random.next_u64() % BINS as u64) as usize);
        let group = condition * self.shape.1 + place.kind;
        self.during[group] |= place.during;
        for (slot, &c) in channels.iter().enumerate() {
            let x = epoch.channel(c);
            let largest = x.iter().fold(0.0_f64, |m, v| if v.is_finite() { m.max(v.abs()) } else { f64::INFINITY });
            if epoch.bad[c] || largest == f64::INFINITY {
                continue;
            }
            for (b, filter) in self.filters.iter_mut().enumerate() {
                filter.apply(x, &mut self.re, &mut self.im);
                if self.re.iter().all(|v| v.abs() <= FLAT * largest) {
                    continue;
                }
                let sums = &mut self.sums[(group * self.shape.2 + slot) * self.bands.0.len() + b];
                // the envelope, and then half its square, in the filter's own buffer
                self.re.iter_mut().zip(&self.im).for_each(|(x, y)| *x = (*x * *x + y * y).sqrt());
                let (tally, paired) = (self.phases.tally(&self.re), self.phases.pair(&self.re));
                self.re.iter_mut().for_each(|a| *a *= *a / 2.0);
                let power = self.phases.pair(&self.re).bins;
                sums.epochs += 1;
                sums.tally.merge(&tally);
                sums.amplitude.merge(&paired);
                sums.power.iter_mut().zip(&power).for_each(|(a, b)| *a += b);
                if tally.empty_bins() > 0 {
                    continue;
                }
                let mut means = paired.bins;
                means.iter_mut().zip(&tally.counts).for_each(|(m, n)| *m /= *n as f64);
                sums.means.iter_mut().zip(&means).for_each(|(a, b)| *a += b);
                for (drawn, &turn) in sums.drawn.iter_mut().zip(&self.turns) {
                    for (k, mean) in means.iter().enumerate() {
                        drawn[(k + turn) % BINS] += mean;
                    }
                }
            }
        }
    }

    /// The table as of now.
    pub fn table(&self, report: &Report<'_>, kinds: &[Kind], channels: &[usize]) -> Table {
        let mut table = Table::new(&PHASE_POWER);
        let mut one = Tally::default();
        (one.n, one.counts) = (BINS as u64, [1; BINS]);
        let index = |bins: &[f64; BINS]| one.modulation_index(&Paired { bins: *bins, ..Paired::default() });
        for (condition, k) in (0..self.shape.0).flat_map(|c| (0..self.shape.1).map(move |k| (c, k))) {
            let group = condition * self.shape.1 + k;
            for ((slot, &c), b) in
                channels.iter().enumerate().flat_map(|s| (0..self.bands.0.len()).map(move |b| (s, b)))
            {
                let sums = &self.sums[(group * self.shape.2 + slot) * self.bands.0.len() + b];
                if sums.epochs == 0 {
                    continue;
                }
                let (name, [low, high]) = &self.bands.0[b];
                let reached = index(&sums.means).filter(|_| !sums.drawn.is_empty());
                let p = reached.map(|v| {
                    let more = sums.drawn.iter().filter(|d| index(d).is_some_and(|d| d >= v)).count();
                    (1 + more) as f64 / (1 + sums.drawn.len()) as f64
                });
                let narrow = high - low < 2.0 * kinds[k].frequency_hz;
                let mi = sums.tally.modulation_index(&sums.amplitude);
                for bin in 0..BINS {
                    let n = sums.tally.counts[bin];
                    table.push(
                        u16::try_from(condition).ok(),
                        [
                            (k + 1).into(),
                            report.input.channels[c].name.clone().into(),
                            name.clone().into(),
                            (*low).into(),
                            (*high).into(),
                            ((bin as f64 + 0.5) * 360.0 / BINS as f64 - 180.0).into(),
                            (n > 0).then(|| sums.power[bin] / n as f64).into(),
                            n.into(),
                            mi.into(),
                            p.into(),
                            sums.epochs.into(),
                            (!self.during[group]).into(),
                            if narrow { Cell::from("amplitude_band_narrow") } else { Cell::Missing },
                        ],
                    );
                }
            }
        }
        table
    }

    /// Forgets all epochs.
    pub fn reset(&mut self) {
        self.sums.iter_mut().for_each(Sums::reset);
        self.during.fill(false);
    }

    /// Bytes of its buffers.
    pub fn memory_bytes(&self) -> u64 {
        let sums: usize = self.sums.iter().map(|s| size_of::<Sums>() + 8 * BINS * s.drawn.len()).sum();
        let filters: u64 = self.filters.iter().map(BandAnalytic::memory_bytes).sum();
        (sums + 24 * self.angles.len()) as u64 + filters + self.phases.memory_bytes()
    }
}
