//! Names that people type: the nearest accepted one, and globs.

/// The candidate nearest to `word` (Levenshtein distance, case aside, of at most 1 and a third of its length). A unit that was
/// left off (`band` for `band_hz`) is one step away.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let limit = 1 + word.chars().count() / 3;
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
    fn globs_fit_whole_names() {
        for (pattern, name, fits) in
            [("S*", "S  1", true), ("S?5*", "S255", true), ("*1", "S  12", false), ("", "", true), ("**", "x", true)]
        {
            assert_eq!(glob(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest("bandhz", ["order", "band_hz"]), Some("band_hz"));
        assert_eq!(nearest("max_ptp", ["max_abs_uv", "max_ptp_uv"]), Some("max_ptp_uv"));
        assert_eq!(nearest("c33", ["C3", "Cz"]), Some("C3"));
        assert_eq!(nearest("nothing", ["order", "phase"]), None);
    }
}
