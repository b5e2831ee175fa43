//! Nonlinear least squares with bounds on the parameters.
//!
//! Levenberg (1944, doi:10.1090/qam/10666) and Marquardt (1963, doi:10.1137/0111030) with Marquardt's scaling; a
//! parameter that sits on a bound and is drawn outwards is held for that step, and steps are cut off at the bounds.

/// What is fitted: `y ≈ model(parameters)`.
pub trait Model {
    /// Values of the model at all points, and its derivatives: `jacobian[p][i]` = ∂ value i / ∂ parameter p. Both have
    /// the right length; a value that is not finite makes the step fail.
    fn evaluate(&self, parameters: &[f64], values: &mut [f64], jacobian: &mut [Vec<f64>]);
}

const MOST_STEPS: usize = 500;

/// Minimises Σ (y − model)² from `parameters`, which it overwrites, within `low`…`high` (infinite where there is none).
///
/// Stops when a step changes the sum of squares by less than 1e-14 of it. Returns the sum of squares; `None` where the
/// model is not finite at the start. Does the same on every CPU.
pub fn fit(model: &impl Model, y: &[f64], parameters: &mut [f64], low: &[f64], high: &[f64]) -> Option<f64> {
    let m = parameters.len();
    let mut jacobian = vec![vec![0.0; y.len()]; m];
    let mut values = vec![0.0; y.len()];
    let cost = |values: &[f64]| values.iter().zip(y).map(|(v, y)| (y - v) * (y - v)).sum::<f64>();
    model.evaluate(parameters, &mut values, &mut jacobian);
    let mut best = cost(&values);
    if !best.is_finite() {
        return None;
    }
    let (mut damping, mut scale) = (1e-3, vec![0.0_f64; m]);
    let mut trial_jacobian = jacobian.clone();
    for _ in 0..MOST_STEPS {
        let gradient: Vec<f64> =
            jacobian.iter().map(|j| j.iter().zip(&values).zip(y).map(|((j, v), y)| j * (y - v)).sum()).collect();
        let held = |p: usize| {
            (parameters[p] <= low[p] && gradient[p] < 0.0) || (parameters[p] >= high[p] && gradient[p] > 0.0)
        };
        let free: Vec<usize> = (0..m).filter(|&p| !held(p)).collect();
        let product = |a: usize, b: usize| jacobian[a].iter().zip(&jacobian[b]).map(|(a, b)| a * b).sum::<f64>();
        let normal: Vec<Vec<f64>> =
            free.iter().enumerate().map(|(i, &a)| free[..=i].iter().map(|&b| product(a, b)).collect()).collect();
        for (i, &p) in free.iter().enumerate() {
            scale[p] = scale[p].max(normal[i][i]).max(f64::MIN_POSITIVE);
        }
        let mut moved = false;
        while damping < 1e16 {
            let mut damped = normal.clone();
            free.iter().enumerate().for_each(|(i, &p)| damped[i][i] += damping * scale[p]);
            let mut step: Vec<f64> = free.iter().map(|&p| gradient[p]).collect();
            let mut trial = parameters.to_vec();
            if solve(&mut damped, &mut step) {
                free.iter().zip(&step).for_each(|(&p, s)| trial[p] = (trial[p] + s).clamp(low[p], high[p]));
                let mut trial_values = vec![0.0; y.len()];
                model.evaluate(&trial, &mut trial_values, &mut trial_jacobian);
                let trial_cost = cost(&trial_values);
                if trial_cost < best {
                    moved = best - trial_cost > 1e-14 * best;
                    (best, values) = (trial_cost, trial_values);
                    parameters.copy_from_slice(&trial);
                    std::mem::swap(&mut jacobian, &mut trial_jacobian);
                    damping = (damping / 10.0).max(1e-16);
                    break;
                }
            }
            damping *= 10.0;
        }
        if !moved {
            break;
        }
    }
    Some(best)
}

/// Solves `a x = b` in place for a positive definite `a`, of which the lower triangle is given (Cholesky).
fn solve(a: &mut [Vec<f64>], b: &mut [f64]) -> bool {
    let n = b.len();
    for i in 0..n {
        for j in 0..=i {
            let sum = a[i][j] - (0..j).map(|k| a[i][k] * a[j][k]).sum::<f64>();
            if i == j && !(sum > 0.0 && sum.is_finite()) {
                return false;
            }
            a[i][j] = if i == j { sum.sqrt() } else { sum / a[j][j] };
        }
        b[i] = (b[i] - (0..i).map(|k| a[i][k] * b[k]).sum::<f64>()) / a[i][i];
    }
    for i in (0..n).rev() {
        b[i] = (b[i] - (i + 1..n).map(|k| a[k][i] * b[k]).sum::<f64>()) / a[i][i];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Decay(Vec<f64>);

    impl Model for Decay {
        fn evaluate(&self, p: &[f64], values: &mut [f64], jacobian: &mut [Vec<f64>]) {
            for (i, t) in self.0.iter().enumerate() {
                let e = (-p[1] * t).exp();
                values[i] = p[0] * e;
                jacobian[0][i] = e;
                jacobian[1][i] = -t * p[0] * e;
            }
        }
    }

    #[test]
    fn a_decay_is_found_again_and_bounds_hold() {
        let model = Decay((0..40).map(|i| 0.1 * f64::from(i)).collect());
        let y: Vec<f64> = model.0.iter().map(|t| 3.0 * (-0.7 * t).exp()).collect();
        let mut p = [1.0, 0.1];
        let cost = fit(&model, &y, &mut p, &[0.0; 2], &[f64::INFINITY; 2]).unwrap();
        assert!(cost < 1e-20 && (p[0] - 3.0).abs() < 1e-9 && (p[1] - 0.7).abs() < 1e-9, "{p:?} {cost}");
        // with the rate held at 0.5 the amplitude is that of the linear problem
        let mut p = [1.0, 0.1];
        fit(&model, &y, &mut p, &[0.0; 2], &[9.0, 0.5]).unwrap();
        let e: Vec<f64> = model.0.iter().map(|t| (-0.5 * t).exp()).collect();
        let amplitude = e.iter().zip(&y).map(|(e, y)| e * y).sum::<f64>() / e.iter().map(|e| e * e).sum::<f64>();
        assert_eq!(p[1], 0.5);
        assert!((p[0] - amplitude).abs() < 1e-9, "{p:?} {amplitude}");
        assert!(fit(&model, &y, &mut [f64::NAN, 0.0], &[0.0; 2], &[9.0; 2]).is_none());
    }
}
