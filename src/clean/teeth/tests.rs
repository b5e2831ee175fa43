use super::super::resample::testing::{Random, info, run};
use super::*;
use crate::clean::parrm::testing::episode;

fn teeth(offsets: &[(i64, &[f64], f64, f64)]) -> Vec<Tooth> {
    offsets.iter().map(|&(at, k, weight, phase)| Tooth { at, kernel: k.to_vec(), weight, phase }).collect()
}

/// Three kernels before, two after, none of the same length, weight or phase.
fn some(line: bool) -> Plan {
    Plan::new(
        teeth(&[
            (-41, &[0.25, 0.5, 0.25], 1.0, 0.3),
            (-20, &[1.0], 0.5, -0.2),
            (-9, &[-0.1, 1.1], 2.0, 0.1),
            (11, &[1.0], 1.0, 0.4),
            (30, &[0.5, 0.5, 0.2, -0.2], 1.5, -0.5),
        ]),
        line,
    )
}

/// The definition: a weighted least-squares level or line through the finite teeth inside.
fn naive(plan: &Plan, x: &[f64], first: i64, spans: &[(Range<i64>, Range<i64>)]) -> Vec<f64> {
    let mut y = x.to_vec();
    for (own, inside) in spans {
        for n in own.clone() {
            let (mut s, mut v) = ([0.0; 3], [0.0; 2]);
            for tooth in &plan.teeth {
                let (from, to) = (n + tooth.at, n + tooth.end());
                if from < inside.start || to > inside.end {
                    continue;
                }
                let value: f64 = (from..to).zip(&tooth.kernel).map(|(i, k)| k * x[(i - first) as usize]).sum();
                if value.is_finite() {
                    let (w, p) = (tooth.weight, tooth.phase);
                    s = [s[0] + w, s[1] + w * p, s[2] + w * p * p];
                    v = [v[0] + w * value, v[1] + w * p * value];
                }
            }
            let det = s[0] * s[2] - s[1] * s[1];
            if s[0] > 0.0 {
                let line = plan.line && det > 1e-12 * s[0] * s[2] && s[2] <= det;
                y[(n - first) as usize] -= if line { (s[2] * v[0] - s[1] * v[1]) / det } else { v[0] / s[0] };
            }
        }
    }
    y
}

fn stage(plan: Plan, channels: usize) -> Subtract {
    let stretches = [episode(3, 150..600, 200..500), episode(3, 600..640, 600..640), episode(3, 700..5000, 700..5000)];
    let stretches = stretches.iter().map(|e| Stretch::new(e, 0)).collect();
    Subtract::new(&info(channels, 1000.0, 333), vec![plan], stretches, String::new())
}

#[test]
fn it_is_the_definition() {
    let mut rows = Random(1).rows(9, 4000);
    rows[2][321] = f64::NAN;
    rows[2][3000] = f64::INFINITY;
    rows[8][200] = f64::NAN;
    let end = 4100;
    let spans =
        [(150..200, 150..600), (200..500, 200..500), (500..600, 150..600), (600..640, 600..640), (700..end, 700..end)];
    for line in [false, true] {
        let plan = some(line);
        let (first, got) = run(&mut stage(plan.clone(), 9), &rows, 100, || 97);
        assert_eq!((first, got[0].len()), (100, 4000));
        for (c, row) in rows.iter().enumerate() {
            for (i, (g, w)) in got[c].iter().zip(naive(&plan, row, 100, &spans)).enumerate() {
                assert!(
                    (g - w).abs() < 1e-12 * 100.0 || (g.is_nan() && w.is_nan()) || *g == w,
                    "{line} {c} {i}: {g} {w}"
                );
            }
        }
        assert_eq!(got[2].iter().filter(|v| !v.is_finite()).count(), 2, "what is missing spoils no other sample");
        assert_eq!(got[0][..50], rows[0][..50], "what is not stimulation passes");
        assert_eq!(got[0][541..599], rows[0][541..599]);
    }
}

#[test]
fn cuts_gaps_and_resets() {
    let rows = Random(2).rows(3, 5000);
    let bits = |rows: &[Vec<f64>]| rows.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>();
    let mut random = Random(3);
    let (_, want) = run(&mut stage(some(true), 3), &rows, 0, || 333);
    let mut one = stage(some(true), 3);
    for round in 0..4 {
        let (first, got) = run(&mut one, &rows, 0, || if round == 0 { 1 } else { 1 + random.below(333) });
        assert_eq!(first, 0);
        assert!(bits(&got) == bits(&want), "round {round}");
    }
    // a segment that ends early, then the same Stage elsewhere: the episode is cut short, nothing is remembered
    let short: Vec<Vec<f64>> = rows.iter().map(|r| r[..1000].to_vec()).collect();
    let (_, got) = run(&mut one, &short, 0, || 50);
    for (c, row) in short.iter().enumerate() {
        let spans = [(700..1000, 700..1000)];
        let want = naive(&some(true), row, 0, &spans);
        assert!((700..1000).all(|i| (got[c][i] - want[i]).abs() < 1e-10));
    }
    let (first, got) = run(&mut one, &short, 10_000, || 50);
    assert!(first == 10_000 && bits(&got) == bits(&short), "no episode lies there");
    assert_eq!(one.lookahead(), 33);
}

#[test]
fn an_impulse_is_the_plan() {
    let plan = some(true);
    let mut rows = vec![vec![0.0; 3000]];
    rows[0][2000] = 1.0;
    let (_, got) = run(&mut stage(plan.clone(), 1), &rows, 0, || 64);
    for (n, v) in got[0].iter().enumerate() {
        let taps = plan.whole.iter().filter(|(m, _)| n as i64 + m == 2000).map(|(_, c)| c).sum::<f64>();
        let want = f64::from(u8::from(n == 2000)) - taps;
        assert!((v - want).abs() < 1e-15, "{n}");
    }
    // a level goes, whatever the plan
    assert!((plan.whole.iter().map(|(_, c)| c).sum::<f64>() - 1.0).abs() < 0.05);
}
