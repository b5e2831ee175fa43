//! What the numbers say: changes and how likely chance makes them, and the verdict.

use super::bands::{BANDS, BREATHING, Bands, HEART, OTHER};
use super::clip::Clip;
use super::plan::HARMONICS;
use crate::dsp::beta::{f_quantile, f_tail, t_tail};

/// Chance alone gives a row a residue this often, over all of its tests.
pub(super) const LEVEL: f64 = 0.01;
/// A change that matters, dB.
const CHANGE_DB: f64 = 1.0;
/// Far from the fundamental the brain's own rhythms change from state to state: what must be more than that, dB.
const FAR_DB: f64 = 3.0;
/// Clipped data are unusable above this fraction, or with a run longer than this.
const CLIPPED: f64 = 1e-3;
pub(super) const RUN_S: f64 = 0.010;
/// Windows that a comparison takes on either side.
const ENOUGH: u32 = 4;
/// A sinusoid in the middle of a Hann window fills three bins: 1 + 1/4 + 1/4 of its amplitude².
const LOBE: f64 = 1.5;

/// All that is known about one channel in one episode.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    /// Mean square amplitude of the harmonics before and after; NaN where unknown.
    pub before: [f64; HARMONICS],
    pub after: [f64; HARMONICS],
    pub bands: Bands,
    pub clip: Clip,
    /// Of the fundamental, cycles per sample.
    pub cycles: f64,
    pub harmonics: usize,
    pub rate: f64,
}

/// What is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judged {
    pub verdict: &'static str,
    pub reason: String,
    pub artefact_uv: f64,
    pub attenuation_db: f64,
    pub residual_db: f64,
    pub sideband_db: f64,
    pub impropriety_db: f64,
    pub clipped_fraction: f64,
    pub floor_uv: f64,
    pub score: f64,
    pub p: f64,
    pub breathing_db: f64,
    pub heart_db: f64,
    pub loss_db: f64,
    pub other_db: f64,
    pub run_ms: f64,
    pub step_uv: Option<f64>,
}

fn db(ratio: f64) -> f64 {
    10.0 * ratio.log10()
}

/// The largest, NaN left out; NaN where there is none.
fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::NAN, f64::max)
}

/// What a band has become: the change, how often chance gives as much or more, as little or less.
#[derive(Debug, Clone, Copy)]
struct Change {
    db: f64,
    more: f64,
    less: f64,
}

/// Compares a channel's episode with the same bands without stimulation.
fn changes(on: &Bands, free: Option<&Bands>) -> [Change; BANDS] {
    std::array::from_fn(|i| {
        let none = Change { db: f64::NAN, more: f64::NAN, less: f64::NAN };
        let (Some(free), on) = (free.map(|f| f.bands[i]), on.bands[i]) else { return none };
        let ratio = on.power / free.power;
        if !ratio.is_finite() {
            return none;
        }
        let (a, b) = (on.freedom(), free.freedom());
        Change { db: db(ratio), more: f_tail(ratio, a, b), less: f_tail(1.0 / ratio, b, a) }
    })
}

