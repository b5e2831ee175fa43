//! Helping with names: nearest accepted one, globs.

/// The candidate nearest to `word` (Levenshtein distance of at most a third of its length, at least 2). A unit that was
/// left off (`band` for `band_hz`) is one step away.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let limit = (word.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .map(|c| {
            let without_unit = c.strip_prefix(word).is_some_and(|unit| unit.starts_with('_'));
            (if without_unit { 1 } else { distance(&word.to_lowercase(), &c.to_lowercase()) }, c)
        })
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, c)| c)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

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

/// Whether `name` fits `pattern`, where `*` is any text and `?` any one character.
pub fn glob(pattern: &str, name: &str) -> bool {
    let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut i, mut j, mut star) = (0, 0, None);
    while j < n.len() {
        if i < p.len() && p[i] == '*' {
            star = Some((i, j));
            i += 1;
        } else if i < p.len() && (p[i] == '?' || p[i] == n[j]) {
            (i, j) = (i + 1, j + 1);
        } else if let Some((si, sj)) = star {
            star = Some((si, sj + 1));
            (i, j) = (si + 1, sj + 1);
        } else {
            return false;
        }
    }
    p[i..].iter().all(|c| *c == '*')
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
        for (pattern, name, fits) in
            [("S*", "S  1", true), ("S?5*", "S255", true), ("*1", "S  12", false), ("", "", true), ("**", "x", true)]
        {
            assert_eq!(glob(pattern, name), fits, "{pattern} {name}");
        }
    }
}
