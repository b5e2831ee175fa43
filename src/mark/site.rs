//! Stimulation sites: where to look (ROIs), for what (components with a polarity) and when (windows).
//!
//! Names, polarities and windows are conventions and depend on the site: around 60 ms the deflection is positive over the
//! motor cortex and negative over parietal cortex. So they are data (`recipes/sites/*.toml`), never code.

use crate::flow::{EpochInfo, Problems};
use crate::names::nearest;
use crate::signal::{Channel, ChannelKind};
use crate::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;

/// Names of the built-in sites.
pub const BUILTIN: [&str; 3] = ["m1", "dlpfc", "parietal"];

/// The name that stands for "no site": global mean field only, in windows that suit any site.
pub const NONE: &str = "none";

/// Which way a component points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub enum Polarity {
    /// Written `1`.
    Positive,
    /// Written `-1`.
    Negative,
}

impl Polarity {
    /// +1 or −1.
    pub fn sign(self) -> f64 {
        i64::from(self) as f64
    }
}

impl From<Polarity> for i64 {
    fn from(polarity: Polarity) -> i64 {
        match polarity {
            Polarity::Positive => 1,
            Polarity::Negative => -1,
        }
    }
}

impl TryFrom<i64> for Polarity {
    type Error = String;

    fn try_from(value: i64) -> std::result::Result<Self, String> {
        match value {
            1 => Ok(Self::Positive),
            -1 => Ok(Self::Negative),
            other => Err(format!("a polarity is 1 or -1, not {other}")),
        }
    }
}

/// A deflection of the TEP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// As the field writes it: `P30`, `N100`.
    pub name: String,
    /// Which way it points.
    pub polarity: Polarity,
    /// Where its peak is looked for, ms, both ends included.
    pub window_ms: [f64; 2],
    /// Where it usually lies, ms.
    pub nominal_ms: f64,
}

/// A region of interest: the mean over its channels is one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roi {
    /// As it stands in the tables.
    pub name: String,
    /// Labels; those that are missing from a recording or bad are left out of the mean.
    pub channels: Vec<String>,
}

/// Where, what and when to look for at one stimulation site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// What it is called.
    pub name: String,
    /// Pairs of components whose peak-to-peak amplitude is of interest.
    #[serde(default)]
    pub pairs: Vec<[String; 2]>,
    /// Regions of interest.
    pub rois: Vec<Roi>,
    /// Components, in order of time.
    pub components: Vec<Component>,
}

impl Site {
    /// A built-in site: `m1`, `dlpfc`, `parietal`; or `none`.
    ///
    /// # Errors
    /// When there is none of this name; the message names the nearest.
    pub fn builtin(name: &str) -> Result<Self> {
        let text = match name {
            "m1" => include_str!("../../recipes/sites/m1.toml"),
            "dlpfc" => include_str!("../../recipes/sites/dlpfc.toml"),
            "parietal" => include_str!("../../recipes/sites/parietal.toml"),
            NONE => return Ok(Self::none()),
            other => {
                return Err(Error::usage(format!(
                    "there is no built-in site `{other}`{}",
                    did_you_mean(other, &[BUILTIN.as_slice(), &[NONE]].concat())
                ))
                .with_hint("a site may also be a TOML file with rois and components"));
            }
        };
        Self::from_toml(text)
    }

    /// No site: no ROI, and the usual windows under neutral names, because the global mean field has no polarity.
    pub fn none() -> Self {
        let window = |name: &str, lo, hi, nominal_ms| Component {
            name: name.to_owned(),
            polarity: Polarity::Positive,
            window_ms: [lo, hi],
            nominal_ms,
        };
        let components = vec![
            window("G30", 20.0, 40.0, 30.0),
            window("G45", 40.0, 55.0, 45.0),
            window("G60", 55.0, 80.0, 60.0),
            window("G100", 80.0, 145.0, 100.0),
            window("G180", 145.0, 240.0, 180.0),
        ];
        Self { name: NONE.to_owned(), pairs: Vec::new(), rois: Vec::new(), components }
    }

