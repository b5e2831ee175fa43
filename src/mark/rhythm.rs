//! Table `rhythm`: the individual alpha peak and centre of gravity.
//!
//! Corcoran et al. 2018, doi:10.1111/psyp.13064. Per channel, on the density within `fit_hz` divided by its mean:
//!
//! 1. Savitzky–Golay smoothing gives the density and its slope; a candidate peak is where the slope falls through 0
//!    within `range_hz`, and where the density exceeds the line through the log10 density (over frequency) by
//!    `min_sd` standard deviations of its prediction error;
//! 2. the highest candidate is the peak if it exceeds every other by the share `lead`; else there is *no* peak, but
//!    both candidates are told;
//! 3. the individual band reaches from the outermost maxima in `range_hz` outwards to the next minimum, or to where
//!    the slope stays below 1 (per Hz, of the normalised density) for 1 Hz. Its bounds are averaged over channels, and
//!    the centre of gravity Σ f P / Σ P of each channel is taken between these means.
//!
//! The row `mean` weights peaks by their quality (mean density between the inflections about the peak) and centres of
//! gravity alike. Frequencies of peaks are those of bins, as published.

use crate::dsp::lsq::Line;
use crate::dsp::savgol::savgol;
use crate::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::signal::{PsdConfig, Spectrum};
use crate::table::{Cell, Column, Table, TableSpec};
use serde::{Deserialize, Serialize};

/// Columns of `rhythm`.
pub static RHYTHM: TableSpec = TableSpec {
    name: "rhythm",
    about: "A channel's individual alpha peak and centre of gravity (Corcoran et al. 2018)",
    series: false,
    columns: &[
        Column::new("channel", "", "EEG channel; `mean`: over those that have one, peaks weighted by quality"),
        Column::new("peak_hz", "Hz", "The peak; empty where none stands out, or two compete"),
        Column::new("center_of_gravity_hz", "Hz", "Mean frequency of the individual band, weighted by power"),
        Column::new("peak_power_db", "dB", "Smoothed power density at the peak, 10 lg(uV^2/Hz)"),
        Column::new("found", "", "1 where there is a peak"),
        Column::new("n_peaks", "", "Candidates; for `mean` the channels with a peak"),
        Column::new("highest_peak_hz", "Hz", "The highest candidate, whether or not it is the peak"),
        Column::new("second_peak_hz", "Hz", "The second highest candidate"),
        Column::new("low_hz", "Hz", "Lower bound of the channel's individual band; for `mean` the one in use"),
        Column::new("high_hz", "Hz", "Upper bound of the channel's individual band; for `mean` the one in use"),
        Column::new("quality", "", "Mean normalised density between the inflections about the peak; the peak's weight"),
        Column::new("n_windows", "", "Windows behind the spectrum"),
        Column::new(
            "reason",
            "",
            "`no_peak`, `split` (two compete), `edge` (the peak lies at, or power rises towards, an end of the range), `few_channels`, `bad`, `no_epochs`, `few_bins`, `non_positive_power`",
        ),
    ],
};

/// `use = "rhythm"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RhythmConfig {
    /// Where the peak is looked for.
    pub range_hz: [f64; 2],
    /// What is normalised and fitted: what the filters pass.
    pub fit_hz: [f64; 2],
    /// Bins in a smoothing frame, odd (the paper's 11 span 2.7 Hz).
    pub frame_bins: usize,
    /// Order of the smoothing polynomial.
    pub order: usize,
    /// A peak exceeds the line by this many standard deviations.
    pub min_sd: f64,
    /// … and any other by this share of its height.
    pub lead: f64,
    /// Fewest channels behind the row `mean`.
    pub min_channels: usize,
    /// The spectrum.
    pub psd: PsdConfig,
}

