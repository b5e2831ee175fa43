//! The `stimkit` command: maps the result of [`stimkit::cli::main`] to an exit code, nothing else.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(stimkit::cli::main(std::env::args_os()))
}
