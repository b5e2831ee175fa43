//! Amplitude envelope correlation: `aec` (raw) and `aec_orth` (orthogonalised).
//!
//! Each epoch is band-passed as MNE-Python would ([`Flanks::design`], Hamming, zero phase) after its mean is taken away,
//! and made analytic ([`BandAnalytic`]); envelopes are correlated within the epoch, and the correlations averaged over
//! epochs. `aec_orth` averages the magnitudes of both directions: `envelope_correlation(orthogonalize="pairwise",
//! absolute=True, log=False)` of mne_connectivity (Hipp et al. 2012, 10.1038/nn.3101). Neither has a known expectation
//! under independence: that depends on how fast envelopes vary. An epoch counts for a pair when both signals are finite
//! and neither is flat. Surrogates turn every signal round within its epoch, by a random number of samples of its own.
//!
//! On purpose unlike mne_connectivity on epochs that were filtered one by one: as far as the filter reaches in from either
//! end of the epoch, samples do not count (`keep_edges = true`: they do). What was made up beyond the ends is alike in all
//! channels, and makes envelopes of independent noise correlate (0.34 in delta, 4 s, against 0.03).

use super::method::{Band, Method, Plan, Row};
use super::surrogates::{draw, score};
use super::{ConnectivityConfig, Orthogonalize};
use crate::dsp::analytic::BandAnalytic;
use crate::dsp::envelope::{Envelopes, PairSums, SignalMut, orthogonal, raw, tile_order};
use crate::dsp::fir::Flanks;
use crate::dsp::symmetric::Symmetric;
use crate::dsp::window::Window;
use crate::flow::{EpochInfo, Problems, Report};
use crate::signal::Epoch;
use rayon::prelude::*;

/// Names of the measures.
pub(super) const MEASURES: &[&str] = &["aec", "aec_orth"];

/// A band-passed signal this much smaller than what was recorded is rounding.
const FLAT: f64 = 1e-12;

/// Pairs that a thread takes at once.
const PIECE: usize = 128;

/// Sums of one pair over epochs.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    sum: f64,
    n: u64,
}

/// A piece of the totals: raw and orthogonalised.
type Totals<'a> = &'a mut [[Total; 2]];

impl Total {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.n += 1;
        }
    }

    fn mean(self) -> f64 {
        if self.n > 0 { self.sum / self.n as f64 } else { f64::NAN }
    }
}

struct Envelope {
    plan: Plan,
    work: Work,
    keep_edges: bool,
    /// Per band one plan for every thread.
    filters: Vec<Vec<BandAnalytic>>,
    signals: Envelopes,
    /// Per slot the floor below which its band-passed signal is nothing; infinite where it cannot be used.
    floors: Vec<f64>,
    usable: Vec<bool>,
    /// Raw and orthogonalised, by condition, band and pair.
    totals: Vec<[Total; 2]>,
    /// Number of surrogates, what they are made in, and the same by condition, band, surrogate and pair.
    count: usize,
    turned: Option<Envelopes>,
    drawn: Vec<[Total; 2]>,
    /// Epochs seen.
    epochs: usize,
    /// By condition and band: epochs that symmetric orthogonalisation had to leave out.
    deficient: Vec<u64>,
}

/// The family of envelope measures.
pub(super) fn build(
    config: &ConnectivityConfig,
    plan: &Plan,
    _: &EpochInfo,
    problems: &mut Problems,
) -> Option<Box<dyn Method>> {
    let asked = |name: &str| config.measures.iter().any(|m| m == name);
    let orthogonal = asked("aec_orth").then_some(config.orthogonalize);
    if !asked("aec") && orthogonal.is_none() {
        return None;
    }
    let n = plan.window.len();
    let filters: Vec<Vec<BandAnalytic>> =
        plan.bands.iter().filter_map(|band| Some(vec![analytic(band, plan, problems)?; plan.threads])).collect();
    if n == 0 || filters.len() < plan.bands.len() {
        return None;
    }
    let slot = |channel| plan.channels.binary_search(&channel).ok().and_then(|s| u32::try_from(s).ok());
    let mut pairs: Vec<[u32; 2]> = plan.pairs.iter().filter_map(|&(a, b)| Some([slot(a)?, slot(b)?])).collect();
    tile_order(&mut pairs);
    let (slots, cells) = (plan.channels.len(), plan.conditions * plan.bands.len());
    Some(Box::new(Envelope {
        keep_edges: config.keep_edges,
        signals: Envelopes::new(slots, n),
        count: config.surrogates,
        turned: (config.surrogates > 0).then(|| Envelopes::new(slots, n)),
        drawn: vec![<[Total; 2]>::default(); cells * config.surrogates * pairs.len()],
        epochs: 0,
        floors: vec![0.0; slots],
        usable: vec![false; slots],
        totals: vec![<[Total; 2]>::default(); cells * pairs.len()],
        deficient: vec![0; cells],
        work: Work {
            raw: asked("aec"),
            orthogonal,
            threads: plan.threads,
            sums: vec![PairSums::default(); pairs.len()],
            symmetric: (orthogonal == Some(Orthogonalize::Symmetric)).then(|| Symmetric::new(slots)),
            pairs,
        },
        plan: plan.clone(),
        filters,
    }))
}