impl Default for RhythmConfig {
    fn default() -> Self {
        Self {
            range_hz: [7.0, 13.0],
            fit_hz: [1.0, 40.0],
            frame_bins: 11,
            order: 5,
            min_sd: 1.0,
            lead: 0.2,
            min_channels: 3,
            psd: PsdConfig::default(),
        }
    }
}

impl MarkerConfig for RhythmConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 1] = [&RHYTHM];
        &TABLES
    }

    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>> {
        let before = problems.list().len();
        let ([low, high], [from, to]) = (self.range_hz, self.fit_hz);
        if !(from > 0.0 && from <= low && low < high && high <= to) {
            problems.add("range_hz", format!("{low}…{high} Hz is not a range within fit_hz, {from}…{to} Hz"));
        } else if to > input.rate_hz() / 2.0 {
            problems.add("fit_hz", format!("needs a rate above {} Hz; here {} Hz", 2.0 * to, input.rate_hz()));
        }
        if self.frame_bins.is_multiple_of(2) || self.order < 2 || self.order >= self.frame_bins {
            let message =
                format!("{} is not odd and above the order, {}, which is at least 2", self.frame_bins, self.order);
            problems.add("frame_bins", message);
        }
        let spectrum = context.spectrum(&self.psd, input, problems);
        let eeg = (0..input.channels.len()).filter(|&c| input.is_eeg(c)).collect();
        let marker = spectrum.map(|spectrum| Rhythm { config: self.clone(), eeg, spectrum });
        marker.filter(|_| problems.list().len() == before).map(|m| Box::new(m) as Box<dyn Marker>)
    }
}

struct Rhythm {
    config: RhythmConfig,
    eeg: Vec<usize>,
    spectrum: usize,
}

/// What one channel shows; indices are bins from the first of `fit_hz`.
#[derive(Default)]
struct Finding {
    /// Candidates (bin, height), highest first.
    candidates: Vec<(usize, f64)>,
    peak: Option<usize>,
    peak_power_db: Option<f64>,
    quality: Option<f64>,
    /// First and last bin of the individual band.
    band: Option<[usize; 2]>,
    gravity_hz: Option<f64>,
    reason: Option<&'static str>,
}

impl Finding {
    fn none(reason: &'static str) -> Self {
        Self { reason: Some(reason), ..Self::default() }
    }
}

