//! The peak of a component: a strict local extremum in a window, and what it takes to doubt it.
//!
//! The rule follows the field (Rogasch et al. 2017, doi:10.1016/j.neuroimage.2016.10.031): a sample is a candidate when
//! it exceeds every other sample of its neighbourhood. Three choices keep the answer honest: the neighbourhood is given
//! in ms, so 1 kHz and 20 kHz agree; it may reach beyond the window, so a peak at its edge is judged by its true
//! neighbours; and no candidate means *not found*, never a value at a nominal latency passed off as a peak.
//! On pure noise this rule finds "peaks" in most windows: *found* is no evidence of a response.

use super::series::Axis;
use super::site::{Component, Polarity};
use std::ops::Range;

/// How a local extremum is told: it exceeds all samples within this distance on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeakRule {
    /// Samples on each side, at least 1.
    pub neighbours: usize,
}

impl PeakRule {
    /// All samples within `ms` (at least one on each side); `samples` overrides it (5 at 1 kHz is TESA's rule).
    pub fn new(ms: f64, samples: Option<u32>, rate_hz: f64) -> Self {
        let within = (ms * rate_hz / 1e3 + 1e-9 * rate_hz).floor().clamp(1.0, 1e6) as usize;
        Self { neighbours: samples.map_or(within, |n| (n as usize).max(1)) }
    }

    /// Calls `each` for every candidate in `window`, in order of time; `sign` −1 looks for troughs.
    ///
    /// A run of equal values counts once, at its middle (the earlier of two). Neighbours may lie outside the window
    /// but not outside the series: what cannot be compared on both sides is no candidate.
    pub fn candidates(&self, series: &[f64], window: Range<usize>, sign: f64, mut each: impl FnMut(usize)) {
        let (k, end) = (self.neighbours, window.end.min(series.len()));
        let Some(mut from) = (window.start < end).then_some(window.start) else { return };
        while from > 0 && series[from - 1] == series[from] {
            from -= 1;
        }
        while from < end {
            let height = sign * series[from];
            let mut last = from;
            while last + 1 < series.len() && series[last + 1] == series[from] {
                last += 1;
            }
            let middle = (from + last) / 2;
            let exceeds = |others: &[f64]| others.iter().all(|&v| height > sign * v);
            if window.start <= middle
                && middle < end
                && from >= k
                && last + k < series.len()
                && exceeds(&series[from - k..from])
                && exceeds(&series[last + 1..=last + k])
            {
                each(middle);
            }
            from = last + 1;
        }
    }

    /// The largest candidate (the earlier of equals), and how many there are.
    pub fn largest(&self, series: &[f64], window: Range<usize>, sign: f64) -> (Option<usize>, usize) {
        let (mut best, mut count) = (None, 0);
        self.candidates(series, window, sign, |at| {
            count += 1;
            if best.is_none_or(|b: usize| sign * series[at] > sign * series[b]) {
                best = Some(at);
            }
        });
        (best.filter(|&at| series[at].is_finite()), count)
    }
}

/// How far the peak at `at` stands out: its height over the higher of the two lowest points between it and the next
/// higher sample (or the series' end) on either side. As `scipy.signal.peak_prominences`.
pub fn prominence(series: &[f64], at: usize, sign: f64) -> f64 {
    let height = sign * series[at];
    let lowest = |side: &mut dyn Iterator<Item = &f64>| {
        side.map(|v| sign * v).take_while(|&v| v <= height).fold(height, f64::min)
    };
    height - lowest(&mut series[..at].iter().rev()).max(lowest(&mut series[at + 1..].iter()))
}

/// A component's peak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// Its sample.
    pub index: usize,
    /// When, ms.
    pub latency_ms: f64,
    /// How high, µV, with its sign.
    pub amplitude_uv: f64,
}

/// What the search knows beyond the series itself: fixed for one recording.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    /// Time axis of the series.
    pub axis: Axis,
    /// What counts as a peak.
    pub rule: PeakRule,
}

impl Search {
    /// The component's peak in a series, looked for with `polarity`; and the number of candidates.
    /// An empty series has none.
    pub fn peak(&self, series: &[f64], component: &Component, polarity: Polarity) -> (Option<Peak>, usize) {
        let Some(window) = self.axis.window(component.window_ms) else { return (None, 0) };
        let (best, count) = self.rule.largest(series, window, polarity.sign());
        let peak = best.map(|index| Peak { index, latency_ms: self.axis.time_ms(index), amplitude_uv: series[index] });
        (peak, count)
    }

