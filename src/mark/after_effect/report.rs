//! From blocks to rows.

use super::blocks::{Blocks, FEWEST, Found, Weights, compare, weighted};
use super::couplings::Couplings;
use super::{AFTER_EFFECT, AfterEffect, bin};
use crate::flow::Report;
use crate::mark::rhythm::alpha_peak;
use crate::names::glob;
use crate::signal::Spectrum;
use crate::table::{Cell, Table};
use std::ops::Range;

/// The two conditions of a comparison.
struct Pair<'a> {
    ids: [usize; 2],
    names: [&'a str; 2],
}

/// Where alpha is in this recording, and what the aperiodic line is fitted to.
struct Alpha {
    peak_hz: f64,
    bins: Range<usize>,
    /// Bins of the line and lg of their frequency less its mean; the sum of its squares; the mean.
    line: Vec<(usize, f64)>,
    spread: f64,
    centre: f64,
}

/// A row but for conditions, interval and epochs.
struct Row {
    measure: &'static str,
    band: String,
    hz: [f64; 2],
    channels: [Option<String>; 2],
    values: [f64; 2],
    unit: &'static str,
    epochs: [u32; 2],
    caveat: Option<String>,
}

impl AfterEffect {
    /// The table `after_effect`.
    pub(super) fn changes(&self, report: &Report<'_>) -> Table {
        let mut table = Table::new(&AFTER_EFFECT);
        let there = |pattern: &str| -> Vec<usize> {
            let known = report.conditions.iter().enumerate().take(self.power.len());
            known.filter(|(c, name)| glob(pattern, name) && self.power[*c].len() > 0).map(|(c, _)| c).collect()
        };
        let (from, to) = (there(&self.config.from), there(&self.config.to));
        let pairs = from.iter().flat_map(|&a| to.iter().map(move |&b| [a, b])).filter(|[a, b]| a != b);
        for ids in pairs {
            let pair = Pair { ids, names: ids.map(|c| report.conditions[c].as_str()) };
            self.power_rows(report, &pair, &mut table);
            self.coupling_rows(&pair, &mut table);
        }
        if table.is_empty() {
            // nothing to compare is told, too
            let mut cells = vec![Cell::Missing; AFTER_EFFECT.columns.len()];
            let missing = [(&from, &self.config.from), (&to, &self.config.to)];
            let lacking: Vec<&str> = missing.iter().filter(|(c, _)| c.is_empty()).map(|(_, n)| n.as_str()).collect();
            (cells[0], cells[1]) = (self.config.from.clone().into(), self.config.to.clone().into());
            cells[18] = format!("no_condition: {} has no epochs", lacking.join(" and ")).into();
            table.push(None, cells);
        }
        table
    }

    fn alpha(&self, blocks: &Blocks, bad: &[bool], channels: usize) -> Option<Alpha> {
        let (step, around) = (self.resolution_hz, self.config.around_hz);
        let peak_hz = self.peak(blocks, bad, channels)?;
        let [low, high] = self.config.fit_hz;
        let aside = |k: usize| (k as f64 * step - peak_hz).abs() > around + 1.0;
        let bins = bin(low, step).max(1)..(bin(high, step) + 1).min(self.bins);
        let mut line: Vec<(usize, f64)> = bins.filter(|k| aside(*k)).map(|k| (k, (k as f64 * step).log10())).collect();
        let centre = line.iter().map(|(_, x)| x).sum::<f64>() / line.len() as f64;
        line.iter_mut().for_each(|(_, x)| *x -= centre);
        let spread = line.iter().map(|(_, x)| x * x).sum();
        let range = bin(peak_hz - around, step).max(1)..bin(peak_hz + around, step).min(self.bins);
        (line.len() > 2 && !range.is_empty()).then_some(Alpha { peak_hz, bins: range, line, spread, centre })
    }

    /// The individual alpha frequency over channels.
    fn peak(&self, blocks: &Blocks, bad: &[bool], channels: usize) -> Option<f64> {
        let ones = vec![1.0; blocks.len()];
        let mut spectrum = Spectrum {
            resolution_hz: self.resolution_hz,
            bins: self.bins,
            psd: vec![f64::NAN; channels * self.bins],
            n_windows: vec![0; channels],
            n_epochs: 0,
            n_filled: vec![0; channels],
        };
        for (slot, &c) in self.channels.iter().enumerate() {
            let out = &mut spectrum.psd[c * self.bins..(c + 1) * self.bins];
            let empty = Blocks::new(0, 0, 0, 1);
            let n = weighted([blocks, &empty], &ones, slot, out);
            out.iter_mut().for_each(|v| *v /= n);
            spectrum.n_windows[c] = n as u64;
        }
        alpha_peak(&spectrum, &self.channels, bad)
    }

