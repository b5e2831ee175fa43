//! Measures of undirected graphs: degree, strength, clustering, path length, efficiency, small-worldness.
//!
//! Definitions as collected by Rubinov & Sporns 2010 (10.1016/j.neuroimage.2009.10.003); on the graph without weights but
//! for the strength. Numbers as in NetworkX.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// An undirected graph without loops.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    nodes: usize,
    /// Each edge once, with its weight.
    edges: Vec<(usize, usize, f64)>,
    adjacent: Vec<bool>,
}

impl Graph {
    /// The graph of the `density · nodes · (nodes − 1) / 2` (rounded) heaviest of these pairs. Weights that are not above
    /// 0 never make an edge; of equal weights the earlier pair is taken.
    ///
    /// # Panics
    /// When a pair names a node that is not there.
    pub fn of_density(nodes: usize, weights: &[(usize, usize, f64)], density: f64) -> Self {
        let mut edges: Vec<_> = weights.iter().copied().filter(|&(a, b, w)| a != b && w > 0.0).collect();
        edges.sort_by(|x, y| y.2.total_cmp(&x.2));
        let wanted = (density * (nodes * nodes.saturating_sub(1)) as f64 / 2.0).round() as usize;
        edges.truncate(wanted);
        Self::new(nodes, edges)
    }

    fn new(nodes: usize, edges: Vec<(usize, usize, f64)>) -> Self {
        let mut adjacent = vec![false; nodes * nodes];
        for &(a, b, _) in &edges {
            adjacent[a * nodes + b] = true;
            adjacent[b * nodes + a] = true;
        }
        Self { nodes, edges, adjacent }
    }

    /// Edges.
    pub fn edges(&self) -> &[(usize, usize, f64)] {
        &self.edges
    }

    fn has(&self, a: usize, b: usize) -> bool {
        self.adjacent[a * self.nodes + b]
    }

    /// Edges per node.
    pub fn degrees(&self) -> Vec<usize> {
        (0..self.nodes).map(|a| (0..self.nodes).filter(|&b| self.has(a, b)).count()).collect()
    }

    /// Sum of the weights of each node's edges.
    pub fn strengths(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.nodes];
        for &(a, b, w) in &self.edges {
            sums[a] += w;
            sums[b] += w;
        }
        sums
    }

    /// Per node the share of its pairs of neighbours that are neighbours themselves (Watts & Strogatz 1998,
    /// 10.1038/30918); 0 for nodes with fewer than two.
    pub fn clustering(&self) -> Vec<f64> {
        let one = |a: usize| {
            let near: Vec<usize> = (0..self.nodes).filter(|&b| self.has(a, b)).collect();
            let pairs = near.len() * near.len().saturating_sub(1) / 2;
            let closed: usize =
                near.iter().enumerate().map(|(i, &b)| near[i + 1..].iter().filter(|&&c| self.has(b, c)).count()).sum();
            if pairs > 0 { closed as f64 / pairs as f64 } else { 0.0 }
        };
        (0..self.nodes).map(one).collect()
    }

    /// Numbers of edges on the shortest paths.
    pub fn paths(&self) -> Paths {
        let neighbours: Vec<Vec<usize>> =
            (0..self.nodes).map(|a| (0..self.nodes).filter(|&b| self.has(a, b)).collect()).collect();
        let mut paths = Paths { pairs: self.nodes * self.nodes.saturating_sub(1), ..Paths::default() };
        let mut distance = vec![usize::MAX; self.nodes];
        let mut queue = Vec::with_capacity(self.nodes);
        for start in 0..self.nodes {
            distance.fill(usize::MAX);
            distance[start] = 0;
            queue.clear();
            queue.push(start);
            let mut next = 0;
            while let Some(&a) = queue.get(next) {
                next += 1;
                for &b in &neighbours[a] {
                    if distance[b] == usize::MAX {
                        distance[b] = distance[a] + 1;
                        paths.reached += 1;
                        paths.length += distance[b] as f64;
                        paths.inverse += 1.0 / distance[b] as f64;
                        queue.push(b);
                    }
                }
            }
        }
        paths
    }

    /// A random graph in which every node keeps its degree: edges a–b, c–d become a–d, c–b, ten times per edge on average
    /// (Maslov & Sneppen 2002, 10.1126/science.1065103).
    pub fn rewired(&self, random: &mut ChaCha8Rng) -> Self {
        let mut graph = self.clone();
        let (n, count) = (self.nodes, self.edges.len() as u64);
        if count < 2 {
            return graph;
        }
        for _ in 0..10 * count {
            let pick = |r: u64| (r % count) as usize;
            let (i, j) = (pick(random.next_u64()), pick(random.next_u64()));
            let turned = random.next_u32() & 1 == 1;
            let (a, b, v) = graph.edges[i];
            let (mut c, mut d, w) = graph.edges[j];
            if turned {
                (c, d) = (d, c);
            }
            if a == c || a == d || b == c || b == d || graph.has(a, d) || graph.has(c, b) {
                continue;
            }
            for (x, y, there) in [(a, b, false), (c, d, false), (a, d, true), (c, b, true)] {
                graph.adjacent[x * n + y] = there;
                graph.adjacent[y * n + x] = there;
            }
            graph.edges[i] = (a, d, v);
            graph.edges[j] = (c, b, w);
        }
        graph
    }

    /// `(C / C_random) / (L / L_random)` with the mean clustering C and the path length L of this graph and of `references`
    /// rewired ones (Humphries & Gurney 2008, 10.1371/journal.pone.0002051). `None` without triangles or paths to compare.
    pub fn small_world(&self, references: usize, seed: u64) -> Option<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (mut clustering, mut length) = (0.0, 0.0);
        for _ in 0..references {
            let graph = self.rewired(&mut random);
            clustering += mean(&graph.clustering()) / references as f64;
            length += graph.paths().characteristic()? / references as f64;
        }
        let value = mean(&self.clustering()) / clustering / (self.paths().characteristic()? / length);
        value.is_finite().then_some(value)
    }
}

