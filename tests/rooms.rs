//! The rooms of `src/` are in the order the data flows, and imports point one way (MNE-Python guards its own so).
//!
//! Reads every path that starts at the crate's root (`crate::…`, and `super::…` that climbs up to it), outside comments,
//! strings and `#[cfg(test)]` items. A room may use rooms that come before its own, and itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// First to last; neighbours do not know each other.
const ORDER: &[&[&str]] = &[
    &["error"],
    &["names", "unit"],
    &["dsp"],
    &["signal"],
    &["table"],
    &["flow"],
    &["read", "write", "clean", "mark", "simulate"],
    &["recipe"],
    &["run"],
    &["capi", "python", "cli"],
];

fn rank(room: &str) -> Option<usize> {
    ORDER.iter().position(|rooms| rooms.contains(&room))
}

#[test]
fn imports_point_one_way() {
    let tree = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(tree.len() > 30, "the sources were not found");
    let faults = faults(&tree);
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_order_is_that_of_the_tree() {
    let tree = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    for path in tree.keys().filter(|p| !["lib.rs", "main.rs"].contains(&p.as_str())) {
        let room = room_of(path);
        assert!(rank(room).is_some(), "src/{path}: room {room:?} has no place in ORDER");
    }
}

/// The guard must bark: each fault alone, and nothing where nothing is wrong.
#[test]
fn the_checker_sees_backward_imports() {
    let check = |path: &str, text: &str| {
        let lib = "pub mod error; pub use error::{Error, Result as Outcome};";
        faults(&BTreeMap::from([("lib.rs".into(), lib.into()), (path.into(), text.to_owned())]))
    };
    let wrong = |path: &str, text: &str, says: &str| {
        let found = check(path, text);
        assert_eq!(found.len(), 1, "{path} {text:?}: {found:?}");
        assert!(found[0].contains(says), "{found:?}");
    };
    wrong("signal/epoch.rs", "use crate::flow::Stage;", "src/signal/epoch.rs:1: signal uses flow");
    wrong("unit.rs", "\n\nfn f() -> crate::signal::Block {}", "src/unit.rs:3: unit uses signal");
    wrong("dsp/iir.rs", "use crate::{Error, signal::{Block, Lanes}, unit::Rate};", "dsp uses signal");
    wrong("clean/pulse.rs", "use crate :: read :: edf;", "clean uses read");
    wrong("clean/a/b.rs", "use super::super::super::mark::tep;", "clean uses mark");
    wrong("clean/mod.rs", "use super::mark::tep;", "clean uses mark");
    wrong("flow/mod.rs", "macro_rules! m { () => { $crate::run::go() } }", "flow uses run");
    wrong("run/mod.rs", "pub(in crate::cli) fn f() {}", "run uses cli");
    wrong("mark/tep.rs", "use crate::*;", "names what it uses");
    wrong("mark/tep.rs", "use crate::Tepid;", "Tepid is neither a room nor");
    wrong("mark/tep.rs", "fn f<'a>(x: &'a str) -> char { '\"' }\nuse crate::run::x;", "src/mark/tep.rs:2");
    wrong("main.rs", "fn main() { stimkit::run::go() }", "main uses run");
    wrong("main.rs", "mod cli;", "main has no modules");

    let right = |path: &str, text: &str| assert_eq!(check(path, text), [""; 0], "{path} {text:?}");
    right("run/mod.rs", "use crate::{Error, Outcome, clean::{pulse::Pulse}, recipe, unit};");
    right("clean/pulse.rs", "use super::reject::x; use crate::clean::spline; use crate::flow::{Step, Verdict};");
    right("clean/bad/tests.rs", "use super::super::testing;");
    right("unit.rs", "//! See [`crate::run::Pipeline`].\n/* crate::cli /* nested */ crate::cli */ fn f() {}");
    right(
        "unit.rs",
        "const A: &str = \"crate::cli\"; const B: &str = r#\"crate::\"cli\"#; const C: &[u8] = b\"crate::cli\";",
    );
    right("unit.rs", "#[cfg(test)]\nmod tests { use crate::run::x; fn f() { \"}\"; } }\nfn g() {}");
    right("unit.rs", "#[cfg(test)]\nmod tests;\n#[cfg(test)] use crate::run::x;\nuse crate::error::Error;");
    right("unit.rs", "use mycrate::run::x; use superb::cli;");
    right("main.rs", "fn main() { stimkit::cli::main() }");
    // what follows a test module is looked at again
    wrong("unit.rs", "#[cfg(test)] mod tests { mod a {} }\nuse crate::run::x;", "src/unit.rs:2: unit uses run");
}

/// All sources by their path below `src`, with forward slashes.
fn sources(src: &Path) -> BTreeMap<String, String> {
    let (mut tree, mut folders): (_, Vec<PathBuf>) = (BTreeMap::new(), vec![src.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(src).unwrap().to_str().unwrap().replace('\\', "/");
                tree.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    tree
}

/// `clean/pulse.rs` → `clean`, `error.rs` → `error`.
fn room_of(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

/// Everything that is wrong, each with its place.
fn faults(tree: &BTreeMap<String, String>) -> Vec<String> {
    let exported = exports(tree.get("lib.rs").map_or("", String::as_str));
    let test_files = test_files(tree);
    let mut faults = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| *path != "lib.rs" && !test_files.contains(*path)) {
        let code = without_tests(&without_text(text));
        let room = room_of(path);
        let mut fault = |at: usize, what: String| {
            let line = 1 + code[..at].matches('\n').count();
            faults.push(format!("src/{path}:{line}: {what}"));
        };
        if path == "main.rs" {
            for (at, name) in named_after(&code, &["stimkit"]) {
                if name != "cli" {
                    fault(at, format!("main uses {name}: it maps the result of cli to an exit code, nothing else"));
                }
            }
            words(&code).filter(|&(_, w)| w == "mod").for_each(|(at, _)| fault(at, "main has no modules".into()));
            continue;
        }
        // how many `super`s lead from this file's module to the root
        let depth = path.trim_end_matches("/mod.rs").split('/').count();
        let mut roots = vec![vec!["crate"]];
        roots.push(vec!["super"; depth]);
        for (at, name) in roots.iter().flat_map(|root| named_after(&code, root)) {
            let target =
                if rank(&name).is_some() { Some(name.as_str()) } else { exported.get(&name).map(String::as_str) };
            match (target, rank(room)) {
                _ if name == "*" => fault(at, "a room names what it uses".into()),
                (None, _) => fault(at, format!("{name} is neither a room nor exported by lib.rs")),
                (Some(used), Some(own)) if used != room && rank(used) >= Some(own) => {
                    fault(at, format!("{room} uses {used}, which does not come before it"));
                }
                _ => {}
            }
        }
    }
    faults
}

/// Names that lib.rs re-exports, with the room each comes from.
fn exports(lib: &str) -> BTreeMap<String, String> {
    let code = without_text(lib);
    let mut exports = BTreeMap::new();
    for statement in code.split("pub use ").skip(1).filter_map(|s| s.split(';').next()) {
        let Some((room, names)) = statement.split_once("::") else { continue };
        for name in names.split([',', '{', '}']).map(str::trim).filter(|n| !n.is_empty()) {
            let alias = name.rsplit("::").next().unwrap_or(name);
            let alias = alias.split(" as ").last().unwrap_or(alias);
            exports.insert(alias.to_owned(), room.trim().to_owned());
        }
    }
    exports
}

/// Files that belong to a `#[cfg(test)] mod name;`.
fn test_files(tree: &BTreeMap<String, String>) -> Vec<String> {
    let mut files = Vec::new();
    for (path, text) in tree {
        let folder = match path.strip_suffix("mod.rs") {
            Some(folder) => folder.to_owned(),
            None => format!("{}/", path.trim_end_matches(".rs")),
        };
        let code = without_text(text);
        for after in code.split("#[cfg(test)]").skip(1) {
            let mut words = after.split_whitespace().skip_while(|w| w.starts_with("pub"));
            if let (Some("mod"), Some(name)) = (words.next(), words.next())
                && let Some(name) = name.strip_suffix(';')
            {
                files.extend([format!("{folder}{name}.rs"), format!("{folder}{name}/mod.rs")]);
            }
        }
    }
    files
}

/// Identifiers with their places.
fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + code[rest..].find(is_word)?;
        let end = code[start..].find(|c| !is_word(c)).map_or(code.len(), |n| start + n);
        rest = end;
        Some((start, &code[start..end]))
    })
}

