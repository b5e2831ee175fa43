//! The line frequency, from the spectrum where the metadata do not state it.

use crate::Result;
use crate::flow::Source;
use crate::signal::Block;

/// Seconds that are looked at.
const SECONDS: f64 = 20.0;

/// 50 or 60 Hz, whichever stands out of its neighbourhood in the first seconds; `None` where neither does.
///
/// For each candidate f the power of 1-s windows at f is compared with the mean of f ± 3 and f ± 4 Hz (Hann window); the
/// median over channels and windows must exceed 4. The source is rewound.
pub(super) fn from_spectrum(source: &mut dyn Source, channels: usize, rate_hz: f64) -> Result<Option<f64>> {
    if rate_hz <= 130.0 {
        return Ok(None);
    }
    let n = rate_hz.round() as usize;
    let candidates: [Vec<Wave>; 2] =
        [50.0, 60.0].map(|f| [0.0, -4.0, -3.0, 3.0, 4.0].iter().map(|d| wave(n, (f + d) / rate_hz)).collect());
    let looked_at: Vec<usize> = (0..channels).step_by((channels / 8).max(1)).collect();
    let mut ratios = [Vec::new(), Vec::new()];
    let mut rows = vec![Vec::with_capacity(n); looked_at.len()];
    let mut block = Block::new(channels, super::input::BLOCK);
    let mut left = (SECONDS * rate_hz) as i64;
    source.rewind()?;
    let mut segment = None;
    while left > 0 && source.read(&mut block)? {
        left -= block.len() as i64;
        if segment.replace(block.segment()) != Some(block.segment()) {
            rows.iter_mut().for_each(Vec::clear);
        }
        for s in 0..block.len() {
            for (row, &c) in rows.iter_mut().zip(&looked_at) {
                row.push(block.get(c, s));
            }
            if rows[0].len() == n {
                for row in &mut rows {
                    for (ratio, waves) in ratios.iter_mut().zip(&candidates) {
                        let around = waves[1..].iter().map(|w| power(row, w)).sum::<f64>() / 4.0;
                        if around > 0.0 {
                            ratio.push(power(row, &waves[0]) / around);
                        }
                    }
                    row.clear();
                }
            }
        }
    }
    source.rewind()?;
    let [at_50, at_60] = ratios.map(median);
    Ok(match (at_50 > 4.0, at_60 > 4.0) {
        (true, true) => Some(if at_60 > at_50 { 60.0 } else { 50.0 }),
        (true, false) => Some(50.0),
        (false, true) => Some(60.0),
        (false, false) => None,
    })
}

/// Cosine and sine of one frequency under a Hann window.
type Wave = Vec<[f64; 2]>;

fn wave(n: usize, cycles_per_sample: f64) -> Wave {
    let tau = std::f64::consts::TAU;
    (0..n)
        .map(|i| {
            let hann = 0.5 - 0.5 * (tau * i as f64 / n as f64).cos();
            // the phase comes from the sample index, never accumulated
            let (sin, cos) = (tau * (cycles_per_sample * i as f64).fract()).sin_cos();
            [hann * cos, hann * sin]
        })
        .collect()
}

/// |Σ x·w·e^(−2πi·f·n)|², the mean taken out.
fn power(x: &[f64], wave: &Wave) -> f64 {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let (mut re, mut im) = (0.0, 0.0);
    for (v, [cos, sin]) in x.iter().zip(wave) {
        re += (v - mean) * cos;
        im += (v - mean) * sin;
    }
    re * re + im * im
}

fn median(mut values: Vec<f64>) -> f64 {
    values.retain(|v| v.is_finite());
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
