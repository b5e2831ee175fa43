//! The gaps that lie ahead, in order of time, in bounded memory.

use std::collections::VecDeque;

/// One window around one event, in samples, both ends included.
#[derive(Debug, Clone, Copy)]
struct Gap {
    first: i64,
    last: i64,
    event: i64,
    /// Cued before the last reset.
    carried: bool,
}

/// Gaps that touch or overlap, as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Merged {
    pub(super) first: i64,
    pub(super) last: i64,
    /// Sample of the event whose window comes first.
    pub(super) event: i64,
    /// First sample of the gap that follows, as far as it is known.
    pub(super) next: Option<i64>,
}

impl Merged {
    pub(super) fn len(&self) -> i64 {
        self.last - self.first + 1
    }
}

/// Pending gaps, sorted by their first sample. Never grows beyond its room.
pub(super) struct Queue {
    windows: Vec<(i64, i64)>,
    room: usize,
    gaps: VecDeque<Gap>,
}

impl Queue {
    /// Room for `events` events with these windows each (offsets from the event, disjoint, in order).
    pub(super) fn new(windows: Vec<(i64, i64)>, events: usize) -> Self {
        let room = events * windows.len();
        Self { windows, room, gaps: VecDeque::with_capacity(room) }
    }

    /// Adds an event's gaps. An event that is there already changes nothing. Where the room ends, the gaps that lie farthest
    /// ahead are given up; `false` tells of it.
    pub(super) fn cue(&mut self, event: i64) -> bool {
        let mut complete = true;
        for &(lo, hi) in &self.windows {
            let gap = Gap { first: event.saturating_add(lo), last: event.saturating_add(hi), event, carried: false };
            let at = self.gaps.partition_point(|g| (g.first, g.last) < (gap.first, gap.last));
            match self.gaps.get_mut(at) {
                Some(same) if same.first == gap.first && same.event == event => {
                    same.carried = false;
                    continue;
                }
                _ => {}
            }
            if self.gaps.len() == self.room {
                complete = false;
                if at == self.room {
                    continue;
                }
                self.gaps.pop_back();
            }
            self.gaps.insert(at, gap);
        }
        complete
    }

    /// Where an event's first window begins.
    pub(super) fn first_of(&self, event: i64) -> i64 {
        self.windows.first().map_or(event, |w| event.saturating_add(w.0))
    }

    /// Where the next gap begins, of events before sample `horizon`.
    pub(super) fn first(&self, horizon: i64) -> Option<i64> {
        self.gaps.iter().find(|g| g.event < horizon).map(|g| g.first)
    }

    /// Takes the next gap out, with all that touch it, until it is longer than `longest`.
    pub(super) fn take(&mut self, horizon: i64, longest: i64) -> Option<Merged> {
        let mut merged: Option<Merged> = None;
        self.gaps.retain(|g| {
            if g.event >= horizon {
                return true;
            }
            match &mut merged {
                None => {
                    merged = Some(Merged { first: g.first, last: g.last, event: g.event, next: None });
                    false
                }
                Some(m) if g.first <= m.last + 1 && m.len() <= longest => {
                    m.last = m.last.max(g.last);
                    false
                }
                Some(m) => {
                    m.next.get_or_insert(g.first);
                    true
                }
            }
        });
        merged
    }

    /// Takes out the gaps that continue one that ends at `last` and begin before `upto`; gives its new end.
    pub(super) fn extend(&mut self, mut last: i64, upto: i64, horizon: i64) -> i64 {
        self.gaps.retain(|g| {
            let joins = g.event < horizon && g.first <= last + 1 && g.first < upto;
            if joins {
                last = last.max(g.last);
            }
            !joins
        });
        last
    }

    /// Forgets events before `sample`, and marks the others as cued before a reset.
    pub(super) fn carry_from(&mut self, sample: i64) {
        self.gaps.retain_mut(|g| {
            g.carried = true;
            g.event >= sample
        });
    }

    /// Forgets events before `sample`.
    pub(super) fn drop_before(&mut self, sample: i64) {
        self.gaps.retain(|g| g.event >= sample);
    }

    /// Forgets what was cued before the last reset.
    pub(super) fn drop_carried(&mut self) {
        self.gaps.retain(|g| !g.carried);
    }

    /// Bytes of the queue.
    pub(super) fn memory_bytes(&self) -> u64 {
        (self.room * size_of::<Gap>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_that_touch_are_one() {
        let mut queue = Queue::new(vec![(-2, 5)], 10);
        for event in [30, 10, 18, 100, 10] {
            assert!(queue.cue(event));
        }
        assert_eq!(queue.first(i64::MAX), Some(8));
        // 8..=15 and 16..=23 touch, 28..=35 does not
        assert_eq!(queue.take(i64::MAX, 99), Some(Merged { first: 8, last: 23, event: 10, next: Some(28) }));
        assert_eq!(queue.take(50, 99), Some(Merged { first: 28, last: 35, event: 30, next: None }));
        assert_eq!(queue.take(100, 99), None);
        queue.cue(106);
        queue.cue(112);
        let long = queue.take(i64::MAX, 10).unwrap();
        assert_eq!((long.first, long.last), (98, 111));
        assert_eq!(queue.extend(111, 110, i64::MAX), 111);
        assert_eq!(queue.extend(111, 111, i64::MAX), 117);
        assert_eq!(queue.first(i64::MAX), None);
    }

    #[test]
    fn room_is_bounded_and_the_nearest_stay() {
        let mut queue = Queue::new(vec![(0, 1), (50, 51)], 2);
        assert!(queue.cue(1000) && queue.cue(2000));
        assert!(!queue.cue(3000));
        assert_eq!(queue.gaps.len(), 4);
        assert!(!queue.cue(10));
        assert_eq!(queue.gaps.iter().map(|g| g.first).collect::<Vec<_>>(), [10, 60, 1000, 1050]);
        queue.carry_from(100);
        queue.cue(1000);
        queue.drop_carried();
        assert_eq!(queue.first(i64::MAX), Some(1000));
        queue.drop_before(1001);
        assert_eq!(queue.first(i64::MAX), None);
    }
}
