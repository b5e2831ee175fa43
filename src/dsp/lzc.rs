//! Lempel–Ziv complexity of a binary sequence.
//!
//! Lempel & Ziv 1976, doi:10.1109/TIT.1976.1055501: the sequence is read from left to right and cut into the shortest
//! pieces that do not occur in what came before (up to the piece's last symbol, overlaps allowed); c is the number of
//! pieces. A suffix automaton (Blumer et al. 1985, doi:10.1016/0304-3975(85)90157-4) answers in one step per symbol.

const NONE: u32 = u32::MAX;

/// A state of the automaton: what the substrings that end at the same places have in common.
#[derive(Debug, Clone, Copy)]
struct State {
    next: [u32; 2],
    link: u32,
    len: u32,
}

/// Counts pieces; its room is planned once, so that counting allocates nothing.
#[derive(Debug, Clone)]
pub struct LempelZiv {
    states: Vec<State>,
    used: usize,
    last: u32,
    room: usize,
}

impl LempelZiv {
    /// For sequences of up to `n` symbols.
    pub fn new(n: usize) -> Self {
        let states = vec![State { next: [NONE; 2], link: NONE, len: 0 }; 2 * n + 2];
        Self { states, used: 1, last: 0, room: n }
    }

    /// Bytes of its room.
    pub fn memory_bytes(&self) -> u64 {
        size_of_val(self.states.as_slice()) as u64
    }

    fn add(&mut self, len: u32, next: [u32; 2], link: u32) -> u32 {
        let id = self.used;
        self.states[id] = State { next, link, len };
        self.used += 1;
        id as u32
    }

    /// Appends a symbol. Gives the state that was cloned, and its clone.
    fn extend(&mut self, symbol: usize) -> Option<(u32, u32)> {
        let new = self.add(self.states[self.last as usize].len + 1, [NONE; 2], 0);
        let mut p = self.last;
        self.last = new;
        while p != NONE && self.states[p as usize].next[symbol] == NONE {
            self.states[p as usize].next[symbol] = new;
            p = self.states[p as usize].link;
        }
        if p == NONE {
            return None;
        }
        let q = self.states[p as usize].next[symbol];
        let (above, old) = (self.states[p as usize].len + 1, self.states[q as usize]);
        if old.len == above {
            self.states[new as usize].link = q;
            return None;
        }
        let clone = self.add(above, old.next, old.link);
        while p != NONE && self.states[p as usize].next[symbol] == q {
            self.states[p as usize].next[symbol] = clone;
            p = self.states[p as usize].link;
        }
        self.states[q as usize].link = clone;
        self.states[new as usize].link = clone;
        Some((q, clone))
    }

    /// The number of pieces c of a sequence; symbols beyond the planned room are left out.
    pub fn count(&mut self, symbols: impl Iterator<Item = bool>) -> usize {
        (self.used, self.last) = (1, 0);
        self.states[0] = State { next: [NONE; 2], link: NONE, len: 0 };
        let (mut pieces, mut at, mut length) = (0, 0_u32, 0_u32);
        for symbol in symbols.take(self.room).map(usize::from) {
            let follows = self.states[at as usize].next[symbol];
            (at, length) = if follows == NONE { (0, 0) } else { (follows, length + 1) };
            pieces += usize::from(follows == NONE);
            match self.extend(symbol) {
                // the piece so far may now belong to the clone, which holds the shorter substrings
                Some((old, clone)) if at == old && length <= self.states[clone as usize].len => at = clone,
                _ => {}
            }
        }
        // what is left over at the end has occurred before, and counts as one more
        pieces + usize::from(length > 0)
    }
}

/// c · log2(n) / n: near 1 for long random sequences.
pub fn normalised(pieces: usize, n: usize) -> f64 {
    pieces as f64 * (n as f64).log2() / n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the definition: is the piece a substring of everything before its last symbol?
    fn naive(s: &[u8]) -> usize {
        let (mut pieces, mut from) = (0, 0);
        while from < s.len() {
            let mut to = from + 1;
            while to <= s.len() && s[..to - 1].windows(to - from).any(|w| *w == s[from..to]) {
                to += 1;
            }
            pieces += 1;
            from = to;
        }
        pieces
    }

    fn fast(s: &[u8]) -> usize {
        LempelZiv::new(s.len()).count(s.iter().map(|b| *b == b'1'))
    }

    #[test]
    fn published_vectors() {
        // 1 . 0 . 01 . 1110 . 1100 . 0010, as antropy counts it
        assert_eq!(fast(b"1001111011000010"), 6);
        assert_eq!(normalised(6, 16), 1.5);
        // Kaspar & Schuster 1987, doi:10.1103/PhysRevA.36.842: constant and alternating sequences
        assert_eq!((fast(b"0000000000"), fast(b"0101010101"), fast(b"0"), fast(b"")), (2, 3, 1, 0));
    }

    #[test]
    fn the_automaton_is_the_definition() {
        let mut seed = 1_u64;
        let mut kept = LempelZiv::new(300);
        for n in 0..300 {
            let bias = [8, 4, 1][n % 3];
            let s: Vec<u8> = (0..n)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    if (seed >> 60) < bias { b'1' } else { b'0' }
                })
                .collect();
            assert_eq!(kept.count(s.iter().map(|b| *b == b'1')), naive(&s), "{}", String::from_utf8_lossy(&s));
        }
    }
}
