//! Table `trial_values`: each kept trial's value in each component's window, for mixed models.

use super::peaks::check_windows;
use super::series::Axis;
use super::site::{Component, LocatedRoi, SiteChoice};
use crate::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::signal::Epoch;
use crate::table::{Cell, Column, Table, TableSpec};
use serde::{Deserialize, Serialize};

/// Columns of `trial_values`.
pub static TRIAL_VALUES: TableSpec = TableSpec {
    name: "trial_values",
    about: "One component's window in one kept trial's mean over a region; empty without a site",
    series: true,
    columns: &[
        Column::new("trial", "", "0-based number of the event among those asked for, as in `trials`"),
        Column::new("roi", "", "Region of the site"),
        Column::new("component", "", "Component whose window it is"),
        Column::new("mean_uv", "uV", "Mean over the window's samples"),
        Column::new("area_uv_ms", "uV ms", "Signed area between the exact window limits, by trapezoids"),
        Column::new("peak_to_peak_uv", "uV", "Largest minus smallest sample of the window"),
    ],
};

/// `use = "trial_values"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrialValuesConfig {
    /// Which components and regions: a built-in site's name or an inline table. `"none"` (default): no rows.
    pub site: SiteChoice,
    /// Trials that may wait between two drains. Default 1024.
    pub queue: u32,
}

impl Default for TrialValuesConfig {
    fn default() -> Self {
        Self { site: SiteChoice::default(), queue: 1024 }
    }
}

impl MarkerConfig for TrialValuesConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 1] = [&TRIAL_VALUES];
        &TABLES
    }

    fn build(&self, input: &EpochInfo, _: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>> {
        let before = problems.list().len();
        let site = self.site.resolve(problems)?;
        let rois = site.locate(input, problems);
        if !site.is_none() {
            check_windows(&site, input, problems);
        }
        if !(1..=1_000_000).contains(&self.queue) {
            problems.add("queue", format!("{} is not between 1 and 1000000 trials", self.queue));
        }
        if problems.list().len() > before {
            return None;
        }
        let rows = self.queue as usize * rois.len() * site.components.len();
        Some(Box::new(TrialValues {
            axis: Axis::from(input),
            rois,
            components: site.components,
            series: vec![0.0; input.len],
            queue: Vec::with_capacity(rows),
            lost: 0,
        }))
    }
}

struct TrialValues {
    axis: Axis,
    rois: Vec<LocatedRoi>,
    components: Vec<Component>,
    /// One region's mean, refilled.
    series: Vec<f64>,
    /// Never grows beyond its capacity.
    queue: Vec<Row>,
    /// Rows that found the queue full.
    lost: u64,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    condition: u16,
    trial: u64,
    roi: usize,
    component: usize,
    mean: Option<f64>,
    area: Option<f64>,
    peak_to_peak: Option<f64>,
}

impl Marker for TrialValues {
    fn observe(&mut self, epoch: &Epoch) {
        for (r, roi) in self.rois.iter().enumerate() {
            self.series.fill(0.0);
            let mut n = 0.0;
            for &c in roi.channels.iter().filter(|&&c| !epoch.bad.get(c).copied().unwrap_or(false)) {
                self.series.iter_mut().zip(epoch.channel(c)).for_each(|(s, v)| *s += v);
                n += 1.0;
            }
            // a region without a good channel becomes NaN, and its cells stay empty
            self.series.iter_mut().for_each(|s| *s /= n);
            for (c, component) in self.components.iter().enumerate() {
                if self.queue.len() == self.queue.capacity() {
                    self.lost += 1;
                    continue;
                }
                self.queue.push(Row {
                    condition: epoch.condition,
                    trial: epoch.trial,
                    roi: r,
                    component: c,
                    mean: self.axis.mean(&self.series, component.window_ms),
                    area: self.axis.area(&self.series, component.window_ms),
                    peak_to_peak: range(&self.axis, &self.series, component.window_ms),
                });
            }
        }
    }

