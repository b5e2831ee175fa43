//! TOML ⇄ plain structs. A recipe is data: what to read, what to do, in which order, what to measure.
//!
//! Four headings mirror the four scopes: `[[stream]]` Stages, `[cut]` the doorway, `[[epoch]]` Steps and Fits,
//! `[[marker]]` what is measured. Unknown keys are refused with the nearest accepted name, all problems at once.

mod builtin;
mod parts;
mod patch;
mod suggest;

pub use builtin::{BUILTIN, Builtin};
pub use parts::{EpochPart, FitPart, MarkerPart, StagePart, StepPart};

use crate::clean::detect::Detect;
use crate::flow::Problems;
use crate::names::glob;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Input {
    /// `"eeg"`, or names and globs of the channels to analyse.
    pub channels: Names,
    /// Names and globs of channels to leave out.
    pub exclude: Vec<String>,
    /// Names of channels known to be bad: kept in the tables, left out of references, rejections and GMFA.
    pub bad: Vec<String>,
    /// Events that carry a pulse; `"cut"`: those of `[cut]`.
    pub pulses: Names,
    /// Line frequency in Hz, `"auto"` (metadata, else the spectrum) or `"off"`.
    pub line: Line,
    /// An event may be cued this many milliseconds after its own sample was pushed.
    pub late_ms: f64,
    /// Seed of everything drawn at random (sign flips).
    pub seed: u64,
    /// How pulses are looked for in the signal, where they are.
    #[serde(skip_serializing_if = "is_default")]
    pub detect: Detect,
}

/// Whether a Stage cleans: those that do tell what is left, in a table.
fn cleans(part: &StagePart) -> bool {
    !part.config().tables().is_empty()
}

fn cleans_nothing() -> Error {
    Error::usage("this recipe has no Stage that cleans").with_hint("start from `stimkit recipe tacs`")
}

fn is_default(detect: &Detect) -> bool {
    *detect == Detect::default()
}

impl Default for Input {
    fn default() -> Self {
        Self {
            channels: Names::one("eeg"),
            exclude: Vec::new(),
            bad: Vec::new(),
            pulses: Names::one("cut"),
            line: Line::Named("auto".to_owned()),
            late_ms: 20.0,
            seed: 1,
            detect: Detect::default(),
        }
    }
}

/// One name, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Names {
    /// One name or keyword.
    One(String),
    /// Several names or globs.
    Many(Vec<String>),
}

impl Names {
    /// One name or keyword.
    pub fn one(name: &str) -> Self {
        Self::One(name.to_owned())
    }

    /// Whether it is just this keyword.
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::One(name) if name == keyword)
    }

    /// The names.
    pub fn list(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }

    /// Whether `name` is one of them (globs allowed).
    pub fn matches(&self, name: &str) -> bool {
        self.list().iter().any(|pattern| glob(pattern, name))
    }
}

/// The line frequency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// In Hz.
    Hz(f64),
    /// `auto` or `off`.
    Named(String),
}

/// The doorway from blocks to epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cut {
    /// Names or globs of the events to cut around; `"auto"` follows the rule of the contract, `"detect"` finds pulses
    /// in the signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Names>,
    /// Instead of events: windows of this length by the clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<f64>,
    /// Time from one such window to the next (default: `every_ms`, no overlap).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_ms: Option<f64>,
    /// With `every_ms`: only inside stretches that begin at events of these names (or globs) and last as long as each says, or
    /// up to the next of them or the segment's end. The event's name is the condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Names>,
    /// First and last moment of a window, both included, relative to the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<[f64; 2]>,
}

impl Default for Cut {
    fn default() -> Self {
        Self { event: Some(Names::one("auto")), every_ms: None, step_ms: None, within: None, window_ms: None }
    }
}

/// A whole analysis.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What is read.
    pub input: Input,
    /// Stages, in order.
    pub stream: Vec<StagePart>,
    /// The doorway.
    pub cut: Cut,
    /// Steps and Fits, in order.
    pub epoch: Vec<EpochPart>,
    /// What is measured.
    pub marker: Vec<MarkerPart>,
}

impl Recipe {
    /// A built-in recipe by name.
    ///
    /// # Errors
    /// When there is none of this name; the nearest is suggested.
    pub fn builtin(name: &str) -> Result<Self> {
        Self::parse(Builtin::find(name)?.text)
    }

    /// Reads a recipe's text.
    ///
    /// # Errors
    /// With every problem it has, each with its path.
    pub fn parse(text: &str) -> Result<Self> {
        Self::patched(text, &[])
    }