    /// Whether the peak lies within the neighbourhood of a limit of the window: it may belong to the next deflection.
    pub fn at_edge(&self, peak: &Peak, component: &Component) -> bool {
        self.axis
            .window(component.window_ms)
            .is_some_and(|w| peak.index < w.start + self.rule.neighbours || peak.index + self.rule.neighbours >= w.end)
    }

    /// Distance in ms from the peak to the nearest bridged sample, 0 inside; `None` when nothing was bridged.
    pub fn gap_distance_ms(&self, peak: &Peak, filled: &[bool]) -> Option<f64> {
        let far = filled.iter().enumerate().filter(|(_, f)| **f).map(|(i, _)| i.abs_diff(peak.index)).min()?;
        Some(far as f64 * 1e3 / self.axis.rate_hz)
    }
}

#[cfg(test)]
mod tests {
    use super::super::series::channel_mean;
    use super::super::series::tests::{axis, close, fixture_a, golden, lcg};
    use super::*;

    fn component(name: &str, lo: f64, hi: f64, polarity: Polarity, nominal_ms: f64) -> Component {
        Component { name: name.into(), polarity, window_ms: [lo, hi], nominal_ms }
    }

    fn all(rule: PeakRule, series: &[f64], sign: f64) -> Vec<usize> {
        let mut found = Vec::new();
        rule.candidates(series, 0..series.len(), sign, |at| found.push(at));
        found
    }

    #[test]
    fn tesa_rule_matches_the_reference_numbers() {
        use Polarity::{Negative, Positive};
        let (evoked, golden) = (fixture_a(), golden());
        let search = Search { axis: axis(&evoked), rule: PeakRule::new(0.0, Some(5), 1000.0) };
        assert_eq!(search.rule, PeakRule::new(5.0, None, 1000.0));
        let roi = channel_mean(&evoked, &[0, 1, 2]);
        for c in [
            component("P30", 20.0, 40.0, Positive, 30.0),
            component("N45", 40.0, 55.0, Negative, 45.0),
            component("P60", 55.0, 75.0, Positive, 60.0),
            component("N100", 80.0, 140.0, Negative, 100.0),
            component("P180", 150.0, 230.0, Positive, 180.0),
            component("N15", 8.0, 20.0, Negative, 15.0),
        ] {
            let truth = &golden["A"][format!("roi012_{}", c.name)];
            let (peak, count) = search.peak(&roi, &c, c.polarity);
            assert_eq!(peak.is_some(), truth["found"].as_bool().unwrap(), "{}", c.name);
            assert_eq!(count as u64, truth["ncand"].as_u64().unwrap());
            if let Some(peak) = peak {
                assert_eq!(peak.latency_ms, truth["lat"].as_f64().unwrap());
                close(peak.amplitude_uv, truth["amp"].as_f64().unwrap(), 1e-12);
                close(prominence(&roi, peak.index, c.polarity.sign()), truth["prominence"].as_f64().unwrap(), 1e-12);
            } else {
                close(search.axis.value_at(&roi, c.nominal_ms).unwrap(), truth["amp"].as_f64().unwrap(), 1e-12);
            }
        }
    }

    #[test]
    fn candidates_and_prominences_match_scipy_on_plateaus() {
        let golden = golden();
        for (i, case) in golden["plateaus"].as_array().unwrap().iter().enumerate() {
            let series: Vec<f64> = serde_json::from_value(case["x"].clone()).unwrap();
            for (k, peaks) in case["peaks"].as_object().unwrap() {
                let rule = PeakRule { neighbours: k.parse().unwrap() };
                let peaks: Vec<usize> = serde_json::from_value(peaks.clone()).unwrap();
                assert_eq!(all(rule, &series, 1.0), peaks, "case {i}, k = {k}");
                let flipped: Vec<f64> = series.iter().map(|v| -v).collect();
                assert_eq!(all(rule, &flipped, -1.0), peaks, "case {i}, k = {k}, upside down");
            }
            let peaks: Vec<usize> = serde_json::from_value(case["peaks"]["1"].clone()).unwrap();
            let heights: Vec<f64> = serde_json::from_value(case["prominences"].clone()).unwrap();
            for (at, height) in peaks.into_iter().zip(heights) {
                assert_eq!(prominence(&series, at, 1.0), height, "case {i}, peak {at}");
            }
        }
    }