/// The names that directly follow `root::`, those of a group `root::{a, b::{c}}` each.
fn named_after(code: &str, root: &[&str]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in words(code).filter(|&(_, w)| w == root[0]) {
        if code[..at].trim_end().ends_with("::") {
            continue; // the middle of a path
        }
        let mut rest = &code[at..];
        let follows = root.iter().all(|part| {
            let after = rest.strip_prefix(part).map(str::trim_start).and_then(|r| r.strip_prefix("::"));
            after.map(|r| rest = r.trim_start()).is_some()
        });
        if follows {
            found.extend(heads(rest).into_iter().map(|name| (at, name)));
        }
    }
    found
}

/// First identifiers of a use tree: `a::b` → a; `{a, b::{c, d}}` → a, b; `*` → *.
fn heads(tree: &str) -> Vec<String> {
    let first = |text: &str| match text.trim_start() {
        text if text.starts_with('*') => Some("*".to_owned()),
        text => words(text).next().map(|(_, word)| word.to_owned()),
    };
    let Some(inside) = tree.strip_prefix('{') else { return first(tree).into_iter().collect() };
    let (mut depth, mut names, mut start) = (0, Vec::new(), 0);
    for (i, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.extend(Some(&inside[start..i]).filter(|t| !t.trim().is_empty()).and_then(first));
                start = i + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

/// The code with comments, strings and character literals blanked out; line breaks stay.
fn without_text(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut i = 0;
    while i < bytes.len() {
        let end = match bytes[i] {
            b'/' if bytes[i..].starts_with(b"//") => text[i..].find('\n').map_or(bytes.len(), |n| i + n),
            b'/' if bytes[i..].starts_with(b"/*") => comment_end(bytes, i),
            b'"' => string_end(bytes, i),
            b'r' if !(i > 0
                && (bytes[i - 1].is_ascii_alphanumeric() && bytes[i - 1] != b'b' || bytes[i - 1] == b'_')) =>
            {
                let hashes = bytes[i + 1..].iter().take_while(|&&b| b == b'#').count();
                if bytes.get(i + 1 + hashes) != Some(&b'"') {
                    i += 1;
                    continue;
                }
                let close = format!("\"{}", "#".repeat(hashes));
                let body = i + 2 + hashes;
                text[body..].find(&close).map_or(bytes.len(), |n| body + n + close.len())
            }
            b'\'' => match bytes.get(i + 1) {
                Some(b'\\') => bytes[i + 3..].iter().position(|&b| b == b'\'').map_or(bytes.len(), |n| i + 4 + n),
                _ => match text[i + 1..].chars().next() {
                    Some(c) if bytes.get(i + 1 + c.len_utf8()) == Some(&b'\'') => i + 2 + c.len_utf8(),
                    _ => i + 1, // a lifetime
                },
            },
            _ => {
                i += 1;
                continue;
            }
        };
        code[i..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        i = end;
    }
    String::from_utf8(code).unwrap()
}

fn comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut i) = (0, start);
    while i < bytes.len() {
        match &bytes[i..bytes.len().min(i + 2)] {
            b"/*" => (depth, i) = (depth + 1, i + 2),
            b"*/" => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut i = start + 1;
    while i < bytes.len() && bytes[i] != b'"' {
        i += if bytes[i] == b'\\' { 2 } else { 1 };
    }
    (i + 1).min(bytes.len())
}

/// The code with every item after `#[cfg(test)]` blanked out: up to its `;`, or its closing brace.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        out += &rest[..at];
        let item = &rest[at..];
        let mut depth = 0;
        let end = item.char_indices().skip(MARK.len()).find_map(|(i, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            (depth == 0 && (c == ';' || c == '}')).then_some(i + 1)
        });
        let end = end.unwrap_or(item.len());
        out.extend(item[..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &item[end..];
    }
    out + rest
}
