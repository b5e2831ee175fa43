//! From sums to tables.

use super::sums::{self, Axis, Scratch, Sums, count_before};
use super::{Baseline, Mode, Power, Tfr};
use crate::dsp::stats::median;
use crate::flow::{MarkerConfig, Report};
use crate::table::{Cell, Column, Rows, Table, TableSpec, TakeRow};
use std::sync::Arc;

/// Columns of `tfr`.
pub static TFR: TableSpec = TableSpec {
    name: "tfr",
    about: "One cell of a channel's time-frequency plane: power against baseline, and phase locking to the event",
    series: true,
    columns: &[
        Column::new("channel", "", "As the file spells it"),
        Column::new("frequency_hz", "Hz", "Centre frequency of the wavelet (mode hilbert: of the band)"),
        Column::new("time_ms", "ms", "Time from the event"),
        Column::new(
            "change_db",
            "dB",
            "10 log10 of the power over the mean of the baseline's cells that are not affected",
        ),
        Column::new("itpc", "", "Inter-trial phase coherence |mean z/|z||, 0 to 1; multitaper: mean over tapers"),
        Column::new(
            "itpc_debiased",
            "",
            "Pairwise phase consistency (n ITPC^2 - 1)/(n - 1): 0 on average without locking, whatever the number of trials",
        ),
        Column::new(
            "affected",
            "",
            "1: two standard deviations of the wavelet reach beyond the epoch; 2: they hold bridged samples; else 0",
        ),
        Column::new("n_trials", "", "Trials without a missing sample of this channel"),
        Column::new("itpc_null", "", "What ITPC is on average when phases are random: sqrt(pi / 4n)"),
        Column::new("power_uv2_per_hz", "uV2/Hz", "Power as a one-sided density: total, induced or evoked"),
        Column::new("change", "", "The comparison with the baseline that was asked for, where it is not dB"),
    ],
};

/// Columns of `tfr_bands`.
pub static TFR_BANDS: TableSpec = TableSpec {
    name: "tfr_bands",
    about: "Means over the cells of a band and a window that touch neither the epoch's edge nor the gap",
    series: false,
    columns: &[
        Column::new("channel", "", "As the file spells it"),
        Column::new("band", "", "Name of the band"),
        Column::new("low_hz", "Hz", "Lowest frequency, included"),
        Column::new("high_hz", "Hz", "Highest frequency, not included"),
        Column::new("start_ms", "ms", "Start of the window"),
        Column::new("end_ms", "ms", "End of the window"),
        Column::new("change_db", "dB", "Mean of the cells' change_db"),
        Column::new("itpc", "", "Mean of the cells' ITPC"),
        Column::new("itpc_debiased", "", "Mean of the cells' debiased ITPC"),
        Column::new("n_cells", "", "Cells in the means"),
        Column::new("n_affected", "", "Cells left out because they touch the edge or the gap"),
        Column::new("n_trials", "", "Trials without a missing sample of this channel"),
        Column::new(
            "caveat",
            "",
            "no_baseline: at some frequency all of the baseline's cells are affected; baseline_leak: the baseline ends less than two standard deviations of the lowest wavelet before the event",
        ),
    ],
};

/// Columns of `natural_frequency`.
pub static NATURAL_FREQUENCY: TableSpec = TableSpec {
    name: "natural_frequency",
    about: "The frequency with the largest power against baseline after the event (Rosanova et al. 2009)",
    series: false,
    columns: &[
        Column::new("kind", "", "channel or roi"),
        Column::new("channel", "", "Channel, or region of the site (mean over its channels)"),
        Column::new("start_ms", "ms", "Start of the window"),
        Column::new("end_ms", "ms", "End of the window"),
        Column::new("frequency_hz", "Hz", "Where the mean change over the window is largest"),
        Column::new("change_db", "dB", "That mean change"),
        Column::new("sharpness_db", "dB", "How far it lies above the median over frequencies"),
        Column::new("at_edge", "", "1: the largest of the range's ends, so perhaps not a peak"),
        Column::new(
            "from_hz",
            "Hz",
            "Lowest frequency that took part: at least half of its cells in the window are not affected",
        ),
        Column::new("to_hz", "Hz", "Highest frequency that took part"),
        Column::new("n_trials", "", "Trials; for a region the fewest of its channels"),
        Column::new("caveat", "", "As in tfr_bands, over the whole range of frequencies"),
    ],
};

