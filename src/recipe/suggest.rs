//! Saying which name was meant.

use crate::names::nearest;

/// `unknown KIND "word"`, with the nearest accepted name, else all of them.
pub(super) fn unknown(kind: &str, word: &str, accepted: &[&str]) -> String {
    match nearest(word, accepted.iter().copied()) {
        Some(near) => format!("unknown {kind} `{word}`; did you mean `{near}`?"),
        None => format!("unknown {kind} `{word}`; known are {}", accepted.join(", ")),
    }
}

/// Serde's message, with a suggestion where it names an unknown field or variant.
pub(super) fn explain(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((word, accepted)) if message.starts_with("unknown field") => unknown("key", word, accepted),
        Some((word, accepted)) if message.starts_with("unknown variant") => unknown("value", word, accepted),
        _ => message.trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_and_globs() {
        assert_eq!(nearest("band", ["order", "band_hz"]), Some("band_hz"));
        assert_eq!(nearest("edge", ["order", "band_hz"]), None);
        assert_eq!(nearest("bandhz", ["order", "band_hz"]), Some("band_hz"));
        assert_eq!(
            explain("unknown field `ordr`, expected one of `order`, `phase`"),
            "unknown key `ordr`; did you mean `order`?"
        );
    }
}
