//! Tables `after_effect` and `drift`: what changed from one condition to another, from before stimulation to after it.
//!
//! Each epoch loses its straight line, is tapered (Hann) and transformed once; power, and cross-spectra of pairs, are summed
//! over blocks of consecutive epochs. All changes are functions of the blocks' sums, so a bootstrap draws blocks with
//! replacement from either condition, and a permutation deals all blocks out anew: neighbouring epochs are alike, blocks
//! hardly are. Measured:
//!
//! * `power`: 10 lg of the ratio of band powers, dB;
//! * `alpha_corrected`: the same of Σ (P − A) within the individual alpha frequency ± `around_hz`, where the aperiodic part A is
//!   the line through lg P over lg f within `fit_hz`, the alpha range and its next 1 Hz left out (as in Vossen et al. 2015,
//!   10.1016/j.brs.2014.12.004, with the slope of 1/f taken off);
//! * `alpha_gravity`: the centre of gravity Σ f P / Σ P of that range, Hz, and `alpha_peak` over channels (Corcoran et al. 2018,
//!   10.1111/psyp.13064), which moves by bins and has no interval;
//! * connectivity: the mean over the band's bins of `wpli2_debiased` (Vinck et al. 2011) or `imcoh` (Nolte 2004), of listed pairs
//!   or, as a mean over pairs, of all (there of |imcoh|, whose bias depends on the number of epochs).
//!
//! A block that is drawn twice holds each epoch twice; the debiased measure leaves out products of an epoch with its copy.
//! **Time on task changes power, too**: sham sessions drift. A change within one session is no effect of the current.

mod blocks;
mod couplings;
mod drift;
mod report;

use self::blocks::Blocks;
use self::couplings::Couplings;
pub use self::drift::DRIFT;
use self::drift::{Drift, slope_per_sample};
use super::bands::{self, Bands};
use super::entrainment::eeg_channels;
use crate::dsp::fft::{Complex, RealFft};
use crate::dsp::window::{Symmetry, Window};
use crate::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::signal::Epoch;
use crate::table::{Column, Table, TableSpec};
use serde::{Deserialize, Serialize};

/// Columns of `after_effect`.
pub static AFTER_EFFECT: TableSpec = TableSpec {
    name: "after_effect",
    about: "What changed in one measure from one condition to another, with a 95 % block-bootstrap interval",
    series: false,
    columns: &[
        Column::new("from", "", "The condition before"),
        Column::new("to", "", "The condition after"),
        Column::new("measure", "", "power, alpha_corrected, alpha_gravity, alpha_peak, wpli2_debiased or imcoh"),
        Column::new("band", "", "Name of the band; `alpha` is the individual one for the alpha measures"),
        Column::new("low_hz", "Hz", "Start of the band"),
        Column::new("high_hz", "Hz", "End of the band, not included"),
        Column::new("channel_a", "", "EEG channel, the first of a pair; `mean`: over channels, or over all pairs"),
        Column::new("channel_b", "", "The second of a pair"),
        Column::new("value_from", "", "The measure before: uV2, Hz, or no unit"),
        Column::new("value_to", "", "The measure after, in the same unit"),
        Column::new("change", "", "After against before, in change_unit; of `mean` the mean of the changes"),
        Column::new("change_unit", "", "dB: ten times the logarithm of the ratio; Hz, or 1: the difference"),
        Column::new("ci_low", "", "Lower end of the 95 % block-bootstrap interval of the change"),
        Column::new("ci_high", "", "Upper end"),
        Column::new("p", "", "How often blocks dealt out anew change as much; not corrected for the number of rows"),
        Column::new("n_from", "", "Epochs before"),
        Column::new("n_to", "", "Epochs after"),
        Column::new("block_epochs", "", "Epochs per block, the longer of the two conditions'"),
        Column::new(
            "caveat",
            "",
            "time_on_task: power and connectivity drift under sham, too; few_blocks: no interval; no_peak: no alpha peak before; biased_by_n: more epochs alone lower it; no_condition; high_pass, low_pass, band_stop: a filter reaches into the fit",
        ),
    ],
};