impl RhythmConfig {
    /// `density` from the bin `first` on.
    fn look(&self, density: &[f64], first: usize, step_hz: f64) -> Finding {
        let n = density.len();
        if n < self.frame_bins.max(8) {
            return Finding::none("few_bins");
        }
        if !density.iter().all(|p| *p > 0.0 && p.is_finite()) {
            return Finding::none("non_positive_power");
        }
        let hz = |i: usize| (first + i) as f64 * step_hz;
        let mean = density.iter().sum::<f64>() / n as f64;
        let normal: Vec<f64> = density.iter().map(|p| p / mean).collect();
        let smooth = |derivative| savgol(&normal, self.frame_bins, self.order, derivative, step_hz);
        let (Some(d0), Some(d1), Some(d2)) = (smooth(0), smooth(1), smooth(2)) else {
            return Finding::none("few_bins");
        };
        let floor = self.floor(&normal, hz);

        let [low, high] = self.range_hz.map(|f| f / step_hz - first as f64);
        let inside = |i: usize| i as f64 >= low - 1e-9 && i as f64 <= high + 1e-9;
        let crossing =
            |i: usize| (d1[i] > 0.0 && d1[i + 1] <= 0.0).then_some(if d0[i] >= d0[i + 1] { i } else { i + 1 });
        let maxima: Vec<usize> = (0..n - 1).filter_map(crossing).filter(|&i| inside(i)).collect();
        let mut candidates: Vec<(usize, f64)> =
            maxima.iter().map(|&i| (i, d0[i])).filter(|&(i, height)| height > floor[i]).collect();
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1));

        // power that is highest at an end of the range belongs to a peak beyond it
        let range: Vec<usize> = (0..n).filter(|&i| inside(i)).collect();
        let ends = range.first().copied().zip(range.last().copied());
        let highest = range.iter().copied().max_by(|&a, &b| d0[a].total_cmp(&d0[b]));
        let at_end = |i: usize| ends.is_some_and(|(a, b)| i <= a + 1 || i + 1 >= b);
        let rises = highest.is_some_and(|i| at_end(i) && d0[i] > floor[i]);
        let Some(&(top, height)) = candidates.first() else {
            return Finding::none(if rises { "edge" } else { "no_peak" });
        };

        let split = candidates.get(1).is_some_and(|second| height * (1.0 - self.lead) <= second.1);
        let (leftmost, rightmost) = (maxima.first().copied().unwrap_or(top), maxima.last().copied().unwrap_or(top));
        Finding {
            peak: (!split).then_some(top),
            peak_power_db: (!split).then(|| 10.0 * (d0[top] * mean).log10()),
            quality: (!split).then(|| quality(&d0, &d2, top)),
            band: Some([bound_below(&d1, leftmost, step_hz), bound_above(&d1, rightmost, step_hz)]),
            gravity_hz: None,
            reason: if split { Some("split") } else { (at_end(top) || rises).then_some("edge") },
            candidates,
        }
    }

    /// What a peak must exceed: the line through the log10 density, and `min_sd` standard errors of its prediction.
    fn floor(&self, normal: &[f64], hz: impl Fn(usize) -> f64) -> Vec<f64> {
        let n = normal.len() as f64;
        let points = normal.iter().enumerate().map(|(i, p)| (hz(i), p.log10()));
        let line = Line::fit(points.clone()).unwrap_or(Line { slope: 0.0, intercept: 0.0 });
        let residual = points.clone().map(|(f, y)| (y - line.value(f)).powi(2)).sum::<f64>();
        let centre = points.clone().map(|(f, _)| f).sum::<f64>() / n;
        let spread = points.map(|(f, _)| (f - centre).powi(2)).sum::<f64>();
        let error = |f: f64| (residual / (n - 2.0) * (1.0 + 1.0 / n + (f - centre).powi(2) / spread)).sqrt();
        (0..normal.len()).map(|i| 10_f64.powf(line.value(hz(i)) + self.min_sd * error(hz(i)))).collect()
    }
}

/// Mean of the smoothed density between the inflections about a peak (trapezia).
fn quality(d0: &[f64], d2: &[f64], at: usize) -> f64 {
    let first = (0..at).rev().find(|&i| d2[i] >= 0.0).unwrap_or(0);
    let last = (at..d2.len()).find(|&i| i > at && d2[i] >= 0.0).unwrap_or(d2.len() - 1);
    let area: f64 = d0[first..=last].windows(2).map(|w| 0.5 * (w[0] + w[1])).sum();
    area / (last - first).max(1) as f64
}

/// Bins in which a slope below 1 counts as prolonged: 1 Hz.
fn shallow_bins(step_hz: f64) -> usize {
    (1.0 / step_hz).ceil().max(1.0) as usize
}

fn bound_below(d1: &[f64], peak: usize, step_hz: f64) -> usize {
    let run = shallow_bins(step_hz);
    let shallow = |i: usize| i + 1 >= run && d1[i + 1 - run..=i].iter().all(|d| d.abs() < 1.0);
    let minimum = |i: usize| i > 0 && d1[i - 1] <= 0.0 && d1[i] > 0.0;
    (0..peak).rev().find(|&i| minimum(i) || shallow(i)).unwrap_or(0)
}

fn bound_above(d1: &[f64], peak: usize, step_hz: f64) -> usize {
    let run = shallow_bins(step_hz);
    let shallow = |i: usize| d1[i..].len() >= run && d1[i..i + run].iter().all(|d| d.abs() < 1.0);
    let minimum = |i: usize| d1.get(i + 1).is_none_or(|d| *d >= 0.0);
    (peak + 1..d1.len()).find(|&i| minimum(i) || shallow(i)).unwrap_or(d1.len() - 1)
}

