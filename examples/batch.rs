//! Batch in Rust: every recording named on the command line through the recipe `tep`, one line of results each.
//!
//! ```text
//! cargo run --release --example batch -- fixtures/demo/*.vhdr
//! ```

use stimkit::recipe::Recipe;
use stimkit::run::{Options, analyse};

fn main() -> stimkit::Result<()> {
    let recipe = Recipe::builtin("tep")?;
    println!("recording,condition,kept,asked,peak,latency_ms,gmfa_uv,p_signflip");
    for path in std::env::args_os().skip(1).map(std::path::PathBuf::from) {
        let analysis = match analyse(&path, &recipe, &Options { threads: 2, ..Options::default() }) {
            Ok(analysis) => analysis,
            // one bad file never stops the rest
            Err(error) => {
                eprintln!("{error}");
                continue;
            }
        };
        let Some(peaks) = analysis.tables.iter().find(|t| t.name() == "peaks") else { continue };
        for (row, (condition, _)) in peaks.rows().enumerate() {
            let name = condition.and_then(|c| analysis.conditions.get(usize::from(c))).map_or("", String::as_str);
            let number = |column| peaks.number(row, column).map_or(String::new(), |v| format!("{v:.3}"));
            println!(
                "{},{name},{},{},{},{},{},{}",
                path.file_stem().unwrap_or_default().to_string_lossy(),
                analysis.trials.0,
                analysis.trials.1,
                peaks.text(row, "component").unwrap_or_default(),
                number("latency_ms"),
                number("amplitude_uv"),
                number("p_signflip"),
            );
        }
    }
    Ok(())
}