/// What is known of one channel in one condition; nothing where it is bad or has no trial.
struct Shown {
    name: String,
    channel: usize,
    n: u64,
    power: Vec<f64>,
    itpc: Vec<f64>,
    debiased: Vec<f64>,
    change_db: Vec<f64>,
    /// The other comparison, where one was asked for.
    change: Vec<f64>,
}

struct Group {
    condition: u16,
    affected: Vec<u8>,
    channels: Vec<Shown>,
}

/// Rows of `tfr`: a part per condition and channel.
struct Planes {
    axis: Axis,
    frequencies: Vec<f64>,
    groups: Vec<Group>,
}

impl Rows for Planes {
    fn len(&self) -> usize {
        self.parts() * self.frequencies.len() * self.axis.outputs
    }

    fn parts(&self) -> usize {
        self.groups.iter().map(|g| g.channels.len()).sum()
    }

    fn make(&self, part: usize, take: &mut TakeRow<'_>) {
        let all = self.groups.iter().flat_map(|g| g.channels.iter().map(move |c| (g, c)));
        let Some((group, shown)) = all.into_iter().nth(part) else { return };
        let null = (std::f64::consts::FRAC_PI_4 / shown.n as f64).sqrt();
        let mut row = [const { Cell::Missing }; 11];
        row[0] = shown.name.clone().into();
        (row[7], row[8]) = (shown.n.into(), null.into());
        for (f, frequency) in self.frequencies.iter().enumerate() {
            row[1] = (*frequency).into();
            for cell in 0..self.axis.outputs {
                let at = f * self.axis.outputs + cell;
                let value = |values: &[f64]| Cell::from(values.get(at).copied());
                row[2] = self.axis.time_ms(cell).into();
                row[3] = value(&shown.change_db);
                row[4] = value(&shown.itpc);
                row[5] = value(&shown.debiased);
                row[6] = Cell::Integer(i64::from(group.affected[at]));
                row[9] = value(&shown.power);
                row[10] = value(&shown.change);
                take(Some(group.condition), &row);
            }
        }
    }
}

/// All tables.
pub(super) fn tables(tfr: &Tfr, report: &Report<'_>) -> Vec<Table> {
    let (plan, mut scratch) = (&tfr.plan, Scratch::new(&tfr.plan));
    let queue = &tfr.queue[..tfr.waiting];
    let conditions = tfr.filled.len();
    let affected: Vec<Vec<u8>> = tfr.filled.iter().map(|filled| affected(tfr, filled)).collect();
    let mut shown: Vec<Vec<Shown>> = (0..conditions).map(|_| Vec::new()).collect();
    for (i, sums) in tfr.pieces.iter().flat_map(|p| p.channels()) {
        let mut sums = sums.to_vec();
        sums::add_channel(plan, i, &mut sums, queue, &mut scratch);
        let channel = tfr.channels[i];
        let name = &report.input.channels[channel].name;
        for (condition, sums) in sums.iter().enumerate() {
            let bad = report.bad.get(channel).copied().unwrap_or(false);
            shown[condition].push(show(tfr, sums, name, channel, bad, &affected[condition], &mut scratch));
        }
    }
    let groups = shown.into_iter().zip(affected).enumerate();
    let groups: Vec<Group> = groups
        .filter(|(_, (channels, _))| channels.iter().any(|c| c.n > 0))
        .filter_map(|(c, (channels, affected))| Some(Group { condition: u16::try_from(c).ok()?, affected, channels }))
        .collect();
    let mut bands = Table::new(&TFR_BANDS);
    let mut natural = Table::new(&NATURAL_FREQUENCY);
    for group in &groups {
        push_bands(tfr, group, &mut bands);
        push_natural(tfr, group, report.bad, &mut natural);
    }
    let frequencies = plan.rows.iter().map(|row| row.0).collect();
    let series = Table::made(&TFR, Arc::new(Planes { axis: plan.axis, frequencies, groups }));
    let wanted = tfr.config.tables();
    [series, bands, natural].into_iter().filter(|t| wanted.contains(&t.spec())).collect()
}

/// What is wrong with the baseline of some rows.
fn caveat(tfr: &Tfr, group: &Group, rows: &[usize]) -> Option<&'static str> {
    let (plan, config) = (&tfr.plan, &tfr.config);
    if config.baseline == Baseline::None {
        return None;
    }
    let lost = |&row: &usize| plan.baseline.clone().all(|cell| group.affected[row * plan.axis.outputs + cell] > 0);
    if rows.iter().any(lost) {
        return Some("no_baseline");
    }
    let widest = rows.iter().map(|&row| plan.rows[row].1).fold(0.0, f64::max);
    (config.baseline_ms[1] > -2e3 * widest + 1e-6).then_some("baseline_leak")
}

