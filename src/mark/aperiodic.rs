//! Tables `aperiodic` and `aperiodic_peaks`: the 1/f part of each channel's spectrum, and the peaks upon it.
//!
//! A fit whose range reaches beyond what the filters before it pass is biased (a 2 Hz high-pass turns 1/f into 1/f^0.8
//! or so over 2–40 Hz), so it is not given, and `reason` says why; `at_edge = "warn"` gives it with the reason. The filters
//! of the recipe are known; what the amplifier took away before is not.

use crate::dsp::aperiodic::irasa::{LARGEST_FACTOR, Plan, Scratch};
use crate::dsp::aperiodic::{Fit, PeakRule, Shape, Trouble, fit, line_fit};
use crate::dsp::resample::Padding;
use crate::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::signal::{Epoch, PsdConfig};
use crate::table::{Cell, Column, Table, TableSpec};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Columns of `aperiodic`.
pub static APERIODIC: TableSpec = TableSpec {
    name: "aperiodic",
    about: "The aperiodic part of a channel's spectrum: log10 power = offset - log10(knee + f^exponent)",
    series: false,
    columns: &[
        Column::new("channel", "", "EEG channel, as the file spells it"),
        Column::new("low_hz", "Hz", "Lowest frequency of the fit"),
        Column::new("high_hz", "Hz", "Highest frequency of the fit, included"),
        Column::new("offset", "", "log10 of the aperiodic power density (uV^2/Hz) at 1 Hz, without a knee"),
        Column::new("exponent", "", "How steeply power falls: 1/f^exponent, positive for falling"),
        Column::new("knee", "", "The knee's parameter k; empty without one"),
        Column::new("r_squared", "", "Squared correlation of model and log10 power"),
        Column::new("n_peaks", "", "Peaks upon the aperiodic part, see `aperiodic_peaks`; empty for irasa"),
        Column::new("knee_hz", "Hz", "Where the knee lies, k^(1/exponent); empty without one, or where k is negative"),
        Column::new("method", "", "`fixed`, `knee` (Donoghue et al. 2020) or `irasa` (Wen & Liu 2016)"),
        Column::new("error_log10", "", "Mean absolute difference of model and log10 power"),
        Column::new("n_windows", "", "Windows behind the spectrum; epochs for irasa"),
        Column::new(
            "reason",
            "",
            "Why there is no value, or why it is biased: `bad`, `no_epochs`, `high_pass`, `low_pass`, `band_stop`, `few_bins`, `non_positive_power`, `no_fit`",
        ),
    ],
};

/// Columns of `aperiodic_peaks`.
pub static APERIODIC_PEAKS: TableSpec = TableSpec {
    name: "aperiodic_peaks",
    about: "A Gaussian peak upon the aperiodic part of a channel's spectrum",
    series: false,
    columns: &[
        Column::new("channel", "", "EEG channel, as the file spells it"),
        Column::new("center_hz", "Hz", "Centre of the peak"),
        Column::new("height_log10", "", "Height of the model above the aperiodic part there, log10 units"),
        Column::new("bandwidth_hz", "Hz", "Two standard deviations of the peak"),
    ],
};

/// How the aperiodic part is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// A line in log–log, with peaks.
    Fixed,
    /// With a knee, and peaks.
    Knee,
    /// By resampling, then a line in log–log.
    Irasa,
}

/// What is done where the range reaches beyond a filter's edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AtEdge {
    /// No value, and the reason.
    Refuse,
    /// The value, and the reason.
    Warn,
}

/// `use = "aperiodic"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AperiodicConfig {
    /// `fixed`, `knee` or `irasa`.
    pub method: Method,
    /// Range of the fit, both ends included.
    pub range_hz: [f64; 2],
    /// Narrowest and widest bandwidth of a peak.
    pub peak_width_hz: [f64; 2],
    /// Most peaks.
    pub max_peaks: usize,
    /// A peak is higher than this, log10 units.
    pub min_peak_height: f64,
    /// … and higher than this many standard deviations of the flattened spectrum.
    pub peak_threshold_sd: f64,
    /// What to do where the range touches a filter's edge: `refuse` or `warn`.
    pub at_edge: AtEdge,
    /// The spectrum that is fitted (not by irasa, which looks at whole epochs itself).
    pub psd: PsdConfig,
}

