//! Table `index`: single numbers that the literature on depression and neuromodulation reports, each with the
//! electrodes it was taken from, the reference in force, and what should be kept in mind when it is read.
//!
//! Electrodes are found by what their labels mean (`f3`, `EEG F3-REF` and T3 for T7 alike, see [`crate::signal::montage`]), never
//! by their order. An index whose electrodes are missing or bad, whose power has no logarithm, or whose labels
//! contradict the positions in the file has an empty value, and the caveat says why.

use crate::dsp::lzc::{LempelZiv, normalised};
use crate::dsp::stats::{mean, median, sd};
use crate::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::signal::montage::position_of;
use crate::signal::{Channel, Epoch, PsdConfig, Spectrum};
use crate::table::{Cell, Column, Table, TableSpec};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Columns of `index`.
pub static INDEX: TableSpec = TableSpec {
    name: "index",
    about: "One index of a condition; none of them is a diagnostic",
    series: false,
    columns: &[
        Column::new(
            "index",
            "",
            "`faa` frontal alpha asymmetry, ln P(right) - ln P(left); `cordance_z` theta cordance; `theta_beta` ratio; `gamma` mean power (uV^2); `gamma_relative`; `lempel_ziv` complexity",
        ),
        Column::new(
            "channels",
            "",
            "The electrodes it is taken from, as the file spells them; `eeg`: all that are not bad",
        ),
        Column::new("reference", "", "What the signals refer to: `average`, channel names, or `as recorded`"),
        Column::new("value", "", "The value; a ratio or a difference of logarithms but for `gamma`"),
        Column::new("caveat", "", "What to keep in mind; where the value is empty, why"),
    ],
};

/// `use = "index"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IndexConfig {
    /// Band of theta.
    pub theta_hz: [f64; 2],
    /// Band of alpha.
    pub alpha_hz: [f64; 2],
    /// Band of beta.
    pub beta_hz: [f64; 2],
    /// Band of gamma.
    pub gamma_hz: [f64; 2],
    /// What relative power is relative to.
    pub total_hz: [f64; 2],
    /// Pairs (left, right) of frontal alpha asymmetry.
    pub asymmetry: Vec<[String; 2]>,
    /// Electrodes over which cordance is averaged.
    pub cordance: Vec<String>,
    /// Electrodes of the theta/beta ratio, one row each.
    pub theta_beta: Vec<String>,
    /// Whether to take Lempel–Ziv complexity: per channel, and their mean.
    pub lempel_ziv: bool,
    /// The spectrum.
    pub psd: PsdConfig,
}

impl Default for IndexConfig {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        Self {
            theta_hz: [4.0, 8.0],
            alpha_hz: [8.0, 13.0],
            beta_hz: [13.0, 30.0],
            gamma_hz: [30.0, 45.0],
            total_hz: [1.0, 45.0],
            asymmetry: [["F3", "F4"], ["F7", "F8"]].map(|p| p.map(str::to_owned)).into(),
            cordance: names(&["Fp1", "Fpz", "Fp2"]),
            theta_beta: names(&["Fz", "Cz"]),
            lempel_ziv: true,
            psd: PsdConfig::default(),
        }
    }
}

const FAA: &str = "no diagnostic value in 1883 patients (van der Vinne 2017); depends on reference, sex and age";
const CORDANCE: &str = "z form without reattribution over bipolar pairs; small samples, no cut-off";
const THETA_BETA: &str = "shifts with age, alpha peak and the aperiodic part; no diagnostic value";
const GAMMA: &str = "muscle contaminates scalp gamma; baseline moderates";
const LEMPEL_ZIV: &str = "sign of x - median, epoch by epoch; depends on rate, filters and epoch length";

