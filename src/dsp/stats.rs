//! Means, medians, quantiles, and a running median.
//!
//! A NaN among the values makes the result NaN; no function here drops it silently.

/// Factor that makes the MAD of normally distributed values their standard deviation, 1 / Φ⁻¹(3/4).
pub const MAD_TO_SD: f64 = 1.482_602_218_505_602;

/// Sum of many values in eight interleaved parts: no addition waits for the one before it.
pub fn sum(x: &[f64]) -> f64 {
    let (whole, rest) = x.as_chunks::<8>();
    let mut parts = [0.0; 8];
    for values in whole {
        parts.iter_mut().zip(values).for_each(|(p, v)| *p += v);
    }
    parts.iter().sum::<f64>() + rest.iter().sum::<f64>()
}

/// Arithmetic mean; NaN without values.
pub fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// Standard deviation with divisor n − `ddof` (two passes); NaN where that is not positive.
pub fn sd(x: &[f64], ddof: usize) -> f64 {
    if x.len() <= ddof {
        return f64::NAN;
    }
    let m = mean(x);
    (x.iter().map(|v| (v - m) * (v - m)).sum::<f64>() / (x.len() - ddof) as f64).sqrt()
}

/// Median; reorders `x`, allocates nothing. NaN without values.
pub fn median(x: &mut [f64]) -> f64 {
    quantile(x, 0.5)
}

/// Median absolute deviation from the median, unscaled; overwrites `x` with the deviations. Allocates nothing.
pub fn mad(x: &mut [f64]) -> f64 {
    let centre = median(x);
    x.iter_mut().for_each(|v| *v = (*v - centre).abs());
    median(x)
}

/// The `q`-quantile (0…1) by linear interpolation between order statistics: position q (n − 1), numpy's default and type 7 of
/// Hyndman & Fan (1996), 10.1080/00031305.1996.10473566. Reorders `x`, allocates nothing. NaN without values.
pub fn quantile(x: &mut [f64], q: f64) -> f64 {
    if x.is_empty() || q.is_nan() || x.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let position = q.clamp(0.0, 1.0) * (x.len() - 1) as f64;
    let below = (position.floor() as usize).min(x.len() - 1);
    let (_, &mut low, above) = x.select_nth_unstable_by(below, f64::total_cmp);
    let part = position - below as f64;
    if part == 0.0 {
        return low;
    }
    let high = above.iter().copied().fold(f64::INFINITY, f64::min);
    low + (high - low) * part
}

/// Robust z of every value: (x − median) / (1.4826 MAD). Where the MAD is 0, values at the median give 0 and others ±∞.
pub fn robust_z(x: &[f64]) -> Vec<f64> {
    let mut scratch = x.to_vec();
    let centre = median(&mut scratch);
    let scale = MAD_TO_SD * mad(&mut scratch);
    x.iter().map(|v| if *v == centre { 0.0 } else { (v - centre) / scale }).collect()
}

/// The median of a window that slides over a signal: a sorted list in which each step replaces one value.
///
/// A step costs a binary search and a move of part of the window. Allocates only in [`RunningMedian::new`].
/// Values that are not finite are the caller's to leave out.
#[derive(Debug, Clone)]
pub struct RunningMedian {
    room: usize,
    sorted: Vec<f64>,
}

impl RunningMedian {
    /// Room for windows of up to `window` samples.
    pub fn new(window: usize) -> Self {
        Self { room: window, sorted: Vec::with_capacity(window) }
    }

    /// Empties the window.
    pub fn clear(&mut self) {
        self.sorted.clear();
    }

    /// Takes a value in. In a full window nothing happens: remove one first.
    pub fn insert(&mut self, value: f64) {
        if self.sorted.len() < self.room {
            let at = self.place(value);
            self.sorted.insert(at, value);
        }
    }

    /// Takes a value out that was put in before.
    pub fn remove(&mut self, value: f64) {
        let at = self.place(value);
        if at < self.sorted.len() {
            self.sorted.remove(at);
        }
    }

