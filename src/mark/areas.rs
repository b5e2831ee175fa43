//! Table `areas`: area under the global and local mean field amplitude in time windows.

use super::field::entering;
use super::series::{Axis, gmfa, lmfa};
use super::site::{LocatedRoi, SiteChoice};
use crate::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::table::{Cell, Column, Table, TableSpec};
use serde::{Deserialize, Serialize};

/// Columns of `areas`.
pub static AREAS: TableSpec = TableSpec {
    name: "areas",
    about: "Area under a mean field amplitude of the average in one window",
    series: false,
    columns: &[
        Column::new("roi", "", "`all` or a region of the site"),
        Column::new("measure", "", "`gmfa` (all) or `lmfa` (a region)"),
        Column::new("start_ms", "ms", "Start of the window, included"),
        Column::new("end_ms", "ms", "End of the window, included"),
        Column::new("area_uv_ms", "uV ms", "Area between the exact limits, by trapezoids"),
        Column::new("mean_uv", "uV", "Mean over the window's samples"),
        Column::new(
            "baseline_mean_uv",
            "uV",
            "Mean of the same field in the baseline: noise alone gives a field above zero",
        ),
        Column::new("n_trials", "", "Trials in the average"),
    ],
};

/// `use = "areas"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AreasConfig {
    /// Which regions: a built-in site's name or an inline table. `"none"` (default): GMFA only.
    pub site: SiteChoice,
    /// Windows in ms. Default 15–80 and 80–300.
    pub windows_ms: Vec<[f64; 2]>,
    /// Where `baseline_mean_uv` is taken, ms. Default −500…−10.
    pub baseline_ms: [f64; 2],
    /// Divisor of GMFA: N − ddof channels. Default 0.
    pub ddof: u8,
}

impl Default for AreasConfig {
    fn default() -> Self {
        Self {
            site: SiteChoice::default(),
            windows_ms: vec![[15.0, 80.0], [80.0, 300.0]],
            baseline_ms: [-500.0, -10.0],
            ddof: 0,
        }
    }
}

impl MarkerConfig for AreasConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 1] = [&AREAS];
        &TABLES
    }

    fn build(&self, input: &EpochInfo, _: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>> {
        let before = problems.list().len();
        let rois = self.site.resolve(problems)?.locate(input, problems);
        for (i, &window) in self.windows_ms.iter().enumerate() {
            let _ = input.window_inside(&format!("windows_ms[{i}]"), window, problems);
        }
        let _ = input.window_inside("baseline_ms", self.baseline_ms, problems);
        let marker =
            Areas { rois, windows_ms: self.windows_ms.clone(), baseline_ms: self.baseline_ms, ddof: self.ddof };
        (problems.list().len() == before).then(|| Box::new(marker) as Box<dyn Marker>)
    }
}

struct Areas {
    rois: Vec<LocatedRoi>,
    windows_ms: Vec<[f64; 2]>,
    baseline_ms: [f64; 2],
    ddof: u8,
}

impl Marker for Areas {
    fn report(&self, report: &Report<'_>) -> Vec<Table> {
        let mut table = Table::new(&AREAS);
        let axis = Axis::from(report.input);
        for (condition, averages) in report.averages.iter().enumerate() {
            let (mean, condition) = (averages.mean(), u16::try_from(condition).ok());
            let mut push = |roi: &str, measure: &'static str, field: &[f64]| {
                for &window in &self.windows_ms {
                    let cells = [
                        roi.to_owned().into(),
                        measure.into(),
                        window[0].into(),
                        window[1].into(),
                        axis.area(field, window).into(),
                        axis.mean(field, window).into(),
                        axis.mean(field, self.baseline_ms).into(),
                        Cell::from(mean.n),
                    ];
                    table.push(condition, cells);
                }
            };
            push("all", "gmfa", &gmfa(&mean, &entering(report), self.ddof));
            for roi in &self.rois {
                push(&roi.name, "lmfa", &lmfa(&mean, &roi.good(report.bad)));
            }
        }
        vec![table]
    }
}

#[cfg(test)]
mod tests {
    use super::super::kit::{Kit, number};
    use super::*;

    #[test]
    fn areas_of_known_fields() {
        let mut kit = Kit::new(&["C3", "C4"], 1000.0, [-500.0, 400.0]);
        let mut marker = kit.build(&AreasConfig { site: SiteChoice::Name("m1".into()), ..AreasConfig::default() });
        let empty = &kit.report(&*marker)[0];
        assert_eq!((empty.len(), empty.cell(0, "area_uv_ms")), (4, Some(&Cell::Missing)));
        // ±t after the pulse, ±3 before: GMFA and LMFA are |t| and 3
        kit.feed(&mut *marker, 0, 0, |c, _, t| [1.0, -1.0][c] * if t < 0.0 { 3.0 } else { t });
        let table = &kit.report(&*marker)[0];
        for (row, (lo, hi)) in
            [(15.0_f64, 80.0_f64), (80.0, 300.0), (15.0, 80.0), (80.0, 300.0)].into_iter().enumerate()
        {
            assert!((number(table, row, "area_uv_ms") - (hi * hi - lo * lo) / 2.0).abs() < 1e-9);
            assert!((number(table, row, "mean_uv") - (hi + lo) / 2.0).abs() < 1e-9);
            assert!((number(table, row, "baseline_mean_uv") - 3.0).abs() < 1e-12);
        }
        assert_eq!(table.cell(2, "measure"), Some(&Cell::from("lmfa")));
        let mut config = AreasConfig::default();
        config.windows_ms.push([300.0, 500.0]);
        assert!(kit.problems(&config)[0].contains("windows_ms[2]"));
    }
}
