//! Table `graph`: what the matrix of a measure looks like as a network.
//!
//! Per measure, band and density the strongest pairs become edges ([`Graph::of_density`]). Of signed measures without
//! direction (`imcoh`, `cohy_re`, `cohy_im`) the magnitude counts; of all others a value that is not above 0, as unbiased
//! estimates have it where there is nothing, is no edge. Measures with a direction have no such graph. Channels without
//! any value (bad, flat) are not nodes.

use super::ConnectivityConfig;
use super::method::{Plan, Row};
use crate::dsp::graph::{Graph, mean};
use crate::flow::{EpochInfo, Problems};
use crate::table::{Cell, Column, Table, TableSpec};
use serde::{Deserialize, Serialize};

/// Columns of `graph`.
pub static GRAPH: TableSpec = TableSpec {
    name: "graph",
    about: "One metric of the network that the strongest connections make",
    series: false,
    columns: &[
        Column::new("measure", "", "Name of the measure of connectivity"),
        Column::new("band", "", "Name of the band"),
        Column::new("threshold", "", "Share of all pairs that become edges, the strongest first"),
        Column::new("node", "", "Channel; empty for the whole network"),
        Column::new(
            "metric",
            "",
            "Network: n_nodes, n_edges, unreachable (share of pairs without a path), clustering (mean), path_length (over pairs with a path), global_efficiency, small_world; node: degree, strength, clustering",
        ),
        Column::new("value", "", "The metric; edges have no weight but for the strength"),
    ],
};

/// `[marker.graph]` of `use = "connectivity"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GraphConfig {
    /// Shares of all pairs that become edges.
    pub density: Vec<f64>,
    /// Measures; empty: `wpli2_debiased` where it is measured, else the first that has no direction.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measures: Vec<String>,
    /// Rewired networks that the small-world index compares with.
    pub references: usize,
}

impl Default for GraphConfig {
    /// A tenth and a fifth of all pairs, 20 rewired networks.
    fn default() -> Self {
        Self { density: vec![0.1, 0.2], measures: Vec::new(), references: 20 }
    }
}

const DIRECTED: [&str; 6] = ["dpli", "psi", "gc", "gc_tr", "pdc", "dtf"];
const BETWEEN_SETS: [&str; 2] = ["mic", "mim"];
const SIGNED: [&str; 3] = ["imcoh", "cohy_re", "cohy_im"];

/// The graphs asked for.
pub(super) struct Graphs {
    config: GraphConfig,
}

impl Graphs {
    /// Settles the measures; reports every problem.
    pub fn new(config: &ConnectivityConfig, problems: &mut Problems) -> Option<Self> {
        let mut graph = config.graph.clone()?;
        let able = |m: &str| !DIRECTED.contains(&m) && !BETWEEN_SETS.contains(&m);
        for (i, density) in graph.density.iter().enumerate() {
            if !(*density > 0.0 && *density <= 1.0) {
                problems.add(&format!("graph.density[{i}]"), format!("{density} is not a share above 0 and up to 1"));
            }
        }
        if !config.seeds.is_empty() || !config.pairs.is_empty() {
            problems.add("graph", "needs all pairs: leave out seeds and pairs");
        }
        for (i, measure) in graph.measures.iter().enumerate() {
            let why = match measure.as_str() {
                m if !config.measures.iter().any(|k| k == m) => "is not among the marker's measures",
                m if !able(m) => "has a direction or stands between sets: it makes no undirected graph of channels",
                _ => continue,
            };
            problems.add(&format!("graph.measures[{i}]"), format!("{measure:?} {why}"));
        }
        if graph.measures.is_empty() {
            let default = (config.measures.iter().find(|m| *m == "wpli2_debiased"))
                .or_else(|| config.measures.iter().find(|m| able(m)));
            match default {
                Some(measure) => graph.measures.push(measure.clone()),
                None => problems.add("graph.measures", "none of the marker's measures is without direction"),
            }
        }
        Some(Self { config: graph })
    }