/// The band's filter for one epoch; a problem where it cannot be built.
fn analytic(band: &Band, plan: &Plan, problems: &mut Problems) -> Option<BandAnalytic> {
    let high = if band.high_hz < plan.rate_hz / 2.0 { band.high_hz } else { f64::INFINITY };
    let (transition_hz, window) = ([None; 2], Window::Hamming);
    let flanks = Flanks { band_hz: [band.low_hz, high], stop: false, transition_hz, window };
    match flanks.design(plan.rate_hz) {
        Ok(design) => Some(BandAnalytic::new(&design.taps, plan.window.len().max(1))),
        Err(error) => {
            problems.add(&format!("bands_hz.{}", band.name), error.message());
            None
        }
    }
}

/// Samples at either end that depend on what is beyond; none are left out of an epoch that would have none left.
fn edge(filter: &BandAnalytic) -> usize {
    if 2 * filter.reach() < filter.len() { filter.reach() } else { 0 }
}

/// The largest size; infinite where a value is not finite.
fn largest(x: &[f64]) -> f64 {
    let (whole, rest) = x.as_chunks::<8>();
    let larger = |m: f64, v: f64| if v.abs() <= m { m } else { v.abs() };
    let mut parts = [0.0; 8];
    let mut poison = [0.0; 8];
    for values in whole {
        parts = std::array::from_fn(|l| larger(parts[l], values[l]));
        poison = std::array::from_fn(|l| poison[l] + 0.0 * values[l]);
    }
    let finite = poison.iter().all(|p| *p == 0.0) && rest.iter().all(|v| v.is_finite());
    if finite { parts.iter().chain(rest).fold(0.0, |m, v| larger(m, *v)) } else { f64::INFINITY }
}

impl Envelope {
    fn cell(&self, condition: usize, band: usize) -> usize {
        condition * self.plan.bands.len() + band
    }

    /// Analytic signals of one band.
    fn transform(&mut self, epoch: &Epoch, band: usize) {
        let Self { plan, filters, signals, floors, keep_edges, .. } = self;
        let one = |filter: &mut BandAnalytic, slot: usize, mut signal: SignalMut<'_>| {
            let x = &epoch.channel(plan.channels[slot])[plan.window.clone()];
            signal.set(|re, im| {
                if floors[slot].is_finite() {
                    filter.apply(x, re, im);
                    // a sample without an envelope is passed over
                    let skip = if *keep_edges { 0 } else { edge(filter) };
                    for part in [re, im] {
                        part[..skip].fill(0.0);
                        part[x.len() - skip..].fill(0.0);
                    }
                } else {
                    re.fill(0.0);
                    im.fill(0.0);
                }
            });
        };
        if let [filter] = &mut filters[band][..] {
            signals.signals_mut().enumerate().for_each(|(slot, signal)| one(filter, slot, signal));
        } else {
            let mut all: Vec<_> = signals.signals_mut().enumerate().collect();
            let piece = all.len().div_ceil(filters[band].len()).max(1);
            all.par_chunks_mut(piece).zip(&mut filters[band]).for_each(|(piece, filter)| {
                piece.iter_mut().for_each(|(slot, signal)| one(filter, *slot, signal.again()));
            });
        }
        for (slot, usable) in self.usable.iter_mut().enumerate() {
            *usable = self.floors[slot].is_finite() && self.signals.is_above(slot, self.floors[slot]);
        }
    }

    /// Surrogates of an epoch in one band: every signal is turned by its own random shift, which keeps its envelope.
    fn surrogates(&mut self, cell: usize) {
        let Some(turned) = &mut self.turned else { return };
        let (slots, n) = (self.plan.channels.len(), self.plan.window.len() as u64);
        let pairs = self.work.pairs.len();
        let drawn = &mut self.drawn[cell * self.count * pairs..(cell + 1) * self.count * pairs];
        for (k, totals) in drawn.chunks_exact_mut(pairs.max(1)).enumerate() {
            turned.turn(&self.signals, |slot| (draw(self.plan.seed, [self.epochs, slot, k], slots) % n) as usize);
            self.work.correlate(turned, &self.usable, totals);
        }
    }
}

