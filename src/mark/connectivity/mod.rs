//! Table `connectivity`: how the signals of two channels, or of two groups of channels, go together, band by band.
//!
//! Families of measures are `Method`s: each watches the epochs once and gives rows; this file names them, sorts their
//! rows and writes the table. Signs: S = X_a X_b*; a positive imaginary part, and `dpli` above 0.5, mean that
//! `channel_a` leads. Measures of both directions at once (`psi`, `dpli`, the imaginary parts) stand in one row per pair:
//! the other direction is their mirror image. `gc`, `gc_tr`, `pdc` and `dtf` are written both ways, a → b.

mod envelope;
mod graph;
mod measures;
mod method;
mod sets;
mod spectra;
mod spectral;
mod surrogates;
#[cfg(test)]
mod tests;
pub mod var;

use crate::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::names::nearest;
use crate::signal::Epoch;
use crate::table::{Cell, Column, Rows, Table, TableSpec, TakeRow};
use graph::Graphs;
pub use graph::{GRAPH, GraphConfig};
use method::{Method, Plan, Row};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Columns of `connectivity`.
pub static CONNECTIVITY: TableSpec = TableSpec {
    name: "connectivity",
    about: "One measure of connectivity in one band between two channels, or two sets of channels",
    series: false,
    columns: &[
        Column::new("measure", "", "Name of the measure"),
        Column::new("band", "", "Name of the band; with `full` the frequency of the bin"),
        Column::new("low_hz", "Hz", "The band's lower edge, included"),
        Column::new("high_hz", "Hz", "The band's upper edge, not included"),
        Column::new("channel_a", "", "The earlier channel in the file, or a set; of a directed measure the source"),
        Column::new("channel_b", "", "The later channel in the file, or a set; of a directed measure the target"),
        Column::new("value", "", "Mean of the measure over the band's frequency bins; empty where it is not defined"),
        Column::new("n_epochs", "", "Epochs in which both channels could be used"),
        Column::new("null_expectation", "", "What independent signals give on average; empty where it is not known"),
        Column::new("z", "", "Distance from the mean of the surrogates in their standard deviations"),
        Column::new("p", "", "(1 + surrogates that come as far) / (1 + surrogates)"),
        Column::new("reference", "", "What the channels were referenced to; empty: as recorded"),
        Column::new(
            "note",
            "",
            "What to mind: few_cycles, the band starts below five cycles per epoch; beyond_passband, a filter or the recording's own rate leaves nothing there; no_usable_epoch, flat or not finite throughout; one_epoch, undefined for one; for gc, pdc and dtf the order of the model or why there is none",
        ),
    ],
};

/// `use = "connectivity"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectivityConfig {
    /// How the spectra of an epoch are estimated.
    pub mode: Mode,
    /// Multitaper: time–bandwidth product; half the bandwidth is `nw` over the epoch's length in seconds.
    pub nw: f64,
    /// Multitaper: only tapers that keep more than 90 % of their energy inside the bandwidth.
    pub low_bias: bool,
    /// Morlet: frequencies of the wavelets, Hz; empty: every 1 Hz inside the bands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frequencies: Vec<f64>,
    /// Morlet: cycles of a wavelet.
    pub cycles: f64,
    /// Morlet: time from one moment that is looked at to the next.
    pub step_ms: f64,
    /// The stretch of the epoch that is looked at, both ends included; by default all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<[f64; 2]>,
    /// Names of the measures, in the order of the table.
    pub measures: Vec<String>,
    /// Every frequency bin instead of the bands' means.
    pub full: bool,
    /// Only pairs with one of these channels (names or globs).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<String>,
    /// Only these pairs (names or globs), with those of `seeds`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<[String; 2]>,
    /// How `aec_orth` takes away what is in phase: pair by pair, or all signals at once.
    pub orthogonalize: Orthogonalize,
    /// Envelopes: whether samples count that the filter made from what is beyond the epoch's ends.
    pub keep_edges: bool,
    /// Surrogates, for z and p: of cross-spectra with random phases, of envelopes turned within the epoch; 0: none. `gc`,
    /// `gc_tr`, `pdc`, `dtf`, `mic` and `mim` have none.
    pub surrogates: usize,
    /// Half-open bands by name.
    pub bands_hz: BTreeMap<String, [f64; 2]>,
    /// Named groups of channels (names or globs), for `mic` and `mim`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sets: BTreeMap<String, Vec<String>>,
    /// Vector autoregressive models, for `gc`, `gc_tr`, `pdc` and `dtf`.
    pub var: var::VarConfig,
    /// Table `graph`: networks of the strongest pairs; not without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph: Option<GraphConfig>,
}

