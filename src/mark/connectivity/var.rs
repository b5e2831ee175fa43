//! Directed connectivity from vector autoregressive models: `gc`, `gc_tr`, `pdc`, `dtf`, each from `channel_a` to
//! `channel_b` and in a row of its own the other way.
//!
//! | measure | model | value |
//! |---|---|---|
//! | `gc` | of the two channels | spectral Granger causality, nats (Geweke 1982, 10.1080/01621459.1982.10477803) |
//! | `gc_tr` | of the two channels, time reversed | the same, as mne-connectivity's `gc_tr`: *not* a difference |
//! | `pdc` | of all channels that occur in a pair | \|partial directed coherence\| (Baccalá & Sameshima 2001, 10.1007/PL00007990) |
//! | `dtf` | of all channels that occur in a pair | \|directed transfer function\| (Kamiński & Blinowska 1991, 10.1007/BF00198091) |
//!
//! A direction is believable when net causality, gc(a → b) − gc(b → a), turns its sign as time is reversed: the test value is
//! (gc_ab − gc_ba) − (gc_tr_ab − gc_tr_ba) (Haufe et al. 2013, 10.1016/j.neuroimage.2012.09.036; Winkler et al. 2016,
//! 10.1109/TSP.2016.2531628). Noise that channels share, and one that is noisier than another, fool `gc` but not this.
//!
//! `note` holds the order and how it was chosen (`order_7_bic`, `order_20_bic_at_max_order` where a higher one might do better; `few_samples` instead, below ten samples per coefficient),
//! or why there is no value: `too_short`, `flat`, `rank_deficient` (after the average reference one channel of all is a
//! combination of the others: name `seeds` or `pairs`, so that some stay out), `order_too_high` (a filter has emptied a
//! part of the band up to half the rate: resample to a lower rate, or lower `max_order`). An order is a time: 20 lags are
//! 40 ms at 500 Hz. An epoch with a NaN in one of the channels does not count: a model needs all of them at once.

use super::ConnectivityConfig;
use super::method::{Band, Method, Plan, Row};
use crate::dsp::stats::sum;
use crate::dsp::var::{Criterion, LagSums, NormalEquations, Refusal, Var};
use crate::flow::{EpochInfo, Problems, Report};
use crate::signal::Epoch;
use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::LazyLock;

/// Names of the measures.
pub(super) const MEASURES: &[&str] = &["gc", "gc_tr", "pdc", "dtf"];

/// Highest order that may be asked for.
const MAX_ORDER: usize = 200;

/// `[marker.var]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VarConfig {
    /// `"bic"` (default), `"aic"`, or a number of lags.
    pub order: Order,
    /// Highest order that a criterion may choose, lags. Default 20.
    pub max_order: usize,
    /// Distance of the frequencies in which a band is looked at; by default those of the epoch's Fourier transform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution_hz: Option<f64>,
    /// Whether `pdc` weighs channels by their innovations, which makes it independent of their scales (Baccalá et al.
    /// 2007, 10.1109/ICDSP.2007.4288544). Default no.
    pub generalised: bool,
}

impl Default for VarConfig {
    fn default() -> Self {
        Self { order: Order::By(Choice::Bic), max_order: 20, resolution_hz: None, generalised: false }
    }
}

/// How many lags a model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Order {
    /// This many.
    Fixed(usize),
    /// As many as a criterion says.
    By(Choice),
}

/// The criterion that chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// Akaike's.
    Aic,
    /// Schwarz's.
    Bic,
}

impl Order {
    /// The order of a model whose normal equations are these.
    fn choose(self, equations: &NormalEquations) -> usize {
        match self {
            Self::Fixed(order) => order,
            Self::By(Choice::Aic) => equations.best(Criterion::Aic),
            Self::By(Choice::Bic) => equations.best(Criterion::Bic),
        }
    }