    /// No rows, only the columns: rows leave through `drain`.
    fn report(&self, _: &Report<'_>) -> Vec<Table> {
        vec![Table::new(&TRIAL_VALUES)]
    }

    fn drain(&mut self, out: &mut Vec<Table>) {
        if self.queue.is_empty() && self.lost == 0 {
            return;
        }
        let mut table = Table::new(&TRIAL_VALUES);
        for row in self.queue.drain(..) {
            let cells: [Cell; 6] = [
                row.trial.into(),
                self.rois[row.roi].name.clone().into(),
                self.components[row.component].name.clone().into(),
                row.mean.into(),
                row.area.into(),
                row.peak_to_peak.into(),
            ];
            table.push(Some(row.condition), cells);
        }
        if self.lost > 0 {
            // nothing disappears: a row says how many did not fit
            let note = format!("{} rows lost: the queue was full", self.lost);
            table.push(None, [Cell::Missing, note.into(), Cell::Missing, Cell::Missing, Cell::Missing, Cell::Missing]);
            self.lost = 0;
        }
        out.push(table);
    }

    fn reset(&mut self) {
        self.queue.clear();
        self.lost = 0;
    }

    fn memory_bytes(&self) -> u64 {
        (self.queue.capacity() * size_of::<Row>() + self.series.len() * size_of::<f64>()) as u64
    }
}

fn range(axis: &Axis, series: &[f64], window_ms: [f64; 2]) -> Option<f64> {
    let values = series.get(axis.window(window_ms)?)?;
    let (lo, hi) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), &v| (lo.min(v), hi.max(v)));
    Some(hi - lo).filter(|v| v.is_finite())
}

#[cfg(test)]
mod tests {
    use super::super::kit::{Kit, number};
    use super::*;

    #[test]
    fn every_kept_trial_leaves_through_the_queue_once() {
        let mut kit = Kit::new(&["C3", "C1", "Pz"], 1000.0, [-20.0, 300.0]);
        kit.bad[1] = true;
        let mut marker = kit.build(&TrialValuesConfig { site: SiteChoice::Name("m1".into()), queue: 2 });
        for trial in [3, 7] {
            kit.feed(&mut *marker, trial, 0, |c, _, t| if c == 1 { 1e9 } else { trial as f64 * t });
        }
        let mut out = Vec::new();
        marker.drain(&mut out);
        marker.drain(&mut out);
        assert_eq!((out.len(), out[0].len()), (1, 10));
        for (row, trial, lo, hi) in [(0, 3.0_f64, 20.0_f64, 40.0_f64), (9, 7.0, 145.0, 240.0)] {
            let values = ["trial", "mean_uv", "area_uv_ms", "peak_to_peak_uv"].map(|c| number(&out[0], row, c));
            let truth = [trial, trial * (lo + hi) / 2.0, trial * (hi * hi - lo * lo) / 2.0, trial * (hi - lo)];
            assert!(values.iter().zip(truth).all(|(a, b)| (a - b).abs() <= 1e-12 * b), "{values:?} {truth:?}");
        }
        // full: the third trial's rows are counted, not silently gone
        (0..3).for_each(|trial| kit.feed(&mut *marker, trial, 0, |_, _, t| t));
        marker.drain(&mut out);
        assert_eq!(out[1].len(), 11);
        assert_eq!(out[1].cell(10, "roi"), Some(&Cell::from("5 rows lost: the queue was full".to_owned())));
        assert!(kit.report(&*marker)[0].is_empty());
        // a region without a good channel has empty cells
        kit.bad[0] = true;
        kit.feed(&mut *marker, 0, 0, |_, _, t| t);
        marker.drain(&mut out);
        assert_eq!((out[2].len(), out[2].number(0, "mean_uv"), out[2].number(0, "peak_to_peak_uv")), (5, None, None));
    }
}