    /// [`RunningMedian::remove`] and [`RunningMedian::insert`] in one move.
    pub fn replace(&mut self, old: f64, new: f64) {
        let (from, to) = (self.place(old), self.place(new));
        if from >= self.sorted.len() {
            return self.insert(new);
        }
        if from < to {
            self.sorted.copy_within(from + 1..to, from);
            self.sorted[to - 1] = new;
        } else {
            self.sorted.copy_within(to..from, to + 1);
            self.sorted[to] = new;
        }
    }

    /// The median of the values inside; NaN when there are none.
    pub fn value(&self) -> f64 {
        let n = self.sorted.len();
        match n {
            0 => f64::NAN,
            _ if n % 2 == 1 => self.sorted[n / 2],
            _ => 0.5 * (self.sorted[n / 2 - 1] + self.sorted[n / 2]),
        }
    }

    fn place(&self, value: f64) -> usize {
        self.sorted.partition_point(|v| v.total_cmp(&value).is_lt())
    }
}

/// Running median of finite samples over `before` samples before, the sample itself and `after` samples after it; the window
/// shrinks at both ends of `x`.
pub fn running_median(x: &[f64], before: usize, after: usize) -> Vec<f64> {
    let mut window = RunningMedian::new((before + after + 1).min(x.len()));
    x.iter().take(after).for_each(|&v| window.insert(v));
    (0..x.len())
        .map(|i| {
            match (i.checked_sub(before + 1), x.get(i + after)) {
                (Some(old), Some(&new)) => window.replace(x[old], new),
                (Some(old), None) => window.remove(x[old]),
                (None, Some(&new)) => window.insert(new),
                (None, None) => {}
            }
            window.value()
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::Value;

    /// `fixtures/golden/fill.json`.
    pub(crate) fn golden() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/fill.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    pub(crate) fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    #[test]
    fn statistics_are_those_of_numpy() {
        let golden = golden();
        let (x, want) = (numbers(&golden["signal"]), &golden["stats"]);
        let near = |got: f64, key: &str| {
            let want = want[key].as_f64().unwrap();
            assert!((got - want).abs() <= 1e-12 * want.abs().max(1.0), "{key}: {got} against {want}");
        };
        near(mean(&x), "mean");
        near(sd(&x, 0), "sd0");
        near(sd(&x, 1), "sd1");
        near(median(&mut x.clone()), "median");
        near(median(&mut x[..399].to_vec()), "median_odd");
        near(mad(&mut x.clone()), "mad");
        for (q, want) in numbers(&want["q"]).into_iter().zip(numbers(&want["quantiles"])) {
            assert!((quantile(&mut x.clone(), q) - want).abs() < 1e-12);
        }
        for (key, before, after) in [("running_median_11", 5, 5), ("running_median_50", 25, 24)] {
            for (got, want) in running_median(&x, before, after).iter().zip(numbers(&want[key])) {
                assert!((got - want).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_running_median_is_the_median_of_each_window() {
        // many equal values, and windows longer than the signal
        let x: Vec<f64> = (0..97_i32).map(|i| f64::from((i * i * 7) % 13 - 6)).collect();
        for (before, after) in [(0, 0), (3, 3), (4, 0), (0, 5), (30, 30), (200, 200)] {
            for (i, got) in running_median(&x, before, after).into_iter().enumerate() {
                let mut window = x[i.saturating_sub(before)..(i + after + 1).min(x.len())].to_vec();
                assert_eq!(got, median(&mut window), "{before} {after} at {i}");
            }
        }
    }

    #[test]
    fn nothing_and_nan_are_visible() {
        assert!(mean(&[]).is_nan() && sd(&[], 0).is_nan() && sd(&[1.0], 1).is_nan() && median(&mut []).is_nan());
        assert!(median(&mut [1.0, f64::NAN, 2.0]).is_nan() && mad(&mut [f64::NAN]).is_nan());
        assert!(RunningMedian::new(3).value().is_nan());
        assert_eq!(robust_z(&[1.0, 1.0, 1.0, 5.0]), [0.0, 0.0, 0.0, f64::INFINITY]);
        let z = robust_z(&[1.0, 2.0, 3.0, 4.0, 10.0]);
        assert!((z[4] - 7.0 / MAD_TO_SD).abs() < 1e-12 && z[2] == 0.0);
    }
}