/// Mean of the values; `None` without any.
fn mean_of(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (n, sum) = values.fold((0.0, 0.0), |(n, sum), v| (n + 1.0, sum + v));
    (n > 0.0).then(|| sum / n)
}

impl Rhythm {
    /// Findings per EEG channel, the band in use, and the first bin of `fit_hz`.
    fn findings(&self, spectrum: &Spectrum, bad: &[bool]) -> (Vec<Finding>, Option<[usize; 2]>, usize) {
        let step = spectrum.resolution_hz;
        let [from, to] = self.config.fit_hz;
        let first = ((from / step - 1e-9).ceil() as usize).min(spectrum.bins);
        let end = ((to / step + 1e-9).floor() as usize + 1).clamp(first, spectrum.bins);
        let look = |&c: &usize| match () {
            () if bad.get(c).copied().unwrap_or(false) => Finding::none("bad"),
            () if spectrum.n_windows.get(c).is_none_or(|n| *n == 0) => Finding::none("no_epochs"),
            () => self.config.look(&spectrum.channel(c)[first..end], first, step),
        };
        let mut findings: Vec<Finding> = self.eeg.iter().map(look).collect();
        let bound = |side: usize| mean_of(findings.iter().filter_map(|f| f.band).map(|b| b[side] as f64));
        let band = bound(0).zip(bound(1)).map(|(a, b)| [a.round() as usize, b.round() as usize]);
        for (finding, &c) in findings.iter_mut().zip(&self.eeg).filter(|(f, _)| f.band.is_some()) {
            let Some([a, b]) = band else { continue };
            let power = &spectrum.channel(c)[first + a..=first + b];
            let weighted: f64 = power.iter().enumerate().map(|(i, p)| (first + a + i) as f64 * step * p).sum();
            finding.gravity_hz = Some(weighted / power.iter().sum::<f64>());
        }
        (findings, band, first)
    }

    fn mean_row(&self, findings: &[Finding], hz: impl Fn(usize) -> f64, band: Option<[usize; 2]>) -> Vec<Cell> {
        let enough = |n: usize| n >= self.config.min_channels;
        let peaks: Vec<(f64, f64)> = findings.iter().filter_map(|f| f.peak.map(&hz).zip(f.quality)).collect();
        let weight: f64 = peaks.iter().map(|(_, q)| q).sum();
        let peak = enough(peaks.len()).then(|| peaks.iter().map(|(f, q)| f * q).sum::<f64>() / weight);
        let gravities: Vec<f64> = findings.iter().filter_map(|f| f.gravity_hz).collect();
        let gravity = mean_of(gravities.iter().copied()).filter(|_| enough(gravities.len()));
        let power = mean_of(findings.iter().filter_map(|f| f.peak_power_db)).filter(|_| enough(peaks.len()));
        vec![
            "mean".into(),
            peak.into(),
            gravity.into(),
            power.into(),
            peak.is_some().into(),
            peaks.len().into(),
            Cell::Missing,
            Cell::Missing,
            band.map(|b| hz(b[0])).into(),
            band.map(|b| hz(b[1])).into(),
            mean_of(peaks.iter().map(|(_, q)| *q)).into(),
            Cell::Missing,
            peak.is_none().then_some("few_channels").into(),
        ]
    }
}