/// `use = "after-effect"`. Epochs with bridged samples do not count; nor does a channel that is bad, not finite or flat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AfterEffectConfig {
    /// The condition before, by name or glob.
    pub from: String,
    /// The condition after, by name or glob; each is compared with each before.
    pub to: String,
    /// Channels by name or glob; empty: all EEG channels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// Bands of `power`.
    pub bands_hz: Bands,
    /// Range of the aperiodic line.
    pub fit_hz: [f64; 2],
    /// The alpha range reaches so far to either side of the individual alpha frequency.
    pub around_hz: f64,
    /// `wpli2_debiased`, `imcoh`; empty: none.
    pub connectivity: Vec<String>,
    /// Bands of connectivity.
    pub connectivity_hz: Bands,
    /// Pairs of channels; empty: the mean over all pairs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<[String; 2]>,
    /// Epochs per block, at first: with more than 64 blocks neighbours are joined. Default 4.
    pub block_epochs: u32,
    /// Bootstrap draws, and as many permutations; 0: none.
    pub draws: usize,
    /// The same for connectivity.
    pub connectivity_draws: usize,
}

impl Default for AfterEffectConfig {
    fn default() -> Self {
        Self {
            from: "pre".to_owned(),
            to: "post".to_owned(),
            channels: Vec::new(),
            bands_hz: Bands::default(),
            fit_hz: [2.0, 40.0],
            around_hz: 2.0,
            connectivity: vec!["wpli2_debiased".to_owned()],
            connectivity_hz: Bands(vec![("alpha".to_owned(), [8.0, 13.0])]),
            pairs: Vec::new(),
            block_epochs: 4,
            draws: 1000,
            connectivity_draws: 200,
        }
    }
}

/// Most blocks of a condition; an even number.
const MOST_BLOCKS: usize = 64;
/// Samples this much smaller than what was recorded are rounding.
const FLAT: f64 = 1e-13;

impl MarkerConfig for AfterEffectConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 2] = [&AFTER_EFFECT, &DRIFT];
        &TABLES
    }

    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>> {
        let before = problems.list().len();
        let channels = eeg_channels(&self.channels, input, problems);
        let (rate_hz, n) = (input.rate_hz(), input.len);
        let resolution_hz = rate_hz / n.max(1) as f64;
        for (key, bands) in [("bands_hz", &self.bands_hz), ("connectivity_hz", &self.connectivity_hz)] {
            for (name, band) in &bands.0 {
                let key = format!("{key}.{name}");
                let there = bands::check(&key, *band, rate_hz, problems);
                if there && bin(band[0], resolution_hz) >= bin(band[1], resolution_hz) {
                    let [low, high] = band;
                    problems.add(&key, format!("{low}…{high} Hz holds none of the bins, {resolution_hz} Hz apart"));
                }
            }
        }
        let [low, high] = self.fit_hz;
        if !(low > 0.0 && high > low + 4.0 * self.around_hz + 2.0) {
            problems.add(
                "fit_hz",
                format!("{low}…{high} Hz leaves nothing beside an alpha range of ±{} Hz", self.around_hz),
            );
        } else if high > rate_hz / 2.0 {
            problems.add("fit_hz", format!("needs a rate above {} Hz; here {rate_hz} Hz", 2.0 * high));
        }
        if self.around_hz.is_nan() || self.around_hz < resolution_hz {
            problems.add("around_hz", format!("{} Hz is less than a bin, {resolution_hz} Hz", self.around_hz));
        }
        if !(1..=100_000).contains(&self.block_epochs) {
            problems.add("block_epochs", format!("{} is not between 1 and 100000", self.block_epochs));
        }
        if self.draws > 1_000_000 || self.connectivity_draws > 1_000_000 {
            problems.add("draws", format!("{} is more than 1000000", self.draws.max(self.connectivity_draws)));
        }
        let couplings = Couplings::new(self, input, &channels, problems);
        if problems.list().len() > before {
            return None;
        }
        let taper = Window::Hann.samples(n, Symmetry::Periodic);
        let scale = 2.0 / (rate_hz * taper.iter().map(|w| w * w).sum::<f64>());
        let top = self.bands_hz.0.iter().map(|(_, b)| b[1]).fold(high, f64::max);
        let fft = RealFft::new(n);
        let bins = (bin(top, resolution_hz) + 1).min(fft.bins());
        let blocks = Blocks::new(channels.len(), bins, MOST_BLOCKS, self.block_epochs);
        Some(Box::new(AfterEffect {
            config: self.clone(),
            names: channels.iter().map(|&c| input.channels[c].name.clone()).collect(),
            drift: Drift::new(input.conditions, channels.len(), rate_hz),
            tapered: vec![0.0; n],
            spectrum: vec![Complex::new(0.0, 0.0); fft.bins()],
            power: vec![blocks; input.conditions],
            touched: context.passband.touched(low, high),
            seed: context.seed,
            channels,
            resolution_hz,
            bins,
            taper,
            scale,
            fft,
            couplings,
        }))
    }
}

