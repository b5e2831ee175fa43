//! One pass over the stream: sums over stretches of samples, all channels, several threads.

use crate::dsp::normal::{Carriers, Column, LineOf, Normal, TILE, add_columns, add_group};
use crate::flow::Replay;
use crate::signal::{Block, Channel, LANES, Lanes};
use crate::{Error, ErrorKind, Result};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// At the limit of a number type: within this share of its range.
const AT_LIMIT: f64 = 1e-9;

/// Blocks that a worker takes at once: each time it must be woken costs as much as a block.
const BATCH: usize = 4;
/// Batches that may wait for a worker.
const WAITING: usize = 2;

/// A stretch whose sums are wanted: columns 1, cos, sin, … of its lines; then such columns times u, with u = (n − origin) / scale.
pub(super) struct Job {
    pub range: Range<i64>,
    pub origin: f64,
    pub scale: f64,
    pub normal: Normal,
    lines: Vec<LineOf>,
    carriers: Carriers,
    /// Columns that are multiplied by u, each to make one more; those made before may be among them.
    sloped: Vec<usize>,
}

impl Job {
    /// For the coefficients of `lines`, polynomials of `degree` in time: all columns times u, then all of them times u², ….
    pub fn new(range: Range<i64>, lines: &[LineOf], degree: usize, groups: usize) -> Self {
        let width = 1 + lines.iter().map(LineOf::width).sum::<usize>();
        Self::sloped(range, lines, (0..degree * width).collect(), groups)
    }

    /// For the coefficients of `lines`; those of the columns `sloped` are straight lines in time.
    pub fn sloped(range: Range<i64>, lines: &[LineOf], sloped: Vec<usize>, groups: usize) -> Self {
        let carriers = Carriers::new(lines);
        let length = (range.end - range.start) as f64;
        let normal = Normal::new(carriers.width() + 1 + sloped.len(), groups);
        let (origin, scale) = (range.start as f64 + (length - 1.0) / 2.0, (length / 2.0).max(1.0));
        Self { range, origin, scale, normal, lines: lines.to_vec(), carriers, sloped }
    }

    /// Columns that are not multiplied.
    pub fn width(&self) -> usize {
        self.carriers.width() + 1
    }

    /// All columns.
    fn all(&self) -> usize {
        self.width() + self.sloped.len()
    }

    /// The highest harmonic of its lines.
    pub fn highest(&self) -> usize {
        self.lines.iter().flat_map(|l| &l.harmonics).copied().max().unwrap_or(0)
    }

    /// Gives the sums for the frequencies of `others`, line by line, as far as their phase in the middle of the stretch tells.
    pub fn turn(&mut self, others: &[LineOf]) {
        let mut ahead: Vec<f64> = vec![0.0];
        for (i, line) in self.lines.iter_mut().enumerate() {
            let Some(other) = others.get(i).filter(|_| !line.is_nyquist()) else {
                ahead.extend(vec![0.0; line.width()]);
                continue;
            };
            let angle = other.ahead_of(line, self.origin);
            ahead.extend(line.harmonics.iter().flat_map(|&k| [k as f64 * angle, 0.0]));
            *line = LineOf { harmonics: std::mem::take(&mut line.harmonics), ..other.clone() };
        }
        for &column in &self.sloped {
            ahead.push(ahead[column]);
        }
        let pairs: Vec<(usize, f64)> = ahead.into_iter().enumerate().filter(|(_, angle)| *angle != 0.0).collect();
        if !pairs.is_empty() {
            self.normal.turn(&pairs);
        }
    }
}

/// How the columns of a job are made.
#[derive(Clone, Copy)]
struct Shape<'a> {
    carriers: &'a Carriers,
    sloped: &'a [usize],
    origin: f64,
    scale: f64,
}

impl Shape<'_> {
    fn fill(&self, carriers: &mut Carriers, first: i64, n: usize, columns: &mut [Column]) {
        let width = 1 + carriers.width();
        columns[0][..n].fill(1.0);
        carriers.fill(first, n, &mut columns[1..width]);
        for (made, &column) in self.sloped.iter().enumerate() {
            let (before, own) = columns.split_at_mut(width + made);
            for (j, (v, b)) in own[0][..n].iter_mut().zip(&before[column]).enumerate() {
                *v = b * (((first + j as i64) as f64 - self.origin) / self.scale);
            }
        }
    }
}

