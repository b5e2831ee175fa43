//! Tables `spread` and `propagation`: how far, how fast and to which side a TEP's components spread from the stimulated
//! site.
//!
//! A channel takes part in a component when its largest |TEP| in the window exceeds what sign-flipped averages give
//! *anywhere*: both are divided by the channel's own size under flips (so that a noisy channel does not decide for all),
//! and the largest over channels and samples is compared (Nichols & Holmes 2002, 10.1002/hbm.1058: family-wise).
//!
//! Latencies over distance are those of peaks, not of onsets: a weak deflection crosses a threshold later than a strong one
//! that travels no faster. What crosses the scalp is also volume conduction, which has no delay: a speed needs a fit that
//! holds (`r_squared`), and the site's own sensory responses are spread, too. Components before 50 ms carry the
//! pulse's artefact as long as the decay has not been dealt with (`caution`).
//!
//! Interhemispheric signal propagation: rectified area at the electrode opposite to the stimulated one over that at the
//! stimulated one (Voineskos et al. 2010, 10.1016/j.biopsych.2010.02.023). In the default recipe it is not
//! asked for, because it keeps its own sign flips; a recipe adds
//!
//! ```toml
//! [[marker]]
//! use = "spread"
//! site = "m1"                      # the stimulated electrode is its region's first: C3
//! ```

use super::flips::{FlipSums, p_value};
use super::peaks::check_windows;
use super::series::{Axis, lmfa};
use super::site::{Component, Site, SiteChoice};
use crate::dsp::lsq::Line;
use crate::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::signal::montage::position_of;
use crate::signal::{Epoch, Evoked};
use crate::table::{Cell, Column, Table, TableSpec};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Columns of `spread`.
pub static SPREAD: TableSpec = TableSpec {
    name: "spread",
    about: "One channel in one component's window: whether it takes part, when and how strongly",
    series: false,
    columns: &[
        Column::new("component", "", "Component of the site"),
        Column::new("window_start_ms", "ms", "Start of the window, included"),
        Column::new("window_end_ms", "ms", "End of the window, included"),
        Column::new("channel", "", "EEG channel; cells of a bad one are empty"),
        Column::new(
            "distance_mm",
            "mm",
            "From the stimulated site along a sphere of the head's radius (config, 88 mm)",
        ),
        Column::new("threshold_uv", "uV", "What |TEP| must exceed: family-wise over channels and the window's samples"),
        Column::new("onset_ms", "ms", "From here |TEP| stays above the threshold for min_ms; empty when it never does"),
        Column::new("peak_ms", "ms", "Time of the window's largest |TEP|"),
        Column::new("peak_uv", "uV", "Its value with its sign"),
        Column::new(
            "p_signflip",
            "",
            "Of the largest |TEP| among the largest of all channels in sign-flipped averages",
        ),
        Column::new("significant", "", "1 where p_signflip does not exceed alpha"),
        Column::new("n_trials", "", "Trials in the average"),
    ],
};

/// Columns of `propagation`.
pub static PROPAGATION: TableSpec = TableSpec {
    name: "propagation",
    about: "One component over the whole scalp; and `isp`, interhemispheric signal propagation in its own window",
    series: false,
    columns: &[
        Column::new("component", "", "Component of the site, or `isp`"),
        Column::new("window_start_ms", "ms", "Start of the window, included"),
        Column::new("window_end_ms", "ms", "End of the window, included"),
        Column::new("target", "", "Stimulated electrode"),
        Column::new("opposite", "", "Channel nearest to the target's mirror image; empty within 30 mm of the midline"),
        Column::new("n_channels", "", "Good channels with a known place"),
        Column::new("n_significant", "", "Of these, channels that take part"),
        Column::new("share", "", "n_significant over n_channels"),
        Column::new("n_same_side", "", "Channels that take part on the target's side of the midline"),
        Column::new("n_other_side", "", "Channels that take part on the other side"),
        Column::new("hemispheric_ratio", "", "Mean LMFA of the other side over that of the target's side"),
        Column::new("isp", "", "Rectified area of the opposite channel over that of the target's channel"),
        Column::new("speed_m_per_s", "m/s", "1 over the slope of peak latency on distance; empty when not positive"),
        Column::new("r_squared", "", "Of that line"),
        Column::new("n_fit", "", "Channels in that line: taking part, peak not at a limit of the window"),
        Column::new("n_trials", "", "Trials in the average"),
        Column::new("caution", "", "`uncleaned`: starts before 50 ms, where the pulse's decay lies"),
    ],
};