    /// Whether this stands for "no site": polarities are unknown, so only the global mean field can be searched.
    pub fn is_none(&self) -> bool {
        self.name == NONE
    }

    /// Reads a site from TOML: `name`, `[[rois]]`, `[[components]]` and `pairs = [["P30", "N45"], …]`.
    ///
    /// # Errors
    /// When the text is not TOML, a key is unknown (the message names the nearest accepted one) or missing,
    /// or the values contradict each other.
    pub fn from_toml(text: &str) -> Result<Self> {
        let bad = |e: &dyn fmt::Display| Error::usage(format!("site: {}", e.to_string().trim_end()));
        let table: toml::Table = toml::from_str(text).map_err(|e| bad(&e))?;
        check_keys(&table)?;
        let site: Self = toml::from_str(text).map_err(|e| bad(&e))?;
        let mut problems = Problems::default();
        problems.enter("site");
        site.check("", &mut problems);
        problems.into_result()?;
        Ok(site)
    }

    /// Reports everything that contradicts itself, under keys that begin with `prefix`.
    pub(super) fn check(&self, prefix: &str, problems: &mut Problems) {
        let dot = if prefix.is_empty() { "" } else { "." };
        let mut add = |key: String, message: String| problems.add(&format!("{prefix}{dot}{key}"), message);
        for (i, roi) in self.rois.iter().enumerate() {
            if roi.channels.is_empty() {
                add(format!("rois[{i}].channels"), format!("ROI `{}` has no channel", roi.name));
            }
            if self.rois[..i].iter().any(|r| r.name == roi.name) || roi.name == "all" {
                add(format!("rois[{i}].name"), format!("the name `{}` is taken", roi.name));
            }
        }
        if self.components.is_empty() {
            add("components".into(), "a site has at least one component".into());
        }
        for (i, c) in self.components.iter().enumerate() {
            let [lo, hi] = c.window_ms;
            if !(lo.is_finite() && hi.is_finite() && lo < hi) {
                add(format!("components[{i}].window_ms"), format!("{lo}…{hi} ms is not a window"));
            } else if !(lo..=hi).contains(&c.nominal_ms) {
                let message = format!("{} ms lies outside the window {lo}…{hi} ms", c.nominal_ms);
                add(format!("components[{i}].nominal_ms"), message);
            }
            if self.components[..i].iter().any(|other| other.name == c.name) {
                add(format!("components[{i}].name"), format!("the name `{}` is taken", c.name));
            }
        }
        let names: Vec<&str> = self.components.iter().map(|c| c.name.as_str()).collect();
        for (i, name) in self.pairs.iter().enumerate().flat_map(|(i, pair)| pair.iter().map(move |n| (i, n))) {
            if !names.contains(&name.as_str()) {
                add(format!("pairs[{i}]"), format!("there is no component `{name}`{}", did_you_mean(name, &names)));
            }
        }
    }

    /// Channels of each ROI that are not among these EEG channels, where some but not all are missing.
    pub fn missing(&self, channels: &[Channel]) -> Vec<(String, Vec<String>)> {
        let have: Vec<String> =
            channels.iter().filter(|c| c.kind == ChannelKind::Eeg).map(|c| plain_label(&c.name)).collect();
        let missing = |roi: &Roi| -> Vec<String> {
            roi.channels.iter().filter(|label| !have.contains(&plain_label(label))).cloned().collect()
        };
        self.rois
            .iter()
            .map(|roi| (roi.name.clone(), missing(roi)))
            .filter(|(_, missing)| !missing.is_empty())
            .collect()
    }

