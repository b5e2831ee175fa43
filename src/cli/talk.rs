//! Messages to people: stderr, as lines of text or of JSON; labels from files are made harmless first.

use crate::run::batch::Outcome;
use crate::{Error, Warning};
use serde_json::json;
use std::io::{IsTerminal, Write};

#[derive(Debug, clap::Args)]
pub(super) struct TalkArgs {
    /// Messages and errors as JSON lines on stderr
    #[arg(long, global = true)]
    json: bool,
    /// Only errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more (stages and timings)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Progress bar on stderr
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    progress: When,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

/// How to talk.
pub(super) struct Talk {
    pub json: bool,
    quiet: bool,
    pub verbose: bool,
    progress: bool,
    color: bool,
}

impl Talk {
    pub fn new(args: &TalkArgs) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let progress = match args.progress {
            When::Auto => terminal && !args.quiet && !args.json,
            When::Always => true,
            When::Never => false,
        };
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Self { json: args.json, quiet: args.quiet, verbose: args.verbose > 0, progress, color: terminal && !no_color }
    }

    pub fn error(&self, error: &Error) {
        if self.json {
            self.line(&json!({
                "level": "error",
                "kind": error.kind().name(),
                "code": error.code(),
                "path": error.path().map(|p| p.to_string_lossy()),
                "offset": error.offset(),
                "message": error.message(),
                "hint": error.hint(),
            }));
        } else {
            let (on, off) = if self.color { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
            self.text(&format!("{on}error{off}: "), &error.to_string());
        }
    }

    pub fn warning(&self, recording: &str, warning: &Warning) {
        if self.quiet {
            return;
        }
        if self.json {
            self.line(&json!({ "level": "warning", "recording": recording, "code": warning.code, "message": warning.message }));
        } else {
            let (on, off) = if self.color { ("\x1b[1;33m", "\x1b[0m") } else { ("", "") };
            self.text(&format!("{on}warning{off}: "), &format!("{recording}: {warning}"));
        }
    }

    pub fn note(&self, message: &str) {
        if self.quiet {
            return;
        }
        if self.json {
            self.line(&json!({ "level": "note", "message": message }));
        } else {
            self.text("", message);
        }
    }

    /// A recording has ended; `counted` says what was counted: "trials kept".
    pub fn ended(&self, outcome: &Outcome, counted: &str) {
        for warning in &outcome.warnings {
            self.warning(&outcome.recording, warning);
        }
        match &outcome.result {
            Err(error) => self.error(error),
            Ok(_) if self.quiet => {}
            Ok((kept, asked)) => {
                if self.json {
                    self.line(&json!({ "level": "done", "recording": outcome.recording, "trials_kept": kept, "trials_asked": asked }));
                } else {
                    self.text("", &format!("{}: {kept} of {asked} {counted}", outcome.recording));
                }
                if self.verbose {
                    let laps: Vec<String> = outcome.seconds.iter().map(|(k, v)| format!("{k} {v:.3} s")).collect();
                    self.text("  ", &laps.join(", "));
                }
            }
        }
    }

    /// A bar over `bytes` and `recordings`; hidden where it is not wanted.
    pub fn bar(&self, bytes: u64) -> indicatif::ProgressBar {
        if !self.progress {
            return indicatif::ProgressBar::hidden();
        }
        let bar = indicatif::ProgressBar::new(bytes);
        let style =
            indicatif::ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta} {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar
    }

    fn line(&self, value: &serde_json::Value) {
        // a closed stderr must not stop the work
        let _ = writeln!(std::io::stderr().lock(), "{value}");
    }

    fn text(&self, prefix: &str, message: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{prefix}{}", harmless(message));
    }
}

/// Wrong arguments, before it is known how to talk.
pub(super) fn usage_as_json(message: &str) {
    let message = harmless(message.strip_prefix("error: ").unwrap_or(message).trim_end());
    let line = json!({
        "level": "error", "kind": "usage", "code": null, "path": null, "offset": null, "message": message, "hint": null,
    });
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Text without control or direction characters, so that a label cannot drive a terminal. Line feeds stay.
pub(super) fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => '\n',
            c if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c) => {
                '\u{fffd}'
            }
            c => c,
        })
        .collect()
}