impl MarkerConfig for IndexConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 1] = [&INDEX];
        &TABLES
    }

    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>> {
        let before = problems.list().len();
        let bands = [
            ("theta_hz", self.theta_hz),
            ("alpha_hz", self.alpha_hz),
            ("beta_hz", self.beta_hz),
            ("gamma_hz", self.gamma_hz),
            ("total_hz", self.total_hz),
        ];
        for (key, [low, high]) in bands {
            if !(low >= 0.0 && high > low) {
                problems.add(key, format!("{low}…{high} Hz is not a band"));
            } else if high > input.rate_hz() / 2.0 {
                problems.add(key, format!("needs a rate above {} Hz; here {} Hz", 2.0 * high, input.rate_hz()));
            }
        }
        let named = self.asymmetry.iter().flatten().chain(&self.cordance).chain(&self.theta_beta);
        for name in named.filter(|n| position_of(n).is_none()) {
            problems.add("", format!("{name:?} is not an electrode of the 10-05 system"));
        }
        let spectrum = context.spectrum(&self.psd, input, problems)?;
        let eeg: Vec<usize> = (0..input.channels.len()).filter(|&c| input.is_eeg(c)).collect();
        let lempel_ziv = self.lempel_ziv.then(|| Complexity::new(&eeg, input, context.threads));
        let reference = match context.reference.as_str() {
            "" => "as recorded".to_owned(),
            known => known.to_owned(),
        };
        let marker = Index { config: self.clone(), eeg, spectrum, reference, lempel_ziv };
        (problems.list().len() == before).then(|| Box::new(marker) as Box<dyn Marker>)
    }
}

/// Running means of Lempel–Ziv complexity; channels are dealt to workers in runs.
struct Complexity {
    workers: Vec<Worker>,
    conditions: usize,
}

struct Worker {
    channels: Vec<usize>,
    counter: LempelZiv,
    sorted: Vec<f64>,
    /// (channel × condition).
    sums: Vec<f64>,
    n: Vec<u64>,
}

impl Complexity {
    fn new(eeg: &[usize], input: &EpochInfo, threads: usize) -> Self {
        let worker = |channels: &[usize]| Worker {
            channels: channels.to_vec(),
            counter: LempelZiv::new(input.len),
            sorted: vec![0.0; input.len],
            sums: vec![0.0; channels.len() * input.conditions],
            n: vec![0; channels.len() * input.conditions],
        };
        let run = eeg.len().div_ceil(threads.max(1)).max(1);
        Self { workers: eeg.chunks(run).map(worker).collect(), conditions: input.conditions }
    }

    fn observe(&mut self, epoch: &Epoch) {
        let (conditions, condition) = (self.conditions, usize::from(epoch.condition));
        let one = |worker: &mut Worker| {
            for (i, &c) in worker.channels.iter().enumerate() {
                let x = epoch.channel(c);
                if !x.iter().sum::<f64>().is_finite() {
                    continue;
                }
                worker.sorted.copy_from_slice(x);
                let centre = median(&mut worker.sorted);
                let pieces = worker.counter.count(x.iter().map(|v| *v > centre));
                worker.sums[i * conditions + condition] += normalised(pieces, x.len());
                worker.n[i * conditions + condition] += 1;
            }
        };
        // each channel has its own sums, so bits do not depend on how they are dealt
        match self.workers.len() {
            0 | 1 => self.workers.iter_mut().for_each(one),
            _ => self.workers.par_iter_mut().for_each(one),
        }
    }

    /// Mean over the condition's epochs, per EEG channel; NaN without any.
    fn means(&self, condition: usize) -> Vec<f64> {
        let of = |w: &Worker, i: usize| {
            w.sums[i * self.conditions + condition] / w.n[i * self.conditions + condition] as f64
        };
        self.workers.iter().flat_map(|w| (0..w.channels.len()).map(move |i| of(w, i))).collect()
    }
}

struct Index {
    config: IndexConfig,
    eeg: Vec<usize>,
    spectrum: usize,
    reference: String,
    lempel_ziv: Option<Complexity>,
}

/// One row but for its reference: index, channels, value, caveat.
type Row = (&'static str, String, Option<f64>, String);

/// What a condition's indices are computed from.
struct View<'a> {
    channels: &'a [Channel],
    bad: &'a [bool],
    eeg: &'a [usize],
    spectrum: &'a Spectrum,
}