/// Nearest channel that still counts as the target's, mm.
const NEAR_MM: f64 = 30.0;

/// `use = "spread"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpreadConfig {
    /// Which components, and where was stimulated: a built-in site's name or an inline table.
    pub site: SiteChoice,
    /// Label of the stimulated electrode; by default the first of the site's first region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Radius of the head, mm. Default 88.
    pub head_radius_mm: f64,
    /// Number of sign flips. Default 200.
    pub flips: u32,
    /// Family-wise error rate. Default 0.05.
    pub alpha: f64,
    /// How long |TEP| must stay above the threshold for an onset, ms. Default 3.
    pub min_ms: f64,
    /// Window of interhemispheric signal propagation at the stimulated electrode, ms. Default 50…150.
    pub isp_ms: [f64; 2],
    /// How much later the window lies at the opposite electrode (callosal conduction), ms. Default 0.
    pub isp_delay_ms: f64,
}

impl Default for SpreadConfig {
    fn default() -> Self {
        Self {
            site: SiteChoice::Name("m1".to_owned()),
            target: None,
            head_radius_mm: 88.0,
            flips: 200,
            alpha: 0.05,
            min_ms: 3.0,
            isp_ms: [50.0, 150.0],
            isp_delay_ms: 0.0,
        }
    }
}

impl MarkerConfig for SpreadConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 2] = [&SPREAD, &PROPAGATION];
        &TABLES
    }

    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>> {
        let before = problems.list().len();
        let site = self.site.resolve(problems)?;
        check_windows(&site, input, problems);
        let [lo, hi] = self.isp_ms;
        let _ = input.window_inside("isp_ms", [lo, hi], problems);
        let _ = input.window_inside("isp_delay_ms", [lo + self.isp_delay_ms, hi + self.isp_delay_ms], problems);
        // p cannot fall below 1 / (flips + 1)
        if !(self.alpha > 0.0 && self.alpha < 1.0 && self.alpha * f64::from(self.flips.saturating_add(1)) >= 1.0) {
            problems.add("flips", format!("{} sign flips cannot show p ≤ {}", self.flips, self.alpha));
        }
        if self.flips > 100_000 {
            problems.add("flips", format!("{} is more than 100000", self.flips));
        }
        if !(10.0..=200.0).contains(&self.head_radius_mm) {
            problems.add("head_radius_mm", format!("{} is not between 10 and 200 mm", self.head_radius_mm));
        }
        if !(0.0..=1000.0).contains(&self.min_ms) {
            problems.add("min_ms", format!("{} is not between 0 and 1000 ms", self.min_ms));
        }
        let first = || site.rois.first().and_then(|roi| roi.channels.first()).cloned();
        let target = self.target.clone().or_else(first).unwrap_or_default();
        let place = position_of(&target);
        if place.is_none() {
            problems
                .add("target", format!("{target:?} is not an electrode of the 10-05 system; name the stimulated one"));
        }
        let place = place.filter(|_| problems.list().len() == before)?;
        let axis = Axis::from(input);
        let channels: Vec<Place> = (0..input.channels.len())
            .filter(|&c| input.is_eeg(c))
            .map(|c| Place {
                index: c,
                at: input.channels[c].position.or_else(|| position_of(&input.channels[c].name)),
            })
            .collect();
        let windows: Vec<_> = site.components.iter().filter_map(|c| axis.window(c.window_ms)).collect();
        let start = windows.iter().map(|w| w.start).min().unwrap_or(0);
        let span = start..windows.iter().map(|w| w.end).max().unwrap_or(axis.len);
        let sums = || FlipSums::new(self.flips as usize, context.seed, channels.len(), span.clone());
        let flips = (0..input.conditions).map(|_| sums()).collect();
        Some(Box::new(Spread { config: self.clone(), site, target, place, axis, channels, span, flips }))
    }
}

/// An EEG channel and where it sits, a unit vector.
struct Place {
    index: usize,
    at: Option<[f64; 3]>,
}

struct Spread {
    config: SpreadConfig,
    site: Site,
    target: String,
    place: [f64; 3],
    axis: Axis,
    channels: Vec<Place>,
    /// Samples whose flips are summed.
    span: Range<usize>,
    /// One per condition.
    flips: Vec<FlipSums>,
}