    /// The EEG channels of each ROI in this recording; a problem where a ROI has none.
    pub(super) fn locate(&self, input: &EpochInfo, problems: &mut Problems) -> Vec<LocatedRoi> {
        let eeg: Vec<usize> = (0..input.channels.len()).filter(|&c| input.is_eeg(c)).collect();
        let mut located = Vec::with_capacity(self.rois.len());
        for roi in &self.rois {
            let wanted: Vec<String> = roi.channels.iter().map(|label| plain_label(label)).collect();
            let channels: Vec<usize> =
                eeg.iter().copied().filter(|&c| wanted.contains(&plain_label(&input.channels[c].name))).collect();
            if channels.is_empty() {
                let list = roi.channels.join(" ");
                problems.add("site", format!("none of ROI `{}`'s channels ({list}) is in the recording", roi.name));
            }
            located.push(LocatedRoi { name: roi.name.clone(), channels });
        }
        located
    }
}

/// A ROI with its channels' places in the recording.
#[derive(Debug, Clone)]
pub(super) struct LocatedRoi {
    pub name: String,
    pub channels: Vec<usize>,
}

impl LocatedRoi {
    /// Its channels that are not bad.
    pub fn good(&self, bad: &[bool]) -> Vec<usize> {
        self.channels.iter().copied().filter(|&c| !bad.get(c).copied().unwrap_or(false)).collect()
    }
}

/// What `site = …` may be in a recipe: a built-in site's name (`"none"` by default), or a site written inline.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SiteChoice {
    /// `site = "m1"`.
    Name(String),
    /// `[marker.site]` with `name`, `rois`, `components` and `pairs`; what the CLI makes of `--site FILE`.
    Inline(Site),
}

impl Default for SiteChoice {
    fn default() -> Self {
        Self::Name(NONE.to_owned())
    }
}