    /// Adds the rows of one condition; `rows` are sorted by measure and band.
    pub fn fill(&self, plan: &Plan, input: &EpochInfo, condition: Option<u16>, rows: &[Row], table: &mut Table) {
        for rows in rows.chunk_by(|x, y| (x.measure, &x.band) == (y.measure, &y.band)) {
            let Some(first) = rows.first().filter(|r| self.config.measures.iter().any(|m| m == r.measure)) else {
                continue;
            };
            let signed = SIGNED.contains(&first.measure);
            let finite = || rows.iter().filter(|r| r.value.is_finite());
            let mut nodes: Vec<usize> = finite().flat_map(|r| [r.a, r.b]).collect();
            nodes.sort_unstable();
            nodes.dedup();
            let index = |node: usize| nodes.binary_search(&node).ok();
            let weight = |value: f64| if signed { value.abs() } else { value };
            let pairs: Vec<_> = finite().filter_map(|r| Some((index(r.a)?, index(r.b)?, weight(r.value)))).collect();
            for &density in &self.config.density {
                let graph = Graph::of_density(nodes.len(), &pairs, density);
                let mut push = |node: Cell, metric: &'static str, value: Cell| {
                    let head = [first.measure.into(), first.band.clone().into(), density.into()];
                    table.push(condition, head.into_iter().chain([node, metric.into(), value]));
                };
                let (clustering, paths) = (graph.clustering(), graph.paths());
                let unreachable = (paths.pairs > 0).then(|| (paths.pairs - paths.reached) as f64 / paths.pairs as f64);
                for (metric, value) in [
                    ("n_nodes", nodes.len().into()),
                    ("n_edges", graph.edges().len().into()),
                    ("unreachable", unreachable.into()),
                    ("clustering", (!nodes.is_empty()).then(|| mean(&clustering)).into()),
                    ("path_length", paths.characteristic().into()),
                    ("global_efficiency", paths.efficiency().into()),
                    ("small_world", graph.small_world(self.config.references, plan.seed).into()),
                ] {
                    push(Cell::Missing, metric, value);
                }
                let (degrees, strengths) = (graph.degrees(), graph.strengths());
                for (i, &node) in nodes.iter().enumerate() {
                    let name = || Cell::from(plan.node_name(input, node));
                    push(name(), "degree", degrees[i].into());
                    push(name(), "strength", strengths[i].into());
                    push(name(), "clustering", clustering[i].into());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::kit::Kit;
    use super::*;

    fn config(measure: &str) -> ConnectivityConfig {
        ConnectivityConfig {
            measures: vec![measure.to_owned()],
            bands_hz: [("alpha".to_owned(), [8.0, 13.0])].into(),
            graph: Some(GraphConfig { density: vec![0.5], ..GraphConfig::default() }),
            ..ConnectivityConfig::default()
        }
    }

    #[test]
    fn the_strongest_pairs_make_the_graph() {
        let mut kit = Kit::new(&["A", "B", "C", "D", "X"], 250.0, [0.0, 3996.0]);
        (kit.bad[4], kit.enters[4]) = (true, false);
        let mut marker = kit.build(&config("aec"));
        let mut state = 1_u64;
        for e in 0..3 {
            // A, B and C share their envelope, D has its own
            let data: Vec<f64> = (0..1000 * 5)
                .map(|_| {
                    state = (1_664_525 * state + 1_013_904_223) & 0xFFFF_FFFF;
                    state as f64 / 4_294_967_296.0 - 0.5
                })
                .collect();
            kit.feed(&mut *marker, e, 0, |c, i, t| {
                let envelope = if c == 3 { 1.5 - (t / 500.0).sin() } else { 1.5 + (t / 300.0 + e as f64).sin() };
                10.0 * envelope * (0.0628 * t + c as f64).sin() + data[c * 1000 + i]
            });
        }
        let tables = kit.report(&*marker);
        let table = &tables[1];
        assert_eq!(table.name(), "graph");
        let value = |node: &str, metric: &str| {
            let rows = (0..table.len()).filter(|&r| table.text(r, "node").unwrap_or("") == node);
            rows.filter(|&r| table.text(r, "metric") == Some(metric)).map(|r| table.number(r, "value")).next().unwrap()
        };
        // of six pairs the three among A, B, C
        assert_eq!((value("", "n_nodes"), value("", "n_edges")), (Some(4.0), Some(3.0)));
        assert_eq!(["A", "B", "C", "D"].map(|n| value(n, "degree").unwrap()), [2.0, 2.0, 2.0, 0.0]);
        assert_eq!((value("A", "clustering"), value("", "clustering")), (Some(1.0), Some(0.75)));
        assert_eq!((value("", "path_length"), value("", "global_efficiency")), (Some(1.0), Some(0.5)));
        assert_eq!(value("", "unreachable"), Some(0.5));
        let ab = tables[0].number(0, "value").unwrap() + tables[0].number(1, "value").unwrap();
        assert!((value("A", "strength").unwrap() - ab).abs() < 1e-12);
        assert_eq!(table.len(), 7 + 4 * 3);
    }

    #[test]
    fn what_makes_no_graph_is_refused() {
        let kit = Kit::new(&["A", "B", "C"], 250.0, [0.0, 3996.0]);
        let mut bad = config("aec");
        bad.graph = Some(GraphConfig { density: vec![0.0, 0.3], measures: vec!["dpli".into()], references: 2 });
        bad.seeds = vec!["A".into()];
        let problems = kit.problems(&bad).join("\n");
        for word in ["graph.density[0]", "needs all pairs", "\"dpli\" is not among"] {
            assert!(problems.contains(word), "{problems}");
        }
    }
}