    /// Reads a recipe's text after `--set path=value` patches.
    ///
    /// # Errors
    /// With every problem it has, each with its path.
    pub fn patched(text: &str, patches: &[String]) -> Result<Self> {
        let mut table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            Error::usage(format!("the recipe is not TOML: {}", e.to_string().trim_end()))
        })?;
        for text in patches {
            patch::apply(&mut table, text)?;
        }
        let mut problems = Problems::default();
        let recipe = Self::from_table(table, &mut problems);
        problems.into_result()?;
        Ok(recipe)
    }

    fn from_table(mut table: toml::Table, problems: &mut Problems) -> Self {
        let input = section(&mut table, "input", problems);
        let cut: Cut = section(&mut table, "cut", problems);
        let stream = list(&mut table, "stream", problems, StagePart::parse);
        let epoch = list(&mut table, "epoch", problems, EpochPart::parse);
        let marker = list(&mut table, "marker", problems, MarkerPart::parse);
        problems.enter("");
        for key in table.keys() {
            problems.add(key, suggest::unknown("heading", key, &["input", "stream", "cut", "epoch", "marker"]));
        }
        problems.enter("cut");
        if cut.every_ms.is_some() && cut.event.as_ref().is_some_and(|e| !e.is("auto")) {
            problems.add("every_ms", "cuts by the clock; leave out `event`, or leave out this");
        }
        if cut.within.is_some() && cut.every_ms.is_none() {
            problems.add("within", "goes with `every_ms`, the length of the windows");
        }
        if cut.every_ms.is_none() && cut.window_ms.is_none() && !(epoch.is_empty() && marker.is_empty()) {
            problems.add("window_ms", "is missing: from when to when around the event, [-1000, 1000] say");
        }
        Self { input, stream, cut, epoch, marker }
    }

    /// The recipe as TOML, defaults filled in; parsing it gives the same recipe.
    pub fn to_toml(&self) -> String {
        let list = |parts: Vec<toml::Table>| toml::Value::Array(parts.into_iter().map(toml::Value::Table).collect());
        let mut whole = toml::Table::new();
        whole.insert("input".to_owned(), toml::Value::Table(table_of(&self.input)));
        whole.insert("stream".to_owned(), list(self.stream.iter().map(StagePart::table).collect()));
        whole.insert("cut".to_owned(), toml::Value::Table(table_of(&self.cut)));
        whole.insert("epoch".to_owned(), list(self.epoch.iter().map(EpochPart::table).collect()));
        whole.insert("marker".to_owned(), list(self.marker.iter().map(MarkerPart::table).collect()));
        // plain values in string-keyed tables can always be written
        toml::to_string(&whole).unwrap_or_default()
    }

    /// Whether windows are cut at all. A recipe of Stages alone, without a word about windows, needs neither events nor epochs.
    pub fn cuts(&self) -> bool {
        self.stream.is_empty() || !self.epoch.is_empty() || !self.marker.is_empty() || self.cut != Cut::default()
    }

    /// Leaves the Stages up to the last one that cleans, and nothing behind it.
    ///
    /// # Errors
    /// When the recipe does not clean.
    pub fn only_clean(&mut self) -> Result<()> {
        let last = self.stream.iter().rposition(cleans).ok_or_else(cleans_nothing)?;
        self.stream.truncate(last + 1);
        (self.cut, self.epoch, self.marker) = (Cut::default(), Vec::new(), Vec::new());
        Ok(())
    }

    /// Puts another cleaning Stage in place of the recipe's own, and tells it the stimulation's frequency. What was said of the
    /// stimulation stays.
    ///
    /// # Errors
    /// When the recipe does not clean, or there is no such Stage.
    pub fn clean_by(&mut self, method: Option<&str>, frequency_hz: Option<f64>) -> Result<()> {
        let part = self.stream.iter_mut().find(|part| cleans(part)).ok_or_else(cleans_nothing)?;
        let mut keys = part.table();
        let mut stimulation = match keys.remove("stimulation") {
            Some(toml::Value::Table(told)) => told,
            _ => toml::Table::new(),
        };
        if let Some(hz) = frequency_hz {
            stimulation.insert("frequency_hz".to_owned(), hz.into());
        }
        let name = method.unwrap_or_else(|| part.name()).to_owned();
        if name == part.name() {
            keys.remove("use");
        } else {
            keys.clear();
        }
        keys.insert("stimulation".to_owned(), stimulation.into());
        let wrong = |message: String| Error::usage(format!("--method {name}: {message}"));
        let bare = |name: &&&str| StagePart::parse(name, toml::Table::new()).is_ok_and(|part| cleans(&part));
        let known: Vec<&str> = StagePart::NAMES.iter().filter(bare).copied().collect();
        if !known.contains(&name.as_str()) {
            let near = || crate::names::nearest(&name, known.iter().copied()).map(|n| format!("; did you mean {n}?"));
            let why = match StagePart::NAMES.contains(&name.as_str()) {
                true => "it does not clean".to_owned(),
                false => format!("there is no such method{}", near().unwrap_or_default()),
            };
            return Err(wrong(why).with_hint(format!("known are {}", known.join(", "))));
        }
        *part = StagePart::parse(&name, keys).map_err(wrong)?;
        Ok(())
    }

    /// Sets `key` on every marker that has it; says on how many.
    ///
    /// # Errors
    /// When the value does not fit a marker that has the key.
    pub fn set_on_markers(&mut self, key: &str, value: &toml::Value) -> Result<usize> {
        let mut changed = 0;
        for part in &mut self.marker {
            let mut keys = part.table();
            keys.remove("use");
            keys.insert(key.to_owned(), value.clone());
            match MarkerPart::parse(part.name(), keys) {
                Ok(patched) => {
                    *part = patched;
                    changed += 1;
                }
                Err(message) if message.starts_with("unknown key") => {}
                Err(message) => return Err(Error::usage(format!("marker.{}.{key}: {message}", part.name()))),
            }
        }
        Ok(changed)
    }
}