    /// The remark on a model of this order.
    fn note(self, order: usize, max_order: usize) -> &'static str {
        static NOTES: LazyLock<Vec<[String; 5]>> = LazyLock::new(|| {
            let notes =
                |p| ["", "_aic", "_bic", "_aic_at_max_order", "_bic_at_max_order"].map(|by| format!("order_{p}{by}"));
            (0..=MAX_ORDER).map(notes).collect()
        });
        let kind = match self {
            Self::Fixed(_) => 0,
            Self::By(Choice::Aic) if order < max_order => 1,
            Self::By(Choice::Bic) if order < max_order => 2,
            Self::By(Choice::Aic) => 3,
            Self::By(Choice::Bic) => 4,
        };
        NOTES.get(order).map_or("", |notes| notes[kind].as_str())
    }
}

/// Plans the family.
pub(super) fn build(
    config: &ConnectivityConfig,
    plan: &Plan,
    _: &EpochInfo,
    problems: &mut Problems,
) -> Option<Box<dyn Method>> {
    let wanted: Vec<&'static str> =
        MEASURES.iter().copied().filter(|m| config.measures.iter().any(|w| w == m)).collect();
    if wanted.is_empty() {
        return None;
    }
    let before = problems.list().len();
    let (key, highest) = match config.var.order {
        Order::Fixed(order) => ("var.order", order),
        Order::By(_) => ("var.max_order", config.var.max_order),
    };
    if !(1..=MAX_ORDER).contains(&highest) {
        problems.add(key, format!("{highest} is not between 1 and {MAX_ORDER} lags"));
        return None;
    }
    let len = plan.window.len();
    if len < 2 * highest + 2 {
        problems.add(key, format!("{highest} lags need at least {} samples; here {len}", 2 * highest + 2));
    }
    let channels: Vec<usize> =
        plan.channels.iter().copied().filter(|c| plan.pairs.iter().any(|(a, b)| a == c || b == c)).collect();
    let bytes = LagSums::bytes(channels.len(), highest, len) * plan.conditions.max(1) as u64;
    if bytes > 1 << 30 {
        let (c, mb) = (channels.len(), bytes >> 20);
        problems.add(key, format!("{highest} lags of {c} channels take {mb} MB; name seeds or pairs, or lower it"));
    }
    let resolution = config.var.resolution_hz.unwrap_or(plan.rate_hz / len.max(1) as f64);
    if !(resolution > 0.0 && resolution.is_finite()) {
        problems.add("var.resolution_hz", format!("{resolution} Hz is not a distance of frequencies"));
        return None;
    }
    let mut places = Vec::new();
    for band in &plan.bands {
        // a bin at the edge counts although rounding may put it a hair outside
        let first = (band.low_hz / resolution - 1e-9).ceil() as u64;
        let bins = (first..).map(|k| k as f64 * resolution).take_while(|f| *f < band.high_hz - 1e-9 * resolution);
        let bins: Vec<f64> = bins.take(100_000).collect();
        if bins.is_empty() {
            let (name, [lo, hi]) = (&band.name, [band.low_hz, band.high_hz]);
            problems.add(&format!("bands_hz.{name}"), format!("no frequency in {lo}…{hi} Hz, {resolution} Hz apart"));
        }
        if config.full {
            let single = |f: f64| (Band { name: f.to_string(), low_hz: f, high_hz: f }, vec![f / plan.rate_hz]);
            places.extend(bins.into_iter().map(single));
        } else {
            places.push((band.clone(), bins.into_iter().map(|f| f / plan.rate_hz).collect()));
        }
    }
    places.sort_by(|x, y| x.0.low_hz.total_cmp(&y.0.low_hz).then(x.0.high_hz.total_cmp(&y.0.high_hz)));
    places.dedup_by(|x, y| config.full && x.0.low_hz == y.0.low_hz);
    if problems.list().len() > before {
        return None;
    }
    let number = |c: usize| channels.binary_search(&c).ok();
    let pairs = plan.pairs.iter().filter_map(|&(a, b)| Some((number(a)?, number(b)?))).collect();
    let sums: Vec<LagSums> = (0..plan.conditions).map(|_| LagSums::new(channels.len(), highest, len)).collect();
    Some(Box::new(Directed {
        config: config.var.clone(),
        wanted,
        pairs,
        places,
        window: plan.window.clone(),
        threads: plan.threads,
        zeros: vec![0.0; len],
        alive: vec![vec![false; channels.len()]; sums.len()],
        channels,
        sums,
    }))
}

