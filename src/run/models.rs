//! Models that were saved: those of `recording.json`, or a list of their own.

use super::Models;
use crate::{Error, Result};
use serde_json::Value;
use std::path::Path;

/// Reads the models of a file: a `recording.json`, or a JSON list of models.
///
/// # Errors
/// When the file cannot be read or holds no models.
pub fn read_models(path: &Path) -> Result<Models> {
    let text = std::fs::read(path).map_err(|e| Error::input(path, &e))?;
    let wrong = |why: String| {
        Error::usage(format!("holds no models: {why}")).at_path(path).with_hint(
            "a fit's results stand under `models` in the recording.json that an earlier run wrote beside a recording's tables \
             (OUT/NAME/recording.json); give that file, or a JSON list of such models",
        )
    };
    let list = match serde_json::from_slice(&text) {
        Ok(Value::Object(mut file)) => match file.remove("models") {
            Some(models) => models,
            None => return Err(wrong("it is JSON, but has no `models`".to_owned())),
        },
        Ok(other) => other,
        Err(error) => return Err(wrong(format!("it is no JSON: {error}"))),
    };
    let models: Models = serde_json::from_value(list).map_err(|e| wrong(format!("they are no list of models: {e}")))?;
    if models.is_empty() { Err(wrong("its list is empty: that run fitted nothing".to_owned())) } else { Ok(models) }
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
}