/// A plain struct as a TOML table.
fn table_of(value: &impl Serialize) -> toml::Table {
    match toml::Value::try_from(value) {
        Ok(toml::Value::Table(table)) => table,
        _ => toml::Table::new(),
    }
}

fn section<T: Default + serde::de::DeserializeOwned>(table: &mut toml::Table, key: &str, problems: &mut Problems) -> T {
    problems.enter(key);
    let Some(value) = table.remove(key) else { return T::default() };
    value.try_into().unwrap_or_else(|e: toml::de::Error| {
        problems.add("", suggest::explain(e.message()));
        T::default()
    })
}

fn list<T>(
    table: &mut toml::Table,
    key: &str,
    problems: &mut Problems,
    parse: impl Fn(&str, toml::Table) -> std::result::Result<T, String>,
) -> Vec<T> {
    problems.enter(key);
    let parts = match table.remove(key) {
        None => return Vec::new(),
        Some(toml::Value::Array(parts)) => parts,
        Some(_) => {
            problems.add("", format!("is a list: write [[{key}]]"));
            return Vec::new();
        }
    };
    let mut out = Vec::new();
    for (i, part) in parts.into_iter().enumerate() {
        problems.enter(format!("{key}[{i}]"));
        let toml::Value::Table(mut part) = part else {
            problems.add("", format!("is not a table: write [[{key}]]"));
            continue;
        };
        match part.remove("use") {
            Some(toml::Value::String(name)) => match parse(&name, part) {
                Ok(parsed) => out.push(parsed),
                Err(message) => problems.add("", message),
            },
            _ => problems.add("use", "is missing: which part is it?"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_cleans_cuts_no_windows_also_when_read_again() {
        let mut recipe = Recipe::builtin("tacs").unwrap();
        assert!(recipe.cuts());
        recipe.only_clean().unwrap();
        assert!(!recipe.cuts() && !Recipe::parse(&recipe.to_toml()).unwrap().cuts());
        assert_eq!(recipe.stream.iter().map(StagePart::name).collect::<Vec<_>>(), ["harmonics"]);
        let error = Recipe::builtin("tep").unwrap().only_clean().unwrap_err();
        assert!(error.to_string().contains("no Stage that cleans"), "{error}");
    }

    #[test]
    fn a_method_that_is_none_is_told_all_that_are() {
        let recipe = || Recipe::parse(Builtin::find("tacs").unwrap().text).unwrap();
        let told = |method: &str| recipe().clean_by(Some(method), None).unwrap_err().to_string();
        let all = ["harmonics", "kalman", "comb", "parrm", "sass", "regression", "template"];
        for (method, why) in
            [("foo", "no such method"), ("harmonic", "mean harmonics?"), ("resample", "does not clean")]
        {
            let text = told(method);
            assert!(text.contains(why) && all.iter().all(|name| text.contains(name)), "{text}");
        }
        for method in all {
            recipe().clean_by(Some(method), Some(10.0)).unwrap();
        }
    }
}