/// How the spectra of an epoch are estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Slepian tapers (Thomson 1982, doi:10.1109/PROC.1982.12433), weighted by the square roots of their concentrations.
    Multitaper,
    /// One Hann window.
    Fourier,
    /// Morlet wavelets at single moments; a band's value is the mean over frequencies and moments.
    Morlet,
}

/// How signals are orthogonalised before their envelopes are correlated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orthogonalize {
    /// Each signal of a pair against the other (Hipp et al. 2012, 10.1038/nn.3101).
    #[default]
    Pairwise,
    /// All signals jointly (Colclough et al. 2015, 10.1016/j.neuroimage.2015.03.071); they must be linearly independent,
    /// which they are not after an average reference.
    Symmetric,
}

impl Default for ConnectivityConfig {
    /// The contract's six measures in five bands, between all EEG channels.
    fn default() -> Self {
        let bands = [
            ("delta", [1.25, 4.0]),
            ("theta", [4.0, 8.0]),
            ("alpha", [8.0, 13.0]),
            ("beta", [13.0, 30.0]),
            ("gamma", [30.0, 45.0]),
        ];
        Self {
            mode: Mode::Multitaper,
            nw: 2.0,
            low_bias: true,
            frequencies: Vec::new(),
            cycles: 7.0,
            step_ms: 100.0,
            window_ms: None,
            measures: ["coh", "imcoh", "plv", "pli", "wpli", "wpli2_debiased"].map(str::to_owned).to_vec(),
            full: false,
            seeds: Vec::new(),
            pairs: Vec::new(),
            orthogonalize: Orthogonalize::Pairwise,
            keep_edges: false,
            surrogates: 0,
            bands_hz: bands.map(|(name, band)| (name.to_owned(), band)).into(),
            sets: BTreeMap::new(),
            var: var::VarConfig::default(),
            graph: None,
        }
    }
}

/// Plans one family of measures: those of its own among `config.measures`, with everything it needs. `None` when none of
/// them is asked for, or after a problem.
type Build = fn(&ConnectivityConfig, &Plan, &EpochInfo, &mut Problems) -> Option<Box<dyn Method>>;

/// The families: names of their measures, and how they are built. A new one is its file and a line here.
const FAMILIES: &[(&[&str], Build)] =
    &[(&measures::NAMES, spectral::build), (envelope::MEASURES, envelope::build), (var::MEASURES, var::build)];

impl MarkerConfig for ConnectivityConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        if self.graph.is_some() { self.every_table() } else { &self.every_table()[..1] }
    }

    fn every_table(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 2] = [&CONNECTIVITY, &GRAPH];
        &TABLES
    }

    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>> {
        let before = problems.list().len();
        let known = || FAMILIES.iter().flat_map(|(names, _)| names.iter().copied());
        for name in self.measures.iter().filter(|m| known().all(|k| k != m.as_str())) {
            let hint = nearest(name, known()).map(|n| format!("; nearest: {n:?}")).unwrap_or_default();
            problems.add("measures", format!("there is no measure {name:?}{hint}"));
        }
        for (i, name) in self.measures.iter().enumerate() {
            if self.measures[..i].contains(name) {
                problems.add("measures", format!("{name:?} stands there twice"));
            }
        }
        if self.measures.is_empty() {
            problems.add("measures", "names no measure");
        }
        let graphs = Graphs::new(self, problems);
        let plan = Plan::new(self, input, context, problems)?;
        let methods = FAMILIES.iter().filter_map(|(_, build)| build(self, &plan, input, problems)).collect();
        let (reference, passed_hz) = (context.reference.clone(), context.passband.high_hz);
        (problems.list().len() == before).then(|| {
            Box::new(Connectivity { plan, measures: self.measures.clone(), methods, reference, graphs, passed_hz })
                as Box<_>
        })
    }
}

struct Connectivity {
    plan: Plan,
    measures: Vec<String>,
    methods: Vec<Box<dyn Method>>,
    reference: String,
    graphs: Option<Graphs>,
    /// Highest frequency that the filters before leave.
    passed_hz: f64,
}

