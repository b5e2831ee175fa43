//! Table `quality`: how far a recording's average can be trusted, one row per condition.

use super::field::entering;
use super::series::{Axis, gmfa};
use super::site::SiteChoice;
use crate::flow::{BuildContext, ConditionFacts, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::signal::{Averages, Evoked};
use crate::table::{Cell, Column, Table, TableSpec};
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// Columns of `quality`.
pub static QUALITY: TableSpec = TableSpec {
    name: "quality",
    about: "One condition of a recording: trials, noise and what casts doubt on its average",
    series: false,
    columns: &[
        Column::new("n_events", "", "Events asked for"),
        Column::new("n_kept", "", "Trials in the average"),
        Column::new("n_bad_channels", "", "Bad EEG channels"),
        Column::new("interval_median_s", "s", "Median time between successive events"),
        Column::new("interval_min_s", "s", "Shortest time between successive events"),
        Column::new(
            "snr_db",
            "dB",
            "20 log10 of the root mean square of the average in the response window (by default 20 to 300 ms) over that in the baseline, over channels and measured samples",
        ),
        Column::new(
            "plus_minus_noise_uv",
            "uV",
            "Root mean square of half the difference between the averages of odd and even trials, in the response window: the noise left in the average",
        ),
        Column::new(
            "residual_decay_uv",
            "uV",
            "Mean GMFA of the average over the first 8 ms of measured samples from 12 ms on: what remains of the pulse's decay",
        ),
        Column::new("line_hz", "Hz", "Line frequency looked for: stated, or whichever of 50 and 60 Hz is stronger"),
        Column::new(
            "line_uv",
            "uV",
            "Amplitude of the average at line_hz, root mean square over channels: least squares over baseline and late window, each with its own line removed",
        ),
        Column::new("saturated_fraction", "", "Fraction of stored EEG samples at the limit of their number type"),
        Column::new(
            "warnings",
            "",
            "Codes joined by `;`: uncleaned, no_site, no_trials, few_trials, many_dropped, many_bad_channels, overlap, saturated, residual_decay, low_snr, line_noise",
        ),
    ],
};

/// What the codes in `warnings` mean, in their order; the engine's own follow.
pub const WARNINGS: [(&str, &str); 11] = [
    (
        "uncleaned",
        "components before 50 ms are reported, but the pulse's decay and muscle artefact were not dealt with",
    ),
    ("no_site", "without a site only the global mean field has peaks"),
    ("no_trials", "no trial was kept"),
    ("few_trials", "fewer trials than `few_trials` were kept"),
    ("many_dropped", "more than half of the events were dropped"),
    ("many_bad_channels", "more than 15 % of the EEG channels are bad"),
    ("overlap", "an event follows within the epoch of the one before"),
    ("saturated", "samples at the limit of their number type"),
    ("residual_decay", "the field just after the gap is more than twice that of 20 to 80 ms"),
    ("low_snr", "the response is no larger than the baseline"),
    ("line_noise", "the average at the line frequency exceeds 0.1 uV and three times its spectral neighbours"),
];

/// `use = "quality"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QualityConfig {
    /// The site of the other markers: decides about `uncleaned` and `no_site`.
    pub site: SiteChoice,
    /// Whether decay and muscle artefact after the pulse have been dealt with. Default no.
    pub decay_treated: bool,
    /// Fewer kept trials than this are `few_trials`. Default 25.
    pub few_trials: u64,
    /// Window before the pulse, ms. Default −500…−10.
    pub baseline_ms: [f64; 2],
    /// Window of the response, ms. Default 20…300.
    pub response_ms: [f64; 2],
    /// Where the decay's rest is taken, ms; moves behind the bridged gap. Default 12…20.
    pub decay_ms: [f64; 2],
    /// Second window for the line amplitude, ms; what leaves the epoch is left out. Default 500…1000.
    pub late_ms: [f64; 2],
    /// Line frequency, Hz; else the recording's, else the stronger of 50 and 60.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line_hz: Option<f64>,
}