impl Default for AperiodicConfig {
    fn default() -> Self {
        Self {
            method: Method::Fixed,
            range_hz: [2.0, 40.0],
            peak_width_hz: [0.5, 12.0],
            max_peaks: 20,
            min_peak_height: 0.0,
            peak_threshold_sd: 2.0,
            at_edge: AtEdge::Refuse,
            psd: PsdConfig::default(),
        }
    }
}

impl AperiodicConfig {
    fn method_name(&self) -> &'static str {
        match self.method {
            Method::Fixed => "fixed",
            Method::Knee => "knee",
            Method::Irasa => "irasa",
        }
    }

    /// What the fit depends on.
    fn reach_hz(&self) -> [f64; 2] {
        let [low, high] = self.range_hz;
        if self.method == Method::Irasa { [low / LARGEST_FACTOR, high * LARGEST_FACTOR] } else { [low, high] }
    }

    fn check(&self, rate_hz: f64, problems: &mut Problems) {
        let [low, high] = self.range_hz;
        let top = self.reach_hz()[1];
        if !(low > 0.0 && high > low) {
            problems.add("range_hz", format!("{low}…{high} Hz is not a range above 0 Hz"));
        } else if top > rate_hz / 2.0 {
            problems.add("range_hz", format!("needs a rate above {} Hz; here {rate_hz} Hz", 2.0 * top));
        }
        let [narrow, wide] = self.peak_width_hz;
        if !(narrow > 0.0 && wide > narrow) {
            problems.add("peak_width_hz", format!("{narrow}…{wide} Hz is not a range above 0 Hz"));
        }
    }
}

impl MarkerConfig for AperiodicConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 2] = [&APERIODIC, &APERIODIC_PEAKS];
        &TABLES
    }

    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>> {
        let before = problems.list().len();
        self.check(input.rate_hz(), problems);
        let eeg: Vec<usize> = (0..input.channels.len()).filter(|&c| input.is_eeg(c)).collect();
        let (mut spectrum, mut irasa) = (None, None);
        if self.method == Method::Irasa {
            let segment = Plan::longest_segment(input.len);
            let plan = Plan::new(input.len, input.rate_hz(), segment, segment.div_ceil(2), Padding::Reflect);
            if plan.is_none() {
                problems.add("method", format!("irasa needs epochs longer than {} samples", input.len));
            }
            irasa = plan.map(|plan| Irasa::new(plan, &eeg, input.conditions, context.threads));
        } else {
            spectrum = context.spectrum(&self.psd, input, problems);
        }
        let [low, high] = self.reach_hz();
        let marker =
            Aperiodic { config: self.clone(), eeg, spectrum, irasa, touched: context.passband.touched(low, high) };
        (problems.list().len() == before).then(|| Box::new(marker) as Box<dyn Marker>)
    }
}

/// Eight channels' IRASA sums.
struct Group {
    channels: Vec<usize>,
    scratch: Scratch,
    /// (condition × lane × resampler × bin), and epochs per (condition × lane).
    sums: Vec<f64>,
    n: Vec<u64>,
}

struct Irasa {
    plan: Plan,
    groups: Vec<Group>,
    threads: usize,
}

impl Irasa {
    fn new(plan: Plan, eeg: &[usize], conditions: usize, threads: usize) -> Self {
        let group = |channels: &[usize]| Group {
            channels: channels.to_vec(),
            scratch: plan.scratch(),
            sums: vec![0.0; conditions * 8 * plan.sums()],
            n: vec![0; conditions * 8],
        };
        Self { groups: eeg.chunks(8).map(group).collect(), plan, threads }
    }

