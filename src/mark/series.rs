//! Series that markers measure: global and local mean field amplitude, ROI means; and the time axis they share.

use crate::flow::EpochInfo;
use crate::signal::Evoked;
use ndarray::Array2;
use std::ops::Range;

/// Axes of an evoked response as an array.
const CHANNELS: ndarray::Axis = ndarray::Axis(0);
const TIME: ndarray::Axis = ndarray::Axis(1);

/// The time axis of an epoch or an average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Axis {
    /// Samples per second.
    pub rate_hz: f64,
    /// Offset of the first sample from the event's sample.
    pub first: i64,
    /// Number of samples.
    pub len: usize,
}

impl From<&EpochInfo> for Axis {
    fn from(input: &EpochInfo) -> Self {
        Self { rate_hz: input.rate_hz(), first: input.first, len: input.len }
    }
}

impl Axis {
    /// Time of sample `index`, ms.
    pub fn time_ms(&self, index: usize) -> f64 {
        (self.first + index as i64) as f64 * 1e3 / self.rate_hz
    }

    /// The samples of a window in ms, both ends included, cut to the axis; `None` when nothing is left.
    pub fn window(&self, window_ms: [f64; 2]) -> Option<Range<usize>> {
        crate::signal::window_range(window_ms, self.rate_hz, self.first, self.len)
    }

    /// Where a time lies, in samples with a fraction; within 1e-6 ms of a sample it lies on it. `None` off the axis.
    fn position(&self, ms: f64) -> Option<f64> {
        let exact = ms * self.rate_hz / 1e3 - self.first as f64;
        let whole = exact.round();
        let at = if (exact - whole).abs() <= 1e-9 * self.rate_hz { whole } else { exact };
        (self.len > 0 && at >= 0.0 && at <= (self.len - 1) as f64).then_some(at)
    }

    /// The series at a time, straight between samples; `None` off the axis.
    pub fn value_at(&self, series: &[f64], ms: f64) -> Option<f64> {
        self.position(ms).and_then(|at| interpolate(series, at)).filter(|v| v.is_finite())
    }

    /// Mean over the samples of a window in ms; `None` without samples or with one that is not finite.
    pub fn mean(&self, series: &[f64], window_ms: [f64; 2]) -> Option<f64> {
        let values = series.get(self.window(window_ms)?)?;
        Some(values.iter().sum::<f64>() / values.len() as f64).filter(|v| v.is_finite())
    }

    /// Area under the series between the exact limits in ms, by trapezoids, in µV·ms; the limits' values are
    /// interpolated where they fall between samples. Signed: what lies below zero counts negative.
    /// `None` when the window leaves the axis or holds a value that is not finite.
    pub fn area(&self, series: &[f64], window_ms: [f64; 2]) -> Option<f64> {
        self.integrate(series, window_ms, |v| v)
    }

    /// As [`Axis::area`], of the series' absolute values.
    pub fn rectified_area(&self, series: &[f64], window_ms: [f64; 2]) -> Option<f64> {
        self.integrate(series, window_ms, f64::abs)
    }

    fn integrate(&self, series: &[f64], window_ms: [f64; 2], shape: fn(f64) -> f64) -> Option<f64> {
        let (from, to) = (self.position(window_ms[0])?, self.position(window_ms[1])?);
        if from > to {
            return None;
        }
        let trapezoid = |a: f64, b: f64, width: f64| (shape(a) + shape(b)) * 0.5 * width;
        let (start, end) = (interpolate(series, from)?, interpolate(series, to)?);
        let (first, last) = (from.ceil() as usize, to.floor() as usize);
        let sum = if first > last {
            trapezoid(start, end, to - from) // both limits between the same two samples
        } else {
            let inner = series.get(first..=last)?;
            let (head, tail) = (*inner.first()?, *inner.last()?);
            trapezoid(start, head, first as f64 - from)
                + inner.windows(2).map(|pair| trapezoid(pair[0], pair[1], 1.0)).sum::<f64>()
                + trapezoid(tail, end, to - last as f64)
        };
        Some(sum * 1e3 / self.rate_hz).filter(|v| v.is_finite())
    }
}

fn interpolate(series: &[f64], at: f64) -> Option<f64> {
    let (index, part) = (at.floor() as usize, at - at.floor());
    let here = *series.get(index)?;
    if part == 0.0 {
        return Some(here);
    }
    Some(here + part * (*series.get(index + 1)? - here))
}

/// Mean over channels, sample by sample; empty without channels or without data.
pub fn channel_mean(evoked: &Evoked, channels: &[usize]) -> Vec<f64> {
    rows(evoked, channels).mean_axis(CHANNELS).map_or_else(Vec::new, |mean| mean.to_vec())
}

/// Global mean field amplitude, µV: the standard deviation over channels at each sample,
/// √(Σ(xᵢ − x̄)² / (N − ddof)) (Lehmann & Skrandies 1980, doi:10.1016/0013-4694(80)90419-8).
///
/// `ddof` 0 is the original (MNE-Python, FieldTrip), 1 is TESA's. Empty without channels or data; NaN where N ≤ ddof.
pub fn gmfa(evoked: &Evoked, channels: &[usize], ddof: u8) -> Vec<f64> {
    let rows = rows(evoked, channels);
    if channels.len() <= usize::from(ddof) {
        return vec![f64::NAN; rows.ncols()];
    }
    rows.std_axis(CHANNELS, f64::from(ddof)).to_vec()
}

/// Local mean field amplitude, µV: √(Σxᵢ² / N) over a region's channels, after the reference.
///
/// The region's own mean is *not* removed: that would hide a deflection that all its channels share.
/// Empty without channels or data.
pub fn lmfa(evoked: &Evoked, channels: &[usize]) -> Vec<f64> {
    rows(evoked, channels).axis_iter(TIME).map(|x| (x.dot(&x) / x.len() as f64).sqrt()).collect()
}