impl Default for QualityConfig {
    fn default() -> Self {
        Self {
            site: SiteChoice::default(),
            decay_treated: false,
            few_trials: 25,
            baseline_ms: [-500.0, -10.0],
            response_ms: [20.0, 300.0],
            decay_ms: [12.0, 20.0],
            late_ms: [500.0, 1000.0],
            line_hz: None,
        }
    }
}

impl MarkerConfig for QualityConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 1] = [&QUALITY];
        &TABLES
    }

    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>> {
        let before = problems.list().len();
        let site = self.site.resolve(problems)?;
        for (key, window) in
            [("baseline_ms", self.baseline_ms), ("response_ms", self.response_ms), ("decay_ms", self.decay_ms)]
        {
            let _ = input.window_inside(key, window, problems);
        }
        if self.line_hz.is_some_and(|hz| !(hz.is_finite() && hz > 0.0)) {
            problems.add("line_hz", "a line frequency is above 0 Hz");
        }
        let marker = Quality {
            config: self.clone(),
            line_hz: self.line_hz.or(context.line_hz),
            early: site.components.iter().any(|c| c.window_ms[0] < 50.0),
            no_site: site.is_none(),
        };
        (problems.list().len() == before).then(|| Box::new(marker) as Box<dyn Marker>)
    }
}

struct Quality {
    config: QualityConfig,
    line_hz: Option<f64>,
    early: bool,
    no_site: bool,
}

impl Marker for Quality {
    fn report(&self, report: &Report<'_>) -> Vec<Table> {
        let mut table = Table::new(&QUALITY);
        for (condition, averages) in report.averages.iter().enumerate() {
            let facts = report.events.get(condition);
            table.push(u16::try_from(condition).ok(), self.row(report, averages, facts));
        }
        vec![table]
    }
}

impl Quality {
    fn row(&self, report: &Report<'_>, averages: &Averages, facts: Option<&ConditionFacts>) -> [Cell; 12] {
        let (axis, channels, mean) = (Axis::from(report.input), entering(report), averages.mean());
        let eeg = (0..report.input.channels.len()).filter(|&c| report.input.is_eeg(c));
        let (n_eeg, n_bad) =
            eeg.fold((0, 0), |(all, bad), c| (all + 1, bad + usize::from(report.bad.get(c).copied().unwrap_or(false))));
        let measured = |window| measured(&axis, &mean, window);
        let response = measured(self.config.response_ms);
        let snr_db = rms(&mean, &channels, &response)
            .zip(rms(&mean, &channels, &measured(self.config.baseline_ms)))
            .filter(|(_, noise)| *noise > 0.0)
            .map(|(signal, noise)| 20.0 * (signal / noise).log10());
        let noise = plus_minus(averages).and_then(|half| rms(&half, &channels, &response));
        let field = gmfa(&mean, &channels, 0);
        let decay = mean_at(&field, &self.after_gap(&axis, &mean));
        let decay_stands = decay.zip(mean_at(&field, &measured([20.0, 80.0]))).is_some_and(|(d, r)| d > 2.0 * r);
        let line = self.line(&axis, &mean, &channels);

        let n = averages.n();
        let last_ms = axis.time_ms(axis.len.saturating_sub(1));
        let holds = [
            self.early && !self.config.decay_treated,
            self.no_site,
            n == 0,
            n > 0 && n < self.config.few_trials,
            facts.is_some_and(|f| n > 0 && 2 * n < f.n_events),
            n_bad as f64 > 0.15 * n_eeg as f64,
            facts.is_some_and(|f| f.interval_min_s * 1e3 <= last_ms),
            facts.is_some_and(|f| f.saturated_fraction > 0.0),
            decay_stands,
            snr_db.is_some_and(|db| db <= 0.0),
            line.is_some_and(|l| l.stands_out),
        ];
        let own = WARNINGS.iter().zip(holds).filter(|(_, holds)| *holds).map(|((code, _), _)| *code);
        let codes: Vec<&str> = own.chain(facts.into_iter().flat_map(|f| f.warnings.iter().copied())).collect();
        [
            facts.map(|f| f.n_events).into(),
            n.into(),
            n_bad.into(),
            facts.map(|f| f.interval_median_s).into(),
            facts.map(|f| f.interval_min_s).into(),
            snr_db.into(),
            noise.into(),
            decay.into(),
            line.map(|l| l.hz).or(self.line_hz).into(),
            line.map(|l| l.amplitude_uv).into(),
            facts.map(|f| f.saturated_fraction).into(),
            codes.join(";").into(),
        ]
    }