/// The family.
struct Directed {
    config: VarConfig,
    wanted: Vec<&'static str>,
    /// Channels of the models, ascending; everything below numbers them anew.
    channels: Vec<usize>,
    pairs: Vec<(usize, usize)>,
    /// Bands (or single bins) and their frequencies in cycles per sample.
    places: Vec<(Band, Vec<f64>)>,
    window: Range<usize>,
    threads: usize,
    /// What a channel is taken for that is bad or never was finite: it enters no model.
    zeros: Vec<f64>,
    /// By condition, channels that were finite in an epoch.
    alive: Vec<Vec<bool>>,
    /// One per condition.
    sums: Vec<LagSums>,
}

fn code(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::TooShort => "too_short",
        Refusal::Flat(_) => "flat",
        Refusal::Dependent(_) => "rank_deficient",
        Refusal::Predictable(_) => "order_too_high",
    }
}

impl Directed {
    fn wants(&self, measure: &str) -> bool {
        self.wanted.contains(&measure)
    }

    /// The fitted order's remark.
    fn note(&self, sums: &LagSums, channels: usize, order: usize) -> &'static str {
        let few = sums.samples() < 10 * (channels * order) as u64;
        if few { "few_samples" } else { self.config.order.note(order, self.config.max_order) }
    }

    /// Rows of one pair's measures, both ways. `value(place, from first?)`, in the pair's order.
    fn push(
        &self,
        out: &mut Vec<Row>,
        measure: &'static str,
        pair: (usize, usize),
        fill: impl Fn(&mut Row, &[f64], bool),
    ) {
        for (band, frequencies) in &self.places {
            for (from_first, (a, b)) in [(true, pair), (false, (pair.1, pair.0))] {
                let mut row = Row::empty(measure, band, (self.channels[a], self.channels[b]));
                fill(&mut row, frequencies, from_first);
                out.push(row);
            }
        }
    }

    /// `gc` and `gc_tr` of every pair from a model of its own; reversed time has the order of forward time.
    fn pairwise(&self, sums: &LagSums, out: &mut Vec<Row>) {
        for &pair in &self.pairs {
            let ahead = sums.normal_equations(&[pair.0, pair.1], false);
            let order = ahead.as_ref().map_or(1, |e| self.config.order.choose(e));
            for measure in self.wanted.iter().copied().filter(|m| m.starts_with("gc")) {
                let model = match measure {
                    "gc" => ahead.as_ref().map(|e| e.fit(order)).map_err(|r| *r),
                    _ => sums.normal_equations(&[pair.0, pair.1], true).map(|e| e.fit(order)),
                };
                self.push(out, measure, pair, |row, frequencies, from_first| match &model {
                    Ok(var) => {
                        row.value = mean(frequencies, |f| var.granger(f, usize::from(!from_first)));
                        row.n_epochs = sums.epochs();
                        row.note = self.note(sums, 2, order);
                    }
                    Err(refusal) => row.note = code(*refusal),
                });
            }
        }
    }

    /// Channels of the joint model (numbers in `channels`), and the model.
    fn joint(&self, sums: &LagSums, bad: &[bool]) -> (Vec<usize>, Result<Var, Refusal>) {
        let good = |c: &usize| !bad.get(self.channels[*c]).copied().unwrap_or(false) && sums.variance(*c) > 0.0;
        let members: Vec<usize> = (0..self.channels.len()).filter(good).collect();
        let fit = |e: NormalEquations| e.fit(self.config.order.choose(&e));
        let model = sums.normal_equations(&members, false).map(fit);
        (members, model)
    }

    /// `pdc` and `dtf` of every pair from one model of all channels.
    fn joined(&self, sums: &LagSums, bad: &[bool], out: &mut Vec<Row>) {
        let (members, model) = self.joint(sums, bad);
        for measure in self.wanted.iter().copied().filter(|m| !m.starts_with("gc")) {
            let spectrum = |var: &Var, f: f64| {
                if measure == "pdc" { var.pdc(f, self.config.generalised) } else { var.dtf(f) }
            };
            for (band, frequencies) in &self.places {
                let values = model.as_ref().ok().map(|var| {
                    let sum = |total: DMatrix<f64>, &f: &f64| total + spectrum(var, f);
                    frequencies.iter().fold(DMatrix::zeros(members.len(), members.len()), sum)
                        / frequencies.len() as f64
                });
                for (a, b) in self.pairs.iter().flat_map(|&(a, b)| [(a, b), (b, a)]) {
                    let mut row = Row::empty(measure, band, (self.channels[a], self.channels[b]));
                    let places = (members.binary_search(&a), members.binary_search(&b));
                    match (&values, &model, places) {
                        (Some(values), Ok(var), (Ok(from), Ok(to))) => {
                            row.value = values[(to, from)];
                            row.n_epochs = sums.epochs();
                            row.note = self.note(sums, members.len(), var.order());
                        }
                        (_, _, (Err(_), _) | (_, Err(_))) if sums.epochs() > 0 => row.note = "flat",
                        (_, Err(refusal), _) => row.note = code(*refusal),
                        _ => row.note = "too_short",
                    }
                    out.push(row);
                }
            }
        }
    }
}