    fn observe(&mut self, epoch: &Epoch) {
        let plan = &self.plan;
        let condition = usize::from(epoch.condition);
        let one = |group: &mut Group| {
            let good = |c: &usize| Some(epoch.channel(*c)).filter(|x| x.iter().sum::<f64>().is_finite());
            let signals: [Option<&[f64]>; 8] = std::array::from_fn(|l| group.channels.get(l).and_then(good));
            let size = 8 * plan.sums();
            let Some(sums) = group.sums.get_mut(condition * size..(condition + 1) * size) else { return };
            group.scratch.add(plan, signals, sums);
            let n = &mut group.n[condition * 8..];
            n.iter_mut().zip(&signals).for_each(|(n, s)| *n += u64::from(s.is_some()));
        };
        // each group is its own, so bits do not depend on how many threads there are
        if self.threads > 1 { self.groups.par_iter_mut().for_each(one) } else { self.groups.iter_mut().for_each(one) }
    }

    /// Aperiodic density of the i-th EEG channel, and epochs behind it.
    fn density(&self, i: usize, condition: usize) -> (Vec<f64>, u64) {
        let Some(group) = self.groups.get(i / 8) else { return (Vec::new(), 0) };
        let (at, size) = (condition * 8 + i % 8, self.plan.sums());
        let n = group.n[at];
        (if n == 0 { Vec::new() } else { self.plan.aperiodic(&group.sums[at * size..(at + 1) * size], n) }, n)
    }
}

struct Aperiodic {
    config: AperiodicConfig,
    eeg: Vec<usize>,
    spectrum: Option<usize>,
    irasa: Option<Irasa>,
    /// Which filter's edge the range touches.
    touched: Option<String>,
}

impl Aperiodic {
    /// The fit of one channel: its density at bins `resolution_hz` apart.
    fn fit(&self, resolution_hz: f64, density: &[f64]) -> Result<Fit, Trouble> {
        let [low, high] = self.config.range_hz;
        let first = ((low / resolution_hz - 1e-9).ceil().max(1.0) as usize).min(density.len());
        let last = ((high / resolution_hz + 1e-9).floor() as usize + 1).clamp(first, density.len());
        let hz: Vec<f64> = (first..last).map(|i| i as f64 * resolution_hz).collect();
        let power = &density[first..last];
        let rule = PeakRule {
            width_hz: self.config.peak_width_hz,
            most: self.config.max_peaks,
            min_height: self.config.min_peak_height,
            threshold_sd: self.config.peak_threshold_sd,
        };
        match self.config.method {
            Method::Fixed => fit(&hz, power, Shape::Fixed, &rule),
            Method::Knee => fit(&hz, power, Shape::Knee, &rule),
            Method::Irasa => line_fit(&hz, power),
        }
    }
}

impl Marker for Aperiodic {
    fn observe(&mut self, epoch: &Epoch) {
        if let Some(irasa) = &mut self.irasa {
            irasa.observe(epoch);
        }
    }

