//! `columns`: what each column means.

use crate::run::all_tables;
use crate::table::IDENTITY;
use crate::{Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of a table; without it all tables are listed
    table: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<u8> {
    let tables = all_tables();
    let Some(name) = &args.table else {
        return super::print(|out| tables.iter().try_for_each(|t| writeln!(out, "{:<14} {}", t.name, t.about)));
    };
    let Some(table) = tables.iter().find(|t| t.name == name) else {
        let error = Error::usage(format!("no table is called {name}"));
        let near = crate::names::nearest(name, tables.iter().map(|t| t.name));
        return Err(error.with_hint(
            near.map_or_else(|| "`stimkit columns` lists them".to_owned(), |n| format!("did you mean {n}?")),
        ));
    };
    super::print(|out| {
        writeln!(out, "{}: {}", table.name, table.about)?;
        for column in IDENTITY.iter().chain(table.columns) {
            let unit = if column.unit.is_empty() { String::new() } else { format!(" [{}]", column.unit) };
            writeln!(out, "  {:<24} {}{unit}", column.name, column.about)?;
        }
        Ok(())
    })
}