/// Sums over all ordered pairs of nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Paths {
    /// Ordered pairs of nodes.
    pub pairs: usize,
    /// Those with a path.
    pub reached: usize,
    length: f64,
    inverse: f64,
}

impl Paths {
    /// Characteristic path length: the mean over the pairs that have a path.
    pub fn characteristic(&self) -> Option<f64> {
        (self.reached > 0).then(|| self.length / self.reached as f64)
    }

    /// Global efficiency: the mean of 1/length over all pairs, 0 for those without a path (Latora & Marchiori 2001,
    /// 10.1103/PhysRevLett.87.198701).
    pub fn efficiency(&self) -> Option<f64> {
        (self.pairs > 0).then(|| self.inverse / self.pairs as f64)
    }
}

/// Mean, 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn list<T: serde::de::DeserializeOwned>(value: &Value) -> Vec<T> {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn close(got: &[f64], want: &[f64]) {
        assert_eq!(got.len(), want.len());
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-12), "{got:?} {want:?}");
    }

    #[test]
    fn measures_are_networkxs() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/graph.json");
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for case in golden["cases"].as_array().unwrap() {
            let n = case["nodes"].as_u64().unwrap() as usize;
            let mut state = case["seed"].as_u64().unwrap();
            let mut weights = Vec::new();
            for a in 0..n {
                for b in a + 1..n {
                    state = (1_664_525 * state + 1_013_904_223) & 0xFFFF_FFFF;
                    weights.push((a, b, state as f64 / 4_294_967_296.0 - 0.2));
                }
            }
            let graph = Graph::of_density(n, &weights, case["density"].as_f64().unwrap());
            assert_eq!(graph.edges().len() as u64, case["edges"].as_u64().unwrap());
            assert_eq!(graph.degrees(), list::<usize>(&case["degree"]));
            close(&graph.strengths(), &list::<f64>(&case["strength"]));
            close(&graph.clustering(), &list::<f64>(&case["clustering"]));
            let paths = graph.paths();
            assert_eq!(paths.reached as u64, case["reached"].as_u64().unwrap());
            let both = [paths.characteristic().unwrap(), paths.efficiency().unwrap()];
            close(&both, &[case["path_length"].as_f64().unwrap(), case["efficiency"].as_f64().unwrap()]);
        }
    }

    /// A ring in which everybody knows the next `k / 2` on either side; every `shortcut`-th edge leads elsewhere.
    fn ring(n: usize, k: usize, shortcut: usize) -> Graph {
        let mut edges = Vec::new();
        for a in 0..n {
            for step in 1..=k / 2 {
                let far = edges.len() % shortcut == shortcut - 1;
                edges.push((a, (a + if far { n / 2 + step } else { step }) % n, 1.0));
            }
        }
        Graph::new(n, edges)
    }

    #[test]
    fn rings_with_shortcuts_are_small_worlds() {
        let graph = ring(60, 6, 15);
        let sigma = graph.small_world(20, 1).unwrap();
        assert!(sigma > 2.0, "{sigma}");
        assert_eq!(graph.small_world(20, 1), Some(sigma));
        // a rewired graph is none, and keeps every degree
        let random = graph.rewired(&mut ChaCha8Rng::seed_from_u64(3));
        assert_eq!(random.degrees(), graph.degrees());
        assert_ne!(random, graph);
        let sigma = random.small_world(20, 1).unwrap();
        assert!((sigma - 1.0).abs() < 0.5, "{sigma}");
    }

    #[test]
    fn small_graphs_have_no_answer_rather_than_a_wrong_one() {
        let graph = Graph::of_density(4, &[(0, 1, 2.0), (1, 2, -5.0), (2, 3, 0.0)], 1.0);
        assert_eq!(graph.edges().len(), 1);
        assert_eq!(graph.paths().characteristic(), Some(1.0));
        assert_eq!(graph.paths().efficiency(), Some(1.0 / 6.0));
        assert_eq!(graph.small_world(5, 1), None);
        let empty = Graph::of_density(0, &[], 0.5);
        assert_eq!((empty.paths().characteristic(), empty.paths().efficiency()), (None, None));
        assert_eq!(Graph::of_density(3, &[], 0.5).small_world(5, 1), None);
    }
}