fn mean(frequencies: &[f64], value: impl Fn(f64) -> f64) -> f64 {
    frequencies.iter().map(|&f| value(f)).sum::<f64>() / frequencies.len() as f64
}

impl Method for Directed {
    /// An epoch counts when all channels are finite, those left out that never are. While a channel has not been finite
    /// once it is left out; when it is for the first time, the epochs until then are those in which it was not.
    fn observe(&mut self, epoch: &Epoch) {
        let condition = usize::from(epoch.condition);
        let (Some(sums), Some(alive)) = (self.sums.get_mut(condition), self.alive.get_mut(condition)) else { return };
        let bad = |c: usize| epoch.bad.get(c).copied().unwrap_or(false);
        let samples = |c: usize| epoch.channel(c).get(self.window.clone()).unwrap_or_default();
        for (alive, &c) in alive.iter_mut().zip(&self.channels).filter(|(alive, _)| !**alive) {
            *alive = !bad(c) && sum(samples(c)).is_finite();
            if *alive && sums.epochs() > 0 {
                sums.reset();
            }
        }
        let series = self.channels.iter().zip(alive.iter());
        let _ = sums.add(series.map(|(&c, alive)| if *alive { samples(c) } else { &self.zeros }), self.threads);
    }

    fn rows(&self, report: &Report<'_>, condition: usize, out: &mut Vec<Row>) {
        let (Some(sums), Some(alive)) = (self.sums.get(condition), self.alive.get(condition)) else { return };
        let first = out.len();
        if self.wants("gc") || self.wants("gc_tr") {
            self.pairwise(sums, out);
        }
        if self.wants("pdc") || self.wants("dtf") {
            self.joined(sums, report.bad, out);
        }
        let dead = |node: usize| self.channels.binary_search(&node).is_ok_and(|c| !alive[c]);
        for row in out[first..].iter_mut().filter(|row| row.note == "flat" && (dead(row.a) || dead(row.b))) {
            row.note = "not_finite";
        }
    }

    fn channel_notes(&self, report: &Report<'_>) -> Vec<(usize, String)> {
        if !(self.wants("pdc") || self.wants("dtf")) {
            return Vec::new();
        }
        let note = |sums: &LagSums| match self.joint(sums, report.bad).1 {
            Err(Refusal::Dependent(c)) => Some((
                self.channels[c],
                "pdc, dtf: a linear combination of the other channels (average reference?); leave one out".to_owned(),
            )),
            _ => None,
        };
        let mut notes: Vec<_> = self.sums.iter().filter_map(note).collect();
        notes.dedup();
        notes
    }

    fn reset(&mut self) {
        self.sums.iter_mut().for_each(LagSums::reset);
        self.alive.iter_mut().for_each(|alive| alive.fill(false));
    }

