//! Table `field`: global and local mean field amplitude and ROI means over time.

use super::series::{Axis, channel_mean, gmfa, lmfa};
use super::site::{LocatedRoi, SiteChoice};
use crate::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::signal::Evoked;
use crate::table::{Cell, Column, Table, TableSpec};
use serde::{Deserialize, Serialize};

/// Columns of `field`.
pub static FIELD: TableSpec = TableSpec {
    name: "field",
    about: "One sample of the average's field: over all channels, or over a region's",
    series: true,
    columns: &[
        Column::new("roi", "", "`all`: every EEG channel that is not bad; else a region of the site"),
        Column::new("n_trials", "", "Trials in the average"),
        Column::new("time_ms", "ms", "Time from the event"),
        Column::new("filled", "", "1 where any trial was bridged rather than measured"),
        Column::new(
            "mean_uv",
            "uV",
            "Mean over the channels: a region's TEP; for `all` what the reference leaves, 0 after the average reference",
        ),
        Column::new(
            "field_uv",
            "uV",
            "`all`: GMFA, the standard deviation over channels (divisor N - ddof, by default N); a region: LMFA, the root mean square over its channels, their mean not removed",
        ),
    ],
};

/// `use = "field"`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FieldConfig {
    /// Which regions: a built-in site's name or an inline table. `"none"` (default): `all` only.
    pub site: SiteChoice,
    /// Divisor of GMFA: N − ddof channels. Default 0.
    pub ddof: u8,
}

impl MarkerConfig for FieldConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 1] = [&FIELD];
        &TABLES
    }

    fn build(&self, input: &EpochInfo, _: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>> {
        let before = problems.list().len();
        let rois = self.site.resolve(problems)?.locate(input, problems);
        (problems.list().len() == before).then(|| Box::new(Field { rois, ddof: self.ddof }) as Box<dyn Marker>)
    }
}

/// The channels that GMFA is taken over.
pub(super) fn entering(report: &Report<'_>) -> Vec<usize> {
    let enters = |c: &usize| report.input.is_eeg(*c) && report.enters.get(*c).copied().unwrap_or(false);
    (0..report.input.channels.len()).filter(enters).collect()
}

struct Field {
    rois: Vec<LocatedRoi>,
    ddof: u8,
}

impl Marker for Field {
    fn report(&self, report: &Report<'_>) -> Vec<Table> {
        let mut table = Table::new(&FIELD);
        for (condition, averages) in report.averages.iter().enumerate().filter(|(_, a)| a.n() > 0) {
            let (mean, condition) = (averages.mean(), u16::try_from(condition).ok());
            let axis = Axis::from(report.input);
            let mut push = |roi: &str, tep: &[f64], field: &[f64]| {
                for (i, &filled) in mean.filled.iter().enumerate() {
                    let cell = |series: &[f64]| Cell::from(series.get(i).copied());
                    let head = [roi.to_owned().into(), mean.n.into(), axis.time_ms(i).into(), filled.into()];
                    table.push(condition, head.into_iter().chain([cell(tep), cell(field)]));
                }
            };
            let all = entering(report);
            push("all", &channel_mean(&mean, &all), &gmfa(&mean, &all, self.ddof));
            for roi in &self.rois {
                let (tep, field) = region(&mean, &roi.good(report.bad));
                push(&roi.name, &tep, &field);
            }
        }
        vec![table]
    }
}

fn region(mean: &Evoked, channels: &[usize]) -> (Vec<f64>, Vec<f64>) {
    (channel_mean(mean, channels), lmfa(mean, channels))
}

#[cfg(test)]
mod tests {
    use super::super::kit::{Kit, number};
    use super::*;

    #[test]
    fn all_channels_and_regions() {
        let mut kit = Kit::new(&["C3", "C1", "Cz", "Pz"], 1000.0, [0.0, 9.0]);
        (kit.bad[1], kit.enters[1]) = (true, false);
        let config = FieldConfig { site: SiteChoice::Name("m1".into()), ddof: 1 };
        let mut marker = kit.build(&config);
        assert!(kit.report(&*marker)[0].is_empty());
        let value = |c: usize, t: f64| [1.0, 1e6, -2.0, 4.0][c] * t;
        kit.feed(&mut *marker, 0, 0, |c, _, t| value(c, t));
        let table = &kit.report(&*marker)[0];
        assert_eq!(table.len(), 20);
        for i in 0..10 {
            let t = i as f64;
            // 1, −2, 4: mean 1, squares 0 + 9 + 9 over N − 1 = 2
            assert_eq!((number(table, i, "mean_uv"), number(table, i, "time_ms")), (t, t));
            assert!((number(table, i, "field_uv") - 3.0 * t).abs() < 1e-12);
            // the region has one good channel: LMFA keeps its common deflection
            assert_eq!(table.cell(10 + i, "roi"), Some(&Cell::from("m1".to_owned())));
            assert_eq!((number(table, 10 + i, "mean_uv"), number(table, 10 + i, "field_uv")), (t, t));
        }
    }
}