/// These channels' means, channel × time; nothing without channels or data.
fn rows(evoked: &Evoked, channels: &[usize]) -> Array2<f64> {
    if evoked.data.is_empty() || channels.is_empty() {
        return Array2::default((0, 0));
    }
    evoked.view().select(CHANNELS, channels)
}

/// Mean and standard deviation (N − 1) of a series over a window; `None` with fewer than two finite samples.
pub fn mean_sd(axis: &Axis, series: &[f64], window_ms: [f64; 2]) -> Option<(f64, f64)> {
    let values = series.get(axis.window(window_ms)?)?;
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    Some((mean, (squares / (n - 1.0)).sqrt())).filter(|(m, s)| m.is_finite() && s.is_finite())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::unit::{Clock, Rate};

    /// The tables' integer generator: `s ← 1664525 s + 1013904223 mod 2³²`, value `s / 2³² − 0.5`.
    pub fn lcg(seed: u32, n: usize) -> Vec<f64> {
        let mut s = seed;
        let next = |_| {
            s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(s) / 4_294_967_296.0 - 0.5
        };
        (0..n).map(next).collect()
    }

    /// Fixture A of the reference numbers: 8 channels, −400…599 ms at 1 kHz, µV.
    pub fn fixture_a() -> Evoked {
        let clock = Clock::stored(Rate::new(1000, 1).unwrap());
        let mut data = Vec::new();
        for c in 0..8_u32 {
            let x = f64::from(c);
            let (a1, a2, a3) = ((0.7 * x).cos(), (0.9 * x + 0.3).sin(), (0.4 * x + 1.1).cos());
            for (i, noise) in lcg(12345 + 1000 * c, 1000).into_iter().enumerate() {
                let t = i as f64 - 400.0;
                let g = |mu: f64, sd: f64| (-0.5 * ((t - mu) / sd).powi(2)).exp();
                data.push(
                    6.0 * a1 * g(30.0, 6.0) - 8.0 * a2 * g(45.0, 8.0) - 12.0 * a3 * g(100.0, 20.0)
                        + 9.0 * a1 * g(190.0, 35.0)
                        + 0.8 * noise,
                );
            }
        }
        Evoked { n: 1, clock, first: -400, len: 1000, data, filled: vec![false; 1000] }
    }

    pub fn axis(evoked: &Evoked) -> Axis {
        Axis { rate_hz: evoked.clock.rate_hz(), first: evoked.first, len: evoked.len }
    }

    pub fn golden() -> serde_json::Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/mark.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    pub fn close(a: f64, b: f64, relative: f64) {
        assert!((a - b).abs() <= relative * b.abs().max(1e-300), "{a} against {b}");
    }

    #[test]
    fn mean_fields_match_the_reference_numbers() {
        let (evoked, golden) = (fixture_a(), golden());
        let all: Vec<usize> = (0..8).collect();
        let (g0, g1) = (gmfa(&evoked, &all, 0), gmfa(&evoked, &all, 1));
        for ms in [30, 45, 100, 190] {
            let number = |ddof: u8| golden["A"][format!("gmfa_ddof{ddof}_{ms}ms")].as_f64().unwrap();
            close(g0[ms + 400], number(0), 1e-12);
            close(g1[ms + 400], number(1), 1e-12);
        }
        let axis = axis(&evoked);
        let area = golden["A"]["gmfa0_area_15_300_uv_ms"].as_f64().unwrap();
        close(axis.area(&g0, [15.0, 300.0]).unwrap(), area, 1e-12);
        let l = lmfa(&evoked, &[0, 1, 2]);
        for ms in [30, 100] {
            close(l[ms + 400], golden["A"][format!("lmfa012_{ms}ms")].as_f64().unwrap(), 1e-12);
        }
        let roi = channel_mean(&evoked, &[0, 1, 2]);
        for (key, window) in [("20_40", [20.0, 40.0]), ("80.25_145.5", [80.25, 145.5]), ("30.2_30.7", [30.2, 30.7])] {
            let area = |name: &str| golden["A"][format!("roi012_{name}_{key}")].as_f64().unwrap();
            close(axis.area(&roi, window).unwrap(), area("area"), 1e-12);
            close(axis.rectified_area(&roi, window).unwrap(), area("rectified_area"), 1e-12);
        }
    }

    #[test]
    fn one_channel_has_no_field() {
        let evoked = fixture_a();
        assert!(gmfa(&evoked, &[3], 0).iter().all(|&v| v == 0.0));
        assert!(gmfa(&evoked, &[3], 1).iter().all(|v| v.is_nan()));
        assert!(gmfa(&evoked, &[], 0).is_empty());
    }

    #[test]
    fn areas_have_exact_limits() {
        // 512 Hz: neither limit falls on a sample; a straight line's area is known
        let axis = Axis { rate_hz: 512.0, first: -100, len: 400 };
        let line: Vec<f64> = (0..400).map(|i| 2.0 + 0.01 * axis.time_ms(i)).collect();
        let truth = 2.0 * (80.0 - 15.0) + 0.01 * (80.0_f64.powi(2) - 15.0_f64.powi(2)) / 2.0;
        close(axis.area(&line, [15.0, 80.0]).unwrap(), truth, 1e-13);
        assert_eq!(axis.area(&line, [15.0, 800.0]), None);
        assert_eq!(axis.area(&vec![f64::NAN; 400], [15.0, 80.0]), None);
        close(axis.value_at(&line, 33.3).unwrap(), 2.333, 1e-13);
        assert_eq!(axis.value_at(&line, -1e9), None);
    }
}