impl Connectivity {
    /// All rows of a condition: by measure, band and pair. Cells of bad channels are empty.
    fn rows(&self, report: &Report<'_>, condition: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        self.methods.iter().for_each(|m| m.rows(report, condition, &mut rows));
        let bad = |node: usize| report.bad.get(node).copied().unwrap_or(false);
        let few_cycles = 5.0 / self.plan.duration_s() * (1.0 - 1e-9);
        for row in &mut rows {
            if bad(row.a) || bad(row.b) {
                (row.value, row.null_expectation, row.z, row.p) = (f64::NAN, f64::NAN, f64::NAN, f64::NAN);
                (row.n_epochs, row.note) = (0, "bad_channel");
            } else if row.note.is_empty() {
                row.note = match row.n_epochs {
                    0 if row.value.is_nan() => "no_usable_epoch",
                    1 if row.value.is_nan() => "one_epoch",
                    _ if row.low_hz >= self.passed_hz => "beyond_passband",
                    _ if row.low_hz < few_cycles => "few_cycles",
                    _ => "",
                };
            }
        }
        // edges are not negative: their bits sort as they do
        let measures = &self.measures;
        let key = |row: &Row| {
            let measure = measures.iter().position(|m| m == row.measure);
            (measure, row.low_hz.to_bits(), row.high_hz.to_bits(), row.a, row.b)
        };
        if self.plan.threads > 1 {
            rows.par_sort_by_cached_key(key);
        } else {
            rows.sort_by_cached_key(key);
        }
        rows
    }
}

/// Rows that make one part of the table.
const PART: usize = 2048;

/// The table's rows, of which cells are made while they are written.
struct Written {
    rows: Vec<(Option<u16>, Row)>,
    /// Of channels and sets.
    names: Vec<String>,
    reference: String,
}

impl Rows for Written {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn parts(&self) -> usize {
        self.rows.len().div_ceil(PART)
    }

    fn make(&self, part: usize, take: &mut TakeRow<'_>) {
        // texts of one row give their room to the next
        let [mut band, mut a, mut b] = [const { Cell::Text(Cow::Owned(String::new())) }; 3];
        let reference = Cell::from(self.reference.clone());
        for (condition, row) in self.rows.iter().skip(part * PART).take(PART) {
            set(&mut band, &row.band);
            set(&mut a, self.names.get(row.a).map_or("", String::as_str));
            set(&mut b, self.names.get(row.b).map_or("", String::as_str));
            let cells = [
                row.measure.into(),
                std::mem::replace(&mut band, Cell::Missing),
                row.low_hz.into(),
                row.high_hz.into(),
                std::mem::replace(&mut a, Cell::Missing),
                std::mem::replace(&mut b, Cell::Missing),
                row.value.into(),
                row.n_epochs.into(),
                row.null_expectation.into(),
                row.z.into(),
                row.p.into(),
                reference.clone(),
                row.note.into(),
            ];
            take(*condition, &cells);
            [_, band, _, _, a, b, ..] = cells;
        }
    }
}

/// Puts a text into a cell, reusing its room.
fn set(cell: &mut Cell, text: &str) {
    match cell {
        Cell::Text(Cow::Owned(room)) => {
            room.clear();
            room.push_str(text);
        }
        _ => *cell = text.to_owned().into(),
    }
}

impl Marker for Connectivity {
    fn observe(&mut self, epoch: &Epoch) {
        self.methods.iter_mut().for_each(|m| m.observe(epoch));
    }

    fn report(&self, report: &Report<'_>) -> Vec<Table> {
        let (mut all, mut graph) = (Vec::new(), Table::new(&GRAPH));
        for (condition, _) in report.averages.iter().enumerate().filter(|(_, a)| a.n() > 0) {
            let rows = self.rows(report, condition);
            if let Some(graphs) = &self.graphs {
                graphs.fill(&self.plan, report.input, u16::try_from(condition).ok(), &rows, &mut graph);
            }
            all.extend(rows.into_iter().map(|row| (u16::try_from(condition).ok(), row)));
        }
        let nodes = report.input.channels.len() + self.plan.sets.len();
        let names = (0..nodes).map(|node| self.plan.node_name(report.input, node)).collect();
        let table =
            Table::made(&CONNECTIVITY, Arc::new(Written { rows: all, names, reference: self.reference.clone() }));
        if self.graphs.is_some() { vec![table, graph] } else { vec![table] }
    }

    fn channel_notes(&self, report: &Report<'_>) -> Vec<(usize, String)> {
        self.methods.iter().flat_map(|m| m.channel_notes(report)).collect()
    }

    fn reset(&mut self) {
        self.methods.iter_mut().for_each(|m| m.reset());
    }

    fn memory_bytes(&self) -> u64 {
        self.methods.iter().map(|m| m.memory_bytes()).sum()
    }
}
