//! Tables `spectrum`, `power` and `ratio`: power spectral density, band power and ratios of bands.

use super::bands::{self, Bands};
use crate::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use crate::signal::{PsdConfig, Spectrum};
use crate::table::{Cell, Column, Table, TableSpec};
use serde::{Deserialize, Serialize};

/// Columns of `spectrum`.
pub static SPECTRUM: TableSpec = TableSpec {
    name: "spectrum",
    about: "Power spectral density of one channel at one frequency",
    series: true,
    columns: &[
        Column::new("channel", "", "Channel, named as in the file"),
        Column::new("frequency_hz", "Hz", "Frequency of the bin"),
        Column::new("psd_uv2_per_hz", "uV2/Hz", "One-sided power spectral density; empty for a bad channel"),
    ],
};

/// Columns of `power`.
pub static POWER: TableSpec = TableSpec {
    name: "power",
    about: "Power of one channel in one frequency band",
    series: false,
    columns: &[
        Column::new("channel", "", "Channel, named as in the file"),
        Column::new("band", "", "Name of the band"),
        Column::new("low_hz", "Hz", "Start of the band, included"),
        Column::new("high_hz", "Hz", "End of the band, not included: neighbouring bands add up"),
        Column::new(
            "power_uv2",
            "uV2",
            "Sum of the density's bins times their distance; empty for a bad channel or without windows",
        ),
        Column::new(
            "relative",
            "",
            "power_uv2 over the power from relative_low_hz to relative_high_hz; empty where that is 0",
        ),
        Column::new("power_db", "dB", "10 log10 of power_uv2, so relative to 1 uV2; empty where there is no power"),
        Column::new("n_windows", "", "Segments (Welch) or epochs (multitaper) behind the channel's values"),
        Column::new("relative_low_hz", "Hz", "Start of the denominator's band, included"),
        Column::new("relative_high_hz", "Hz", "End of the denominator's band, not included"),
        Column::new("n_filled", "", "Those of n_windows that hold bridged samples; they count like the others"),
    ],
};

/// Columns of `ratio`.
pub static RATIO: TableSpec = TableSpec {
    name: "ratio",
    about: "Ratio of one channel's power in two bands",
    series: false,
    columns: &[
        Column::new("channel", "", "Channel, named as in the file"),
        Column::new("ratio", "", "The two bands, numerator first"),
        Column::new("value", "", "Power of the one band over power of the other; empty where that is 0"),
    ],
};

/// `use = "power"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PowerConfig {
    /// The denominator of `relative`, low ≤ f < high, Hz. Default 1–45.
    pub relative_to_hz: [f64; 2],
    /// Pairs of band names, numerator first: rows of `ratio`. Default none.
    pub ratios: Vec<[String; 2]>,
    /// `spectrum` ends here, included, or at Nyquist. Default 100 Hz.
    pub spectrum_to_hz: f64,
    /// The bands. Default delta 1–4, theta 4–8, alpha 8–13, beta 13–30, gamma 30–45 Hz.
    pub bands_hz: Bands,
    /// How the density is estimated. Default: Welch, one Hamming segment per epoch, mean.
    pub psd: PsdConfig,
}

impl Default for PowerConfig {
    fn default() -> Self {
        Self {
            relative_to_hz: [1.0, 45.0],
            ratios: Vec::new(),
            spectrum_to_hz: 100.0,
            bands_hz: Bands::default(),
            psd: PsdConfig::default(),
        }
    }
}

impl MarkerConfig for PowerConfig {
    fn tables(&self) -> &'static [&'static TableSpec] {
        if self.ratios.is_empty() { &self.every_table()[..2] } else { self.every_table() }
    }

    fn every_table(&self) -> &'static [&'static TableSpec] {
        static TABLES: [&TableSpec; 3] = [&SPECTRUM, &POWER, &RATIO];
        &TABLES
    }

    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Marker>> {
        let before = problems.list().len();
        let density = context.spectrum(&self.psd, input, problems);
        let plan = density.and_then(|id| context.spectra.get(id)).map(|(_, plan)| plan);
        let relative = [("relative_to_hz".to_owned(), self.relative_to_hz)];
        let named = self.bands_hz.0.iter().map(|(name, band)| (format!("bands_hz.{name}"), *band));
        for (key, band) in named.chain(relative) {
            if bands::check(&key, band, input.rate_hz(), problems)
                && let Some(plan) = plan.filter(|plan| plan.band(band[0], band[1]).is_empty())
            {
                let apart = plan.resolution_hz();
                problems.add(&key, format!("{}…{} Hz holds none of the bins, {apart} Hz apart", band[0], band[1]));
            }
        }
        let place = |name: &String, problems: &mut Problems| self.bands_hz.position(name, "ratios", problems);
        let pairs = self.ratios.iter().map(|[a, b]| (place(a, problems), place(b, problems)));
        let ratios = pairs.filter_map(|(a, b)| a.zip(b)).collect();
        if !(self.spectrum_to_hz.is_finite() && self.spectrum_to_hz >= 0.0) {
            problems.add("spectrum_to_hz", format!("{} is no frequency", self.spectrum_to_hz));
        }
        let marker = Power { config: self.clone(), density: density?, ratios };
        (problems.list().len() == before).then(|| Box::new(marker) as Box<dyn Marker>)
    }
}

