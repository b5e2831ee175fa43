//! One pass over the stream: sums over stretches of samples, all channels, several threads.

use crate::dsp::normal::{Carriers, Column, LineOf, Normal, TILE, add_columns, add_group};
use crate::flow::Replay;
use crate::signal::{Block, Channel, LANES, Lanes};
use crate::{Error, Result};
use rayon::prelude::*;
use std::ops::Range;

/// At the limit of a number type: within this share of its range.
const AT_LIMIT: f64 = 1e-9;
/// Tiles whose columns are made at once.
const AT_ONCE: usize = 8;

/// A stretch whose sums are wanted: columns 1, cos, sin, …, then the same times u, u², …, with u = (n − origin) / scale.
pub(super) struct Job {
    pub range: Range<i64>,
    pub origin: f64,
    pub scale: f64,
    pub normal: Normal,
    carriers: Carriers,
    degree: usize,
}

impl Job {
    /// For the coefficients of `lines`, polynomials of `degree` in time.
    pub fn new(range: Range<i64>, lines: &[LineOf], degree: usize, groups: usize) -> Self {
        let carriers = Carriers::new(lines);
        let length = (range.end - range.start) as f64;
        let normal = Normal::new((carriers.width() + 1) * (degree + 1), groups);
        let origin = range.start as f64 + (length - 1.0) / 2.0;
        Self { range, origin, scale: (length / 2.0).max(1.0), normal, carriers, degree }
    }

    /// Columns of degree 0.
    pub fn width(&self) -> usize {
        self.carriers.width() + 1
    }

    fn fill(&mut self, first: i64, n: usize, columns: &mut [Column]) {
        let width = self.width();
        columns[0][..n].fill(1.0);
        self.carriers.fill(first, n, &mut columns[1..width]);
        for d in 1..=self.degree {
            let (before, own) = columns.split_at_mut(d * width);
            let before = &before[(d - 1) * width..];
            for (own, before) in own[..width].iter_mut().zip(before) {
                for (j, (v, b)) in own[..n].iter_mut().zip(before).enumerate() {
                    *v = b * (((first + j as i64) as f64 - self.origin) / self.scale);
                }
            }
        }
    }
}

/// Adds every sample of the stream to the job it belongs to; jobs are in order and do not overlap. `look` sees every block.
pub(super) fn run(
    stream: &mut dyn Replay,
    jobs: &mut [Job],
    pool: &rayon::ThreadPool,
    look: &mut dyn FnMut(&Block),
) -> Result<()> {
    let width = jobs.iter().map(|j| j.width() * (j.degree + 1)).max().unwrap_or(0);
    let mut columns: Vec<Vec<Column>> = vec![vec![[0.0; TILE]; width]; AT_ONCE];
    let parts = width.div_ceil(LANES);
    let mut packed: Vec<[Lanes; TILE]> = vec![[[0.0; LANES]; TILE]; parts];
    let mut block = Block::for_stream(stream.info());
    stream.rewind()?;
    let mut from = 0;
    while stream.next(&mut block)? {
        look(&block);
        while jobs.get(from).is_some_and(|j| j.range.end <= block.first()) {
            from += 1;
        }
        for job in jobs[from..].iter_mut() {
            if job.range.start >= block.end() {
                break;
            }
            let stop = job.range.end.min(block.end());
            let mut at = job.range.start.max(block.first());
            while at < stop {
                let n = ((stop - at) as usize).min(AT_ONCE * TILE);
                let own = job.width() * (job.degree + 1);
                for (tile, columns) in columns[..n.div_ceil(TILE)].iter_mut().enumerate() {
                    job.fill(at + (tile * TILE) as i64, (n - tile * TILE).min(TILE), columns);
                }
                let place = (at - block.first()) as usize;
                add(&mut job.normal, &columns, own, &block, place, n, &mut packed, pool);
                at += n as i64;
            }
        }
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)]
fn add(
    normal: &mut Normal,
    columns: &[Vec<Column>],
    width: usize,
    block: &Block,
    place: usize,
    n: usize,
    packed: &mut [[Lanes; TILE]],
    pool: &rayon::ThreadPool,
) {
    let (gram, groups) = normal.parts(n);
    let tiles = || (0..n).step_by(TILE).map(|from| (from / TILE, from, (n - from).min(TILE)));
    let column_part = |part: usize, sums: &mut Vec<Lanes>, packed: &mut [Lanes; TILE]| {
        for (tile, _, n) in tiles() {
            add_columns(&columns[tile][..width], part, n, packed, sums);
        }
    };
    let group_part = |group: usize, right: &mut Vec<Lanes>, squares: &mut Lanes| {
        for (tile, from, n) in tiles() {
            add_group(&columns[tile][..width], &block.group(group)[place + from..][..n], right, squares);
        }
    };
    if pool.current_num_threads() == 1 {
        gram.iter_mut().zip(packed).enumerate().for_each(|(p, (sums, packed))| column_part(p, sums, packed));
        groups.enumerate().for_each(|(g, (right, squares))| group_part(g, right, squares));
        return;
    }
    let groups: Vec<(usize, (&mut Vec<Lanes>, &mut Lanes))> = groups.enumerate().collect();
    pool.install(|| {
        rayon::join(
            || groups.into_par_iter().for_each(|(g, (right, squares))| group_part(g, right, squares)),
            || {
                gram.par_iter_mut()
                    .zip(packed)
                    .enumerate()
                    .for_each(|(p, (sums, packed))| column_part(p, sums, packed));
            },
        )
    });
}