/// The individual alpha peak of a spectrum: over channels, weighted by quality, as in the row `mean`, but from one channel on.
/// The smoothing frame is as wide as the published one, 2.7 Hz, whatever the resolution. `None` where no channel has one.
pub(super) fn alpha_peak(spectrum: &Spectrum, eeg: &[usize], bad: &[bool]) -> Option<f64> {
    let step = spectrum.resolution_hz;
    let frame_bins = ((2.7 / step).round() as usize | 1).max(5);
    let top = 40_f64.min((spectrum.bins - 1) as f64 * step);
    let config =
        RhythmConfig { frame_bins, order: 5.min(frame_bins - 2), fit_hz: [1.0, top], ..RhythmConfig::default() };
    let rhythm = Rhythm { config, eeg: eeg.to_vec(), spectrum: 0 };
    let (findings, _, first) = rhythm.findings(spectrum, bad);
    let peaks = findings.iter().filter_map(|f| f.peak.zip(f.quality));
    let (sum, weight) = peaks.fold((0.0, 0.0), |(s, w), (peak, q)| (s + (first + peak) as f64 * step * q, w + q));
    (weight > 0.0).then(|| sum / weight)
}

impl Marker for Rhythm {
    fn report(&self, report: &Report<'_>) -> Vec<Table> {
        let mut table = Table::new(&RHYTHM);
        for condition in 0..report.conditions.len() {
            let Some(spectrum) = report.spectrum(self.spectrum, condition) else { continue };
            let id = u16::try_from(condition).ok();
            let (findings, band, first) = self.findings(&spectrum, report.bad);
            let hz = |i: usize| (first + i) as f64 * spectrum.resolution_hz;
            for (f, &c) in findings.iter().zip(&self.eeg) {
                let candidate = |k: usize| Cell::from(f.candidates.get(k).map(|(i, _)| hz(*i)));
                table.push(
                    id,
                    [
                        report.input.channels[c].name.clone().into(),
                        f.peak.map(hz).into(),
                        f.gravity_hz.into(),
                        f.peak_power_db.into(),
                        f.peak.is_some().into(),
                        f.candidates.len().into(),
                        candidate(0),
                        candidate(1),
                        f.band.map(|b| hz(b[0])).into(),
                        f.band.map(|b| hz(b[1])).into(),
                        f.quality.into(),
                        spectrum.n_windows.get(c).copied().into(),
                        f.reason.into(),
                    ],
                );
            }
            table.push(id, self.mean_row(&findings, hz, band));
        }
        vec![table]
    }
}

#[cfg(test)]
mod tests {
    use super::super::kit::Kit;
    use super::*;

    #[test]
    fn every_problem_is_told() {
        let kit = Kit::new(&["Cz"], 100.0, [0.0, 999.0]);
        let config = RhythmConfig { range_hz: [7.0, 45.0], frame_bins: 10, ..RhythmConfig::default() };
        let problems = kit.problems(&config);
        assert!(
            problems[0].starts_with("range_hz: 7…45 Hz") && problems[1].starts_with("frame_bins: 10"),
            "{problems:?}"
        );
        let slow = Kit::new(&["Cz"], 50.0, [0.0, 999.0]);
        assert_eq!(slow.problems(&RhythmConfig::default()), ["fit_hz: needs a rate above 80 Hz; here 50 Hz"]);
    }

    /// A spectrum that is its own smooth: the peak is its bin, and the centre of gravity that of the band in use.
    #[test]
    fn a_bump_upon_a_slope() {
        let step = 0.25;
        let density = |f: f64| 1.0 / f + 2.0 * (-(f - 10.0_f64).powi(2) / 2.0).exp();
        let values: Vec<f64> = (4..=160).map(|i| density(f64::from(i) * step)).collect();
        let found = RhythmConfig::default().look(&values, 4, step);
        assert_eq!((found.peak, found.reason, found.candidates.len()), (Some(36), None, 1));
        let band = found.band.unwrap().map(|i| (i + 4) as f64 * step);
        assert!((5.0..8.0).contains(&band[0]) && (12.0..15.0).contains(&band[1]), "{band:?}");
        // the first bins beyond the inflections, 8.75 and 11.25 Hz: the mean of exp(−x²/2) is 0.787 there, of 1/f 0.1
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!((found.quality.unwrap() * mean - (2.0 * 0.787 + 0.1)).abs() < 0.05, "{:?}", found.quality);
    }
}
