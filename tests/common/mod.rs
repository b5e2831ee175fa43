//! A small laboratory for tests: recordings in memory, run live or as a batch, compared byte by byte.
#![allow(dead_code)]

use stimkit::flow::Source;
use stimkit::read::memory::MemorySource;
use stimkit::recipe::{Recipe, StagePart};
use stimkit::run::{Input, Models, Options, Pipeline, found_events};
use stimkit::signal::{Block, Channel, ChannelKind, Event, EventName, Recording, Segment, Stream, montage};
use stimkit::simulate::TmsSimulation;
use stimkit::table::{Identity, Table};
use stimkit::unit::{Rate, Tick, Unit};

/// Numerical Recipes' generator: enough to cut blocks.
pub struct Lcg(pub u32);

impl Lcg {
    pub fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }
}

/// Names of the events that a lab can hold.
pub const EVENTS: [&str; 3] = ["TMS", "pre", "post"];

/// A recording in memory that can be changed.
#[derive(Clone)]
pub struct Lab {
    pub name: String,
    pub rate: f64,
    pub channels: Vec<Channel>,
    pub rows: Vec<Vec<f64>>,
    pub events: Vec<Event>,
    pub segments: Vec<Segment>,
}

const LABELS: [&str; 16] =
    ["Fp1", "Fp2", "F3", "Fz", "Cz", "F4", "C3", "C4", "P3", "Pz", "P4", "O1", "O2", "FC1", "CP1", "FC3"];

/// A simulated TMS recording with pulses every 1.2 s or so.
pub fn lab(channels: usize, rate: f64, seconds: f64, seed: u64) -> Lab {
    simulated(&settings(channels, rate, seconds, seed))
}

/// The same without artefacts: what follows a pulse is the response, and no trial need be rejected.
pub fn calm(channels: usize, rate: f64, seconds: f64, seed: u64) -> Lab {
    let settings = settings(channels, rate, seconds, seed);
    simulated(&TmsSimulation { pulse_uv: 0.0, decay_uv: 0.0, muscle_uv: 0.0, recharge_uv: 0.0, ..settings })
}

fn settings(channels: usize, rate_hz: f64, seconds: f64, seed: u64) -> TmsSimulation {
    let interval = TmsSimulation { interval_s: 1.2, jitter_s: 0.1, ..TmsSimulation::default() };
    TmsSimulation { channels, rate_hz, seconds, seed, ..interval }
}

fn simulated(settings: &TmsSimulation) -> Lab {
    let mut source = settings.build().unwrap();
    let recording = source.recording().clone();
    let stream = recording.main_stream();
    let rows = stimkit::flow::read_all(&mut source, stream.channels.len(), 997).unwrap();
    Lab {
        name: "lab".into(),
        rate: settings.rate_hz,
        channels: stream.channels.clone(),
        rows,
        events: recording.events.clone(),
        segments: stream.segments.clone(),
    }
}

impl Lab {
    /// Zeros, without events.
    pub fn silent(channels: usize, rate: f64, seconds: f64) -> Self {
        let n = (rate * seconds) as usize;
        let channels: Vec<Channel> = LABELS[..channels]
            .iter()
            .map(|l| Channel {
                position: montage::position_of(l),
                ..Channel::new(*l, ChannelKind::Eeg, Unit::Microvolt)
            })
            .collect();
        Self {
            name: "lab".into(),
            rate,
            rows: vec![vec![0.0; n]; channels.len()],
            channels,
            events: Vec::new(),
            segments: vec![Segment { first: Tick(0), length: n as u64, start_s: 0.0 }],
        }
    }

    /// Time jumps by `seconds` at `tick`.
    pub fn with_gap(mut self, tick: i64, seconds: f64) -> Self {
        let n = self.rows[0].len() as u64;
        let first = Segment { first: Tick(0), length: tick as u64, start_s: 0.0 };
        let second = Segment { first: Tick(tick), length: n - tick as u64, start_s: tick as f64 / self.rate + seconds };
        self.segments = vec![first, second];
        self
    }

    /// Two halves that are compared: `pre` from the beginning, `post` from the middle on.
    pub fn halves(mut self) -> Self {
        let middle = self.rows[0].len() as i64 / 2;
        let half = |(name, tick)| Event::new(Tick(tick), EventName(name));
        self.events.extend([(1, 0), (2, middle)].map(half));
        self.events.sort_by_key(|e| e.tick);
        self
    }

    /// The same samples, only events from `tick` on.
    pub fn only_events_from(&self, tick: i64) -> Self {
        let mut lab = self.clone();
        lab.events.retain(|e| e.tick.0 >= tick);
        lab
    }

