//! One pass over the stream: sums over stretches of samples, all channels, several threads.

use crate::dsp::folded::{FOLDED, Folded};
use crate::dsp::normal::{Carriers, Column, LineOf, Normal, TILE, accumulate, add_columns, add_squares, gram_of};
use crate::flow::Replay;
use crate::signal::{Block, Channel, LANES, Lanes};
use crate::{Error, ErrorKind, Result};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// At the limit of a number type: within this share of its range.
const AT_LIMIT: f64 = 1e-9;

/// Blocks that a worker takes at once: each time it must be woken costs as much as a block, but more of them than a cache holds (64
/// channels: 1 MB) have left it before they are added up.
const BATCH: usize = 4;
/// Batches that may wait for a worker.
const WAITING: usize = 1;

/// Columns 1, cos, sin, … of some lines, then products of columns with u.
pub(super) struct Design {
    lines: Vec<LineOf>,
    carriers: Carriers,
    /// Half the work, where the lines are steady.
    folded: Option<Folded>,
    /// Columns that are multiplied by u, each to make one more; those made before may be among them.
    sloped: Vec<usize>,
}

impl Design {
    /// The coefficients of `lines` are polynomials of `degree` in time: all columns times u, then all of them times u², ….
    pub fn polynomial(lines: &[LineOf], degree: usize) -> Arc<Self> {
        let width = 1 + lines.iter().map(LineOf::width).sum::<usize>();
        Self::sloped(lines, (0..degree * width).collect())
    }

    /// The coefficients of the columns `sloped` are straight lines in time.
    pub fn sloped(lines: &[LineOf], sloped: Vec<usize>) -> Arc<Self> {
        let (carriers, folded) = (Carriers::new(lines), Folded::new(lines, &sloped));
        Arc::new(Self { lines: lines.to_vec(), carriers, folded, sloped })
    }

    /// Columns that are not multiplied.
    fn width(&self) -> usize {
        self.carriers.width() + 1
    }

    /// All columns.
    fn all(&self) -> usize {
        self.width() + self.sloped.len()
    }
}

/// A stretch whose sums are wanted, with u = (n − origin) / scale.
pub(super) struct Job {
    pub range: Range<i64>,
    pub origin: f64,
    pub scale: f64,
    pub normal: Normal,
    /// Those of the design, turned.
    lines: Vec<LineOf>,
    design: Arc<Design>,
}

impl Job {
    pub fn new(range: Range<i64>, design: &Arc<Design>, groups: usize) -> Self {
        let length = (range.end - range.start) as f64;
        let normal = Normal::new(design.all(), groups);
        let (origin, scale) = (range.start as f64 + (length - 1.0) / 2.0, (length / 2.0).max(1.0));
        Self { range, origin, scale, normal, lines: design.lines.clone(), design: Arc::clone(design) }
    }

    /// Columns that are not multiplied.
    pub fn width(&self) -> usize {
        self.design.width()
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
        for &column in &self.design.sloped {
            ahead.push(ahead[column]);
        }
        let pairs: Vec<(usize, f64)> = ahead.into_iter().enumerate().filter(|(_, angle)| *angle != 0.0).collect();
        if !pairs.is_empty() {
            self.normal.turn(&pairs);
        }
    }
}

/// What a worker makes the columns of a design with.
struct Maker {
    design: Arc<Design>,
    carriers: Carriers,
    folded: Option<Folded>,
}

impl Maker {
    fn new(design: &Arc<Design>) -> Self {
        Self { design: Arc::clone(design), carriers: design.carriers.clone(), folded: design.folded.clone() }
    }