fn affected(tfr: &Tfr, filled: &[bool]) -> Vec<u8> {
    let (plan, axis) = (&tfr.plan, &tfr.plan.axis);
    let mut before = vec![0; filled.len() + 1];
    count_before(filled, &mut before);
    let code = |sigma: f64, cell: usize| {
        if axis.touches_edge(cell, sigma) { 1 } else { 2 * u8::from(axis.touches_gap(cell, sigma, &before)) }
    };
    plan.rows
        .iter()
        .flat_map(|&(_, sigma)| (0..axis.outputs).map(move |cell| (sigma, cell)))
        .map(|(s, c)| code(s, c))
        .collect()
}

fn show(
    tfr: &Tfr,
    sums: &Sums,
    name: &str,
    channel: usize,
    bad: bool,
    affected: &[u8],
    scratch: &mut Scratch,
) -> Shown {
    let (plan, outputs, n) = (&tfr.plan, tfr.plan.axis.outputs, sums.n as f64);
    let mut shown = Shown {
        name: name.to_owned(),
        channel,
        n: sums.n,
        power: Vec::new(),
        itpc: Vec::new(),
        debiased: Vec::new(),
        change_db: Vec::new(),
        change: Vec::new(),
    };
    if bad || sums.n == 0 {
        return shown;
    }
    let evoked = if tfr.config.power == Power::Total { Vec::new() } else { evoked(tfr, sums, scratch) };
    shown.power = (0..plan.cells())
        .map(|at| {
            let power = match tfr.config.power {
                Power::Total => sums.power[at] / n,
                Power::Evoked => evoked[at],
                // rounding may leave a little less than nothing
                Power::Induced => (sums.power[at] / n - evoked[at]).max(0.0),
            };
            power * plan.scales[at / outputs]
        })
        .collect();
    let tapers = plan.transform.tapers;
    let locking = |at: usize, taper: usize| {
        let at = taper * plan.cells() + at;
        sums.re[at].hypot(sums.im[at]) / n
    };
    let over_tapers =
        |at: usize, f: &dyn Fn(f64) -> f64| (0..tapers).map(|taper| f(locking(at, taper))).sum::<f64>() / tapers as f64;
    shown.itpc = (0..plan.cells()).map(|at| over_tapers(at, &|r| r)).collect();
    let pairs = |r: f64| if sums.n > 1 { (n * r * r - 1.0) / (n - 1.0) } else { f64::NAN };
    shown.debiased = (0..plan.cells()).map(|at| over_tapers(at, &pairs)).collect();
    let compare = |baseline: Baseline| -> Vec<f64> {
        let rows = shown.power.chunks_exact(outputs).zip(affected.chunks_exact(outputs));
        rows.flat_map(|(power, affected)| {
            let level = plan.level(power, |cell| affected[cell] > 0);
            power.iter().map(move |&p| baseline.apply(p, level))
        })
        .collect()
    };
    let each = || (0..plan.cells()).map(|at| sums.change[at] / sums.n_change[at / outputs] as f64).collect();
    let chosen = |baseline| if plan.per_trial == Some(baseline) { each() } else { compare(baseline) };
    match tfr.config.baseline {
        Baseline::None => {}
        Baseline::Db => shown.change_db = chosen(Baseline::Db),
        other => (shown.change_db, shown.change) = (compare(Baseline::Db), chosen(other)),
    }
    shown
}

/// Power of the mean trial: the mean transform is the transform of the mean.
fn evoked(tfr: &Tfr, sums: &Sums, scratch: &mut Scratch) -> Vec<f64> {
    let (plan, space) = (&tfr.plan, &mut scratch.space);
    let mean: Vec<f64> = sums.time.iter().map(|sum| sum / sums.n as f64).collect();
    plan.transform.take(0, &mean, space);
    let mut power = vec![0.0; plan.cells()];
    for (row, power) in power.chunks_exact_mut(plan.axis.outputs).enumerate() {
        for taper in 0..plan.transform.tapers {
            let weight = plan.transform.weight(row, taper);
            let z = plan.transform.apply(row, taper, 0, space);
            power.iter_mut().zip(z).for_each(|(power, z)| *power += weight * z.norm_sqr());
        }
    }
    power
}

/// Mean over some cells; missing where there is none or no value.
fn mean(values: &[f64], cells: &[usize]) -> Cell {
    let sum: Option<f64> = cells.iter().map(|&at| values.get(at)).sum();
    Cell::from(sum.map(|sum| sum / cells.len() as f64))
}

