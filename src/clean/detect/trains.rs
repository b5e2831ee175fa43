//! What found pulses say: do they fit the markers, how far apart are they, which of them belong together.

use crate::dsp::stats::median;
use crate::unit::{Rate, Tick};
use serde::Serialize;

/// Pulses and markers, paired.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Matching {
    /// (index of the pulse, index of the marker).
    pub pairs: Vec<(usize, usize)>,
    /// Median of pulse − marker, ms; positive when the pulse comes later. NaN without pairs.
    pub lag_median_ms: f64,
    /// Largest |pulse − marker|, ms. NaN without pairs.
    pub lag_max_ms: f64,
    /// Largest departure of a lag from the median lag, ms. NaN without pairs.
    pub lag_spread_ms: f64,
    /// Pulses without a marker.
    pub unmatched_found: Vec<usize>,
    /// Markers without a pulse: sham, or a pulse that was missed.
    pub unmatched_markers: Vec<usize>,
}

/// Pairs pulses with markers: each is the other's nearest, at most `within_ms` away (of two at the same distance the earlier).
///
/// Both lists in order of time. Markers are never replaced by pulses: this only says how they agree.
pub fn match_events(found: &[Tick], markers: &[Tick], rate: Rate, within_ms: f64) -> Matching {
    let most = rate.ticks(within_ms / 1e3) + 1e-6;
    let mut pairs = Vec::new();
    for (f, &tick) in found.iter().enumerate() {
        let Some(m) = nearest(markers, tick) else { continue };
        if nearest(found, markers[m]) == Some(f) && (tick.0 - markers[m].0).abs() as f64 <= most {
            pairs.push((f, m));
        }
    }
    let mut lags: Vec<_> = pairs.iter().map(|&(f, m)| 1e3 * rate.seconds((found[f].0 - markers[m].0) as f64)).collect();
    let largest = |lags: &[f64], from: f64| lags.iter().map(|l| (l - from).abs()).reduce(f64::max).unwrap_or(f64::NAN);
    let lag_median_ms = median(&mut lags);
    let without = |n: usize, side: fn(&(usize, usize)) -> usize| {
        let mut free = vec![true; n];
        pairs.iter().for_each(|p| free[side(p)] = false);
        (0..n).filter(|&i| free[i]).collect()
    };
    Matching {
        lag_median_ms,
        lag_max_ms: largest(&lags, 0.0),
        lag_spread_ms: largest(&lags, lag_median_ms),
        unmatched_found: without(found.len(), |p| p.0),
        unmatched_markers: without(markers.len(), |p| p.1),
        pairs,
    }
}

/// Index of the tick nearest to `tick` in a sorted list; of two the earlier, of equal ones the first.
fn nearest(sorted: &[Tick], tick: Tick) -> Option<usize> {
    let right = sorted.partition_point(|t| *t < tick);
    let left = right.checked_sub(1).map(|i| sorted.partition_point(|t| *t < sorted[i]));
    match (left, right < sorted.len()) {
        (Some(left), true) if tick.0 - sorted[left].0 <= sorted[right].0 - tick.0 => Some(left),
        (_, true) => Some(right),
        (left, false) => left,
    }
}

/// How far apart consecutive events are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Intervals {
    /// Number of intervals.
    pub count: usize,
    /// Shortest, s; NaN without an interval, as the next two.
    pub min_s: f64,
    /// Median, s.
    pub median_s: f64,
    /// Longest, s.
    pub max_s: f64,
    /// (interval in ms, how often), to the next whole `bin_ms`.
    pub histogram: Vec<(f64, u64)>,
}

/// Intervals between onsets in seconds (in order, gaps of the recording counted), with a histogram in bins of `bin_ms`.
pub fn intervals(onsets_s: &[f64], bin_ms: f64) -> Intervals {
    let mut s: Vec<_> = onsets_s.windows(2).map(|w| w[1] - w[0]).collect();
    let mut bins = std::collections::BTreeMap::new();
    for v in &s {
        *bins.entry((v * 1e3 / bin_ms).round() as i64).or_insert(0) += 1;
    }
    Intervals {
        count: s.len(),
        min_s: s.iter().copied().reduce(f64::min).unwrap_or(f64::NAN),
        max_s: s.iter().copied().reduce(f64::max).unwrap_or(f64::NAN),
        median_s: median(&mut s),
        histogram: bins.into_iter().map(|(bin, n)| (bin as f64 * bin_ms, n)).collect(),
    }
}

/// Which pulses belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainRule {
    /// Known intervals within a pair or burst, ms. When there are none, `within_ms` decides.
    pub isi_ms: Vec<f64>,
    /// How far an interval may lie from a known one, and from its train's median to call the train regular, ms.
    pub tolerance_ms: f64,
    /// Without known intervals: pulses no farther apart than this belong together, ms. 150 ms keeps 10 Hz trains and long-interval
    /// pairs together, and the bursts of theta-burst stimulation, 200 ms apart, separate.
    pub within_ms: f64,
}

impl Default for TrainRule {
    fn default() -> Self {
        Self { isi_ms: Vec::new(), tolerance_ms: 0.5, within_ms: 150.0 }
    }
}