/// What one channel does in one component's window.
#[derive(Debug, Clone, Copy)]
struct Finding {
    distance_mm: Option<f64>,
    threshold_uv: f64,
    onset_ms: Option<f64>,
    peak_ms: f64,
    peak_uv: f64,
    /// At a limit of the window: the largest value of a slope, not a peak.
    at_limit: bool,
    p: f64,
    significant: bool,
}

impl Marker for Spread {
    fn observe(&mut self, epoch: &Epoch) {
        if let Some(sums) = self.flips.get_mut(usize::from(epoch.condition)) {
            sums.add(epoch.trial, self.channels.iter().map(|c| epoch.channel(c.index)));
        }
    }

    fn report(&self, report: &Report<'_>) -> Vec<Table> {
        let (mut spread, mut propagation) = (Table::new(&SPREAD), Table::new(&PROPAGATION));
        for (condition, averages) in report.averages.iter().enumerate().filter(|(_, a)| a.n() > 0) {
            let Some(sums) = self.flips.get(condition) else { continue };
            let (mean, condition) = (averages.mean(), u16::try_from(condition).ok());
            let good = |c: &Place| !report.bad.get(c.index).copied().unwrap_or(false);
            let findings = self.findings(sums, &mean, &good);
            for (component, findings) in self.site.components.iter().zip(&findings) {
                for (place, finding) in self.channels.iter().zip(findings) {
                    let name = report.input.channels[place.index].name.clone();
                    spread.push(condition, row(component, name, finding, self.distance_mm(place), mean.n));
                }
                let window = component.window_ms;
                propagation
                    .push(condition, self.summary(&component.name, window, 0.0, Some(findings), &mean, &good, report));
            }
            let (window, delay) = (self.config.isp_ms, self.config.isp_delay_ms);
            propagation.push(condition, self.summary("isp", window, delay, None, &mean, &good, report));
        }
        vec![spread, propagation]
    }

    fn reset(&mut self) {
        self.flips.iter_mut().for_each(FlipSums::reset);
    }

    fn memory_bytes(&self) -> u64 {
        self.flips.iter().map(FlipSums::memory_bytes).sum()
    }
}

impl Spread {
    fn distance_mm(&self, place: &Place) -> Option<f64> {
        place.at.map(|at| self.config.head_radius_mm * angle(at, self.place))
    }

    /// `[component][channel]`; `None` for a channel that is bad, flat or not finite.
    fn findings(&self, sums: &FlipSums, mean: &Evoked, good: &dyn Fn(&Place) -> bool) -> Vec<Vec<Option<Finding>>> {
        let windows: Vec<Range<usize>> =
            self.site.components.iter().map(|c| self.axis.window(c.window_ms).unwrap_or(0..0)).collect();
        let flips = self.config.flips as usize;
        let mut size = vec![vec![f64::NAN; self.channels.len()]; windows.len()];
        let mut largest = vec![vec![0.0_f64; flips]; windows.len()];
        let mut one = Vec::new();
        for (i, _) in self.channels.iter().enumerate().filter(|(_, c)| good(c)) {
            sums.channel(i, &mut one);
            for (w, window) in windows.iter().enumerate() {
                let window = window.start - self.span.start..window.end - self.span.start;
                let parts = || one.chunks_exact(self.span.len()).map(|flip| &flip[window.clone()]);
                let squares: f64 = parts().flatten().map(|v| v * v).sum();
                // the root mean square of the flipped averages
                let rms = (squares / (flips * window.len()) as f64).sqrt() / mean.n as f64;
                if !rms.is_normal() {
                    continue;
                }
                size[w][i] = rms;
                for (top, flip) in largest[w].iter_mut().zip(parts()) {
                    *top = top.max(peak(flip).1.abs() / (rms * mean.n as f64));
                }
            }
        }
        // p ≤ alpha exactly where the k-th largest is exceeded
        let k = (self.config.alpha * (flips + 1) as f64 + 1e-9).floor() as usize;
        let mut findings = Vec::with_capacity(windows.len());
        for ((window, size), null) in windows.iter().zip(&size).zip(&largest) {
            let mut sorted = null.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let limit = sorted.get(k.max(1) - 1).copied().unwrap_or(f64::INFINITY);
            let finding = |(place, &rms): (&Place, &f64)| {
                let series =
                    mean.data.get(place.index * mean.len..(place.index + 1) * mean.len)?.get(window.clone())?;
                let (at, peak_uv) = peak(series);
                if rms.is_nan() || !series.iter().all(|v| v.is_finite()) {
                    return None;
                }
                let p = p_value(peak_uv.abs() / rms, null);
                let significant = p <= self.config.alpha + 1e-12;
                let onset = significant.then(|| self.onset(series, limit * rms)).flatten();
                Some(Finding {
                    distance_mm: self.distance_mm(place),
                    threshold_uv: limit * rms,
                    onset_ms: onset.map(|i| self.axis.time_ms(window.start + i)),
                    peak_ms: self.axis.time_ms(window.start + at),
                    peak_uv,
                    at_limit: at == 0 || at + 1 == series.len(),
                    p,
                    significant,
                })
            };
            findings.push(self.channels.iter().zip(size).map(finding).collect());
        }
        findings
    }

