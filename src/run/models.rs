//! Models that were saved: those of `recording.json`, or a list of their own.

use super::Models;
use crate::{Error, Result};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
#[serde(untagged)]
enum Saved {
    Of { models: Models },
    List(Models),
}

/// Reads the models of a file: a `recording.json`, or a JSON list of models.
///
/// # Errors
/// When the file cannot be read or holds no models.
pub fn read_models(path: &Path) -> Result<Models> {
    let text = std::fs::read(path).map_err(|e| Error::input(path, &e))?;
    let wrong = |why: String| {
        Error::usage(format!("holds no models: {why}"))
            .at_path(path)
            .with_hint("give the recording.json of an earlier run, or a JSON list of its `models`")
    };
    let models = match serde_json::from_slice(&text) {
        Ok(Saved::Of { models } | Saved::List(models)) => models,
        Err(error) => return Err(wrong(error.to_string())),
    };
    if models.is_empty() { Err(wrong("its list is empty".to_owned())) } else { Ok(models) }
}
