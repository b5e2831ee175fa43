//! Savitzky–Golay smoothing and differentiation: at each point the value, or a derivative, of the least-squares polynomial
//! through the frame about it. Savitzky & Golay 1964, doi:10.1021/ac60214a047; Schafer 2011, doi:10.1109/MSP.2011.941097.

/// Weights for one point of a frame.
///
/// The polynomial's coefficients come from the normal equations on x = −1…1, solved by elimination with pivots.
fn weights(frame: usize, order: usize, at: usize, derivative: usize) -> Vec<f64> {
    let half = (frame as f64 - 1.0) / 2.0;
    let x: Vec<f64> = (0..frame).map(|i| (i as f64 - half) / half).collect();
    let n = order + 1;
    // [A'A | b], where b holds the derivative of each power at the point
    let mut rows: Vec<Vec<f64>> =
        (0..n).map(|a| (0..n).map(|b| x.iter().map(|x| x.powi((a + b) as i32)).sum()).collect()).collect();
    for (power, row) in rows.iter_mut().enumerate() {
        let factor: f64 = (0..derivative).map(|d| power as f64 - d as f64).product();
        let value = if power < derivative { 0.0 } else { factor * x[at].powi((power - derivative) as i32) };
        row.push(value / half.powi(derivative as i32));
    }
    for k in 0..n {
        let pivot = (k..n).max_by(|&a, &b| rows[a][k].abs().total_cmp(&rows[b][k].abs())).unwrap_or(k);
        rows.swap(k, pivot);
        let lead = rows[k].clone();
        for row in rows.iter_mut().enumerate().filter_map(|(i, row)| (i != k).then_some(row)) {
            let ratio = row[k] / lead[k];
            row.iter_mut().zip(&lead).skip(k).for_each(|(v, l)| *v -= ratio * l);
        }
    }
    let solution: Vec<f64> = (0..n).map(|i| rows[i][n] / rows[i][i]).collect();
    x.iter().map(|x| solution.iter().rev().fold(0.0, |sum, c| sum * x + c)).collect()
}

/// The filtered series, as `scipy.signal.savgol_filter` with `mode="interp"`: within half a frame of the ends the
/// polynomial of the first or last whole frame serves.
///
/// `frame` is odd and above `order`; `derivative` is at most `order` and per `step` of x. `None` otherwise, and where
/// `y` is shorter than the frame.
pub fn savgol(y: &[f64], frame: usize, order: usize, derivative: usize, step: f64) -> Option<Vec<f64>> {
    if frame < 3 || frame.is_multiple_of(2) || order >= frame || derivative > order || y.len() < frame {
        return None;
    }
    let scale = step.powi(derivative as i32);
    let dot = |w: &[f64], y: &[f64]| w.iter().zip(y).map(|(w, y)| w * y).sum::<f64>() / scale;
    let half = frame / 2;
    let middle = weights(frame, order, half, derivative);
    let value = |i: usize| match () {
        () if i < half => dot(&weights(frame, order, i, derivative), &y[..frame]),
        () if i + half >= y.len() => {
            dot(&weights(frame, order, i + frame - y.len(), derivative), &y[y.len() - frame..])
        }
        () => dot(&middle, &y[i - half..=i + half]),
    };
    Some((0..y.len()).map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_is_scipys() {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/rhythm.json")).unwrap();
        let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
        let list = |v: &serde_json::Value| serde_json::from_value::<Vec<f64>>(v.clone()).unwrap();
        let y = list(&golden["savgol"]["y"]);
        for case in golden["savgol"]["cases"].as_array().unwrap() {
            let [frame, order, derivative] =
                ["frame", "order", "derivative"].map(|k| case[k].as_u64().unwrap() as usize);
            let want = list(&case["out"]);
            let got = savgol(&y, frame, order, derivative, case["step"].as_f64().unwrap()).unwrap();
            let scale = want.iter().fold(0.0_f64, |a, v| a.max(v.abs()));
            assert_eq!(got.len(), want.len());
            for (g, w) in got.iter().zip(&want) {
                assert!((g - w).abs() < 1e-10 * scale, "{frame} {order} {derivative}: {g} {w}");
            }
        }
    }

    #[test]
    fn a_polynomial_passes_and_nonsense_does_not() {
        let y: Vec<f64> = (0..20).map(|i| 1.0 + 0.5 * f64::from(i) - 0.02 * f64::from(i * i)).collect();
        for (i, v) in savgol(&y, 7, 3, 0, 1.0).unwrap().iter().enumerate() {
            assert!((v - y[i]).abs() < 1e-11);
        }
        for (frame, order, derivative) in [(6, 2, 0), (1, 0, 0), (7, 7, 0), (7, 3, 4), (21, 3, 0)] {
            assert!(savgol(&y, frame, order, derivative, 1.0).is_none());
        }
    }
}