    /// Samples and events from `tick` on, as a recording of its own.
    pub fn after(&self, tick: i64) -> Self {
        let mut lab = self.clone();
        lab.rows.iter_mut().for_each(|r| drop(r.drain(..tick as usize)));
        lab.events.retain(|e| e.tick.0 >= tick);
        lab.events.iter_mut().for_each(|e| e.tick.0 -= tick);
        lab.segments = vec![Segment { first: Tick(0), length: lab.rows[0].len() as u64, start_s: 0.0 }];
        lab
    }

    pub fn recording(&self) -> Recording {
        let stream = Stream {
            rate: Rate::from_hz(self.rate).unwrap(),
            channels: self.channels.clone(),
            file_index: (0..self.channels.len()).collect(),
            segments: self.segments.clone(),
        };
        // names without an event are not there
        let named = self.events.iter().map(|e| 1 + e.name.0 as usize).max().unwrap_or(1).min(EVENTS.len());
        Recording {
            name: self.name.clone(),
            format: "memory".into(),
            streams: vec![stream],
            main: 0,
            events: self.events.clone(),
            event_names: EVENTS[..named].iter().map(ToString::to_string).collect(),
            event_is_stimulus: vec![true; named],
            start: None,
            line_hz: Some(50.0),
            epoched: None,
            warnings: Vec::new(),
        }
    }

    pub fn source(&self) -> Box<dyn Source> {
        Box::new(MemorySource::new(self.recording(), vec![self.rows.clone()]).unwrap())
    }
}

/// A built-in recipe, cut to what a short test recording can hold.
pub fn quick(name: &str) -> Recipe {
    let text = stimkit::recipe::Builtin::find(name).unwrap().text;
    let mut patches =
        vec!["cut.window_ms=[-500,500]".to_owned(), "cut.event='TMS'".to_owned(), "input.line=50".to_owned()];
    patches.push("epoch.baseline.window_ms=[-400,-10]".into());
    if name == "tep" {
        patches.push("epoch.detrend.fit_ms=[[-500,-10],[400,500]]".into());
        patches.push("epoch.reject.window_ms=[[-400,-10],[50,450]]".into());
        patches.push("epoch.bad-channels.window_ms=[[-400,-10],[50,450]]".into());
    }
    if name != "tep-1hz" {
        patches.push("epoch.reject.max_ptp_uv=400".into());
    }
    Recipe::patched(text, &patches).unwrap()
}

/// Windows by the clock while an event lasts, or up to the next one.
pub fn clocked() -> Recipe {
    let text = "[input]\nline = 50\n[[stream]]\nuse = 'butterworth'\nband_hz = [1, 80]\norder = 2\nphase = 'causal'\n\
                [cut]\nevery_ms = 250\nstep_ms = 125\nwithin = 'TMS'\n[[marker]]\nuse = 'tep'\n";
    Recipe::parse(text).unwrap()
}

/// The recipes of power, time-frequency and connectivity, what changes from `pre` to `post` ([`Lab::halves`] has both), and all their
/// markers in all modes by the clock and around events.
pub fn spectral() -> Vec<(&'static str, Recipe)> {
    let patches = ["input.line=50", "epoch.reject.max_ptp_uv=1e6", "epoch.bad-channels.max_ptp_uv=1e6"];
    let builtin = |name: &'static str| {
        let text = stimkit::recipe::Builtin::find(name).unwrap().text;
        let mut patches = patches.map(str::to_owned).to_vec();
        patches.extend(text.contains("event = \"auto\"").then(|| "cut.event='TMS'".to_owned()));
        if name == "pre-post" {
            // as many blocks as an interval needs, of a short recording
            patches.extend(["cut.every_ms=1000", "marker.after-effect.block_epochs=1"].map(str::to_owned));
        }
        (name, Recipe::patched(text, &patches).unwrap())
    };
    let names = ["power", "connectivity", "rest-connectivity-lagfree", "pre-pulse-state", "tfr", "tms-tfr", "pre-post"];
    let mut recipes = names.map(builtin).to_vec();
    recipes.extend([("by the clock", every_marker("").0), ("around events", every_marker("").1)]);
    recipes
}

