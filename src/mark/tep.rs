//! Table `tep`: the TMS-evoked potential, the mean over kept trials at each channel and sample.

use super::series::Axis;
use crate::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::signal::Evoked;
use crate::table::{Cell, Column, Table, TableSpec};
use crate::unit::Unit;
use serde::{Deserialize, Serialize};

/// Columns of `tep`, wide: one row per sample, one further column per channel.
pub static TEP: TableSpec = TableSpec {
    name: "tep",
    about: "One sample of the average over kept trials; then one column per channel in uV, named as in the file",
    series: true,
    columns: &[
        Column::new("n_trials", "", "Trials in the average"),
        Column::new("time_ms", "ms", "Time from the event"),
        Column::new("filled", "", "1 where any trial was bridged rather than measured"),
    ],
};

/// Columns of `tep`, long: one row per channel and sample.
pub static TEP_LONG: TableSpec = TableSpec {
    name: "tep",
    about: "One sample of one channel's average over kept trials",
    series: true,
    columns: &[
        Column::new("n_trials", "", "Trials in the average"),
        Column::new("channel", "", "As the file spells it"),
        Column::new("time_ms", "ms", "Time from the event"),
        Column::new("filled", "", "1 where any trial was bridged rather than measured"),
        Column::new("value_uv", "uV", "Mean over trials; empty for a bad channel"),
    ],
};

/// `use = "tep"`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TepConfig {
    /// One row per channel and sample instead of one column per channel. Default no.
    pub long: bool,
}

impl MarkerConfig for TepConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        static WIDE: [&TableSpec; 1] = [&TEP];
        static LONG: [&TableSpec; 1] = [&TEP_LONG];
        if self.long { &LONG } else { &WIDE }
    }

    fn build(&self, _: &EpochInfo, _: &mut BuildContext, _: &mut Problems) -> Option<Box<dyn Marker>> {
        Some(Box::new(Tep { long: self.long }))
    }
}

struct Tep {
    long: bool,
}

impl Marker for Tep {
    fn report(&self, report: &Report<'_>) -> Vec<Table> {
        let mut table = if self.long {
            Table::new(&TEP_LONG)
        } else {
            let column = |c: &crate::signal::Channel| {
                let unit = if c.unit == Unit::Microvolt { "uV" } else { "" };
                Column::dynamic(c.name.clone(), unit, "Mean over trials at this channel; empty when it is bad")
            };
            Table::with_columns(&TEP, report.input.channels.iter().map(column))
        };
        for (condition, averages) in report.averages.iter().enumerate().filter(|(_, a)| a.n() > 0) {
            let (mean, condition) = (averages.mean(), u16::try_from(condition).ok());
            if self.long {
                push_long(&mut table, condition, &mean, report);
            } else {
                push_wide(&mut table, condition, &mean, report);
            }
        }
        vec![table]
    }
}

fn value(mean: &Evoked, report: &Report<'_>, channel: usize, sample: usize) -> Cell {
    let bad = report.bad.get(channel).copied().unwrap_or(false);
    if bad { Cell::Missing } else { mean.channel(channel)[sample].into() }
}

fn push_wide(table: &mut Table, condition: Option<u16>, mean: &Evoked, report: &Report<'_>) {
    let axis = Axis::from(report.input);
    for i in 0..mean.len {
        let head = [mean.n.into(), axis.time_ms(i).into(), mean.filled[i].into()];
        table.push(
            condition,
            head.into_iter().chain((0..report.input.channels.len()).map(|c| value(mean, report, c, i))),
        );
    }
}

fn push_long(table: &mut Table, condition: Option<u16>, mean: &Evoked, report: &Report<'_>) {
    let axis = Axis::from(report.input);
    for (c, channel) in report.input.channels.iter().enumerate() {
        for i in 0..mean.len {
            let name = Cell::from(channel.name.clone());
            let cells = [mean.n.into(), name, axis.time_ms(i).into(), mean.filled[i].into(), value(mean, report, c, i)];
            table.push(condition, cells);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kit::{Kit, number};
    use super::*;

    #[test]
    fn wide_and_long_hold_the_same_means() {
        let mut kit = Kit::new(&["C3", "Cz", "Pz"], 1000.0, [-5.0, 20.0]);
        kit.bad[1] = true;
        kit.bridge([-2.0, 12.0]);
        let mut wide = kit.build(&TepConfig::default());
        let long = kit.build(&TepConfig { long: true });
        assert!(kit.report(&*wide)[0].is_empty(), "no trial, no row");
        for trial in 0..3 {
            kit.feed(&mut *wide, trial, 0, |c, _, t| trial as f64 + 10.0 * c as f64 + t / 100.0);
        }
        let (wide, long) = (&kit.report(&*wide)[0], &kit.report(&*long)[0]);
        let names: Vec<_> = wide.columns().iter().map(|c| c.name.as_ref()).collect();
        assert_eq!(names, ["n_trials", "time_ms", "filled", "C3", "Cz", "Pz"]);
        assert_eq!((wide.len(), long.len()), (26, 78));
        for row in 0..26 {
            let t = row as f64 - 5.0;
            assert_eq!((number(wide, row, "n_trials"), number(wide, row, "time_ms")), (3.0, t));
            assert_eq!(number(wide, row, "filled") == 1.0, (-2.0..=12.0).contains(&t));
            assert!((number(wide, row, "Pz") - (21.0 + t / 100.0)).abs() < 1e-12);
            assert_eq!(wide.cell(row, "Cz"), Some(&Cell::Missing));
            for (c, name) in ["C3", "Cz", "Pz"].into_iter().enumerate() {
                assert_eq!(long.cell(c * 26 + row, "channel"), Some(&Cell::from(name.to_owned())));
                assert_eq!(long.cell(c * 26 + row, "value_uv"), wide.cell(row, name));
            }
        }
    }
}