impl View<'_> {
    /// Power in a band, µV²; `None` where it has no logarithm.
    fn power(&self, channel: usize, [low, high]: [f64; 2]) -> Option<f64> {
        let bins = self.spectrum.band(low, high);
        let power = self.spectrum.channel(channel)[bins].iter().sum::<f64>() * self.spectrum.resolution_hz;
        (power > 0.0 && power.is_finite()).then_some(power)
    }

    /// The channel at an electrode, or why there is none.
    fn electrode(&self, name: &str) -> Result<usize, String> {
        let Some(place) = position_of(name) else { return Err(format!("{name} is missing")) };
        let here = |c: &usize| {
            let channel = &self.channels[*c];
            // under a common scalp reference (F3-Cz) only the reader knew that the label is an electrode
            position_of(&channel.name).map_or(channel.position == Some(place), |p| p == place)
        };
        let mut found = self.eeg.iter().copied().filter(here).peekable();
        let Some(&first) = found.peek() else { return Err(format!("{name} is missing")) };
        let good = |c: &usize| !self.bad.get(*c).copied().unwrap_or(false);
        let Some(channel) = found.find(good) else {
            return Err(format!("{} is bad", self.channels[first].name));
        };
        let other_side = |p: [f64; 3]| p[0] * place[0] < 0.0 && p[0].abs().min(place[0].abs()) > 0.1;
        match self.channels[channel].position {
            Some(p) if other_side(p) => Err(format!(
                "{}: its position lies on the other side, labels may be swapped",
                self.channels[channel].name
            )),
            _ => Ok(channel),
        }
    }

    /// A row over named electrodes: all must be there, and give a value.
    fn over(&self, index: &'static str, names: &[&str], caveat: &str, value: impl Fn(&[usize]) -> Option<f64>) -> Row {
        let found: Vec<Result<usize, String>> = names.iter().map(|n| self.electrode(n)).collect();
        let missing: Vec<&str> = found.iter().filter_map(|f| f.as_ref().err().map(String::as_str)).collect();
        if !missing.is_empty() {
            return (index, names.join(" "), None, missing.join("; "));
        }
        let channels: Vec<usize> = found.into_iter().flatten().collect();
        let labels: Vec<&str> = channels.iter().map(|&c| self.channels[c].name.as_str()).collect();
        row(index, labels.join(" "), value(&channels), caveat)
    }

    fn good(&self) -> Vec<usize> {
        let counts = |c: &usize| self.spectrum.n_windows.get(*c).is_some_and(|n| *n > 0);
        self.eeg.iter().copied().filter(|&c| !self.bad.get(c).copied().unwrap_or(false)).filter(counts).collect()
    }
}

fn row(index: &'static str, channels: String, value: Option<f64>, caveat: &str) -> Row {
    match value.filter(|v| v.is_finite()) {
        Some(value) => (index, channels, Some(value), caveat.to_owned()),
        None => (index, channels, None, "power is zero or missing: no logarithm, no ratio".to_owned()),
    }
}

impl Index {
    fn rows(&self, view: &View<'_>, condition: usize) -> Vec<Row> {
        let config = &self.config;
        let mut rows = Vec::new();
        for [left, right] in &config.asymmetry {
            rows.push(view.over("faa", &[right.as_str(), left.as_str()], FAA, |c| {
                Some(view.power(c[0], config.alpha_hz)?.ln() - view.power(c[1], config.alpha_hz)?.ln())
            }));
        }
        let good = view.good();
        let of = |c: usize, band: [f64; 2]| view.power(c, band);
        let absolute: Option<Vec<f64>> = good.iter().map(|&c| of(c, config.theta_hz)).collect();
        let relative: Option<Vec<f64>> =
            good.iter().map(|&c| Some(of(c, config.theta_hz)? / of(c, config.total_hz)?)).collect();
        let names: Vec<&str> = config.cordance.iter().map(String::as_str).collect();
        rows.push(view.over("cordance_z", &names, CORDANCE, |channels| {
            let (absolute, relative) = (absolute.as_ref()?, relative.as_ref()?);
            let z = |x: &[f64], i: usize| (x[i] - mean(x)) / sd(x, 1);
            let one = |c: &usize| good.iter().position(|g| g == c).map(|i| z(absolute, i) + z(relative, i));
            let values: Option<Vec<f64>> = channels.iter().map(one).collect();
            values.map(|v| mean(&v))
        }));
        for name in &config.theta_beta {
            rows.push(view.over("theta_beta", &[name.as_str()], THETA_BETA, |c| {
                Some(view.power(c[0], config.theta_hz)? / view.power(c[0], config.beta_hz)?)
            }));
        }
        let gamma: Option<Vec<f64>> = good.iter().map(|&c| of(c, config.gamma_hz)).collect();
        let share: Option<Vec<f64>> =
            good.iter().map(|&c| Some(of(c, config.gamma_hz)? / of(c, config.total_hz)?)).collect();
        rows.push(row("gamma", "eeg".to_owned(), gamma.map(|v| mean(&v)), GAMMA));
        rows.push(row("gamma_relative", "eeg".to_owned(), share.map(|v| mean(&v)), GAMMA));
        if let Some(complexity) = &self.lempel_ziv {
            let values = complexity.means(condition);
            let good = |c: usize| !view.bad.get(c).copied().unwrap_or(false);
            let all: Vec<f64> =
                self.eeg.iter().zip(&values).filter(|(c, v)| good(**c) && v.is_finite()).map(|(_, v)| *v).collect();
            let none = |c: usize| if good(c) { "no epoch" } else { "the channel is bad" };
            rows.push((
                "lempel_ziv",
                "eeg".to_owned(),
                Some(mean(&all)).filter(|v| v.is_finite()),
                LEMPEL_ZIV.to_owned(),
            ));
            for (&c, &v) in self.eeg.iter().zip(&values) {
                let value = Some(v).filter(|v| good(c) && v.is_finite());
                let caveat = if value.is_some() { LEMPEL_ZIV } else { none(c) };
                rows.push(("lempel_ziv", view.channels[c].name.clone(), value, caveat.to_owned()));
            }
        }
        rows
    }
}