struct Power {
    config: PowerConfig,
    /// Which of the engine's densities.
    density: usize,
    /// Places of the two bands.
    ratios: Vec<(usize, usize)>,
}

impl Marker for Power {
    fn report(&self, report: &Report<'_>) -> Vec<Table> {
        let mut tables = [Table::new(&SPECTRUM), Table::new(&POWER), Table::new(&RATIO)];
        for condition in 0..report.conditions.len() {
            let Some(spectrum) = report.spectrum(self.density, condition) else { continue };
            let condition = u16::try_from(condition).ok();
            for (c, channel) in report.input.channels.iter().enumerate() {
                let bad = report.bad.get(c).copied().unwrap_or(false);
                self.channel(&mut tables, condition, &channel.name, (&spectrum, c, bad));
            }
        }
        let written = if self.ratios.is_empty() { 2 } else { 3 };
        tables.into_iter().take(written).collect()
    }
}

impl Power {
    fn channel(
        &self,
        [series, power, ratio]: &mut [Table; 3],
        condition: Option<u16>,
        name: &str,
        (spectrum, c, bad): (&Spectrum, usize, bool),
    ) {
        let good = |value: f64| if bad { Cell::Missing } else { value.into() };
        let within = |band: [f64; 2]| spectrum.band_power(c, band[0], band[1]);
        for (bin, &psd) in spectrum.channel(c).iter().enumerate() {
            let hz = spectrum.frequency_hz(bin);
            if hz <= self.config.spectrum_to_hz + 1e-9 {
                series.push(condition, [name.to_owned().into(), hz.into(), good(psd)]);
            }
        }
        let [low, high] = self.config.relative_to_hz;
        let total = within([low, high]);
        let bands = &self.config.bands_hz.0;
        let powers: Vec<f64> = bands.iter().map(|&(_, band)| within(band)).collect();
        for ((band, limits), &value) in bands.iter().zip(&powers) {
            // no power has no decibels: −∞ is written as missing
            power.push(
                condition,
                [
                    name.to_owned().into(),
                    band.clone().into(),
                    limits[0].into(),
                    limits[1].into(),
                    good(value),
                    good(value / total),
                    good(10.0 * value.log10()),
                    spectrum.n_windows[c].into(),
                    low.into(),
                    high.into(),
                    spectrum.n_filled[c].into(),
                ],
            );
        }
        for &(a, b) in &self.ratios {
            let both = format!("{}/{}", bands[a].0, bands[b].0);
            ratio.push(condition, [name.to_owned().into(), both.into(), good(powers[a] / powers[b])]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kit::{Kit, number};
    use super::*;
    use std::f64::consts::TAU;

    fn kit() -> Kit {
        Kit::new(&["Fz", "Cz", "Pz", "Oz"], 250.0, [0.0, 1996.0])
    }

    fn config(text: &str) -> PowerConfig {
        toml::from_str(text).unwrap()
    }

    /// Fz: 2 µV at 6 Hz and 1 µV at 20 Hz; Cz nothing; Pz bad; Oz with a NaN in the second of three epochs.
    fn report(config: &PowerConfig) -> Vec<Table> {
        let mut kit = kit();
        kit.bad[2] = true;
        kit.bridge([100.0, 120.0]);
        let mut marker = kit.build_with_spectra(config);
        for trial in 0..3 {
            kit.feed(&mut *marker, trial, 0, |c, i, ms| match c {
                1 => 0.0,
                3 if trial == 1 && i == 77 => f64::NAN,
                _ => 2.0 * (TAU * 6.0 * ms / 1e3).sin() + (TAU * 20.0 * ms / 1e3 + 1.0).sin() + 30.0,
            });
        }
        kit.report(&*marker)
    }

    #[test]
    fn sines_have_their_power() {
        let tables = report(&config("ratios = [['theta', 'beta'], ['beta', 'alpha']]\nspectrum_to_hz = 10"));
        let [spectrum, power, ratio] = &tables[..] else { panic!("{}", tables.len()) };
        assert_eq!((spectrum.len(), power.len(), ratio.len()), (4 * 21, 4 * 5, 4 * 2));
        let row = |channel: &str, band: &str| {
            (0..power.len())
                .find(|&r| power.text(r, "channel") == Some(channel) && power.text(r, "band") == Some(band))
                .unwrap()
        };
        let (theta, beta) = (row("Fz", "theta"), row("Fz", "beta"));
        assert!((number(power, theta, "power_uv2") - 2.0).abs() < 1e-3);
        assert!((number(power, beta, "power_uv2") - 0.5).abs() < 1e-3);
        assert!((number(power, theta, "relative") - 0.8).abs() < 1e-3);
        assert!((number(power, theta, "power_db") - 10.0 * 2f64.log10()).abs() < 1e-2);
        let whole: f64 = (0..5).map(|band| number(power, band, "relative")).sum();
        assert!((whole - 1.0).abs() < 1e-12, "the bands add up to the denominator: {whole}");
        assert_eq!((number(power, theta, "low_hz"), number(power, theta, "relative_high_hz")), (4.0, 45.0));
        assert_eq!((number(power, theta, "n_windows"), number(power, theta, "n_filled")), (3.0, 3.0));
        assert_eq!(number(power, row("Oz", "theta"), "n_windows"), 2.0);
        assert!((number(power, row("Oz", "theta"), "power_uv2") - 2.0).abs() < 1e-3);
        assert!((number(ratio, 0, "value") - 4.0).abs() < 2e-2);
        assert_eq!(ratio.text(1, "ratio"), Some("beta/alpha"));
        assert_eq!((number(spectrum, 0, "frequency_hz"), number(spectrum, 20, "frequency_hz")), (0.0, 10.0));
    }

    #[test]
    fn hard_case_25_no_power_and_bad_channels_are_empty_cells() {
        let tables = report(&config("ratios = [['theta', 'beta']]"));
        for (r, band) in PowerConfig::default().bands_hz.0.iter().enumerate() {
            let (flat, bad) = (5 + r, 10 + r);
            assert_eq!(tables[1].text(flat, "band"), Some(band.0.as_str()));
            assert_eq!(number(&tables[1], flat, "power_uv2"), 0.0);
            for column in ["relative", "power_db"] {
                assert_eq!(tables[1].number(flat, column), None, "{column}: no power, not -inf");
            }
            for column in ["power_uv2", "relative", "power_db"] {
                assert_eq!(tables[1].cell(bad, column), Some(&Cell::Missing), "{column} of a bad channel");
            }
        }
        assert_eq!((tables[2].number(1, "value"), tables[2].cell(2, "value")), (None, Some(&Cell::Missing)));
    }

    #[test]
    fn bands_in_their_own_order_and_nothing_without_epochs() {
        let config = config("[bands_hz]\nwide = [2, 40]\nlow = [1, 2]");
        let tables = report(&config);
        assert_eq!(
            (tables.len(), tables[1].text(0, "band"), tables[1].text(1, "band")),
            (2, Some("wide"), Some("low"))
        );
        assert_eq!(config.tables().len(), 2);
        let mut kit = kit();
        let marker = kit.build_with_spectra(&config);
        assert!(kit.report(&*marker).iter().all(Table::is_empty));
    }

    #[test]
    fn every_problem_is_told() {
        let text = "relative_to_hz = [1, 200]\nratios = [['theta', 'betta']]\nspectrum_to_hz = -1\n\
                    [bands_hz]\ntheta = [4, 8]\nfine = [8.1, 8.4]\nbeta = [30, 13]\n[psd]\noverlap = 0.5";
        assert_eq!(
            kit().problems(&config(text)),
            [
                "bands_hz.fine: 8.1…8.4 Hz holds none of the bins, 0.5 Hz apart",
                "bands_hz.beta: 30…13 Hz is no band: from a frequency to a higher one",
                "relative_to_hz: 1…200 Hz needs a rate of 400 Hz at least; here 250 Hz",
                "ratios: no band is called betta; did you mean beta?",
                "spectrum_to_hz: -1 is no frequency",
            ]
        );
        assert_eq!(kit().problems(&config("[psd]\nsegment_ms = 4000")).len(), 1);
        assert!(toml::from_str::<PowerConfig>("[psd]\nwindow = 3").unwrap_err().to_string().contains("unknown field"));
    }
}