    /// The samples of `decay_ms`, moved to begin with the first measured sample.
    fn after_gap(&self, axis: &Axis, mean: &Evoked) -> Vec<usize> {
        let Some(window) = axis.window(self.config.decay_ms) else { return Vec::new() };
        let start = (window.start..axis.len).find(|&i| !mean.filled[i]).unwrap_or(axis.len);
        (start..(start + window.len()).min(axis.len)).filter(|&i| !mean.filled[i]).collect()
    }

    fn line(&self, axis: &Axis, mean: &Evoked, channels: &[usize]) -> Option<Line> {
        if mean.data.is_empty() || channels.is_empty() {
            return None;
        }
        let windows: Vec<Vec<usize>> = [self.config.baseline_ms, self.config.late_ms]
            .into_iter()
            .map(|w| measured(axis, mean, w))
            .filter(|samples| samples.len() as f64 > 0.1 * axis.rate_hz) // five periods of 50 Hz
            .collect();
        let amplitude = |hz: f64| {
            let fit = SineFit::new(axis, &windows, hz)?;
            let squares: f64 = channels.iter().map(|&c| fit.amplitude(mean.channel(c)).powi(2)).sum();
            Some((squares / channels.len() as f64).sqrt()).filter(|v| v.is_finite())
        };
        let candidates = self.line_hz.map_or_else(|| vec![50.0, 60.0], |hz| vec![hz]);
        let all = candidates.into_iter().filter_map(|hz| Some((hz, amplitude(hz)?)));
        let (hz, amplitude_uv) = all.max_by(|a, b| a.1.total_cmp(&b.1))?;
        let around: Vec<f64> = [-8.0, -5.0, 5.0, 8.0].iter().filter_map(|d| amplitude(hz + d)).collect();
        let neighbours = around.iter().sum::<f64>() / around.len() as f64;
        Some(Line { hz, amplitude_uv, stands_out: amplitude_uv > 0.1 && amplitude_uv > 3.0 * neighbours })
    }
}

#[derive(Debug, Clone, Copy)]
struct Line {
    hz: f64,
    amplitude_uv: f64,
    stands_out: bool,
}

/// Samples of a window that no trial bridged.
fn measured(axis: &Axis, mean: &Evoked, window_ms: [f64; 2]) -> Vec<usize> {
    axis.window(window_ms).into_iter().flatten().filter(|&i| !mean.filled[i]).collect()
}

fn mean_at(series: &[f64], samples: &[usize]) -> Option<f64> {
    if series.is_empty() || samples.is_empty() {
        return None;
    }
    Some(samples.iter().map(|&i| series[i]).sum::<f64>() / samples.len() as f64).filter(|v| v.is_finite())
}

/// Root mean square over channels and samples.
fn rms(evoked: &Evoked, channels: &[usize], samples: &[usize]) -> Option<f64> {
    if evoked.data.is_empty() || channels.is_empty() || samples.is_empty() {
        return None;
    }
    let squares: f64 =
        channels.iter().map(|&c| evoked.channel(c)).flat_map(|row| samples.iter().map(|&i| row[i] * row[i])).sum();
    Some((squares / (channels.len() * samples.len()) as f64).sqrt()).filter(|v| v.is_finite())
}