/// First bin at or above a frequency, within 1e-9 of a bin.
fn bin(hz: f64, resolution_hz: f64) -> usize {
    (hz / resolution_hz - 1e-9).ceil().max(0.0) as usize
}

struct AfterEffect {
    config: AfterEffectConfig,
    channels: Vec<usize>,
    names: Vec<String>,
    resolution_hz: f64,
    /// Bins that are kept, from 0 Hz.
    bins: usize,
    fft: RealFft,
    taper: Vec<f64>,
    scale: f64,
    tapered: Vec<f64>,
    spectrum: Vec<Complex>,
    /// Densities per condition: a series is a channel.
    power: Vec<Blocks>,
    couplings: Option<Couplings>,
    drift: Drift,
    /// Which filter reaches into the aperiodic fit.
    touched: Option<String>,
    seed: u64,
}

impl AfterEffect {
    /// Fills `tapered` from a channel's samples without their line; `false` where there is nothing to measure.
    fn prepare(&mut self, x: &[f64]) -> bool {
        let first = x.first().copied().unwrap_or(f64::NAN);
        let n = x.len() as f64;
        let mean = first + x.iter().map(|v| v - first).sum::<f64>() / n;
        if !mean.is_finite() {
            return false;
        }
        let middle = (n - 1.0) / 2.0;
        let slope = slope_per_sample(x, mean, middle);
        let (mut size, mut left) = (0.0_f64, 0.0_f64);
        for (i, ((t, x), w)) in self.tapered.iter_mut().zip(x).zip(&self.taper).enumerate() {
            let v = x - mean - slope * (i as f64 - middle);
            (size, left) = (size.max(x.abs()), left.max(v.abs()));
            *t = v * w;
        }
        left > FLAT * size
    }
}

impl Marker for AfterEffect {
    fn observe(&mut self, epoch: &Epoch) {
        let condition = usize::from(epoch.condition);
        if condition >= self.power.len() || epoch.filled.contains(&true) {
            return;
        }
        self.power[condition].begin();
        if let Some(couplings) = &mut self.couplings {
            couplings.begin(condition);
        }
        for slot in 0..self.channels.len() {
            let c = self.channels[slot];
            let x = epoch.channel(c);
            if epoch.bad[c] || !x.iter().sum::<f64>().is_finite() {
                continue;
            }
            self.drift.add(epoch, slot, x);
            if !self.prepare(x) {
                continue;
            }
            self.fft.forward(&self.tapered, &mut self.spectrum);
            let (sums, n) = self.power[condition].slot(slot);
            *n += 1;
            sums.iter_mut().zip(&self.spectrum).for_each(|(s, x)| *s += (x.re * x.re + x.im * x.im) * self.scale);
            if let Some(couplings) = &mut self.couplings {
                couplings.take(slot, &self.spectrum);
            }
        }
        if let Some(couplings) = &mut self.couplings {
            couplings.finish(condition);
        }
    }

    fn report(&self, report: &Report<'_>) -> Vec<Table> {
        vec![self.changes(report), self.drift.table(report, &self.channels)]
    }

    fn reset(&mut self) {
        self.power.iter_mut().for_each(Blocks::reset);
        if let Some(couplings) = &mut self.couplings {
            couplings.reset();
        }
        self.drift.reset();
    }

    fn memory_bytes(&self) -> u64 {
        let power: u64 = self.power.iter().map(Blocks::memory_bytes).sum();
        let couplings = self.couplings.as_ref().map_or(0, Couplings::memory_bytes);
        power + couplings + self.drift.memory_bytes() + self.fft.memory_bytes() + 16 * self.taper.len() as u64
    }
}

#[cfg(test)]
mod tests;