impl<'de> Deserialize<'de> for SiteChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = SiteChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a built-in site or a table with rois and components")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> std::result::Result<SiteChoice, E> {
                Ok(SiteChoice::Name(name.to_owned()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> std::result::Result<SiteChoice, A::Error> {
                Site::deserialize(de::value::MapAccessDeserializer::new(map)).map(SiteChoice::Inline)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl SiteChoice {
    /// The site meant, or its problems under the key `site`.
    pub fn resolve(&self, problems: &mut Problems) -> Option<Site> {
        let before = problems.list().len();
        let site = match self {
            Self::Name(name) => Site::builtin(name).map_err(|e| problems.add("site", e.to_string())).ok()?,
            Self::Inline(site) => {
                site.check("site", problems);
                site.clone()
            }
        };
        (problems.list().len() == before).then_some(site)
    }
}

/// A label without what files put around it: `EEG C3-REF`, `c3`, `C3..` → `C3`.
fn plain_label(label: &str) -> String {
    let upper = label.trim().to_ascii_uppercase();
    let name = upper.strip_prefix("EEG ").unwrap_or(&upper).trim();
    let name = ["-REF", "-LE", "-AVG", "-AV"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name);
    name.trim_end_matches('.').to_owned()
}

/// Refuses unknown keys with the nearest accepted name.
fn check_keys(site: &toml::Table) -> Result<()> {
    let refuse =
        |table: &toml::Table, at: &str, accepted: &[&str]| match table.keys().find(|k| !accepted.contains(&k.as_str()))
        {
            Some(key) => Err(Error::usage(format!("{at}: unknown key `{key}`{}", did_you_mean(key, accepted)))),
            None => Ok(()),
        };
    refuse(site, "site", &["name", "pairs", "rois", "components"])?;
    for (list, accepted) in
        [("rois", ["name", "channels"].as_slice()), ("components", &["name", "polarity", "window_ms", "nominal_ms"])]
    {
        for (i, item) in site.get(list).and_then(|v| v.as_array()).into_iter().flatten().enumerate() {
            if let Some(table) = item.as_table() {
                refuse(table, &format!("site.{list}[{i}]"), accepted)?;
            }
        }
    }
    Ok(())
}

/// `; did you mean …` with the nearest name, or the whole list when nothing is near.
fn did_you_mean(word: &str, accepted: &[&str]) -> String {
    match nearest(word, accepted.iter().copied()) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => format!("; known: {}", accepted.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_sites_hold_what_the_contract_says() {
        for name in BUILTIN {
            assert_eq!(Site::builtin(name).unwrap().name, name);
        }
        let m1 = Site::builtin("m1").unwrap();
        assert_eq!(m1.rois[0].channels, ["C3", "C1", "CP3", "CP1", "FC3", "FC1"]);
        let rows: Vec<_> =
            m1.components.iter().map(|c| (c.name.as_str(), c.polarity.sign(), c.window_ms, c.nominal_ms)).collect();
        assert_eq!(
            rows,
            [
                ("P30", 1.0, [20.0, 40.0], 30.0),
                ("N45", -1.0, [40.0, 55.0], 45.0),
                ("P60", 1.0, [55.0, 80.0], 60.0),
                ("N100", -1.0, [80.0, 145.0], 100.0),
                ("P180", 1.0, [145.0, 240.0], 180.0),
            ]
        );
        assert_eq!(m1.pairs.len(), 3);
        // the same latency, the opposite sign
        let parietal = Site::builtin("parietal").unwrap();
        assert_eq!(parietal.components[1].name, "N60");
        assert_eq!(parietal.components[1].polarity, Polarity::Negative);
    }

    #[test]
    fn mistakes_are_named_with_a_suggestion() {
        let message = |text: &str| Site::from_toml(text).unwrap_err().to_string();
        assert!(Site::builtin("m2").unwrap_err().to_string().contains("did you mean `m1`?"));
        let m1 = include_str!("../../recipes/sites/m1.toml");
        assert!(message(&m1.replacen("polarity", "polarty", 1)).contains("`polarty`; did you mean `polarity`?"));
        assert!(message(&m1.replacen("polarity = 1", "polarity = 2", 1)).contains("1 or -1, not 2"));
        assert!(message(&m1.replacen("[\"P30\"", "[\"P31\"", 1)).contains("did you mean `P30`?"));
        assert!(message(&m1.replacen("[20, 40]", "[40, 20]", 1)).contains("is not a window"));
        assert!(message(&m1.replacen("nominal_ms = 30", "nominal_ms = 50", 1)).contains("outside the window"));
        assert!(message("name = 3").contains("site:"));
        assert!(message("rois = [").contains("site:"));
    }

    #[test]
    fn a_choice_is_a_name_or_a_table() {
        #[derive(Deserialize)]
        struct Holder {
            site: SiteChoice,
        }
        let holder: Holder = toml::from_str("site = \"m1\"").unwrap();
        assert_eq!(holder.site, SiteChoice::Name("m1".into()));
        let inline = "[site]\nname = \"x\"\nrois = []\ncomponents = [{ name = \"P30\", polarity = 1, window_ms = [20, 40], nominal_ms = 30 }]";
        let holder: Holder = toml::from_str(inline).unwrap();
        let site = holder.site.resolve(&mut Problems::default()).unwrap();
        assert_eq!(site.components[0].window_ms, [20.0, 40.0]);
        // a written choice reads back
        let m1 = SiteChoice::Inline(Site::builtin("m1").unwrap());
        let text = toml::to_string(&std::collections::BTreeMap::from([("site", &m1)])).unwrap();
        assert_eq!(toml::from_str::<Holder>(&text).unwrap().site, m1);
        assert!(toml::from_str::<Holder>(&inline.replace("polarity", "polarty")).is_err());
        let mut problems = Problems::default();
        assert!(SiteChoice::Name("dlpcf".into()).resolve(&mut problems).is_none());
        assert!(problems.list()[0].message.contains("`dlpfc`"));
    }

    #[test]
    fn labels_are_compared_without_decoration() {
        for label in ["C3", "c3", "EEG C3", "EEG C3-Ref", "C3..", " C3 "] {
            assert_eq!(plain_label(label), "C3");
        }
        assert_ne!(plain_label("C3-P3"), "C3");
    }
}
