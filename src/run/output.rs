//! Writing results: every file beside its place, then renamed into it, so that nothing half-written ever has its name.

use crate::table::{Identity, Table};
use crate::{Error, Result};
use std::collections::HashSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// Writes `path` through a temporary neighbour; returns the XXH3 hash (128 bit) of what was written.
pub(super) fn write_file(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<String> {
    let failed = |e: std::io::Error| Error::output(path, &e);
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".stimkit-").suffix(".tmp").tempfile_in(folder).map_err(failed)?;
    let mut writer = Hashing { inner: BufWriter::with_capacity(1 << 17, file.as_file_mut()), hash: Xxh3::new() };
    fill(&mut writer).and_then(|()| writer.flush()).map_err(failed)?;
    let hash = format!("{:032x}", writer.hash.digest128());
    drop(writer);
    file.as_file().sync_data().map_err(failed)?;
    make_readable(file.path()).map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(hash)
}

/// Writes a table as a CSV file of its own; returns its hash.
///
/// # Errors
/// When the folder cannot be written or the disk fails; nothing half-written has the name.
pub fn write_table(
    path: &Path,
    table: &Table,
    identity: &Identity,
    conditions: &[String],
    raw: bool,
) -> Result<String> {
    write_file(path, |mut w| {
        table.write_header(&mut w, raw)?;
        table.write_rows(&mut w, identity, conditions, raw)
    })
}

/// Temporary files are private; results are for everyone whom the folder lets in.
fn make_readable(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))?;
    }
    let _ = path;
    Ok(())
}

struct Hashing<W> {
    inner: W,
    hash: Xxh3,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Creates a folder and its parents.
pub(super) fn create_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| Error::output(path, &e))
}

/// A name for each input: its stem; where two share one, the shortest suffix of their folders that tells all of them
/// apart is put in front. Characters that are awkward in a path become `_`.
pub fn recording_names(inputs: &[PathBuf]) -> Vec<String> {
    let parts: Vec<Vec<String>> = inputs
        .iter()
        .map(|path| {
            let mut parts: Vec<String> = path
                .parent()
                .into_iter()
                .flat_map(Path::components)
                .filter(|c| matches!(c, std::path::Component::Normal(_)))
                .map(|c| clean(&c.as_os_str().to_string_lossy()))
                .collect();
            parts.push(clean(&path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy()));
            parts
        })
        .collect();
    let name = |i: usize, depth: usize| parts[i][parts[i].len().saturating_sub(depth + 1)..].join("_");
    let deepest = parts.iter().map(Vec::len).max().unwrap_or(1);
    let mut names: Vec<String> = (0..inputs.len())
        .map(|i| {
            let same: Vec<usize> =
                (0..inputs.len()).filter(|&j| j != i && parts[i].last() == parts[j].last()).collect();
            let depth = (0..deepest).find(|&d| same.iter().all(|&j| name(i, d) != name(j, d)));
            match depth {
                Some(depth) => name(i, depth),
                // the same file named twice, or stems that differ only in their ending
                None => format!("{}_{}", name(i, deepest), 1 + same.iter().filter(|&&j| j < i).count()),
            }
        })
        .collect();
    // a prefix may have made a name that another file bears (a/x, b/x and a_x), some file systems do not tell A from a,
    // and the folder must not meet a file of the run
    let mut taken = HashSet::new();
    for name in &mut names {
        if [".csv", ".json"].iter().any(|end| name.to_lowercase().ends_with(end)) {
            name.push('_');
        }
        let base = name.clone();
        for n in 2.. {
            if taken.insert(name.to_lowercase()) {
                break;
            }
            *name = format!("{base}_{n}");
        }
    }
    names
}

fn clean(text: &str) -> String {
    let kept: String =
        text.chars().map(|c| if c.is_control() || r#"/\:*?"<>|"#.contains(c) { '_' } else { c }).collect();
    match kept.trim_matches(['.', ' ']) {
        "" => "_".to_owned(),
        _ if kept.starts_with('.') => kept.replacen('.', "_", 1),
        _ => kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_by_the_shortest_suffix() {
        let names = |paths: &[&str]| recording_names(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(names(&["a/x.edf", "b/y.edf"]), ["x", "y"]);
        assert_eq!(names(&["s/a/x.edf", "s/b/x.edf", "z.edf"]), ["a_x", "b_x", "z"]);
        assert_eq!(names(&["1/a/x.edf", "2/a/x.edf"]), ["1_a_x", "2_a_x"]);
        assert_eq!(names(&["a/x.edf", "a/x.bdf"]), ["a_x_1", "a_x_2"]);
        assert_eq!(names(&["a/.hidden"]), ["_hidden"]);
        assert_eq!(names(&["a/x.edf", "b/x.edf", "a_x.edf"]), ["a_x", "b_x", "a_x_2"]);
        assert_eq!(names(&["X.edf", "x.bdf", "run.json.edf"]), ["X", "x_2", "run.json_"]);
    }
}
