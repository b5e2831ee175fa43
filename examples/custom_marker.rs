//! A marker of one's own: `cargo run --release --example custom_marker -- fixtures/demo/demo.vhdr Cz`

use stimkit::flow::{EpochInfo, Marker, Report};
use stimkit::recipe::Recipe;
use stimkit::run::{Options, analyse};
use stimkit::signal::Epoch;
use stimkit::table::{Cell, Column, Table, TableSpec};

static SPEC: TableSpec = TableSpec {
    name: "response_size",
    about: "Mean and spread over trials of one channel's mean from 80 to 120 ms",
    series: false,
    columns: &[
        Column::new("n_trials", "", "Trials"),
        Column::new("mean_uv", "uV", "Mean over trials"),
        Column::new("sd_uv", "uV", "Standard deviation over trials"),
    ],
};

#[derive(Default)]
struct ResponseSize {
    channel: usize,
    n: u64,
    mean: f64,
    squares: f64,
}

impl Marker for ResponseSize {
    fn observe(&mut self, epoch: &Epoch) {
        let Some(window) = epoch.window([80.0, 120.0]) else { return };
        let x = &epoch.channel(self.channel)[window];
        let off = x.iter().sum::<f64>() / x.len() as f64 - self.mean;
        self.n += 1;
        self.squares += off * off * (self.n - 1) as f64 / self.n as f64; // Welford (1962)
        self.mean += off / self.n as f64;
    }

    fn report(&self, _: &Report<'_>) -> Vec<Table> {
        let sd = (self.squares / (self.n.max(2) - 1) as f64).sqrt();
        let mut table = Table::new(&SPEC);
        table.push(None, [Cell::from(self.n), self.mean.into(), sd.into()]);
        vec![table]
    }
}

fn main() -> stimkit::Result<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap_or("fixtures/demo/demo.vhdr".into());
    let name = args.next().unwrap_or("Cz".into());
    let make = |input: &EpochInfo| {
        let channel = input.channels.iter().position(|c| c.name == name)?;
        Some(Box::new(ResponseSize { channel, ..ResponseSize::default() }) as Box<dyn Marker>)
    };
    let options = Options { markers: vec![&make], ..Options::default() };
    let analysis = analyse(path.as_ref(), &Recipe::builtin("tep")?, &options)?;
    let number = |column| analysis.tables.iter().find(|t| t.name() == SPEC.name).and_then(|t| t.number(0, column));
    println!("{:?} trials: {:?} uV, spread {:?} uV", number("n_trials"), number("mean_uv"), number("sd_uv"));
    Ok(())
}