    fn memory_bytes(&self) -> u64 {
        let one = self.sums.first().map_or(0, |s| LagSums::bytes(self.channels.len(), s.order(), self.window.len()));
        one * self.sums.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::kit::{Kit, Noise, number};
    use super::*;
    use crate::table::Table;

    fn config(measures: &[&str], order: Order) -> ConnectivityConfig {
        ConnectivityConfig {
            measures: measures.iter().map(|m| (*m).to_owned()).collect(),
            var: VarConfig { order, max_order: 8, ..VarConfig::default() },
            ..ConnectivityConfig::default()
        }
    }

    /// `b` follows `a` by four samples (a low-pass noise each), 200 Hz.
    fn feed(
        kit: &mut Kit,
        marker: &mut dyn crate::flow::Marker,
        trials: u64,
        reversed: bool,
        change: &dyn Fn(&mut [Vec<f64>]),
    ) {
        let mut noise = Noise::new(5, 8, 200.0);
        let len = kit.info.len;
        for trial in 0..trials {
            let raw = noise.trial(len + 4);
            let mut x: Vec<Vec<f64>> = (0..4).map(|c| raw[c + 4][4..].to_vec()).collect();
            x[1].iter_mut().zip(&raw[4]).for_each(|(v, source)| *v += source);
            if reversed {
                x.iter_mut().for_each(|c| c.reverse());
            }
            change(&mut x);
            kit.feed(marker, trial, 0, |c, i, _| x[c][i]);
        }
    }

    fn value(table: &Table, measure: &str, a: &str, b: &str) -> f64 {
        let is = |row: usize| {
            ["measure", "band", "channel_a", "channel_b"]
                .iter()
                .zip([measure, "alpha", a, b])
                .all(|(c, v)| table.text(row, c) == Some(v))
        };
        number(table, (0..table.len()).find(|&r| is(r)).unwrap(), "value")
    }

    #[test]
    fn hard_case_16_direction_shows_and_net_causality_turns_with_time() {
        for reversed in [false, true] {
            let mut kit = Kit::new(&["F3", "C3", "P3", "O1"], 200.0, [0.0, 1995.0]);
            let mut marker = kit.build(&config(MEASURES, Order::By(Choice::Bic)));
            feed(&mut kit, &mut *marker, 20, reversed, &|_| ());
            let table = &kit.report(&*marker)[0];
            assert_eq!(table.len(), 4 * 5 * 12);
            let net = |m: &str| value(table, m, "F3", "C3") - value(table, m, "C3", "F3");
            let sign = if reversed { -1.0 } else { 1.0 };
            assert!(sign * net("gc") > 0.05 && sign * net("gc_tr") < -0.05, "{} {}", net("gc"), net("gc_tr"));
            if !reversed {
                assert!(net("pdc") > 0.1 && net("dtf") > 0.1, "{} {}", net("pdc"), net("dtf"));
                // what is not coupled stays near what chance gives
                assert!(value(table, "gc", "P3", "O1") < 0.02);
            }
            assert!(table.text(0, "note").unwrap().ends_with("_bic"));
            assert_eq!(number(table, 0, "n_epochs"), 20.0);
        }
    }

    #[test]
    fn refusals_stand_in_the_rows_and_spoil_nothing_else() {
        let mut kit = Kit::new(&["F3", "C3", "P3", "O1"], 200.0, [0.0, 1995.0]);
        let mut marker = kit.build(&config(MEASURES, Order::Fixed(5)));
        let reference = |x: &mut [Vec<f64>]| {
            for i in 0..x[0].len() {
                let mean = x.iter().map(|c| c[i]).sum::<f64>() / 4.0;
                x.iter_mut().for_each(|c| c[i] -= mean);
            }
        };
        feed(&mut kit, &mut *marker, 10, false, &reference);
        let notes = |table: &Table, measure: &str| {
            let rows = (0..table.len()).filter(|&r| table.text(r, "measure") == Some(measure));
            let mut notes: Vec<_> =
                rows.map(|r| (table.text(r, "note").unwrap().to_owned(), table.number(r, "value").is_some())).collect();
            notes.sort();
            notes.dedup();
            notes
        };
        let table = &kit.report(&*marker)[0];
        assert_eq!(notes(table, "gc"), [("order_5".to_owned(), true)], "two of four channels do depend on nothing");
        for measure in ["pdc", "dtf"] {
            assert_eq!(notes(table, measure), [("rank_deficient".to_owned(), false)]);
        }
        // without one of the four there is a model; a bad channel's NaN harms nobody
        let mut kit = Kit::new(&["F3", "C3", "P3", "O1"], 200.0, [0.0, 1995.0]);
        (kit.bad[3], kit.enters[3]) = (true, false);
        let mut marker = kit.build(&config(MEASURES, Order::Fixed(5)));
        feed(&mut kit, &mut *marker, 10, false, &|x| {
            reference(x);
            x[3].fill(f64::NAN);
        });
        let table = &kit.report(&*marker)[0];
        for measure in MEASURES {
            let expected = [("bad_channel".to_owned(), false), ("order_5".to_owned(), true)];
            assert_eq!(notes(table, measure), expected, "{measure}");
        }
        // a channel that never is finite empties its own rows only
        let mut marker = kit.build(&config(MEASURES, Order::Fixed(5)));
        assert!(marker.memory_bytes() > 0);
        feed(&mut kit, &mut *marker, 6, false, &|x| x[0][7] = f64::NAN);
        let table = &kit.report(&*marker)[0];
        for measure in MEASURES {
            let expected =
                [("bad_channel".to_owned(), false), ("not_finite".to_owned(), false), ("order_5".to_owned(), true)];
            assert_eq!(notes(table, measure), expected, "{measure}");
        }
        // once it is, only epochs count in which it is
        feed(&mut kit, &mut *marker, 3, false, &|_| ());
        feed(&mut kit, &mut *marker, 2, false, &|x| x[0][7] = f64::NAN);
        assert_eq!(number(&kit.report(&*marker)[0], 0, "n_epochs"), 3.0);
        marker.reset();
        let table = &kit.report(&*marker)[0];
        assert_eq!((number(table, 0, "n_epochs"), table.text(0, "note")), (0.0, Some("too_short")));
    }

    #[test]
    fn configs_say_what_is_wrong_and_read_back() {
        let kit = Kit::new(&["F3", "C3"], 200.0, [0.0, 995.0]);
        let problems = |order, resolution_hz| {
            let var = VarConfig { order, max_order: 150, resolution_hz, generalised: true };
            kit.problems(&ConnectivityConfig { var, ..config(&["gc"], order) }).join("\n")
        };
        assert!(problems(Order::Fixed(0), None).contains("var.order: 0 is not between 1 and 200"));
        assert!(problems(Order::By(Choice::Aic), None).contains("var.max_order: 150 lags need at least 302 samples"));
        assert!(problems(Order::Fixed(3), Some(0.0)).contains("var.resolution_hz"));
        assert!(problems(Order::Fixed(3), Some(50.0)).contains("no frequency in 4…8 Hz, 50 Hz apart"));
        for text in ["order = 7", "order = \"aic\"\nmax_order = 30", "resolution_hz = 0.5\ngeneralised = true"] {
            let config: VarConfig = toml::from_str(text).unwrap();
            assert_eq!(toml::from_str::<VarConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
        }
        assert!(toml::from_str::<VarConfig>("order = \"hq\"").is_err());
        let full = ConnectivityConfig { full: true, ..config(&["pdc"], Order::Fixed(2)) };
        let mut kit = Kit::new(&["F3", "C3"], 200.0, [0.0, 995.0]);
        let mut marker = kit.build(&full);
        feed(&mut kit, &mut *marker, 0, false, &|_| ());
        kit.feed(&mut *marker, 0, 0, |c, i, _| ((i * i * (c + 3)) % 17) as f64);
        let table = &kit.report(&*marker)[0];
        assert_eq!((table.len(), table.text(0, "band")), (43 * 2, Some("2")));
    }
}