    /// First sample from which |series| exceeds the threshold for `min_ms`.
    fn onset(&self, series: &[f64], threshold: f64) -> Option<usize> {
        let least = ((self.config.min_ms * self.axis.rate_hz / 1e3).round() as usize).max(1);
        series.windows(least).position(|run| run.iter().all(|v| v.abs() > threshold))
    }

    /// The good channel nearest to a place, within 30 mm.
    fn nearest(&self, at: [f64; 3], good: &dyn Fn(&Place) -> bool) -> Option<&Place> {
        let far = |c: &Place| c.at.map_or(f64::INFINITY, |p| self.config.head_radius_mm * angle(p, at));
        let nearest = self.channels.iter().filter(|c| good(c)).min_by(|a, b| far(a).total_cmp(&far(b)))?;
        (far(nearest) <= NEAR_MM).then_some(nearest)
    }

    #[allow(clippy::too_many_arguments)]
    fn summary(
        &self,
        name: &str,
        window: [f64; 2],
        delay_ms: f64,
        findings: Option<&Vec<Option<Finding>>>,
        mean: &Evoked,
        good: &dyn Fn(&Place) -> bool,
        report: &Report<'_>,
    ) -> [Cell; 17] {
        let near = self.nearest(self.place, good);
        let lateral = self.config.head_radius_mm * self.place[0].abs().asin() * 2.0 > NEAR_MM;
        let opposite = [-self.place[0], self.place[1], self.place[2]];
        let far = self.nearest(opposite, good).filter(|_| lateral);
        let series = |place: &Place| mean.channel(place.index);
        let later = [window[0] + delay_ms, window[1] + delay_ms];
        let area = |place: Option<&Place>, window| self.axis.rectified_area(series(place?), window);
        let isp = area(far, later).zip(area(near, window)).map(|(far, near)| far / near);
        // channels on a side: the midline is on neither
        let side = |place: &Place| place.at.map_or(0.0, |at| if at[0].abs() < 1e-3 { 0.0 } else { at[0].signum() });
        let own = self.place[0].signum();
        let field = |sign: f64| {
            let on = self.channels.iter().filter(|c| good(c) && side(c) == sign);
            self.axis.mean(&lmfa(mean, &on.map(|c| c.index).collect::<Vec<_>>()), window)
        };
        let ratio = field(-own).zip(field(own)).map(|(other, same)| other / same).filter(|_| lateral);
        let placed = self.channels.iter().filter(|c| good(c) && c.at.is_some()).count();
        let part = |sign: Option<f64>| {
            let counts = |(place, finding): &(&Place, &Option<Finding>)| {
                finding.is_some_and(|f| f.significant) && place.at.is_some() && sign.is_none_or(|s| side(place) == s)
            };
            findings.map(|findings| self.channels.iter().zip(findings).filter(counts).count())
        };
        let points: Vec<(f64, f64)> = findings
            .into_iter()
            .flatten()
            .flatten()
            .filter(|f| f.significant && !f.at_limit)
            .filter_map(|f| Some((f.distance_mm?, f.peak_ms)))
            .collect();
        let fit = speed(&points);
        let label = |place: Option<&Place>| Cell::from(place.map(|p| report.input.channels[p.index].name.clone()));
        [
            name.to_owned().into(),
            window[0].into(),
            window[1].into(),
            self.target.clone().into(),
            label(far),
            placed.into(),
            part(None).into(),
            part(None).filter(|_| placed > 0).map(|n| n as f64 / placed as f64).into(),
            part(Some(own)).filter(|_| lateral).into(),
            part(Some(-own)).filter(|_| lateral).into(),
            ratio.into(),
            isp.into(),
            fit.map(|(speed, _)| speed).filter(|v| *v > 0.0).into(),
            fit.map(|(_, r)| r).into(),
            findings.map(|_| points.len()).into(),
            mean.n.into(),
            if window[0] < 50.0 { "uncleaned" } else { "" }.into(),
        ]
    }
}