    fn report(&self, report: &Report<'_>) -> Vec<Table> {
        let (mut table, mut peaks) = (Table::new(&APERIODIC), Table::new(&APERIODIC_PEAKS));
        let refused = self.touched.as_ref().filter(|_| self.config.at_edge == AtEdge::Refuse);
        for condition in (0..report.conditions.len()).filter(|&c| report.averages.get(c).is_some_and(|a| a.n() > 0)) {
            let id = u16::try_from(condition).ok();
            let spectrum = self.spectrum.and_then(|id| report.spectrum(id, condition));
            for (i, &c) in self.eeg.iter().enumerate() {
                let (resolution_hz, density, n) = match (&self.irasa, &spectrum) {
                    (Some(irasa), _) => {
                        let (density, n) = irasa.density(i, condition);
                        (irasa.plan.resolution_hz(), density, n)
                    }
                    (None, Some(s)) => {
                        (s.resolution_hz, s.channel(c).to_vec(), s.n_windows.get(c).copied().unwrap_or(0))
                    }
                    (None, None) => (1.0, Vec::new(), 0),
                };
                let fit = match () {
                    () if report.bad.get(c).copied().unwrap_or(false) => Err("bad".to_owned()),
                    () if refused.is_some() => Err(refused.cloned().unwrap_or_default()),
                    () if n == 0 => Err("no_epochs".to_owned()),
                    () => self.fit(resolution_hz, &density).map_err(|t| t.code().to_owned()),
                };
                let name = || Cell::from(report.input.channels[c].name.clone());
                let value = |get: fn(&Fit) -> f64| Cell::from(fit.as_ref().ok().map(get));
                let knee_hz = |f: &Fit| f.knee.filter(|k| *k > 0.0).map(|k| k.powf(1.0 / f.exponent));
                let n_peaks = fit.as_ref().ok().filter(|_| self.irasa.is_none()).map(|f| f.peaks.len());
                let reason = fit.as_ref().err().cloned().or_else(|| self.touched.clone());
                table.push(
                    id,
                    [
                        name(),
                        self.config.range_hz[0].into(),
                        self.config.range_hz[1].into(),
                        value(|f| f.offset),
                        value(|f| f.exponent),
                        Cell::from(fit.as_ref().ok().and_then(|f| f.knee)),
                        value(|f| f.r_squared),
                        n_peaks.into(),
                        fit.as_ref().ok().and_then(knee_hz).into(),
                        self.config.method_name().into(),
                        value(|f| f.error),
                        n.into(),
                        reason.into(),
                    ],
                );
                for p in fit.iter().flat_map(|f| &f.peaks) {
                    peaks.push(id, [name(), p.center_hz.into(), p.height.into(), p.bandwidth_hz.into()]);
                }
            }
        }
        vec![table, peaks]
    }

    fn reset(&mut self) {
        for group in self.irasa.iter_mut().flat_map(|i| &mut i.groups) {
            group.sums.fill(0.0);
            group.n.fill(0);
        }
    }

    fn memory_bytes(&self) -> u64 {
        let one = |g: &Group| g.scratch.memory_bytes() + 8 * (g.sums.len() + g.n.len()) as u64;
        self.irasa.iter().flat_map(|i| &i.groups).map(one).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::kit::Kit;
    use super::*;

    #[test]
    fn every_problem_is_told() {
        let kit = Kit::new(&["Cz"], 100.0, [0.0, 999.0]);
        let config = AperiodicConfig { range_hz: [0.0, 40.0], peak_width_hz: [3.0, 1.0], ..AperiodicConfig::default() };
        let problems = kit.problems(&config);
        assert!(
            problems[0].starts_with("range_hz: 0…40 Hz") && problems[1].starts_with("peak_width_hz"),
            "{problems:?}"
        );
        let config = AperiodicConfig { method: Method::Irasa, ..AperiodicConfig::default() };
        assert_eq!(kit.problems(&config), ["range_hz: needs a rate above 152 Hz; here 100 Hz"]);
    }

    #[test]
    fn bad_and_nan_channels_are_empty_with_a_reason() {
        for method in [Method::Fixed, Method::Knee, Method::Irasa] {
            let mut kit = Kit::new(&["C3", "Cz", "C4", "Pz"], 250.0, [0.0, 3996.0]);
            kit.bad[0] = true;
            let mut marker = kit.build_with_spectra(&AperiodicConfig { method, ..AperiodicConfig::default() });
            for trial in 0..2 {
                // Pz has no sample in one of the two epochs: the other counts
                kit.feed(&mut *marker, trial, 0, |c, i, _| match c {
                    1 => f64::NAN,
                    3 if trial == 0 => f64::NAN,
                    _ => ((i * i * 7 + i + c) % 101) as f64,
                });
            }
            let tables = kit.report(&*marker);
            let reasons: Vec<_> = (0..4).map(|row| tables[0].text(row, "reason")).collect();
            assert_eq!(reasons, [Some("bad"), Some("no_epochs"), None, None], "{method:?}");
            for (row, given) in [false, false, true, true].into_iter().enumerate() {
                assert_eq!(tables[0].number(row, "exponent").is_some(), given);
            }
            assert_eq!(tables[0].number(3, "n_windows"), Some(1.0));
        }
    }
}
