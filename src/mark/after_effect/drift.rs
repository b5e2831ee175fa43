//! Table `drift`: where the level of each channel goes. After direct current electrodes drift, and current that is switched makes
//! steps: a change of slow power beside a drift is a change of the electrode.

use crate::flow::Report;
use crate::signal::Epoch;
use crate::table::{Cell, Column, Table, TableSpec};

/// Columns of `drift`.
pub static DRIFT: TableSpec = TableSpec {
    name: "drift",
    about: "Level and drift of one channel in one condition, as its kept epochs reach the marker",
    series: false,
    columns: &[
        Column::new("channel", "", "EEG channel, as the file spells it"),
        Column::new("n_epochs", "", "Epochs behind the row"),
        Column::new(
            "slope_uv_per_s",
            "uV/s",
            "Mean over epochs of the slope of the line through each; 0 once detrended",
        ),
        Column::new("steepest_uv_per_s", "uV/s", "The steepest of these, with its sign"),
        Column::new("level_uv_per_s", "uV/s", "Slope of the line through the epochs' means over time"),
        Column::new("largest_step_uv", "uV", "Largest difference between neighbouring tenths of a second of an epoch"),
        Column::new("step_s", "s", "When that was, from the start of the recording: the onset of its epoch"),
    ],
};

/// Length of the stretches whose means are compared, s: an alpha wave cancels in it.
const STRETCH_S: f64 = 0.1;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sum {
    n: u64,
    slope: f64,
    steepest: f64,
    step: f64,
    step_s: f64,
    /// Time and level of the first epoch; sums of t, t², y, ty relative to them.
    origin: [f64; 2],
    line: [f64; 4],
}

pub(super) struct Drift {
    channels: usize,
    rate_hz: f64,
    stretch: usize,
    /// `[condition][channel]`
    sums: Vec<Sum>,
}

impl Drift {
    pub fn new(conditions: usize, channels: usize, rate_hz: f64) -> Self {
        let stretch = ((STRETCH_S * rate_hz).round() as usize).max(1);
        Self { channels, rate_hz, stretch, sums: vec![Sum::default(); conditions * channels] }
    }

    /// A channel's samples of a kept epoch, all finite. Allocates nothing.
    pub fn add(&mut self, epoch: &Epoch, slot: usize, x: &[f64]) {
        let at = usize::from(epoch.condition) * self.channels + slot;
        let (Some(sum), Some(&first)) = (self.sums.get_mut(at), x.first()) else { return };
        let (n, middle) = (x.len() as f64, (x.len() - 1) as f64 / 2.0);
        let mean = first + x.iter().map(|v| v - first).sum::<f64>() / n;
        let slope = slope_per_sample(x, mean, middle) * self.rate_hz;
        let t = if epoch.onset_s.is_finite() { epoch.onset_s } else { 0.0 };
        if sum.n == 0 {
            sum.origin = [t, mean];
        }
        sum.n += 1;
        sum.slope += slope;
        if slope.abs() > sum.steepest.abs() {
            sum.steepest = slope;
        }
        let (t, y) = (t - sum.origin[0], mean - sum.origin[1]);
        sum.line = [sum.line[0] + t, sum.line[1] + t * t, sum.line[2] + y, sum.line[3] + t * y];
        let mut before: Option<f64> = None;
        for stretch in x.chunks_exact(self.stretch) {
            let level = stretch.iter().sum::<f64>() / stretch.len() as f64;
            let step = before.map_or(0.0, |b| level - b);
            if step.abs() > sum.step.abs() {
                (sum.step, sum.step_s) = (step, epoch.onset_s);
            }
            before = Some(level);
        }
    }

    pub fn table(&self, report: &Report<'_>, channels: &[usize]) -> Table {
        let mut table = Table::new(&DRIFT);
        for (i, sum) in self.sums.iter().enumerate().filter(|(_, s)| s.n > 0) {
            let (condition, slot) = (i / self.channels, i % self.channels);
            let n = sum.n as f64;
            let [t, tt, y, ty] = sum.line;
            let spread = tt - t * t / n;
            let level = (sum.n > 2 && spread > 0.0).then(|| (ty - t * y / n) / spread);
            let cells: [Cell; 7] = [
                report.input.channels[channels[slot]].name.clone().into(),
                sum.n.into(),
                (sum.slope / n).into(),
                sum.steepest.into(),
                level.into(),
                sum.step.into(),
                (sum.step != 0.0).then_some(sum.step_s).into(),
            ];
            table.push(u16::try_from(condition).ok(), cells);
        }
        table
    }

    pub fn reset(&mut self) {
        self.sums.fill(Sum::default());
    }

    pub fn memory_bytes(&self) -> u64 {
        (self.sums.len() * size_of::<Sum>()) as u64
    }
}

/// Slope of the least-squares line, per sample.
pub(super) fn slope_per_sample(x: &[f64], mean: f64, middle: f64) -> f64 {
    let n = x.len() as f64;
    let spread = n * (n * n - 1.0) / 12.0;
    let sum: f64 = x.iter().enumerate().map(|(i, v)| (i as f64 - middle) * (v - mean)).sum();
    if spread > 0.0 { sum / spread } else { 0.0 }
}
