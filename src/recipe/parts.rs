//! The parts that a recipe may name. A new part is one line here.

use super::{suggest, table_of};
use crate::clean;
use crate::flow::{FitConfig, MarkerConfig, StageConfig, StepConfig};
use crate::mark::{self, *};

/// An enum of configs: parsed by name, written with `use` first, all behind one trait.
macro_rules! parts {
    ($(#[$meta:meta])* $name:ident: $config:ident { $($key:literal => $variant:ident($type:ty)),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub enum $name {
            $(#[doc = concat!("`", $key, "`")] $variant($type)),+
        }

        impl $name {
            /// Names that `use = "…"` accepts.
            pub const NAMES: &'static [&'static str] = &[$($key),+];

            /// Reads the part `name` from its keys.
            pub(super) fn parse(name: &str, keys: toml::Table) -> Result<Self, String> {
                match name {
                    $($key => keys.try_into().map(Self::$variant).map_err(|e| suggest::explain(e.message())),)+
                    other => Err(suggest::unknown("part", other, Self::NAMES)),
                }
            }

            /// Its name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $key),+
                }
            }

            /// Its keys, defaults filled in, `use` first.
            pub(super) fn table(&self) -> toml::Table {
                let mut table = toml::Table::new();
                table.insert("use".to_owned(), self.name().into());
                table.extend(match self {
                    $(Self::$variant(config) => table_of(config)),+
                });
                table
            }

            /// The config.
            pub fn config(&self) -> &dyn $config {
                match self {
                    $(Self::$variant(config) => config),+
                }
            }
        }
    };
}

parts! {
    /// A Stage.
    StagePart: StageConfig {
        "pulse" => Pulse(clean::pulse::Pulse),
        "decimate" => Decimate(clean::decimate::Decimate),
        "resample" => Resample(clean::resample::Resample),
        "butterworth" => Butterworth(clean::butterworth::Butterworth),
        "fir" => Fir(clean::fir::Fir),
        "reference" => Reference(clean::reference::Reference),
        "stft" => Stft(clean::stft::Stft),
        "harmonics" => Harmonics(clean::harmonics::Harmonics),
        "parrm" => Parrm(clean::parrm::Parrm),
        "comb" => Comb(clean::comb::Comb),
        "template" => Template(clean::template::Template),
        "phase" => Phase(clean::phase::Phase),
        "kalman" => Kalman(clean::kalman::Kalman),
        "regression" => Regression(clean::regression::Regression),
        "sass" => Sass(clean::sass::Sass),
    }
}

parts! {
    /// A Step.
    StepPart: StepConfig {
        "detrend" => Detrend(clean::detrend::Detrend),
        "baseline" => Baseline(clean::baseline::Baseline),
        "butterworth" => Butterworth(clean::butterworth::Butterworth),
        "fir" => Fir(clean::fir::Fir),
        "reject" => Reject(clean::reject::Reject),
        "interpolate" => Interpolate(clean::spline::Interpolate),
        "reference" => Reference(clean::reference::Reference),
        "whittaker" => Whittaker(clean::whittaker::Whittaker),
    }
}

parts! {
    /// A Fit.
    FitPart: FitConfig {
        "bad-channels" => BadChannels(clean::bad_channels::BadChannels),
        "match-trials" => MatchTrials(clean::match_trials::MatchTrials),
    }
}

with_markers! { parts! { #[doc = "A Marker."] MarkerPart: MarkerConfig } }

impl MarkerPart {
    /// The site it was told, where it takes one and was told one.
    pub fn site(&self) -> Option<&mark::SiteChoice> {
        let site = match self {
            Self::Field(config) => &config.site,
            Self::Peaks(config) => &config.site,
            Self::Pairs(config) => &config.site,
            Self::Areas(config) => &config.site,
            Self::TrialValues(config) => &config.site,
            Self::Quality(config) => &config.site,
            Self::Tfr(config) => &config.site,
            _ => return None,
        };
        (*site != mark::SiteChoice::default()).then_some(site)
    }
}

/// A Step or a Fit: they share one list, because their order matters.
#[derive(Debug, Clone)]
pub enum EpochPart {
    /// A Step.
    Step(StepPart),
    /// A Fit.
    Fit(FitPart),
}

impl EpochPart {
    pub(super) fn parse(name: &str, keys: toml::Table) -> Result<Self, String> {
        if FitPart::NAMES.contains(&name) {
            return FitPart::parse(name, keys).map(Self::Fit);
        }
        if StepPart::NAMES.contains(&name) {
            return StepPart::parse(name, keys).map(Self::Step);
        }
        Err(suggest::unknown("part", name, &[StepPart::NAMES, FitPart::NAMES].concat()))
    }

    /// Whether it takes the average of all channels off.
    pub fn is_average_reference(&self) -> bool {
        matches!(self, Self::Step(StepPart::Reference(r)) if r.to == clean::reference::Target::Average)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Step(part) => part.name(),
            Self::Fit(part) => part.name(),
        }
    }

    pub(super) fn table(&self) -> toml::Table {
        match self {
            Self::Step(part) => part.table(),
            Self::Fit(part) => part.table(),
        }
    }
}
