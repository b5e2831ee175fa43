//! The command line. One subcommand per file; uses the public API only.
//!
//! stdout carries data, stderr carries talk; the exit code says what became of it (see the contract in the README).

mod analyse;
mod check;
mod columns;
mod common;
mod convert;
mod events;
mod info;
mod simulate;
mod tacs;
mod talk;
mod waveform;

use crate::recipe::BUILTIN;
use crate::{Error, Result};
use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write;
use talk::Talk;

#[derive(Debug, Parser)]
#[command(
    name = "stimkit",
    version,
    about = "EEG recorded under brain stimulation: from recordings to tables",
    long_about = "EEG recorded under brain stimulation: from recordings to tables.\n\nData go to stdout or to the folder \
                  of -o, messages to stderr.\nExit codes: 0 all done; 1 some recordings failed; 64 usage; 65 the input is \
                  malformed or cannot support what was asked; 66 input missing; 73/74 output or I/O error; 75 interrupted.",
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    talk: talk::TalkArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What a recording holds; --verify decodes it a second time with another decoder and compares
    Info(info::Args),
    /// Events in the file, their counts and intervals; with --detect pulses found in the signal (CSV)
    Events(events::Args),
    /// TMS-evoked potentials
    Tep(analyse::TepArgs),
    /// Oscillatory power: spectra, bands, aperiodic part, individual alpha frequency
    Power(analyse::PowerArgs),
    /// Time-frequency: power changes and inter-trial coherence
    Tfr(analyse::TfrArgs),
    /// Spectral and envelope connectivity: all pairs, seeds or chosen pairs
    Connectivity(analyse::ConnectivityArgs),
    /// tACS: the artefact taken out, what is left of it judged, and what is left of the brain measured
    Tacs(tacs::Args),
    /// Quality of a stimulation waveform: a WAV file, or a copy of the stimulation in a recording
    Waveform(waveform::Args),
    /// Any analysis described by a TOML recipe (a file, or the name of a built-in one)
    Run(analyse::RunArgs),
    /// List the built-in recipes, or print one
    Recipe {
        /// Name of a built-in recipe
        name: Option<String>,
    },
    /// Build without running: rates, delays, look-ahead, memory, every problem at once
    Check(check::Args),
    /// What each column means, with its unit
    Columns(columns::Args),
    /// A recording with a known truth (and the truth as CSV beside it)
    Simulate(simulate::Args),
    /// Write a recording as BrainVision (float32)
    Convert(convert::Args),
    /// Shell completions on stdout
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// The manual page (roff) on stdout
    Man,
}

/// Runs one command line and returns its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 64 } else { 0 };
            if code != 0 && args.iter().take_while(|a| *a != "--").any(|a| a == "--json") {
                talk::usage_as_json(&error.to_string());
                return code;
            }
            // nothing is left to do where even this cannot be written
            let _ = error.print();
            return code;
        }
    };
    let talk = Talk::new(&cli.talk);
    let command = args.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    match dispatch(cli.command, &talk, command) {
        Ok(code) => code,
        Err(error) => {
            talk.error(&error);
            error.kind().exit_code()
        }
    }
}

fn dispatch(command: Command, talk: &Talk, line: Vec<String>) -> Result<u8> {
    match command {
        Command::Info(args) => info::run(&args, talk),
        Command::Events(args) => events::run(&args, talk),
        Command::Tep(args) => analyse::tep(&args, talk, line),
        Command::Power(args) => analyse::power(&args, talk, line),
        Command::Tfr(args) => analyse::tfr(&args, talk, line),
        Command::Connectivity(args) => analyse::connectivity(&args, talk, line),
        Command::Tacs(args) => tacs::run(&args, talk, line),
        Command::Waveform(args) => waveform::run(&args, talk, line),
        Command::Run(args) => analyse::run(&args, talk, line),
        Command::Recipe { name: None } => {
            print(|out| BUILTIN.iter().try_for_each(|b| writeln!(out, "{:<12} {}", b.name, b.about)))
        }
        Command::Recipe { name: Some(name) } => {
            let builtin = crate::recipe::Builtin::find(&name)?;
            print(|out| out.write_all(builtin.text.as_bytes()))
        }
        Command::Check(args) => check::run(&args, talk),
        Command::Columns(args) => columns::run(&args),
        Command::Simulate(args) => simulate::run(&args, talk),
        Command::Convert(args) => convert::run(&args, talk),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "stimkit", &mut text);
            print(|out| out.write_all(&text))
        }
        Command::Man => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut text)
                .map_err(|e| Error::new(crate::ErrorKind::Io, e.to_string()))?;
            print(|out| out.write_all(&text))
        }
    }
}

/// Exit code over several files, of which some failed with these codes: an only file's own, else 1.
fn exit_code(failures: &[u8], files: usize) -> u8 {
    match failures {
        [] => 0,
        [code] if files == 1 => *code,
        _ => 1,
    }
}

/// Writes data to stdout. A reader that has seen enough (`| head`) is not an error.
fn print(write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<u8> {
    let mut out = std::io::BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::output("stdout", &e)),
        _ => Ok(0),
    }
}