/// Correlates the envelopes of all pairs.
struct Work {
    raw: bool,
    orthogonal: Option<Orthogonalize>,
    threads: usize,
    /// Pairs of slots (positions in `plan.channels`), in tile order.
    pairs: Vec<[u32; 2]>,
    sums: Vec<PairSums>,
    symmetric: Option<Symmetric>,
}

impl Work {
    /// An epoch's correlations into the totals; `false` where symmetric orthogonalisation had to leave it out.
    fn correlate(&mut self, signals: &mut Envelopes, usable: &[bool], totals: &mut [[Total; 2]]) -> bool {
        let both = |[a, b]: [u32; 2]| usable[a as usize] && usable[b as usize];
        if self.raw {
            for (total, &pair) in totals.iter_mut().zip(&self.pairs).filter(|(_, p)| both(**p)) {
                total[0].add(raw(signals, pair));
            }
        }
        match (self.orthogonal, &mut self.symmetric) {
            (Some(Orthogonalize::Symmetric), Some(symmetric)) => {
                if !symmetric.apply(signals, usable) {
                    return false;
                }
                for (total, &pair) in totals.iter_mut().zip(&self.pairs).filter(|(_, p)| both(**p)) {
                    total[1].add(raw(signals, pair));
                }
            }
            (Some(_), _) => {
                let signals = &*signals;
                let add = |((pairs, sums), totals): ((&[[u32; 2]], &mut [PairSums]), Totals<'_>)| {
                    orthogonal(signals, pairs, sums);
                    for ((total, &pair), sums) in totals.iter_mut().zip(pairs).zip(sums).filter(|((_, p), _)| both(**p))
                    {
                        if let [Some(ab), Some(ba)] = sums.correlations(signals, pair) {
                            total[1].add(Some((ab.abs() + ba.abs()) / 2.0));
                        }
                    }
                };
                let Self { pairs, sums, .. } = self;
                if self.threads > 1 {
                    let pieces = pairs.par_chunks(PIECE).zip(sums.par_chunks_mut(PIECE));
                    pieces.zip(totals.par_chunks_mut(PIECE)).for_each(add);
                } else {
                    pairs.chunks(PIECE).zip(sums.chunks_mut(PIECE)).zip(totals.chunks_mut(PIECE)).for_each(add);
                }
            }
            (None, _) => {}
        }
        true
    }
}

impl Method for Envelope {
    fn observe(&mut self, epoch: &Epoch) {
        for (floor, &channel) in self.floors.iter_mut().zip(&self.plan.channels) {
            let largest = largest(&epoch.channel(channel)[self.plan.window.clone()]);
            *floor = if epoch.bad[channel] { f64::INFINITY } else { FLAT * largest };
        }
        for band in 0..self.plan.bands.len() {
            self.transform(epoch, band);
            let cell = self.cell(usize::from(epoch.condition), band);
            self.surrogates(cell);
            let Self { work, signals, usable, totals, .. } = self;
            let Some(totals) = totals.chunks_exact_mut(work.pairs.len().max(1)).nth(cell) else { return };
            if !work.correlate(signals, usable, totals) {
                self.deficient[cell] += 1;
            }
        }
        self.epochs += 1;
    }