fn push_bands(tfr: &Tfr, group: &Group, table: &mut Table) {
    let (plan, config, outputs) = (&tfr.plan, &tfr.config, tfr.plan.axis.outputs);
    for shown in &group.channels {
        for (b, (name, [low_hz, high_hz])) in config.bands_hz.0.iter().enumerate() {
            let holds = |row: usize| match config.mode {
                Mode::Hilbert => row == b,
                _ => (low_hz - 1e-9..high_hz - 1e-9).contains(&plan.rows[row].0),
            };
            let rows: Vec<usize> = (0..plan.rows.len()).filter(|&row| holds(row)).collect();
            let caveat = caveat(tfr, group, &rows);
            for window in &config.windows_ms {
                let cells = plan.axis.cells(*window);
                let all = rows.iter().flat_map(|row| cells.clone().map(move |cell| row * outputs + cell));
                let (touched, good): (Vec<usize>, Vec<usize>) = all.partition(|&at| group.affected[at] > 0);
                table.push(
                    Some(group.condition),
                    [
                        shown.name.clone().into(),
                        name.clone().into(),
                        (*low_hz).into(),
                        (*high_hz).into(),
                        window[0].into(),
                        window[1].into(),
                        mean(&shown.change_db, &good),
                        mean(&shown.itpc, &good),
                        mean(&shown.debiased, &good),
                        good.len().into(),
                        touched.len().into(),
                        shown.n.into(),
                        caveat.into(),
                    ],
                );
            }
        }
    }
}

fn push_natural(tfr: &Tfr, group: &Group, bad: &[bool], table: &mut Table) {
    if !tfr.config.tables().contains(&&NATURAL_FREQUENCY) {
        return;
    }
    for shown in &group.channels {
        let profile = profile(tfr, group, std::slice::from_ref(&shown));
        push_peak(tfr, group, "channel", &shown.name, &profile, shown.n, table);
    }
    for roi in &tfr.rois {
        let good = roi.good(bad);
        let members: Vec<&Shown> = group.channels.iter().filter(|c| good.contains(&c.channel)).collect();
        let n = members.iter().map(|c| c.n).min().unwrap_or(0);
        push_peak(tfr, group, "roi", &roi.name, &profile(tfr, group, &members), n, table);
    }
}

/// For each frequency that takes part its number and the mean change over the window, dB.
fn profile(tfr: &Tfr, group: &Group, members: &[&Shown]) -> Vec<(usize, f64)> {
    let (plan, outputs) = (&tfr.plan, tfr.plan.axis.outputs);
    let window = plan.axis.cells(tfr.config.natural_ms);
    let mean_of = |row: usize| {
        let cells = window.clone().map(|cell| row * outputs + cell);
        let good: Vec<usize> = cells.filter(|&at| group.affected[at] == 0).collect();
        if 2 * good.len() < window.len() || good.is_empty() || members.is_empty() {
            return None;
        }
        let of = |shown: &&Shown| good.iter().map(|&at| shown.change_db.get(at)).sum::<Option<f64>>();
        let sum: f64 = members.iter().map(of).sum::<Option<f64>>()?;
        Some((row, sum / (good.len() * members.len()) as f64)).filter(|(_, change)| change.is_finite())
    };
    (0..plan.rows.len()).filter_map(mean_of).collect()
}

fn push_peak(
    tfr: &Tfr,
    group: &Group,
    kind: &'static str,
    name: &str,
    profile: &[(usize, f64)],
    n: u64,
    table: &mut Table,
) {
    let hz = |at: usize| profile.get(at).map(|(row, _)| tfr.plan.rows[*row].0);
    let last = profile.len().saturating_sub(1);
    let top = (0..profile.len()).rev().max_by(|&a, &b| profile[a].1.total_cmp(&profile[b].1));
    let mut changes: Vec<f64> = profile.iter().map(|(_, change)| *change).collect();
    let middle = median(&mut changes);
    let [start, end] = tfr.config.natural_ms;
    table.push(
        Some(group.condition),
        [
            kind.into(),
            name.to_owned().into(),
            start.into(),
            end.into(),
            top.and_then(hz).into(),
            top.map(|at| profile[at].1).into(),
            top.map(|at| profile[at].1 - middle).into(),
            top.map(|at| at == 0 || at == last).into(),
            hz(0).into(),
            hz(last).into(),
            n.into(),
            caveat(tfr, group, &(0..tfr.plan.rows.len()).collect::<Vec<_>>()).into(),
        ],
    );
}