/// All markers of power, time-frequency and connectivity in all modes: by the clock, and around events. `surrogates` goes
/// to the first connectivity.
pub fn every_marker(surrogates: &str) -> (Recipe, Recipe) {
    let clocked = format!(
        "[input]\nline = 50\n[[stream]]\nuse = 'decimate'\nto_hz = 250\n[cut]\nevery_ms = 2000\n\
         [[marker]]\nuse = 'power'\nratios = [['theta', 'beta']]\n\
         [[marker]]\nuse = 'power'\npsd = {{ segment_ms = 1000, average = 'median', median_segments = 8 }}\n\
         [[marker]]\nuse = 'power'\npsd = {{ method = 'multitaper', adaptive = true }}\n\
         [[marker]]\nuse = 'aperiodic'\n[[marker]]\nuse = 'aperiodic'\nmethod = 'irasa'\nrange_hz = [3, 30]\n\
         [[marker]]\nuse = 'rhythm'\n[[marker]]\nuse = 'index'\n\
         [[marker]]\nuse = 'pac'\nmeasures = ['mi', 'mvl', 'ndpac']\nsurrogates = 10\nacross = true\n\
         nm = [{{ n = 1, m = 2, a_hz = [9, 11], b_hz = [18, 22] }}]\n\
         [[marker]]\nuse = 'connectivity'\nmeasures = ['coh', 'msc', 'cohy_re', 'cohy_im', 'imcoh', 'plv', 'ciplv', 'ppc', \
         'pli', 'pli2_unbiased', 'dpli', 'wpli', 'wpli_signed', 'wpli2_debiased', 'psi', 'mic', 'mim', 'aec', 'aec_orth']\n\
         {surrogates}\n[marker.bands_hz]\nalpha = [8, 13]\n[marker.graph]\n[marker.sets]\nfront = ['F*']\nback = ['C*', 'P*']\n\
         [[marker]]\nuse = 'connectivity'\nmode = 'fourier'\nfull = true\nmeasures = ['coh', 'wpli']\n\
         [marker.bands_hz]\nalpha = [8, 13]\n\
         [[marker]]\nuse = 'connectivity'\nmode = 'morlet'\nmeasures = ['plv', 'pli']\n[marker.bands_hz]\nbeta = [13, 20]\n\
         [[marker]]\nuse = 'connectivity'\nmeasures = ['gc', 'gc_tr', 'pdc', 'dtf']\nvar = {{ max_order = 5 }}\n\
         [marker.bands_hz]\nalpha = [8, 13]\n"
    );
    let around = "[input]\nline = 50\n[[stream]]\nuse = 'decimate'\nto_hz = 250\n\
                  [cut]\nevent = 'TMS'\nwindow_ms = [-1100, 600]\n\
                  [[marker]]\nuse = 'tfr'\nrange_hz = [8, 40]\nstep_ms = 20\nbaseline_ms = [-500, -200]\nwindows_ms = [[20, 300]]\n\
                  [[marker]]\nuse = 'tfr'\nmode = 'multitaper'\nrange_hz = [8, 40]\nstep_hz = 4\nstep_ms = 20\nn_cycles = 5\n\
                  power = 'induced'\nbaseline_ms = [-500, -200]\nwindows_ms = [[20, 300]]\n\
                  [[marker]]\nuse = 'tfr'\nmode = 'hilbert'\nstep_ms = 20\nbaseline_ms = [-500, -200]\nwindows_ms = [[20, 300]]\n\
                  baseline_per_trial = true\n[[marker]]\nuse = 'spread'\n[[marker]]\nuse = 'state'\n";
    (Recipe::parse(&clocked).unwrap(), Recipe::parse(around).unwrap())
}

/// Every part that cleans, with what else it must be told.
pub fn methods() -> Vec<(&'static str, &'static str)> {
    StagePart::NAMES
        .iter()
        .filter(|name| cleaning(name, "").is_some())
        .map(|name| match *name {
            "sass" => (*name, "band_hz = [8, 12]"),
            _ => (*name, ""),
        })
        .collect()
}

/// The recipe of a method, where it is one that cleans.
pub fn cleaning(method: &str, keys: &str) -> Option<Recipe> {
    let text = format!(
        "[input]\nchannels = '*'\nline = 'off'\n[[stream]]\nuse = '{method}'\n{keys}\n[cut]\nevery_ms = 500\n\
         within = ['pre', 'stim', 'post']\n[[marker]]\nuse = 'tep'\n"
    );
    let recipe = Recipe::parse(&text).ok()?;
    (!recipe.stream[0].config().tables().is_empty()).then_some(recipe)
}

/// 26 s of a calm brain under a sine of 10.0002 Hz and up to 4 mV from 8 s to 20 s, and a copy of the current.
pub fn under_stimulation(channels: usize, seed: u64) -> Lab {
    let rate = 500.0;
    let mut lab = calm(channels, rate, 26.0, seed);
    lab.events.clear();
    let wave = |i: usize| {
        let t = i as f64 / rate;
        let turns = std::f64::consts::TAU * 10.0002 * t;
        if (8.0..20.0).contains(&t) { (turns + 0.4).sin() + 0.002 * (2.0 * turns).cos() } else { 0.0 }
    };
    for (c, row) in lab.rows.iter_mut().enumerate() {
        let size = 4000.0 * (0.3 + 0.7 * ((c * 37 + 11) % 23) as f64 / 23.0) * if c % 3 == 0 { -1.0 } else { 1.0 };
        row.iter_mut().enumerate().for_each(|(i, v)| *v += size * wave(i));
    }
    let copy = (0..lab.rows[0].len()).map(|i| 2.0 * wave(i)).collect();
    lab.rows.push(copy);
    lab.channels.push(Channel::new("STIM", ChannelKind::Stim, Unit::Milliampere));
    lab
}