    fn rows(&self, _: &Report<'_>, condition: usize, out: &mut Vec<Row>) {
        for (index, band) in self.plan.bands.iter().enumerate() {
            let cell = self.cell(condition, index);
            let pairs = &self.work.pairs;
            let Some(totals) = self.totals.chunks_exact(pairs.len().max(1)).nth(cell) else { return };
            let long = self.filters[index].first().is_some_and(|f| f.reach() * 2 >= f.len());
            let mut drawn = Vec::with_capacity(self.count);
            for (p, (&[a, b], total)) in pairs.iter().zip(totals).enumerate() {
                let nodes = (self.plan.channels[a as usize], self.plan.channels[b as usize]);
                let asked = [self.work.raw, self.work.orthogonal.is_some()];
                for (k, &measure) in MEASURES.iter().enumerate().filter(|(k, _)| asked[*k]) {
                    let mut row = Row::empty(measure, band, nodes);
                    row.n_epochs = total[k].n;
                    row.value = total[k].mean();
                    if self.count > 0 {
                        let of =
                            |surrogate: usize| self.drawn[(cell * self.count + surrogate) * pairs.len() + p][k].mean();
                        drawn.clear();
                        drawn.extend((0..self.count).map(of));
                        // without coupling `aec` is 0, and may come from there to either side
                        let distance = |v: f64| if k == 0 { v.abs() } else { v };
                        (row.z, row.p) = score(distance, row.value, &drawn);
                    }
                    row.note = match (k, self.deficient[cell]) {
                        (1, 1..) => "rank_deficient",
                        _ if long => "filter_longer_than_epoch",
                        _ => "",
                    };
                    out.push(row);
                }
            }
        }
    }

    fn reset(&mut self) {
        self.totals.fill(<[Total; 2]>::default());
        self.drawn.fill(<[Total; 2]>::default());
        self.deficient.fill(0);
        self.epochs = 0;
    }

    fn memory_bytes(&self) -> u64 {
        let filters: u64 = self.filters.iter().flatten().map(BandAnalytic::memory_bytes).sum();
        let Work { sums, pairs, symmetric, .. } = &self.work;
        let own = size_of_val(&self.totals[..]) + size_of_val(&sums[..]) + size_of_val(&pairs[..]);
        let surrogates = size_of_val(&self.drawn[..]) as u64 + self.turned.as_ref().map_or(0, Envelopes::memory_bytes);
        let symmetric = symmetric.as_ref().map_or(0, Symmetric::memory_bytes);
        filters + own as u64 + self.signals.memory_bytes() + symmetric + surrogates
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::kit::Kit;
    use super::*;
    use crate::flow::{Marker, MarkerConfig};
    use crate::table::Table;
    use serde_json::Value;

    fn golden() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/envelope.json");
        serde_json::from_str::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap()["marker"].clone()
    }

    /// Epochs × channels × samples of the reference script's generator; neighbours share a part.
    fn epochs(count: usize, channels: usize, n: usize, seed: u64) -> Vec<Vec<Vec<f64>>> {
        let mut s = seed;
        let mut next = || {
            s = (1_664_525 * s + 1_013_904_223) & 0xFFFF_FFFF;
            s as f64 / 4_294_967_296.0 - 0.5
        };
        (0..count)
            .map(|_| {
                let mut x: Vec<Vec<f64>> = (0..channels).map(|_| (0..n).map(|_| next()).collect()).collect();
                for c in 1..channels {
                    let before = x[c - 1].clone();
                    x[c].iter_mut().zip(before).for_each(|(v, b)| *v += 0.5 * b);
                }
                x.iter_mut().flatten().for_each(|v| *v *= 10.0);
                x
            })
            .collect()
    }

    fn config(measures: &[&str], orthogonalize: Orthogonalize) -> ConnectivityConfig {
        ConnectivityConfig {
            measures: measures.iter().map(|m| (*m).to_owned()).collect(),
            orthogonalize,
            keep_edges: true,
            bands_hz: [("alpha".to_owned(), [8.0, 13.0])].into(),
            ..ConnectivityConfig::default()
        }
    }