    /// One side's values, channel by channel: band powers, then corrected alpha power and its centre of gravity.
    fn values(&self, pair: [&Blocks; 2], weights: &[f64], bands: &[Range<usize>], alpha: Option<&Alpha>) -> Vec<f64> {
        let mut density = vec![0.0; self.bins];
        let mut logs = Vec::new();
        let mut out = Vec::new();
        for slot in 0..self.channels.len() {
            let n = weighted(pair, weights, slot, &mut density);
            density.iter_mut().for_each(|v| *v /= n);
            out.extend(bands.iter().map(|b| density[b.clone()].iter().sum::<f64>() * self.resolution_hz));
            let Some(alpha) = alpha else { continue };
            logs.clear();
            logs.extend(alpha.line.iter().map(|(k, x)| (*x, density[*k].log10())));
            let mean = logs.iter().map(|(_, y)| y).sum::<f64>() / logs.len() as f64;
            let slope = logs.iter().map(|(x, y)| x * (y - mean)).sum::<f64>() / alpha.spread;
            let (mut above, mut power, mut moment) = (0.0, 0.0, 0.0);
            for k in alpha.bins.clone() {
                let hz = k as f64 * self.resolution_hz;
                above += density[k] - 10_f64.powf(mean + slope * (hz.log10() - alpha.centre));
                power += density[k];
                moment += hz * density[k];
            }
            out.extend([above * self.resolution_hz, moment / power]);
        }
        out
    }

    fn power_rows(&self, report: &Report<'_>, pair: &Pair<'_>, table: &mut Table) {
        let blocks = pair.ids.map(|c| &self.power[c]);
        let step = self.resolution_hz;
        let bands: Vec<Range<usize>> =
            self.config.bands_hz.0.iter().map(|(_, [a, b])| bin(*a, step)..bin(*b, step).min(self.bins)).collect();
        let channels = report.input.channels.len();
        let alpha = self.alpha(blocks[0], report.bad, channels);
        let per = bands.len() + if alpha.is_some() { 2 } else { 0 };
        // the last of a channel's values is a frequency, where there is alpha
        let is_hz = |k: usize| alpha.is_some() && k + 1 == per;
        let side = |weights: &[f64]| self.values(blocks, weights, &bands, alpha.as_ref());
        let statistic = |weights: &Weights| {
            let (before, after) = (side(&weights[0]), side(&weights[1]));
            let change = |(i, (a, b)): (usize, (&f64, &f64))| match () {
                () if is_hz(i % per) => a - b,
                () if *a > 0.0 && *b > 0.0 => 10.0 * (a / b).log10(),
                () => f64::NAN,
            };
            let mut changes: Vec<f64> = after.iter().zip(&before).enumerate().map(change).collect();
            for k in 0..per {
                changes.push(mean_finite(changes.iter().skip(k).step_by(per).take(self.channels.len())));
            }
            changes
        };
        if per == 0 {
            return;
        }
        let lengths = blocks.map(Blocks::len);
        let found = compare(lengths, self.config.draws, self.seed, statistic);
        let mut ends: Weights = [vec![0.0; lengths[0] + lengths[1]], vec![0.0; lengths[0] + lengths[1]]];
        ends[0][..lengths[0]].fill(1.0);
        ends[1][lengths[0]..].fill(1.0);
        let values = ends.map(|w| side(&w));
        let few = lengths.iter().any(|n| *n < FEWEST);
        let mean_row = self.channels.len();
        for (i, found) in found.iter().enumerate() {
            let (slot, k) = (i / per, i % per);
            let of = |v: &Vec<f64>| match slot {
                _ if slot == mean_row => mean_finite(v.iter().skip(k).step_by(per)),
                _ => v[i],
            };
            let epochs = blocks.map(|b| match slot {
                _ if slot == mean_row => (0..mean_row).map(|s| b.count(s)).max().unwrap_or(0),
                _ => b.count(slot),
            });
            let (measure, band, hz) = match (&alpha, self.config.bands_hz.0.get(k)) {
                (_, Some((name, hz))) => ("power", name.clone(), *hz),
                (Some(alpha), None) => {
                    let around = self.config.around_hz;
                    let name = if is_hz(k) { "alpha_gravity" } else { "alpha_corrected" };
                    (name, "alpha".to_owned(), [alpha.peak_hz - around, alpha.peak_hz + around])
                }
                (None, None) => continue,
            };
            let name = self.names.get(slot).cloned().unwrap_or_else(|| "mean".to_owned());
            let touched = self.touched.clone().filter(|_| measure == "alpha_corrected");
            let row = Row {
                measure,
                band,
                hz,
                channels: [Some(name), None],
                values: [of(&values[0]), of(&values[1])],
                unit: if is_hz(k) { "Hz" } else { "dB" },
                epochs,
                caveat: touched.or_else(|| few.then(|| "few_blocks".to_owned())),
            };
            self.push(table, pair, row, *found, blocks);
        }
        let peaks = blocks.map(|b| self.peak(b, report.bad, channels).unwrap_or(f64::NAN));
        let around = alpha.as_ref().map_or(f64::NAN, |a| a.peak_hz);
        let row = Row {
            measure: "alpha_peak",
            band: "alpha".to_owned(),
            hz: [around - self.config.around_hz, around + self.config.around_hz],
            channels: [Some("mean".to_owned()), None],
            values: peaks,
            unit: "Hz",
            epochs: blocks.map(|b| (0..mean_row).map(|s| b.count(s)).max().unwrap_or(0)),
            caveat: alpha.is_none().then(|| "no_peak".to_owned()),
        };
        self.push(table, pair, row, Found { change: peaks[1] - peaks[0], interval: None, p: None }, blocks);
    }