    #[test]
    fn a_window_cuts_candidates_but_not_their_neighbours() {
        let series: Vec<f64> = (0..200).map(|i| -((i - 100) as f64).abs()).collect();
        let rule = PeakRule { neighbours: 5 };
        for (window, found) in [(100..150, true), (50..101, true), (101..150, false), (50..100, false), (90..90, false)]
        {
            assert_eq!(rule.largest(&series, window, 1.0).0.is_some(), found);
        }
        // a rise to the window's end is not a peak, and neither is what the series' end cuts
        assert_eq!(rule.largest(&series[..104], 90..104, 1.0), (None, 0));
        assert_eq!(rule.largest(&series[..106], 90..106, 1.0), (Some(100), 1));
        // of two equal peaks the earlier counts, a plateau that the window cuts counts where its middle lies
        let twin: Vec<f64> = (0..60).map(|i: i32| -f64::from((i - 20).abs().min((i - 40).abs()))).collect();
        assert_eq!(rule.largest(&twin, 0..60, 1.0), (Some(20), 2));
        let mut flat = series.clone();
        flat[96..=104].fill(0.0);
        assert_eq!(all(rule, &flat, 1.0), [100]);
        assert_eq!(rule.largest(&flat, 102..150, 1.0).0, None);
        assert_eq!(rule.largest(&flat, 98..150, 1.0).0, Some(100));
        assert_eq!(rule.largest(&[f64::NAN; 50], 0..50, 1.0), (None, 0));
        assert_eq!(rule.largest(&[0.0; 50], 0..50, 1.0), (None, 0));
        assert_eq!(rule.largest(&[], 0..50, 1.0), (None, 0));
    }

    #[test]
    fn every_rate_gives_the_same_peaks() {
        let value = |t: f64| {
            let g = |mu: f64, sd: f64| (-0.5 * ((t - mu) / sd).powi(2)).exp();
            5.0 * g(30.0, 5.0) - 6.0 * g(46.0, 5.0) + 3.0 * g(62.0, 6.0) - 9.0 * g(104.0, 15.0) + 7.0 * g(185.0, 30.0)
        };
        let site = crate::mark::Site::builtin("m1").unwrap();
        let at = |rate_hz: f64| {
            let (first, len) = (-(0.2 * rate_hz) as i64, (0.5 * rate_hz) as usize);
            let axis = Axis { rate_hz, first, len };
            let series: Vec<f64> = (0..len).map(|i| value(axis.time_ms(i))).collect();
            let search = Search { axis, rule: PeakRule::new(5.0, None, rate_hz) };
            site.components.iter().map(|c| search.peak(&series, c, c.polarity)).collect::<Vec<_>>()
        };
        let slow = at(1000.0);
        for rate in [500.0, 1450.0, 5000.0, 20_000.0] {
            for ((a, n), (b, m)) in slow.iter().zip(at(rate)) {
                let (a, b) = (a.unwrap(), b.unwrap());
                assert!((a.latency_ms - b.latency_ms).abs() <= 1.0 && *n == m, "{a:?} {b:?}");
                assert!((a.amplitude_uv - b.amplitude_uv).abs() < 0.12, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn doubts_are_reported() {
        let axis = Axis { rate_hz: 1000.0, first: -50, len: 200 };
        let search = Search { axis, rule: PeakRule::new(5.0, None, 1000.0) };
        let c = component("P30", 20.0, 40.0, Polarity::Positive, 30.0);
        let series = |peak: f64| -> Vec<f64> { (0..200).map(|i| -(axis.time_ms(i) - peak).abs()).collect() };
        let filled: Vec<bool> = (0..200).map(|i| (-2.0..=12.0).contains(&axis.time_ms(i))).collect();
        for (at, edge) in [(20.0, true), (24.0, true), (25.0, false), (35.0, false), (36.0, true), (40.0, true)] {
            let peak = search.peak(&series(at), &c, c.polarity).0.unwrap();
            assert_eq!((peak.latency_ms, search.at_edge(&peak, &c)), (at, edge));
            assert_eq!(search.gap_distance_ms(&peak, &filled), Some(at - 12.0));
            assert_eq!(search.gap_distance_ms(&peak, &[false; 200]), None);
        }
        let inside = Peak { index: 55, latency_ms: 5.0, amplitude_uv: 0.0 };
        assert_eq!(search.gap_distance_ms(&inside, &filled), Some(0.0));
        assert_eq!(search.peak(&lcg(1, 0), &c, c.polarity), (None, 0));
    }
}
