//! `--set path=value`: changes one key of a recipe before it is read.

use crate::names::nearest;
use crate::{Error, Result};

/// Applies `stream[1].band_hz=[1, 45]`, `stream.butterworth.order=4` or `cut.window_ms=[-500, 500]`.
/// The value is TOML; what is not TOML is taken as text.
pub(super) fn apply(recipe: &mut toml::Table, patch: &str) -> Result<()> {
    let bad = |why: String| Error::usage(format!("--set {patch}: {why}"));
    let (path, text) = patch.split_once('=').ok_or_else(|| bad("expected path=value".to_owned()))?;
    let value = value(text.trim());
    let mut keys: Vec<&str> = path.trim().split('.').collect();
    let Some(last) = keys.pop().filter(|k| !k.is_empty()) else { return Err(bad("expected path=value".to_owned())) };
    let mut at = recipe;
    let mut keys = keys.into_iter().peekable();
    while let Some(key) = keys.next() {
        let (name, index) = match key.split_once('[') {
            Some((name, rest)) => {
                let index = rest.strip_suffix(']').and_then(|i| i.parse::<usize>().ok());
                (name, Some(index.ok_or_else(|| bad(format!("`{key}` is not name[number]")))?))
            }
            None => (key, None),
        };
        let entry = at.entry(name.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        let next = match entry {
            toml::Value::Array(parts) => match index {
                Some(index) => {
                    let n = parts.len();
                    parts.get_mut(index).ok_or_else(|| bad(format!("`{name}` has {n} parts, numbered from 0")))?
                }
                None => {
                    // by the name of the part: stream.butterworth.order
                    let wanted = keys.next().unwrap_or_default();
                    let names: Vec<String> = parts.iter().map(|p| used(p).to_owned()).collect();
                    let at = names.iter().position(|n| n == wanted);
                    let at = at.ok_or_else(|| {
                        let hint = nearest(wanted, names.iter().map(String::as_str))
                            .map_or_else(|| names.join(", "), str::to_owned);
                        bad(format!("`{name}` has no part `{wanted}`; it has {hint}"))
                    })?;
                    &mut parts[at]
                }
            },
            other => other,
        };
        let toml::Value::Table(table) = next else { return Err(bad(format!("`{key}` holds a value, not keys"))) };
        at = table;
    }
    at.insert(last.to_owned(), value);
    Ok(())
}

fn used(part: &toml::Value) -> &str {
    part.get("use").and_then(toml::Value::as_str).unwrap_or_default()
}

fn value(text: &str) -> toml::Value {
    // no key takes the number NaN, but `fill` takes the word
    if text == "nan" {
        return toml::Value::String(text.to_owned());
    }
    let parsed: Result<toml::Table, _> = format!("v = {text}").parse();
    parsed.ok().and_then(|mut t| t.remove("v")).unwrap_or_else(|| toml::Value::String(text.to_owned()))
}