    fn coupling_rows(&self, pair: &Pair<'_>, table: &mut Table) {
        let Some(couplings) = &self.couplings else { return };
        let blocks = pair.ids.map(|c| &couplings.blocks[c]);
        let lengths = blocks.map(Blocks::len);
        let (a, b) = (lengths[0], lengths[0] + lengths[1]);
        let found = compare(lengths, self.config.connectivity_draws, self.seed, |w| couplings.change(blocks, w));
        let side = |range: Range<usize>| {
            let weights: Vec<f64> = (0..b).map(|i| f64::from(u8::from(range.contains(&i)))).collect();
            couplings.values(blocks, &weights)
        };
        let values = [side(0..a), side(a..b)];
        let per_cell = if couplings.listed { couplings.pairs.len() } else { 1 };
        let few = lengths.iter().any(|n| *n < FEWEST);
        for (i, found) in found.iter().enumerate() {
            let (cell, p) = (i / per_cell, i % per_cell);
            let measure = couplings.measures[cell / couplings.groups.len()];
            let group = &couplings.groups[cell % couplings.groups.len()];
            let (band, hz) = &self.config.connectivity_hz.0[group.band];
            let name = |slot: usize| Some(self.names[slot].clone());
            let (x, y) = couplings.pairs[p];
            let count = |blocks: &Blocks| match couplings.listed {
                true => blocks.count(p),
                false => (0..couplings.pairs.len()).map(|p| blocks.count(p)).max().unwrap_or(0),
            };
            let epochs = blocks.map(count);
            let biased = !couplings.listed && measure == 1 && epochs[0] != epochs[1];
            let row = Row {
                measure: Couplings::name(measure),
                band: band.clone(),
                hz: *hz,
                channels: if couplings.listed { [name(x), name(y)] } else { [Some("mean".to_owned()), None] },
                values: [values[0][i], values[1][i]],
                unit: "1",
                epochs,
                caveat: match () {
                    () if few => Some("few_blocks".to_owned()),
                    () => biased.then(|| "biased_by_n".to_owned()),
                },
            };
            self.push(table, pair, row, *found, blocks);
        }
    }

    fn push(&self, table: &mut Table, pair: &Pair<'_>, row: Row, found: Found, blocks: [&Blocks; 2]) {
        let [channel_a, channel_b] = row.channels;
        let caveat = row.caveat.map_or_else(|| "time_on_task".to_owned(), |c| format!("time_on_task {c}"));
        let size = blocks.map(Blocks::size);
        table.push(
            u16::try_from(pair.ids[1]).ok(),
            [
                pair.names[0].to_owned().into(),
                pair.names[1].to_owned().into(),
                row.measure.into(),
                row.band.into(),
                row.hz[0].into(),
                row.hz[1].into(),
                channel_a.into(),
                channel_b.into(),
                row.values[0].into(),
                row.values[1].into(),
                found.change.into(),
                row.unit.into(),
                found.interval.map(|i| i[0]).into(),
                found.interval.map(|i| i[1]).into(),
                found.p.into(),
                row.epochs[0].into(),
                row.epochs[1].into(),
                size[0].max(size[1]).into(),
                caveat.into(),
            ],
        );
    }
}

/// Mean of what is finite; NaN without any.
fn mean_finite<'v>(values: impl Iterator<Item = &'v f64>) -> f64 {
    let (sum, n) = values.filter(|v| v.is_finite()).fold((0.0, 0.0), |(s, n), v| (s + v, n + 1.0));
    sum / n
}