/// A pipeline with models, what it takes to feed it, and the lab with the events that the models tell of.
pub fn ready(lab: &Lab, recipe: &Recipe, models: &Models) -> (Pipeline, Vec<usize>, Lab) {
    let (mut input, chosen) = Input::of(&lab.recording(), recipe).unwrap();
    let events: Vec<Event> = found_events(recipe, models, &mut input);
    assert!(!events.is_empty());
    let pipeline = Pipeline::build(recipe, &input, models, 1).unwrap();
    (pipeline, chosen, Lab { events, ..lab.clone() })
}

pub fn options(threads: usize) -> Options<'static> {
    Options { threads, ..Options::default() }
}

/// Pushes a lab's samples as an amplifier would: blocks of the sizes that `next_size` gives, events `late` ticks after their sample.
pub fn live(lab: &Lab, recipe: &Recipe, late: i64, next_size: impl FnMut(usize) -> usize) -> Vec<Table> {
    let (input, chosen) = Input::of(&lab.recording(), recipe).unwrap();
    let mut pipeline = Pipeline::build(recipe, &input, &Vec::new(), 1).unwrap();
    play(&mut pipeline, lab, &chosen, late, next_size)
}

/// The same, into a pipeline that is there, for the chosen channels.
pub fn play(
    pipeline: &mut Pipeline,
    lab: &Lab,
    chosen: &[usize],
    late: i64,
    mut next_size: impl FnMut(usize) -> usize,
) -> Vec<Table> {
    let (mut rows, mut drained) = (Vec::new(), Vec::new());
    let mut events = lab.events.iter().peekable();
    let mut block = Block::new(chosen.len(), 100_000);
    let mut i = 0;
    for (s, segment) in lab.segments.iter().enumerate() {
        let (mut at, end) = (segment.first.0, segment.end().0);
        while at < end {
            let len = next_size(i).min((end - at) as usize).min(100_000);
            i += 1;
            // an event is cued at the last moment: before the sample `late` ticks after its own is pushed
            while let Some(event) = events.next_if(|e| e.tick.0 + late < at + len as i64) {
                pipeline.cue(event);
            }
            block.start(s as u32, at, len);
            for (c, &row) in chosen.iter().enumerate() {
                for k in 0..len {
                    block.set(c, k, lab.rows[row][at as usize + k]);
                }
            }
            pipeline.push(&block);
            pipeline.drain(&mut rows, &mut drained);
            at += len as i64;
        }
    }
    events.for_each(|e| pipeline.cue(e));
    pipeline.finish(&mut rows).unwrap();
    pipeline.drain(&mut rows, &mut drained);
    stimkit::run::all_results(pipeline, rows, drained)
}

pub fn table<'t>(tables: &'t [Table], name: &str) -> &'t Table {
    tables.iter().find(|t| t.name() == name).unwrap_or_else(|| panic!("no table {name}"))
}

/// One table as CSV.
pub fn csv(table: &Table) -> Vec<u8> {
    let mut out = Vec::new();
    table.write_header(&mut out, false).unwrap();
    table.write_rows(&mut out, &Identity::default(), &["TMS".into()], false).unwrap();
    out
}

/// All tables as CSV, one after another.
pub fn bytes(tables: &[Table]) -> Vec<u8> {
    tables.iter().flat_map(|t| [t.name().as_bytes().to_vec(), csv(t)].concat()).collect()
}

/// Fails with the first line that differs.
#[track_caller]
pub fn same(a: &[Table], b: &[Table], what: &str) {
    same_lines(a, b, what, |_| true);
}

/// The same for the lines that count.
#[track_caller]
pub fn same_lines(a: &[Table], b: &[Table], what: &str, counts: impl Fn(&str) -> bool) {
    let names = |tables: &[Table]| tables.iter().map(|t| t.name()).collect::<Vec<_>>();
    assert_eq!(names(a), names(b), "{what}: tables");
    for (a, b) in a.iter().zip(b) {
        let (name, [a, b]) = (a.name(), [a, b].map(|t| String::from_utf8(csv(t)).unwrap()));
        let [mut x, mut y] = [&a, &b].map(|t| t.lines().filter(|l| counts(l)));
        loop {
            match (x.next(), y.next()) {
                (None, None) => break,
                (x, y) => assert_eq!(x, y, "{what} differ in {name}"),
            }
        }
    }
}

/// For tests that make events by hand.
pub fn event(tick: i64) -> Event {
    Event::new(Tick(tick), EventName(0))
}