    /// All columns of `n` samples from `first` on.
    fn fill(&mut self, first: i64, n: usize, u: impl Fn(i64) -> f64, columns: &mut [Column]) {
        let width = self.design.width();
        columns[0][..n].fill(1.0);
        self.carriers.fill(first, n, &mut columns[1..width]);
        for (made, &column) in self.design.sloped.iter().enumerate() {
            let (before, own) = columns.split_at_mut(width + made);
            for (j, (v, b)) in own[0][..n].iter_mut().zip(&before[column]).enumerate() {
                *v = b * u(first + j as i64);
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
    let width = jobs.iter().map(|j| j.design.all()).max().unwrap_or(0);
    let batch = || (0..BATCH).map(|_| Block::for_stream(stream.info())).collect::<Vec<Block>>();
    // once a batch was taken in, the one before is free; as many again may wait in the queue
    let mut batches: [Arc<Vec<Block>>; WAITING + 2] = std::array::from_fn(|_| Arc::new(batch()));
    stream.rewind()?;
    std::thread::scope(|scope| -> Result<()> {
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
    })?;
    for job in jobs.iter_mut().filter(|job| job.design.folded.is_some()) {
        let length = (job.range.end - job.range.start).max(0).unsigned_abs();
        if job.normal.len() != length {
            return Err(Error::data(format!(
                "samples {}…{} were there before; now there are {} of them",
                job.range.start,
                job.range.end - 1,
                job.normal.len()
            )));
        }
        let gram = gram_of(&job.design.lines, &job.design.sloped, job.range.start, length, job.scale);
        job.normal.set_gram(&gram);
    }
    Ok(())
}

/// What each of `n` workers adds up.
fn deal<'a>(jobs: &'a mut [&mut Job], n: usize) -> Vec<Vec<Share<'a>>> {
    let mut all: Vec<Vec<Share<'a>>> = (0..n).map(|_| Vec::new()).collect();
    for job in jobs {
        let Job { range, normal, design, origin, scale, .. } = &mut **job;
        let (count, gram, groups) = normal.parts();
        let own = || Share {
            design,
            origin: *origin,
            scale: *scale,
            range: range.clone(),
            count: None,
            gram: Vec::new(),
            groups: Vec::new(),
        };
        let mut own: Vec<Share<'a>> = (0..n).map(|_| own()).collect();
        own[0].count = Some(count);
        // CᵀC of steady lines is known beforehand; else, the later a part of it the longer it is: dealt out to and fro
        let gram = if design.folded.is_some() { &mut [] } else { gram };
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
    design: &'a Arc<Design>,
    origin: f64,
    scale: f64,
    range: Range<i64>,
    /// Samples of the job, with one of the workers.
    count: Option<&'a mut u64>,
    gram: Vec<(usize, &'a mut Vec<Lanes>)>,
    groups: Vec<(usize, &'a mut Vec<Lanes>, &'a mut Lanes)>,
}

struct Worker<'a> {
    shares: Vec<Share<'a>>,
    maker: Option<Maker>,
    columns: Vec<Column>,
    packed: Vec<Lanes>,
}

impl<'a> Worker<'a> {
    fn new(width: usize, shares: Vec<Share<'a>>) -> Self {
        Self { shares, maker: None, columns: vec![[0.0; TILE]; width], packed: vec![[0.0; LANES]; TILE] }
    }

    fn work(mut self, queue: &Receiver<Arc<Vec<Block>>>) {
        let mut from = 0;
        for batch in queue {
            for block in batch.iter().filter(|block| !block.is_empty()) {
                while self.shares.get(from).is_some_and(|s| s.range.end <= block.first()) {
                    from += 1;
                }
                let Self { shares, maker, columns, packed } = &mut self;
                for share in shares[from..].iter_mut().take_while(|s| s.range.start < block.end()) {
                    share.add(block, maker, columns, packed);
                }
            }
        }
    }
}

impl Share<'_> {
    fn add(&mut self, block: &Block, maker: &mut Option<Maker>, columns: &mut [Column], packed: &mut [Lanes]) {
        let range = self.range.start.max(block.first())..self.range.end.min(block.end());
        if let Some(count) = &mut self.count {
            **count += (range.end - range.start).max(0) as u64;
        }
        let maker = match maker {
            Some(maker) if Arc::ptr_eq(&maker.design, self.design) => maker,
            other => other.insert(Maker::new(self.design)),
        };
        let columns = &mut columns[..self.design.all()];
        let mut at = range.start;
        while at < range.end {
            let place = (at - block.first()) as usize;
            // tiles begin with the block
            let rest = FOLDED - place % FOLDED;
            if let Some(folded) = maker.folded.as_mut().filter(|_| rest == FOLDED && at + FOLDED as i64 <= range.end) {
                folded.at(at, self.origin, self.scale);
                for (group, right, squares) in &mut self.groups {
                    let x = &block.group(*group)[place..place + FOLDED];
                    folded.add(x, right);
                    add_squares(x, squares);
                }
                at += FOLDED as i64;
                continue;
            }
            let n = ((range.end - at) as usize).min(rest).min(TILE);
            maker.fill(at, n, |sample| (sample as f64 - self.origin) / self.scale, columns);
            for (part, sums) in &mut self.gram {
                add_columns(columns, *part, n, packed, sums);
            }
            for (group, right, squares) in &mut self.groups {
                let x = &block.group(*group)[place..place + n];
                accumulate(columns, x, right);
                add_squares(x, squares);
            }
            at += n as i64;
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