/// The verdict on one channel and episode. `free`: the same channel without stimulation; `refused`: why the method left it.
pub(super) fn judge(tally: &Tally, free: Option<&Bands>, refused: Option<&str>) -> Judged {
    let on = &tally.bands;
    let free = free.filter(|f| f.windows > 0);
    let changes = changes(on, free);
    let improper = on.improper.map(|i| {
        let t = i.r * (i.freedom / (1.0 - i.r * i.r).max(1e-12)).sqrt();
        (db((1.0 + i.r) / (1.0 - i.r)), t_tail(t, i.freedom), t_tail(-t, i.freedom))
    });
    // every test that could be made; amplitude modulation and phase modulation are two
    let known = |p: &f64| p.is_finite();
    let tests =
        changes.iter().filter(|c| c.more.is_finite()).count() + 2 * improper.iter().filter(|i| i.1.is_finite()).count();
    let corrected = |p: f64| if p.is_nan() { p } else { (p * tests as f64).min(1.0) };
    let all = changes.iter().map(|c| c.more).chain(improper.iter().flat_map(|i| [i.1, i.2]));
    let p = corrected(all.filter(known).fold(f64::NAN, f64::min));

    let grown = |c: &Change| c.db > CHANGE_DB && corrected(c.more) < LEVEL;
    let shrunk = |c: &Change| c.db < -CHANGE_DB && corrected(c.less) < LEVEL;
    let (harmonics, sides, others) = (&changes[..HARMONICS], &changes[HARMONICS..OTHER.start], &changes[OTHER]);
    // a line of the mains on an overtone goes with it and is no loss; nor is a rhythm that changes far away
    let near = || changes[..1].iter().chain(sides);
    let lopsided = |which: fn(&(f64, f64, f64)) -> f64| improper.iter().any(|i| corrected(which(i)) < LEVEL);

    let samples = tally.clip.samples.max(1) as f64;
    let clipped_fraction = tally.clip.clipped() as f64 / samples;
    let amplitude = tally.before[0].sqrt();
    let run_s = tally.clip.longest(amplitude, tally.cycles) as f64 / tally.rate;

    let step_uv = tally.clip.step_size();
    let floor_uv = floor(on, free, tests, step_uv);

    let mut unusable: Vec<String> = Vec::new();
    let mut doubtful: Vec<&str> = Vec::new();
    let mut doubt = |when: bool, why: &'static str| {
        if when {
            doubtful.push(why);
        }
    };
    if let Some(why) = refused {
        unusable.push(format!("refused: {why}"));
    }
    let spoilt = tally.clip.not_finite > 0 && on.windows == 0;
    if spoilt {
        unusable.push("not_finite".into());
    }
    if tally.clip.flat() {
        unusable.push("flat".into());
    } else if clipped_fraction > CLIPPED || run_s > RUN_S {
        unusable.push("clipped".into());
    }
    doubt(clipped_fraction > 0.0, "clipped");
    doubt(tally.clip.not_finite > 0 || on.spoilt > 0, "not_finite");
    doubt(harmonics.iter().any(grown), "residual");
    doubt(sides.iter().any(grown), "sideband");
    doubt(others.iter().any(|c| grown(c) && c.db > FAR_DB), "band_change");
    doubt(lopsided(|i| i.1), "amplitude_modulation");
    doubt(lopsided(|i| i.2), "phase_modulation");
    doubt(near().any(shrunk), "brain_loss");
    // a change that chance explains only because little could have been seen
    let changed = harmonics.iter().chain(sides).any(|c| c.db > CHANGE_DB);
    doubt(changed && floor_uv > amplitude, "artefact_below_floor");
    doubt(on.windows < ENOUGH || free.is_some_and(|f| f.windows < ENOUGH), "too_short");
    doubt(free.is_none(), "no_stimulation_free_data");
    let silent = |b: &Bands| b.windows > 0 && b.bands[0].power.is_nan();
    doubt(silent(on) || free.is_some_and(silent), "no_background");

    let (verdict, reason) = if !unusable.is_empty() {
        ("unusable", unusable.join("; "))
    } else if !doubtful.is_empty() {
        ("doubtful", doubtful.join("; "))
    } else {
        ("no_residue_found", String::new())
    };
    let sum = |values: &[f64; HARMONICS]| values[..tally.harmonics].iter().sum::<f64>();
    let impropriety_db = improper
        .iter()
        .map(|i| i.0)
        .filter(|v| v.is_finite())
        .fold(f64::NAN, |worst: f64, v| if v.abs() > worst.abs() || worst.is_nan() { v } else { worst });
    Judged {
        verdict,
        reason,
        artefact_uv: amplitude,
        attenuation_db: db(sum(&tally.before) / sum(&tally.after)),
        residual_db: largest(harmonics.iter().map(|c| c.db)),
        sideband_db: largest(sides.iter().map(|c| c.db)),
        impropriety_db,
        clipped_fraction: if tally.clip.samples > 0 { clipped_fraction } else { f64::NAN },
        floor_uv,
        score: 0.0 - p.log10(),
        p,
        breathing_db: changes[BREATHING.start].db,
        heart_db: changes[HEART.start].db,
        loss_db: largest(near().map(|c| -c.db)).max(0.0),
        other_db: largest(others.iter().map(|c| c.db)),
        run_ms: 1e3 * run_s,
        step_uv,
    }
}

/// The smallest amplitude of a sinusoid left at the fundamental that the comparison would have seen half of the time; half a step of
/// the file's numbers where that is more than what moves beside it.
fn floor(on: &Bands, free: Option<&Bands>, tests: usize, step_uv: Option<f64>) -> f64 {
    let (on, free) = (on.bands[0], free.unwrap_or(on).bands[0]);
    let level = LEVEL / tests.max(1) as f64;
    let seen = if on.spread.is_finite() && free.spread.is_finite() {
        f_quantile(level, on.freedom(), free.freedom()).max(10.0_f64.powf(CHANGE_DB / 10.0))
    } else {
        f64::NAN
    };
    let statistical = ((seen - 1.0) * free.power / LOBE).sqrt();
    match step_uv {
        Some(step) => largest([statistical, 0.5 * step]),
        None => statistical,
    }
}