/// Half the difference between the averages of odd and even trials (Schimmel 1967, doi:10.1126/science.157.3784.92).
fn plus_minus(averages: &Averages) -> Option<Evoked> {
    let (mut odd, even) = (averages.half(0), averages.half(1));
    (odd.n > 0 && even.n > 0).then(|| {
        odd.data.iter_mut().zip(&even.data).for_each(|(a, b)| *a = (*a - b) / 2.0);
        odd
    })
}

/// Least squares of a sine of one frequency on stretches of samples that each have an offset and a slope of their own.
struct SineFit {
    samples: Vec<usize>,
    cosine: Vec<f64>,
    sine: Vec<f64>,
}

impl SineFit {
    /// `None` without samples, at or above the Nyquist frequency, or when the samples cannot tell.
    fn new(axis: &Axis, windows: &[Vec<usize>], hz: f64) -> Option<Self> {
        let samples = windows.concat();
        if samples.is_empty() || hz >= axis.rate_hz / 2.0 {
            return None;
        }
        let mut design = DMatrix::zeros(samples.len(), 2 * windows.len() + 2);
        let mut row = 0;
        for (w, window) in windows.iter().enumerate() {
            let middle = window.iter().sum::<usize>() as f64 / window.len() as f64;
            for &i in window {
                let turn = hz * (axis.first + i as i64) as f64 / axis.rate_hz;
                design[(row, 2 * w)] = 1.0;
                design[(row, 2 * w + 1)] = (i as f64 - middle) / window.len() as f64;
                design[(row, 2 * windows.len())] = (TAU * turn).cos();
                design[(row, 2 * windows.len() + 1)] = (TAU * turn).sin();
                row += 1;
            }
        }
        // the rows of the pseudo-inverse that give the two amplitudes, once for all channels
        let normal = (design.transpose() * &design).cholesky()?;
        let weights = |column: usize| {
            let unit = DVector::from_fn(design.ncols(), |r, _| f64::from(u8::from(r == column)));
            (&design * normal.solve(&unit)).as_slice().to_vec()
        };
        let (cosine, sine) = (weights(2 * windows.len()), weights(2 * windows.len() + 1));
        Some(Self { samples, cosine, sine })
    }

    fn amplitude(&self, series: &[f64]) -> f64 {
        let dot = |weights: &[f64]| self.samples.iter().zip(weights).map(|(&i, w)| w * series[i]).sum::<f64>();
        dot(&self.cosine).hypot(dot(&self.sine))
    }
}

#[cfg(test)]
mod tests {
    use super::super::kit::{Kit, Noise, number};
    use super::super::series::tests::{close, golden, lcg};
    use super::*;