fn row(component: &Component, channel: String, finding: &Option<Finding>, distance: Option<f64>, n: u64) -> [Cell; 12] {
    [
        component.name.clone().into(),
        component.window_ms[0].into(),
        component.window_ms[1].into(),
        channel.into(),
        distance.into(),
        finding.map(|f| f.threshold_uv).into(),
        finding.and_then(|f| f.onset_ms).into(),
        finding.map(|f| f.peak_ms).into(),
        finding.map(|f| f.peak_uv).into(),
        finding.map(|f| f.p).into(),
        finding.map(|f| f.significant).into(),
        n.into(),
    ]
}

/// The angle between two unit vectors.
fn angle(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|i| a[i] * b[i]).sum::<f64>().clamp(-1.0, 1.0).acos()
}

/// Where |series| is largest (the first of equals), and the value there.
fn peak(series: &[f64]) -> (usize, f64) {
    let mut best = (0, 0.0_f64);
    for (i, &v) in series.iter().enumerate() {
        if v.abs() > best.1.abs() {
            best = (i, v);
        }
    }
    best
}

/// Speed in mm/ms, that is m/s, and R² of the line latency on distance, from at least three points that differ in both.
fn speed(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let line = Line::fit(points.iter().copied()).filter(|_| points.len() >= 3)?;
    let mean = points.iter().map(|p| p.1).sum::<f64>() / points.len() as f64;
    let total: f64 = points.iter().map(|p| (p.1 - mean).powi(2)).sum();
    let rest: f64 = points.iter().map(|p| (p.1 - line.value(p.0)).powi(2)).sum();
    (total > 0.0 && line.slope != 0.0).then(|| (1.0 / line.slope, 1.0 - rest / total))
}

#[cfg(test)]
mod tests {
    use super::super::kit::{Kit, Noise};
    use super::*;

    const NAMES: [&str; 8] = ["C3", "C1", "CP3", "FC3", "Cz", "C4", "Pz", "Fz"];

    fn at(table: &Table, column: &str, component: &str, channel: &str) -> Option<f64> {
        let is = |&r: &usize| {
            table.text(r, "component") == Some(component)
                && (channel.is_empty() || table.text(r, "channel") == Some(channel))
        };
        table.number((0..table.len()).find(is).unwrap(), column)
    }

    #[test]
    fn a_travelling_response_has_its_speed() {
        let mut kit = Kit::new(&NAMES, 2000.0, [-50.0, 300.0]);
        kit.bad[3] = true;
        let mut marker = kit.build(&SpreadConfig::default());
        let place = |name: &str| position_of(name).unwrap();
        let distance = NAMES.map(|n| 88.0 * angle(place(n), place("C3")));
        let mut noise = Noise::new(3, 8, 2000.0);
        for trial in 0..60 {
            noise.skip(4000);
            let background = noise.trial(kit.info.len);
            // 10 mm/ms from 92 ms on
            kit.feed(&mut *marker, trial, 0, |c, i, t| {
                let g = |mu: f64, sd: f64| (-0.5 * ((t - mu) / sd).powi(2)).exp();
                let gain = if c == 3 { f64::NAN } else { -40.0 / (1.0 + distance[c] / 100.0) };
                gain * g(92.0 + distance[c] / 10.0, 6.0) + 0.05 * background[c][i]
            });
        }
        let tables = kit.report(&*marker);
        let (spread, propagation) = (&tables[0], &tables[1]);
        assert_eq!((spread.len(), propagation.len()), (5 * 8, 6));
        for (c, name) in NAMES.iter().enumerate().filter(|(c, _)| *c != 3) {
            assert!((at(spread, "distance_mm", "N100", name).unwrap() - distance[c]).abs() < 1e-9);
            assert!((at(spread, "peak_ms", "N100", name).unwrap() - 92.0 - distance[c] / 10.0).abs() <= 1.0);
            assert!(at(spread, "onset_ms", "N100", name).unwrap() < at(spread, "peak_ms", "N100", name).unwrap());
            assert!(at(spread, "peak_uv", "N100", name).unwrap() < -15.0);
            assert_eq!(at(spread, "significant", "N100", name), Some(1.0));
            assert!(at(spread, "threshold_uv", "N100", name).unwrap() > 0.0);
        }
        for column in ["onset_ms", "peak_uv", "p_signflip", "significant"] {
            assert_eq!(at(spread, column, "N100", "FC3"), None, "bad");
        }
        assert!((at(propagation, "speed_m_per_s", "N100", "").unwrap() - 10.0).abs() < 0.5);
        assert!(at(propagation, "r_squared", "N100", "").unwrap() > 0.98);
        for (column, value) in [
            ("n_channels", 7.0),
            ("n_significant", 7.0),
            ("share", 1.0),
            ("n_same_side", 3.0),
            ("n_other_side", 1.0),
            ("n_fit", 7.0),
        ] {
            assert_eq!(at(propagation, column, "N100", ""), Some(value), "{column}");
        }
        // C4 against C3: the same bell, smaller, wholly inside 50…150 ms
        let isp = at(propagation, "isp", "isp", "").unwrap();
        assert!((isp - 1.0 / (1.0 + distance[5] / 100.0)).abs() < 0.05, "{isp}");
        assert!(at(propagation, "hemispheric_ratio", "N100", "").unwrap() < 1.0);
        assert_eq!(propagation.text(0, "opposite"), Some("C4"));
        assert_eq!((propagation.text(0, "caution"), propagation.text(3, "caution")), (Some("uncleaned"), Some("")));
    }