    fn run(config: &ConnectivityConfig, threads: usize, data: &[Vec<Vec<f64>>]) -> Table {
        let names: Vec<String> = (0..data[0].len()).map(|c| format!("E{c}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let last = (data[0][0].len() - 1) as f64 * 4.0;
        let mut kit = Kit::new(&names, 250.0, [0.0, last]);
        let mut context = crate::flow::BuildContext { threads, ..Default::default() };
        let mut marker: Box<dyn Marker> = config.build(&kit.info, &mut context, &mut Problems::default()).unwrap();
        for (e, epoch) in data.iter().enumerate() {
            kit.feed(&mut *marker, e as u64, 0, |c, i, _| epoch[c][i]);
        }
        assert!(marker.memory_bytes() > 1000);
        kit.report(&*marker).remove(0)
    }

    fn compare(table: &Table, measure: &str, want: &Value, tolerance: f64) {
        let mut seen = 0;
        for row in 0..table.len() {
            if table.text(row, "measure") == Some(measure) {
                let node = |column| table.text(row, column).unwrap()[1..].parse::<usize>().unwrap();
                let want = want[node("channel_a")][node("channel_b")].as_f64().unwrap();
                let got = table.number(row, "value").unwrap();
                assert!((got - want).abs() < tolerance, "{measure} row {row}: {got} {want}");
                assert_eq!(table.number(row, "n_epochs"), Some(4.0));
                seen += 1;
            }
        }
        assert_eq!(seen, 10);
    }

    /// What lies beyond an epoch's ends is made up in the same way for all channels, and noise then seems to go together.
    #[test]
    fn independent_noise_does_not_correlate_by_its_ends() {
        let data: Vec<Vec<Vec<f64>>> = (0..40)
            .map(|e| (0..3).map(|c| epochs(1, 1, 1000, 977 * e + 31 * c + 5).remove(0).remove(0)).collect())
            .collect();
        let delta = |keep_edges| ConnectivityConfig {
            measures: vec!["aec".to_owned()],
            keep_edges,
            bands_hz: [("delta".to_owned(), [1.25, 4.0])].into(),
            ..ConnectivityConfig::default()
        };
        let mean = |table: &Table| (0..3).map(|row| table.number(row, "value").unwrap()).sum::<f64>() / 3.0;
        let (kept, left_out) = (mean(&run(&delta(true), 1, &data)), mean(&run(&delta(false), 1, &data)));
        assert!(kept > 0.2, "{kept}");
        // 120 correlations of envelopes with a handful of independent values each
        assert!(left_out.abs() < 0.15, "{left_out}");
    }

    #[test]
    fn from_epochs_to_correlations_as_mne_connectivity() {
        let (golden, data) = (golden(), epochs(4, 5, 700, 5));
        let table = run(&config(&["aec", "aec_orth"], Orthogonalize::Pairwise), 1, &data);
        compare(&table, "aec", &golden["raw"], 1e-10);
        compare(&table, "aec_orth", &golden["pairwise"], 1e-10);
        let table = run(&config(&["aec_orth"], Orthogonalize::Symmetric), 1, &data);
        compare(&table, "aec_orth", &golden["symmetric"], 1e-10);
    }

    #[test]
    fn threads_do_not_matter() {
        let data = epochs(3, 19, 500, 9);
        let cells = |table: &Table| table.rows().map(|(_, r)| format!("{r:?}")).collect::<Vec<_>>();
        for way in [Orthogonalize::Pairwise, Orthogonalize::Symmetric] {
            let config = config(&["aec", "aec_orth"], way);
            let one = cells(&run(&config, 1, &data));
            assert_eq!(one.len(), 2 * 171);
            assert!([2, 3, 8].iter().all(|&threads| cells(&run(&config, threads, &data)) == one));
        }
    }

    #[test]
    fn surrogates_tell_common_envelopes_from_others() {
        let mut phases = epochs(20, 3, 1, 11).into_iter();
        // two rhythms that wax and wane together, and one that does so by itself
        let data: Vec<Vec<Vec<f64>>> = epochs(20, 3, 1000, 12)
            .into_iter()
            .map(|noise| {
                let phase = phases.next().unwrap();
                let signal = |c: usize, hz: f64, of: usize| -> Vec<f64> {
                    let value = |i: usize| {
                        let t = i as f64 / 250.0;
                        let size = 1.0 + 0.8 * (3.0 * t + phase[of][0]).sin();
                        10.0 * size * (std::f64::consts::TAU * hz * t).sin() + 0.1 * noise[c][i]
                    };
                    (0..1000).map(value).collect()
                };
                vec![signal(0, 10.0, 0), signal(1, 10.7, 0), signal(2, 9.6, 2)]
            })
            .collect();
        for way in [Orthogonalize::Pairwise, Orthogonalize::Symmetric] {
            let config = ConnectivityConfig { surrogates: 99, ..config(&["aec", "aec_orth"], way) };
            let table = run(&config, 2, &data);
            for row in 0..table.len() {
                let number = |column| table.number(row, column).unwrap();
                let together = (table.text(row, "channel_a"), table.text(row, "channel_b")) == (Some("E0"), Some("E1"));
                assert_eq!(number("p") == 0.01, together, "{:?} {}", table.text(row, "measure"), number("p"));
                assert_eq!(number("z") > 4.0, together, "{}", number("z"));
            }
            let cells = |table: &Table| table.rows().map(|(_, r)| format!("{r:?}")).collect::<Vec<_>>();
            assert_eq!(cells(&run(&config, 1, &data)), cells(&table));
        }
    }

    #[test]
    fn mixing_inflates_the_raw_correlation_only() {
        // two independent sources in three electrodes
        let source = epochs(40, 2, 1000, 3);
        let data: Vec<Vec<Vec<f64>>> = source
            .iter()
            .map(|s| {
                let (a, b): (Vec<f64>, Vec<f64>) = s[0].iter().zip(&s[1]).map(|(a, b)| (*a, b - 0.5 * a)).unzip();
                let mix = a.iter().zip(&b).map(|(a, b)| a + 0.7 * b).collect();
                vec![a, mix, b]
            })
            .collect();
        let table = run(&config(&["aec", "aec_orth"], Orthogonalize::Pairwise), 1, &data);
        let raw = table.number(0, "value").unwrap();
        let (orth, unmixed) = (table.number(3, "value").unwrap(), table.number(4, "value").unwrap());
        assert!(raw > 0.3 && orth < 0.25 && (orth - unmixed).abs() < 0.1, "{raw} {orth} {unmixed}");
    }

    #[test]
    fn hard_case_14_copies_have_no_lagged_envelope() {
        let data: Vec<Vec<Vec<f64>>> = epochs(5, 1, 700, 8)
            .into_iter()
            .map(|e| vec![e[0].clone(), e[0].clone(), e[0].iter().map(|v| -2.3 * v).collect()])
            .collect();
        let table = run(&config(&["aec", "aec_orth"], Orthogonalize::Pairwise), 1, &data);
        for row in 0..3 {
            assert!((table.number(row, "value").unwrap() - 1.0).abs() < 1e-12);
            assert_eq!(table.number(row + 3, "value"), Some(0.0));
        }
        // jointly orthogonal signals cannot be made from copies
        let table = run(&config(&["aec_orth"], Orthogonalize::Symmetric), 1, &data);
        assert_eq!((table.number(0, "value"), table.number(0, "n_epochs")), (None, Some(0.0)));
        assert_eq!(table.text(0, "note"), Some("rank_deficient"));
    }

    #[test]
    fn hard_case_17_epochs_that_cannot_be_used_are_not_counted() {
        let mut data = epochs(4, 4, 700, 6);
        let good = run(&config(&["aec", "aec_orth"], Orthogonalize::Pairwise), 1, &data);
        data[1][2][300] = f64::NAN;
        data[3][2].fill(7.3);
        data[3][3].fill(0.0);
        let table = run(&config(&["aec", "aec_orth"], Orthogonalize::Pairwise), 1, &data);
        // pairs 01 02 03 12 13 23
        let n: Vec<f64> = (0..6).map(|row| table.number(row, "n_epochs").unwrap()).collect();
        assert_eq!(n, [4.0, 2.0, 3.0, 2.0, 3.0, 2.0]);
        assert_eq!(table.number(0, "value"), good.number(0, "value"));
        assert!((0..12).all(|row| table.number(row, "value").is_some_and(f64::is_finite)));
    }

    #[test]
    fn hard_case_20_offsets_do_not_matter() {
        let data = epochs(3, 4, 700, 5);
        let lifted: Vec<Vec<Vec<f64>>> =
            data.iter().map(|e| e.iter().map(|c| c.iter().map(|v| v / 10.0 + 1e5).collect()).collect()).collect();
        let config = config(&["aec", "aec_orth"], Orthogonalize::Pairwise);
        let (a, b) = (run(&config, 1, &data), run(&config, 1, &lifted));
        for row in 0..a.len() {
            let difference = a.number(row, "value").unwrap() - b.number(row, "value").unwrap();
            assert!(difference.abs() < 1e-8, "{difference}");
        }
    }

    #[test]
    fn filters_longer_than_the_epoch_are_told() {
        let table = run(&config(&["aec"], Orthogonalize::Pairwise), 1, &epochs(2, 2, 300, 1));
        assert_eq!(table.text(0, "note"), Some("filter_longer_than_epoch"));
        assert!(table.number(0, "value").is_some());
    }
}
