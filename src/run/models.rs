//! Models that were saved: those of `recording.json`, or a list of their own.

use super::Models;
use super::batch::hash_input;
use crate::{Error, Result};
use serde_json::Value;
use std::path::Path;

/// The models of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Saved {
    pub models: Models,
    /// The recording that they were fitted on, where the file tells: its name, and the hash of its bytes.
    pub of: Option<(String, String)>,
}

impl Saved {
    /// Refuses a recording that these models cannot be of: where one of them tells when stimulation was, that holds for one recording.
    ///
    /// # Errors
    /// When it is another recording; when it cannot be read.
    pub fn check(&self, path: &Path) -> Result<()> {
        let Some((name, hash)) = &self.of else { return Ok(()) };
        if !self.models.iter().any(|m| m.values.get("stimulation").is_some()) || hash_input(path)?.1 == *hash {
            return Ok(());
        }
        Err(Error::data(format!(
            "the models were fitted on another recording, {name}: when its stimulation was says nothing here"
        ))
        .at_path(path)
        .with_hint("leave --models out: then they are fitted anew; or give the recording.json of this very file"))
    }
}

/// Reads the models of a file: a `recording.json`, or a JSON list of models.
///
/// # Errors
/// When the file cannot be read or holds no models.
pub fn read_models(path: &Path) -> Result<Saved> {
    let text = std::fs::read(path).map_err(|e| Error::input(path, &e))?;
    let wrong = |why: String| {
        Error::usage(format!("holds no models: {why}")).at_path(path).with_hint(
            "a fit's results stand under `models` in the recording.json that an earlier run wrote beside a recording's tables \
             (OUT/NAME/recording.json); give that file, or a JSON list of such models",
        )
    };
    let mut of = None;
    let list = match serde_json::from_slice(&text) {
        Ok(Value::Object(mut file)) => match file.remove("models") {
            Some(models) => {
                let told = |key: &str| Some(file.get("input")?.get(key)?.as_str()?.to_owned());
                of = told("name").zip(told("xxh3_128"));
                models
            }
            None => return Err(wrong("it is JSON, but has no `models`".to_owned())),
        },
        Ok(other) => other,
        Err(error) => return Err(wrong(format!("it is no JSON: {error}"))),
    };
    let models: Models = serde_json::from_value(list).map_err(|e| wrong(format!("they are no list of models: {e}")))?;
    if models.is_empty() {
        return Err(wrong("its list is empty: that run fitted nothing".to_owned()));
    }
    Ok(Saved { models, of })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_file_is_told_what_a_models_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.json");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_models(&path)
        };
        for (text, why) in [
            (r#"{"version": "0.1.0", "files": []}"#, "has no `models`"),
            ("recording,channel\n", "no JSON"),
            (r#"{"models": []}"#, "list is empty"),
            (r#"{"models": 3}"#, "no list of models"),
            (r#"[{"name": "phase"}]"#, "no list of models"),
        ] {
            let told = read(text).unwrap_err().to_string();
            assert!(told.contains(why) && told.contains("recording.json"), "{told}");
        }
        let model = r#"{"name": "phase", "channels": ["C3"], "values": {}}"#;
        assert_eq!(read(&format!("[{model}]")).unwrap(), read(&format!(r#"{{"models": [{model}]}}"#)).unwrap());
    }

    #[test]
    fn when_stimulation_was_holds_for_one_recording() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (own, other) = (at("a.edf", "one recording"), at("b.edf", "one recordinG"));
        let (_, hash) = hash_input(&own).unwrap();
        let saved = |model: &str| {
            let input = format!(r#"{{"name": "a.edf", "xxh3_128": "{hash}"}}"#);
            read_models(&at("recording.json", &format!(r#"{{"input": {input}, "models": [{model}]}}"#))).unwrap()
        };
        let timed = saved(r#"{"name": "harmonics", "channels": ["C3"], "values": {"stimulation": {"episodes": []}}}"#);
        timed.check(&own).unwrap();
        let told = timed.check(&other).unwrap_err().to_string();
        assert!(told.contains("another recording, a.edf"), "{told}");
        saved(r#"{"name": "phase", "channels": ["C3"], "values": {}}"#).check(&other).unwrap();
    }
}