/// Threads for [`run`].
pub(super) fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    let built = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build();
    built.map_err(|e| Error::new(crate::ErrorKind::Interrupted, format!("no threads: {e}")))
}

/// Whether channels lie at their extremes: how often, and how long without a break.
#[derive(Debug, Clone)]
pub(super) struct Extremes {
    channels: Vec<[Extreme; 2]>,
    /// The limits of the channels' number types (of x, and of −x); what reaches them counts as equal to them.
    limits: Vec<[f64; 2]>,
    n: u64,
}

/// The largest value so far (of x, or of −x), how often it stood, the longest run, the run that ends at `last`.
#[derive(Debug, Clone, Copy)]
struct Extreme {
    value: f64,
    count: u64,
    longest: u64,
    run: u64,
    last: i64,
}

impl Extremes {
    pub fn new(channels: &[Channel]) -> Self {
        let none = Extreme { value: f64::NEG_INFINITY, count: 0, longest: 0, run: 0, last: i64::MIN };
        let limits = channels.iter().map(|c| match c.range {
            Some([low, high]) if low < high => {
                let near = AT_LIMIT * (high - low);
                [high - near, -(low + near)]
            }
            _ => [f64::INFINITY; 2],
        });
        Self { channels: vec![[none; 2]; channels.len()], limits: limits.collect(), n: 0 }
    }

    /// Takes the samples of a block that lie in `on`.
    pub fn add(&mut self, block: &Block, on: &Range<i64>) {
        let (from, to) = (on.start.max(block.first()), on.end.min(block.end()));
        if from >= to {
            return;
        }
        self.n += (to - from) as u64;
        let part = (from - block.first()) as usize..(to - block.first()) as usize;
        let channels = self.channels.len();
        for g in 0..block.groups() {
            let x = &block.group(g)[part.clone()];
            let (low, high) = range(x);
            for (l, own) in self.channels[g * LANES..channels.min((g + 1) * LANES)].iter_mut().enumerate() {
                for (k, (top, sign)) in [(high[l], 1.0), (-low[l], -1.0)].into_iter().enumerate() {
                    let limit = self.limits[g * LANES + l][k];
                    if top.min(limit) >= own[k].value {
                        x.iter().enumerate().for_each(|(i, x)| own[k].take((sign * x[l]).min(limit), from + i as i64));
                    }
                }
            }
        }
    }

    /// Share of samples at an extreme, the longest run, and whether nothing ever moved.
    pub fn of(&self, channel: usize) -> (f64, u64, bool) {
        let [high, low] = self.channels[channel];
        let flat = high.value == -low.value;
        let count = [high, low].iter().map(|e| if e.count > 1 { e.count } else { 0 }).sum::<u64>();
        (count as f64 / self.n.max(1) as f64, high.longest.max(low.longest), flat)
    }
}

impl Extreme {
    fn take(&mut self, v: f64, n: i64) {
        if v > self.value {
            *self = Self { value: v, count: 1, longest: 1, run: 1, last: n };
        } else if v == self.value {
            self.run = if n == self.last + 1 { self.run + 1 } else { 1 };
            (self.count, self.last) = (self.count + 1, n);
            self.longest = self.longest.max(self.run);
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx+avx2"))]
fn range(x: &[Lanes]) -> (Lanes, Lanes) {
    let (mut low, mut high) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    for x in x {
        for l in 0..LANES {
            low[l] = if x[l] < low[l] { x[l] } else { low[l] };
            high[l] = if x[l] > high[l] { x[l] } else { high[l] };
        }
    }
    (low, high)
}