    fn warnings(table: &Table) -> String {
        match table.cell(0, "warnings") {
            Some(Cell::Text(codes)) => codes.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn line_amplitude_matches_least_squares() {
        let axis = Axis { rate_hz: 1000.0, first: -1000, len: 2001 };
        let noise = lcg(777, 2001);
        let series: Vec<f64> = (0..2001)
            .map(|i| {
                let t = axis.time_ms(i) / 1e3;
                0.7 * (TAU * 50.0 * t + 0.4).cos() + 3.0 + 2.0 * t + noise[i]
            })
            .collect();
        let windows: Vec<Vec<usize>> =
            [[-500.0, -10.0], [500.0, 1000.0]].map(|w| axis.window(w).unwrap().collect()).into();
        for hz in [44, 50, 56, 60] {
            let fit = SineFit::new(&axis, &windows, f64::from(hz)).unwrap();
            close(fit.amplitude(&series), golden()["line"][hz.to_string()].as_f64().unwrap(), 1e-9);
        }
        assert!(SineFit::new(&axis, &windows, 500.0).is_none());
        assert!(SineFit::new(&axis, &[], 50.0).is_none());
    }

    #[test]
    fn numbers_of_a_known_average() {
        let mut kit = Kit::new(&["C3", "C4", "Cz"], 1000.0, [-1000.0, 1000.0]);
        kit.bad[2] = true;
        kit.enters[2] = false;
        kit.bridge([-2.0, 14.0]);
        kit.facts = vec![ConditionFacts {
            n_events: 9,
            interval_median_s: 4.0,
            interval_min_s: 0.5,
            saturated_fraction: 0.25,
            warnings: vec!["gap"],
        }];
        let config = QualityConfig { site: SiteChoice::Name("m1".into()), ..QualityConfig::default() };
        let mut marker = kit.build(&config);
        // ±1 before and ±10 in 20…300 ms; ±40 just after the gap; odd and even trials differ by 2 × 0.5
        for trial in 0..4 {
            let wobble = if trial % 2 == 0 { 0.5 } else { -0.5 };
            kit.feed(&mut *marker, trial, 0, |c, i, t| {
                let shape = match t {
                    _ if t < 0.0 => [1.0, -1.0][i % 2],
                    _ if t < 20.0 => 40.0,
                    _ => 10.0,
                };
                [1.0, -1.0, 1e9][c] * shape + wobble
            });
        }
        let table = &kit.report(&*marker)[0];
        for (column, value) in [
            ("n_events", 9.0),
            ("n_kept", 4.0),
            ("n_bad_channels", 1.0),
            ("interval_median_s", 4.0),
            ("interval_min_s", 0.5),
            ("snr_db", 20.0),
            ("plus_minus_noise_uv", 0.5),
            ("saturated_fraction", 0.25),
            // nine samples from 15 ms on: five of 40, four of 10
            ("residual_decay_uv", (5.0 * 40.0 + 4.0 * 10.0) / 9.0),
        ] {
            close(number(table, 0, column), value, 1e-9);
        }
        assert!(number(table, 0, "line_uv") < 0.05);
        assert_eq!(
            warnings(table),
            "uncleaned;few_trials;many_dropped;many_bad_channels;overlap;saturated;residual_decay;gap"
        );
    }

    #[test]
    fn line_noise_is_told_from_the_spectrum_around_it() {
        for (line, hz, heard) in [(0.0, 50.0, false), (1.5, 50.0, true), (1.5, 60.0, true)] {
            let mut kit = Kit::new(&["C3", "C4", "Cz", "Pz"], 1000.0, [-1000.0, 1000.0]);
            let mut marker = kit.build(&QualityConfig { decay_treated: true, ..QualityConfig::default() });
            let mut noise = Noise::new(11, 4, 1000.0);
            for trial in 0..40 {
                noise.skip(1000);
                let data = noise.trial(kit.info.len);
                let sine = |t: f64| line * (TAU * hz * t / 1e3).sin();
                kit.feed(&mut *marker, trial, 0, |c, i, t| data[c][i] + [1.0, -1.0][c % 2] * sine(t));
            }
            let table = &kit.report(&*marker)[0];
            let (line_hz, line_uv) = (number(table, 0, "line_hz"), number(table, 0, "line_uv"));
            assert_eq!(warnings(table).contains("line_noise"), heard, "{line_hz} {line_uv}");
            if heard {
                assert!(line_hz == hz && (line_uv - line).abs() < 0.3, "{line_hz} {line_uv}");
            }
            assert!(warnings(table).contains("no_site") && !warnings(table).contains("uncleaned"));
        }
    }

    #[test]
    fn without_trials_the_row_stands() {
        let kit = Kit::new(&["C3", "C4"], 1000.0, [-1000.0, 1000.0]);
        let table = &kit.report(&*kit.build(&QualityConfig::default()))[0];
        assert_eq!((table.len(), number(table, 0, "n_kept"), table.number(0, "snr_db")), (1, 0.0, None));
        assert_eq!(warnings(table), "uncleaned;no_site;no_trials");
    }
}