/// A single pulse, a pair or a burst.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Train {
    /// Index of its first pulse.
    pub first: usize,
    /// Number of pulses.
    pub count: usize,
    /// Median interval within, ms; NaN for a single pulse.
    pub isi_ms: f64,
    /// Whether all intervals lie within the tolerance of the median.
    pub regular: bool,
}

impl Train {
    /// `single`, `paired_2.6ms`, `burst3_20ms`; the interval to a tenth of a ms.
    pub fn name(&self) -> String {
        let isi = (self.isi_ms * 10.0).round() / 10.0;
        match self.count {
            0 | 1 => "single".to_owned(),
            2 => format!("paired_{isi}ms"),
            n => format!("burst{n}_{isi}ms"),
        }
    }
}

/// Sorts pulses (in order of time) into single ones, pairs and bursts.
pub fn name_trains(ticks: &[Tick], rate: Rate, rule: &TrainRule) -> Vec<Train> {
    let isi = |i: usize| 1e3 * rate.seconds((ticks[i + 1].0 - ticks[i].0) as f64);
    let near = |a: f64, b: f64| (a - b).abs() <= rule.tolerance_ms + 1e-6;
    let joined = |v: f64| {
        if rule.isi_ms.is_empty() {
            v <= rule.within_ms + 1e-6
        } else {
            rule.isi_ms.iter().any(|&known| near(v, known))
        }
    };
    let mut trains = Vec::new();
    let mut first = 0;
    while first < ticks.len() {
        let mut last = first;
        while last + 1 < ticks.len() && joined(isi(last)) {
            last += 1;
        }
        let mut inside: Vec<_> = (first..last).map(isi).collect();
        let isi_ms = median(&mut inside);
        let regular = inside.iter().all(|&v| near(v, isi_ms));
        trains.push(Train { first, count: last - first + 1, isi_ms, regular });
        first = last + 1;
    }
    trains
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(list: &[i64]) -> Vec<Tick> {
        list.iter().map(|&t| Tick(t)).collect()
    }

    fn rate() -> Rate {
        Rate::new(5000, 1).unwrap()
    }

    #[test]
    fn markers_and_pulses_are_compared_not_replaced() {
        // lags of 3, 3, 5 and 2 samples; a pulse without marker, a marker without pulse, a marker twice
        let found = ticks(&[1003, 6003, 11005, 16000, 21002]);
        let markers = ticks(&[1000, 6000, 6000, 11000, 21000, 26000]);
        let m = match_events(&found, &markers, rate(), 5.0);
        assert_eq!(m.pairs, [(0, 0), (1, 1), (2, 3), (4, 4)]);
        assert_eq!((m.unmatched_found, m.unmatched_markers), (vec![3], vec![2, 5]));
        assert!((m.lag_median_ms - 0.6).abs() < 1e-12 && (m.lag_max_ms - 1.0).abs() < 1e-12);
        assert!((m.lag_spread_ms - 0.4).abs() < 1e-12);
        let none = match_events(&found, &[], rate(), 5.0);
        assert!(none.pairs.is_empty() && none.lag_median_ms.is_nan() && none.lag_max_ms.is_nan());
        assert_eq!(none.unmatched_found.len(), 5);
        // two pulses claim one marker: the nearer gets it; the bound itself is inside
        let m = match_events(&ticks(&[90, 125]), &ticks(&[100]), rate(), 5.0);
        assert_eq!((m.pairs, m.unmatched_found), (vec![(0, 0)], vec![1]));
        assert_eq!(match_events(&ticks(&[125]), &ticks(&[100]), rate(), 5.0).pairs.len(), 1);
        assert_eq!(match_events(&ticks(&[126]), &ticks(&[100]), rate(), 5.0).pairs.len(), 0);
    }

    #[test]
    fn pairs_and_bursts_get_their_names() {
        let names = |list: &[i64], rule: &TrainRule| {
            name_trains(&ticks(list), rate(), rule).iter().map(Train::name).collect::<Vec<_>>()
        };
        let free = TrainRule::default();
        assert_eq!(names(&[0, 10_000, 10_013, 30_000], &free), ["single", "paired_2.6ms", "single"]);
        assert_eq!(names(&[0, 100, 200, 1000, 1100, 1200], &free), ["burst3_20ms", "burst3_20ms"]);
        assert_eq!(names(&[], &free), Vec::<String>::new());
        // 3 ± 0.5 ms is 12.5…17.5 samples
        let known = TrainRule { isi_ms: vec![3.0], ..TrainRule::default() };
        assert_eq!(names(&[0, 13, 500, 517, 900, 918], &known), ["paired_2.6ms", "paired_3.4ms", "single", "single"]);
        let uneven = &name_trains(&ticks(&[0, 100, 210]), rate(), &free)[0];
        assert!(!uneven.regular && uneven.count == 3);
        assert!(name_trains(&ticks(&[7]), rate(), &free)[0].isi_ms.is_nan());
    }

    #[test]
    fn interval_statistics() {
        let i = intervals(&[0.0, 4.0, 8.0, 8.0026, 13.0], 1.0);
        assert_eq!((i.count, i.max_s), (4, 13.0 - 8.0026));
        assert!((i.min_s - 0.0026).abs() < 1e-12 && (i.median_s - 4.0).abs() < 1e-12);
        assert_eq!(i.histogram, [(3.0, 1), (4000.0, 2), (4997.0, 1)]);
        assert!(intervals(&[1.0], 1.0).median_s.is_nan());
    }
}