impl Marker for Index {
    fn observe(&mut self, epoch: &Epoch) {
        if let Some(complexity) = &mut self.lempel_ziv {
            complexity.observe(epoch);
        }
    }

    fn report(&self, report: &Report<'_>) -> Vec<Table> {
        let mut table = Table::new(&INDEX);
        for condition in 0..report.conditions.len() {
            let Some(spectrum) = report.spectrum(self.spectrum, condition) else { continue };
            let view = View { channels: &report.input.channels, bad: report.bad, eeg: &self.eeg, spectrum: &spectrum };
            for (index, channels, value, caveat) in self.rows(&view, condition) {
                let cells: [Cell; 5] =
                    [index.into(), channels.into(), self.reference.clone().into(), value.into(), caveat.into()];
                table.push(u16::try_from(condition).ok(), cells);
            }
        }
        vec![table]
    }

    fn reset(&mut self) {
        for worker in self.lempel_ziv.iter_mut().flat_map(|c| &mut c.workers) {
            worker.sums.fill(0.0);
            worker.n.fill(0);
        }
    }

    fn memory_bytes(&self) -> u64 {
        let one = |w: &Worker| w.counter.memory_bytes() + 8 * (w.sorted.len() + w.sums.len() + w.n.len()) as u64;
        self.lempel_ziv.iter().flat_map(|c| &c.workers).map(one).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::kit::Kit;
    use super::*;

    #[test]
    fn every_problem_is_told() {
        let kit = Kit::new(&["Cz"], 80.0, [0.0, 999.0]);
        let config = IndexConfig { alpha_hz: [13.0, 8.0], theta_beta: vec!["Fq".into()], ..IndexConfig::default() };
        let problems = kit.problems(&config);
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems[0].starts_with("alpha_hz") && problems[3].contains("\"Fq\""), "{problems:?}");
    }

    #[test]
    fn ratios_and_complexity_by_hand() {
        let mut kit = Kit::new(&["Fz", "Cz", "Fp1"], 500.0, [0.0, 1998.0]);
        kit.bad[2] = true;
        let mut marker = kit.build_with_spectra(&IndexConfig::default());
        let wave = |hz: f64, ms: f64| (std::f64::consts::TAU * hz * ms / 1e3).sin();
        kit.feed(&mut *marker, 0, 0, |c, _, ms| [3.0 * wave(6.0, ms) + wave(20.0, ms), wave(6.0, ms), 1.0][c]);
        let table = &kit.report(&*marker)[0];
        let row = |index: &str, channels: &str| {
            (0..table.len())
                .find(|&r| table.text(r, "index") == Some(index) && table.text(r, "channels") == Some(channels))
                .unwrap()
        };
        assert!((table.number(row("theta_beta", "Fz"), "value").unwrap() - 9.0).abs() < 1e-6);
        assert_eq!(table.text(row("faa", "F4 F3"), "caveat"), Some("F4 is missing; F3 is missing"));
        assert_eq!(
            table.text(row("cordance_z", "Fp1 Fpz Fp2"), "caveat"),
            Some("Fp1 is bad; Fpz is missing; Fp2 is missing")
        );
        assert_eq!(table.number(row("lempel_ziv", "Fp1"), "value"), None);
        // a sine, 1000 samples: far simpler than noise
        let simple = table.number(row("lempel_ziv", "Cz"), "value").unwrap();
        assert!((0.01..0.3).contains(&simple), "{simple}");
        assert_eq!(table.text(0, "reference"), Some("as recorded"));
    }
}