    #[test]
    fn sham_recordings_have_a_significant_channel_in_one_of_twenty() {
        let (mut found, mut tests) = (0.0, 0.0);
        for recording in 0..150 {
            let mut kit = Kit::new(&NAMES, 500.0, [-200.0, 250.0]);
            let mut marker = kit.build(&SpreadConfig::default());
            let mut noise = Noise::new(700 + recording, NAMES.len(), 500.0);
            for trial in 0..40 {
                noise.skip(1000);
                let mut data = noise.trial(kit.info.len);
                data[6].iter_mut().for_each(|v| *v *= 20.0); // one loud channel decides for nobody
                kit.feed(&mut *marker, trial, 0, |c, i, _| data[c][i]);
            }
            let table = &kit.report(&*marker)[1];
            for component in ["P30", "N45", "P60", "N100", "P180"] {
                tests += 1.0;
                found += f64::from(u8::from(at(table, "n_significant", component, "").unwrap() > 0.0));
            }
        }
        println!("family-wise: {found} of {tests}");
        assert!((0.025..=0.08).contains(&(found / tests)), "{found} of {tests}");
    }

    #[test]
    fn closed_forms_and_problems() {
        let (v, r) = speed(&[(0.0, 10.0), (20.0, 14.0), (50.0, 20.0)]).unwrap();
        assert!((v - 5.0).abs() < 1e-12 && (r - 1.0).abs() < 1e-12);
        assert_eq!(speed(&[(0.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(speed(&[(0.0, 1.0), (1.0, 1.0), (2.0, 1.0)]), None);
        assert!(speed(&[(0.0, 3.0), (1.0, 2.0), (2.0, 1.0)]).unwrap().0 < 0.0);
        assert_eq!(peak(&[1.0, -3.0, 3.0]), (1, -3.0));
        assert!((angle([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]) - std::f64::consts::FRAC_PI_2).abs() < 1e-15);
        let kit = Kit::new(&NAMES, 1000.0, [-50.0, 120.0]);
        let config = SpreadConfig {
            target: Some("here".into()),
            flips: 10,
            head_radius_mm: 0.0,
            min_ms: -1.0,
            ..SpreadConfig::default()
        };
        let problems = kit.problems(&config).join("\n");
        for part in [
            "target: \"here\"",
            "10 sign flips cannot show p ≤ 0.05",
            "head_radius_mm",
            "min_ms",
            "isp_ms",
            "site.P180",
        ] {
            assert!(problems.contains(part), "{part}: {problems}");
        }
        // nothing yet: no rows; a flat or NaN recording: rows, no numbers
        let mut kit = Kit::new(&NAMES, 1000.0, [-50.0, 300.0]);
        let mut marker = kit.build(&SpreadConfig::default());
        assert!(kit.report(&*marker).iter().all(Table::is_empty));
        kit.feed(&mut *marker, 0, 0, |c, _, _| if c == 0 { f64::NAN } else { 0.0 });
        let tables = kit.report(&*marker);
        assert_eq!((tables[0].len(), at(&tables[0], "peak_uv", "P30", "C1")), (40, None));
        assert_eq!(at(&tables[1], "isp", "isp", ""), None);
        marker.reset();
        assert!(marker.memory_bytes() > 0);
    }
}