/// Adds every sample of the stream to the job it belongs to; jobs are in order and do not overlap. `look` sees every block.
///
/// Each worker makes the columns for itself and adds its share of the channels to all jobs, so that it waits for nothing but blocks;
/// the next of them is read meanwhile.
pub(super) fn run(
    stream: &mut dyn Replay,
    jobs: &mut [&mut Job],
    threads: usize,
    look: &mut dyn FnMut(&Block),
) -> Result<()> {
    let width = jobs.iter().map(|j| j.all()).max().unwrap_or(0);
    let batch = || (0..BATCH).map(|_| Block::for_stream(stream.info())).collect::<Vec<Block>>();
    // once a batch was taken in, the one before is free; as many again may wait in the queue
    let mut batches: [Arc<Vec<Block>>; WAITING + 2] = std::array::from_fn(|_| Arc::new(batch()));
    stream.rewind()?;
    std::thread::scope(|scope| {
        let mut queues: Vec<SyncSender<Arc<Vec<Block>>>> = Vec::new();
        for shares in deal(jobs, threads.max(1)) {
            let (to, queue) = sync_channel(WAITING);
            scope.spawn(move || Worker::new(width, shares).work(&queue));
            queues.push(to);
        }
        let mut more = true;
        while more {
            let Some(batch) = Arc::get_mut(&mut batches[0]) else {
                return Err(Error::new(ErrorKind::Interrupted, "a worker has stopped"));
            };
            for block in batch {
                more = more && stream.next(block)?;
                if more {
                    look(block);
                } else {
                    block.truncate(0);
                }
            }
            if queues.iter().any(|queue| queue.send(Arc::clone(&batches[0])).is_err()) {
                return Err(Error::new(ErrorKind::Interrupted, "a worker has stopped"));
            }
            batches.rotate_left(1);
        }
        Ok(())
    })
}

/// What each of `n` workers adds up.
fn deal<'a>(jobs: &'a mut [&mut Job], n: usize) -> Vec<Vec<Share<'a>>> {
    let mut all: Vec<Vec<Share<'a>>> = (0..n).map(|_| Vec::new()).collect();
    for job in jobs {
        let Job { range, normal, carriers, sloped, origin, scale, .. } = &mut **job;
        let shape = Shape { carriers, sloped, origin: *origin, scale: *scale };
        let (count, gram, groups) = normal.parts();
        let own = || Share { shape, range: range.clone(), count: None, gram: Vec::new(), groups: Vec::new() };
        let mut own: Vec<Share<'a>> = (0..n).map(|_| own()).collect();
        own[0].count = Some(count);
        // the later a part of CᵀC the longer it is: dealt out to and fro
        for (i, (part, sums)) in gram.iter_mut().enumerate().rev().enumerate() {
            let turn = i % (2 * n);
            own[turn.min(2 * n - 1 - turn)].gram.push((part, sums));
        }
        for (group, (right, squares)) in groups.enumerate() {
            own[group % n].groups.push((group, right, squares));
        }
        all.iter_mut().zip(own).for_each(|(all, own)| all.push(own));
    }
    all
}

/// What one worker adds to one job.
struct Share<'a> {
    shape: Shape<'a>,
    range: Range<i64>,
    /// Samples of the job, with one of the workers.
    count: Option<&'a mut u64>,
    gram: Vec<(usize, &'a mut Vec<Lanes>)>,
    groups: Vec<(usize, &'a mut Vec<Lanes>, &'a mut Lanes)>,
}

struct Worker<'a> {
    shares: Vec<Share<'a>>,
    columns: Vec<Column>,
    packed: Vec<Lanes>,
}

impl<'a> Worker<'a> {
    fn new(width: usize, shares: Vec<Share<'a>>) -> Self {
        Self { shares, columns: vec![[0.0; TILE]; width], packed: vec![[0.0; LANES]; TILE] }
    }

    fn work(mut self, queue: &Receiver<Arc<Vec<Block>>>) {
        let mut from = 0;
        for batch in queue {
            for block in batch.iter().filter(|block| !block.is_empty()) {
                while self.shares.get(from).is_some_and(|s| s.range.end <= block.first()) {
                    from += 1;
                }
                let Self { shares, columns, packed } = &mut self;
                for share in shares[from..].iter_mut().take_while(|s| s.range.start < block.end()) {
                    share.add(block, columns, packed);
                }
            }
        }
    }
}

impl Share<'_> {
    fn add(&mut self, block: &Block, columns: &mut [Column], packed: &mut [Lanes]) {
        let range = self.range.start.max(block.first())..self.range.end.min(block.end());
        if let Some(count) = &mut self.count {
            **count += (range.end - range.start).max(0) as u64;
        }
        let mut carriers = self.shape.carriers.clone();
        let columns = &mut columns[..1 + carriers.width() + self.shape.sloped.len()];
        for at in range.clone().step_by(TILE) {
            let n = ((range.end - at) as usize).min(TILE);
            self.shape.fill(&mut carriers, at, n, columns);
            for (part, sums) in &mut self.gram {
                add_columns(columns, *part, n, packed, sums);
            }
            let place = (at - block.first()) as usize;
            for (group, right, squares) in &mut self.groups {
                add_group(columns, &block.group(*group)[place..place + n], right, squares);
            }
        }
    }
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
