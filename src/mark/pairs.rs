//! Table `pairs`: peak-to-peak amplitudes of successive components, the most repeatable early measures
//! (Gogulski et al. 2024, doi:10.1093/cercor/bhae130).

use super::component::{PeakRule, Search};
use super::peaks::{check_neighbour, check_windows};
use super::series::{Axis, channel_mean};
use super::site::{LocatedRoi, Site, SiteChoice};
use crate::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::signal::Evoked;
use crate::table::{Cell, Column, Table, TableSpec};
use serde::{Deserialize, Serialize};

/// Columns of `pairs`.
pub static PAIRS: TableSpec = TableSpec {
    name: "pairs",
    about: "Two components of one series of the average, compared; empty without a site",
    series: false,
    columns: &[
        Column::new("kind", "", "Series: `channel` or `roi`"),
        Column::new("roi", "", "The channel's or the region's name"),
        Column::new("pair", "", "The two components, earlier first: P30-N45"),
        Column::new(
            "peak_to_peak_uv",
            "uV",
            "Amplitude of the first minus that of the second, times the first one's polarity: positive when both point as expected; empty unless both were found",
        ),
        Column::new(
            "latency_difference_ms",
            "ms",
            "Latency of the second minus that of the first; empty unless both were found",
        ),
        Column::new("found", "", "1 when both peaks were found"),
    ],
};

/// `use = "pairs"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PairsConfig {
    /// Which components and regions: a built-in site's name or an inline table. `"none"` (default): no rows.
    pub site: SiteChoice,
    /// Whether to compare at each EEG channel, too. Default yes.
    pub channels: bool,
    /// As in `peaks`, ms. Default 5.
    pub neighbour_ms: f64,
    /// As in `peaks`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbour_samples: Option<u32>,
}

impl Default for PairsConfig {
    fn default() -> Self {
        Self { site: SiteChoice::default(), channels: true, neighbour_ms: 5.0, neighbour_samples: None }
    }
}

impl MarkerConfig for PairsConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 1] = [&PAIRS];
        &TABLES
    }

    fn build(&self, input: &EpochInfo, _: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>> {
        let before = problems.list().len();
        let site = self.site.resolve(problems)?;
        let rois = site.locate(input, problems);
        if !site.is_none() {
            check_windows(&site, input, problems);
        }
        check_neighbour(self.neighbour_ms, problems);
        let axis = Axis::from(input);
        let search = Search { axis, rule: PeakRule::new(self.neighbour_ms, self.neighbour_samples, axis.rate_hz) };
        let marker = Pairs { site, rois, channels: self.channels, search };
        (problems.list().len() == before).then(|| Box::new(marker) as Box<dyn Marker>)
    }
}

struct Pairs {
    site: Site,
    rois: Vec<LocatedRoi>,
    channels: bool,
    search: Search,
}

impl Marker for Pairs {
    fn report(&self, report: &Report<'_>) -> Vec<Table> {
        let mut table = Table::new(&PAIRS);
        for (condition, averages) in report.averages.iter().enumerate() {
            let (mean, condition) = (averages.mean(), u16::try_from(condition).ok());
            if self.channels {
                for (c, channel) in report.input.channels.iter().enumerate().filter(|(c, _)| report.input.is_eeg(*c)) {
                    let good: &[usize] = if report.bad.get(c).copied().unwrap_or(false) { &[] } else { &[c] };
                    self.push(&mut table, condition, "channel", &channel.name, &mean, good);
                }
            }
            for roi in &self.rois {
                self.push(&mut table, condition, "roi", &roi.name, &mean, &roi.good(report.bad));
            }
        }
        vec![table]
    }
}

impl Pairs {
    fn push(
        &self,
        table: &mut Table,
        condition: Option<u16>,
        kind: &'static str,
        label: &str,
        mean: &Evoked,
        channels: &[usize],
    ) {
        let series = channel_mean(mean, channels);
        let find = |name: &str| self.site.components.iter().find(|c| c.name == name);
        for [first, second] in &self.site.pairs {
            let (Some(a), Some(b)) = (find(first), find(second)) else { continue };
            let peak = |c| self.search.peak(&series, c, c.polarity).0;
            let both = peak(a).zip(peak(b));
            let cells: [Cell; 6] = [
                kind.into(),
                label.to_owned().into(),
                format!("{first}-{second}").into(),
                both.map(|(p, q)| a.polarity.sign() * (p.amplitude_uv - q.amplitude_uv)).into(),
                both.map(|(p, q)| q.latency_ms - p.latency_ms).into(),
                both.is_some().into(),
            ];
            table.push(condition, cells);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kit::{Kit, number};
    use super::*;

    #[test]
    fn peak_to_peak_of_known_peaks() {
        let mut kit = Kit::new(&["C3", "C4"], 1000.0, [-20.0, 300.0]);
        let mut marker = kit.build(&PairsConfig { site: SiteChoice::Name("m1".into()), ..PairsConfig::default() });
        kit.feed(&mut *marker, 0, 0, |c, _, t| {
            let g = |mu: f64, sd: f64| (-0.5 * ((t - mu) / sd).powi(2)).exp();
            let tep = 4.0 * g(30.0, 2.0) - 6.0 * g(46.0, 2.0) + 2.0 * g(65.0, 3.0) - 9.0 * g(100.0, 6.0);
            if c == 0 { tep + 7.0 * g(180.0, 10.0) } else { tep - 7.0 * g(180.0, 10.0) }
        });
        let table = &kit.report(&*marker)[0];
        assert_eq!(table.len(), 9);
        for (row, (height, delay)) in [(10.0, 16.0), (8.0, 19.0), (16.0, 80.0)].into_iter().enumerate() {
            for row in [row, 6 + row] {
                assert!((number(table, row, "peak_to_peak_uv") - height).abs() < 1e-3);
                assert_eq!((number(table, row, "latency_difference_ms"), number(table, row, "found")), (delay, 1.0));
            }
        }
        // no positive peak late at C4: nothing is compared
        assert_eq!(table.cell(5, "pair"), Some(&Cell::from("N100-P180".to_owned())));
        assert_eq!((number(table, 5, "found"), table.number(5, "peak_to_peak_uv")), (0.0, None));
        // without a site there is nothing to compare, even in short epochs
        let kit = Kit::new(&["C3"], 1000.0, [-20.0, 50.0]);
        assert!(kit.report(&*kit.build(&PairsConfig::default()))[0].is_empty());
    }
}
