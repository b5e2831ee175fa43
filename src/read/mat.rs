//! MATLAB level 5 MAT-files, as far as a reader of recordings needs them: arrays are looked at where they lie, and only
//! what is asked for is read.
//!
//! MathWorks, "MAT-File Format" (2024), chapter "Level 5 MAT-Files". Read are numeric arrays of every class and storage
//! type, text (8-bit, UTF-8, UTF-16, UTF-32), structures and cells, both byte orders, small elements, and compressed
//! variables, which are unpacked into a temporary file once they are large. Sparse arrays, objects and functions are
//! passed over.
//!
//! A file is hostile until proven otherwise. Nothing here recurses: a cell within a cell is another [`Node`] that
//! nobody need follow. Every size is checked against the bytes that hold it before anything is taken, and a compressed
//! variable must not claim to be more than [`MOST_UNPACKED`] times as large as it is stored.

use super::bytes::{ByteStore, MemoryStore, read_exact_at, read_vec};
use super::decode::Number;
use super::text::decode_text;
use crate::{Error, ErrorKind, Result};
use flate2::bufread::ZlibDecoder;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use tempfile::SpooledTempFile;

/// A compressed variable of more than [`UNPACKED_FREELY`] bytes may not be more times as large as it is stored.
/// Recordings reach 2 to 10.
const MOST_UNPACKED: u64 = 100;
const UNPACKED_FREELY: u64 = 1 << 20;
/// Unpacked variables up to this size stay in memory.
const UNPACKED_IN_MEMORY: usize = 8 << 20;
/// Of a compressed variable so much is unpacked to learn its name.
const HEAD: u64 = 1024;
/// No text that matters is longer.
const LONGEST_TEXT: u64 = 64 << 10;
/// More variables, dimensions or fields than these make no sense.
const MOST_VARIABLES: usize = 65_536;
const MOST_DIMENSIONS: u64 = 32;
const MOST_FIELDS: u64 = 4096;
/// Bytes that are read at once while structures are walked.
const PAGE: u64 = 64 << 10;

const DAMAGED: &str = "the file was cut short or damaged: copy it again, or save it again from MATLAB";

/// An array somewhere in the file: the tag of its element, and where what holds it ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    store: usize,
    at: u64,
    end: u64,
}

/// What an array holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Cell,
    Struct,
    Text,
    /// Of this class in MATLAB; it may be stored as another, smaller type.
    Numeric(Number),
    /// Sparse arrays, objects, functions: passed over.
    Other,
}

/// An array's header.
#[derive(Debug, Clone)]
pub(super) struct Array {
    pub(super) class: Class,
    pub(super) complex: bool,
    pub(super) dims: Vec<u64>,
    /// Product of the dimensions.
    pub(super) count: u64,
    /// Name of a variable; empty inside structures and cells.
    pub(super) name: String,
    store: usize,
    /// Where its content begins and ends.
    body: u64,
    end: u64,
}

/// Numbers in the file: `count` of them from byte `at` of a store on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) number: Number,
    pub(super) at: u64,
    pub(super) count: u64,
    pub(super) store: usize,
}

/// A tag: the type of an element and where its bytes lie.
#[derive(Debug, Clone, Copy)]
struct Element {
    kind: u32,
    at: u64,
    size: u64,
    next: u64,
}

/// Types of elements.
const INT8: u32 = 1;
const UINT8: u32 = 2;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// A store and the page of it that was read last.
struct Pages {
    store: Box<dyn ByteStore>,
    first: u64,
    page: Vec<u8>,
    /// Of an unpacked variable: where it lies in the file.
    origin: Option<u64>,
}

impl Pages {
    fn new(store: Box<dyn ByteStore>, origin: Option<u64>) -> Self {
        Self { store, first: 0, page: Vec::new(), origin }
    }

    fn get<const N: usize>(&mut self, at: u64) -> Result<[u8; N]> {
        let inside = |pages: &Self| at >= pages.first && at + N as u64 <= pages.first + pages.page.len() as u64;
        if !inside(self) {
            let length = self.store.len().saturating_sub(at).min(PAGE);
            self.page.resize(length as usize, 0);
            self.first = at;
            read_exact_at(&mut *self.store, at, &mut self.page)?;
        }
        let from = (at - self.first) as usize;
        self.page.get(from..from + N).and_then(|b| b.try_into().ok()).ok_or_else(|| {
            Error::format("the file ends in the middle of an array")
                .at_offset(self.origin.unwrap_or(at))
                .with_hint(DAMAGED)
        })
    }
}

/// An open MAT-file: its variables, and the stores in which they lie (the file itself, and what was unpacked from it).
pub(super) struct Mat {
    stores: Vec<Pages>,
    big: bool,
    variables: Vec<(String, Node)>,
    /// Names of the variables that were not wanted, the first few.
    pub(super) others: Vec<String>,
    /// What is wrong with the file behind a variable that holds all that is wanted.
    pub(super) damage: Option<Error>,
}

impl Mat {
    /// Reads the header and looks at every variable; those that are `wanted` by name can be asked for afterwards.
    /// Where the one called `whole` was found, nothing behind it matters.
    ///
    /// # Errors
    /// When this is no level 5 MAT-file, or a variable is cut, damaged, or larger than it can be.
    pub(super) fn open(store: Box<dyn ByteStore>, wanted: &dyn Fn(&str) -> bool, whole: &str) -> Result<Self> {
        let mut file = Self::of(Pages::new(store, None), false);
        file.header()?;
        let (length, mut at, mut seen) = (file.stores[0].store.len(), 128, 0);
        while at < length {
            match file.next_variable(at, length, wanted) {
                Ok(next) => at = next,
                Err(error) if file.variable(whole).is_some() => {
                    file.damage = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            }
            seen += 1;
            if seen > MOST_VARIABLES {
                return Err(file.damaged(0, at, &format!("there are more than {MOST_VARIABLES} variables")));
            }
        }
        Ok(file)
    }

    fn of(pages: Pages, big: bool) -> Self {
        Self { stores: vec![pages], big, variables: vec![], others: vec![], damage: None }
    }

    /// Version and byte order.
    fn header(&mut self) -> Result<()> {
        let length = self.stores[0].store.len();
        if length < 128 {
            return Err(Error::format(format!("the file ends in its header, at byte {length} of 128"))
                .at_offset(length)
                .with_hint(DAMAGED));
        }
        let [a, b, mark @ ..]: [u8; 4] = self.stores[0].get(124)?;
        self.big = match &mark {
            b"IM" => false,
            b"MI" => true,
            _ => {
                return Err(Error::format("the byte order is neither 'IM' nor 'MI'").at_offset(126).with_hint(DAMAGED));
            }
        };
        let version = if self.big { u16::from_be_bytes([a, b]) } else { u16::from_le_bytes([a, b]) };
        if version != 0x0100 {
            return Err(Error::format(format!("MAT-file version {version:#06x} is not known; level 5 is 0x0100"))
                .at_offset(124)
                .with_hint(DAMAGED));
        }
        Ok(())
    }

    /// Looks at the variable at `at`; says where the next one begins.
    fn next_variable(&mut self, at: u64, length: u64, wanted: &dyn Fn(&str) -> bool) -> Result<u64> {
        let element = self.element(0, at, length)?;
        let node = match element.kind {
            MATRIX => Some(Node { store: 0, at, end: element.at + element.size }),
            COMPRESSED => self.unpack(at, element, wanted)?,
            kind => return Err(self.damaged(0, at, &format!("a variable cannot be of type {kind}"))),
        };
        if let Some(node) = node {
            let name = self.array(node)?.name;
            if !wanted(&name) {
                self.pass_over(name);
            } else if self.variable(&name).is_none() {
                self.variables.push((name, node));
            }
        }
        Ok(element.next)
    }

    fn pass_over(&mut self, name: String) {
        if self.others.len() < 8 && !name.is_empty() {
            self.others.push(name);
        }
    }

    /// The variable of this name, if it was wanted and is there.
    pub(super) fn variable(&self, name: &str) -> Option<Node> {
        self.variables.iter().find(|v| v.0 == name).map(|v| v.1)
    }

    /// The store that holds [`Numbers`]. The rest is let go.
    pub(super) fn into_store(mut self, store: usize) -> Box<dyn ByteStore> {
        self.stores.swap_remove(store).store
    }

    /// An error at a place in a store.
    fn damaged(&self, store: usize, at: u64, what: &str) -> Error {
        let error = match self.stores[store].origin {
            None => Error::format(what).at_offset(at),
            Some(origin) => Error::format(format!("in a compressed variable: {what}")).at_offset(origin),
        };
        error.with_hint(DAMAGED)
    }

    /// An error about an array.
    pub(super) fn refuse(&self, node: Node, what: &str) -> Error {
        Error::format(what).at_offset(self.stores[node.store].origin.unwrap_or(node.at))
    }

    fn word(&self, bytes: [u8; 4]) -> u32 {
        if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// The tag at `at`, which must lie, with all of its bytes, before `end`.
    fn element(&mut self, store: usize, at: u64, end: u64) -> Result<Element> {
        if at + 8 > end {
            return Err(self.damaged(store, at, "an array ends where an element of it should begin"));
        }
        let [a, b, c, d, rest @ ..]: [u8; 8] = self.stores[store].get(at)?;
        let (word, size) = (self.word([a, b, c, d]), u64::from(self.word(rest)));
        let small = word >> 16;
        if small > 4 {
            return Err(self.damaged(store, at, &format!("a small element cannot have {small} bytes")));
        }
        if small > 0 {
            return Ok(Element { kind: word & 0xFFFF, at: at + 4, size: small.into(), next: at + 8 });
        }
        if at + 8 + size > end {
            let what = format!("an element of {size} bytes does not fit into the {} that are left", end - at - 8);
            return Err(self.damaged(store, at, &what));
        }
        let padded = if word == COMPRESSED { size } else { size.next_multiple_of(8) };
        Ok(Element { kind: word, at: at + 8, size, next: (at + 8 + padded).min(end) })
    }

    /// Unpacks a compressed variable: its head, and where its name is wanted, all of it into a store of its own.
    fn unpack(&mut self, at: u64, packed: Element, wanted: &dyn Fn(&str) -> bool) -> Result<Option<Node>> {
        let broken = |cause: io::Error| {
            Error::format(format!("a compressed variable cannot be unpacked: {cause}")).at_offset(at).with_hint(DAMAGED)
        };
        let node_store = self.stores.len();
        let file = &mut *self.stores[0].store;
        let stored = Range { store: file, at: packed.at, end: packed.at + packed.size };
        let mut unpacked = ZlibDecoder::new(BufReader::with_capacity(8 << 10, stored));
        let mut head = Vec::new();
        (&mut unpacked).take(HEAD).read_to_end(&mut head).map_err(broken)?;
        // The head alone, to see what it is called; all sizes in it are judged against what the variable claims to be.
        let tag: [u8; 8] = head
            .get(..8)
            .and_then(|tag| tag.try_into().ok())
            .ok_or_else(|| broken(io::ErrorKind::UnexpectedEof.into()))?;
        let [a, b, c, d, rest @ ..] = tag;
        let read = if self.big { u32::from_be_bytes } else { u32::from_le_bytes };
        let total = 8 + u64::from(read(rest));
        if read([a, b, c, d]) != MATRIX {
            return Err(Error::format("a compressed variable holds no array").at_offset(at).with_hint(DAMAGED));
        }
        let pages = |store: Box<dyn ByteStore>| Pages::new(store, Some(at));
        let mut peek = Self::of(pages(Box::new(MemoryStore::new(head.clone()))), self.big);
        let name = peek.array(Node { store: 0, at: 0, end: total })?.name;
        let node = Node { store: node_store, at: 0, end: total };
        if !wanted(&name) {
            self.pass_over(name);
            return Ok(None);
        }
        if total > UNPACKED_FREELY && total / MOST_UNPACKED > packed.size {
            return Err(Error::format(format!(
                "a compressed variable of {} bytes claims to unpack to {total}",
                packed.size
            ))
            .at_offset(at)
            .with_hint("no recording does; if this is one, save it uncompressed: save('out.set', 'EEG', '-v6')"));
        }
        let spool = |cause: io::Error| Error::new(ErrorKind::Io, format!("cannot keep an unpacked variable: {cause}"));
        let mut store = Unpacked { spool: tempfile::spooled_tempfile(UNPACKED_IN_MEMORY), length: 0 };
        let mut buffer = head;
        loop {
            let left = total - store.length;
            let n = left.min(buffer.len() as u64);
            store.spool.write_all(&buffer[..n as usize]).map_err(spool)?;
            store.length += n;
            // One byte more than is due is asked for, so that the checksum behind it is looked at.
            buffer.resize(32 << 10, 0);
            let came = unpacked.read(&mut buffer).map_err(broken)?;
            buffer.truncate(came);
            if came == 0 || store.length == total {
                break;
            }
        }
        if store.length < total {
            return Err(broken(io::ErrorKind::UnexpectedEof.into()));
        }
        self.stores.push(pages(Box::new(store)));
        Ok(Some(node))
    }

    /// The header of an array.
    pub(super) fn array(&mut self, node: Node) -> Result<Array> {
        let Node { store, at, end } = node;
        let outer = self.element(store, at, end)?;
        if outer.kind != MATRIX {
            return Err(self.damaged(
                store,
                at,
                &format!("an element of type {} stands where an array should", outer.kind),
            ));
        }
        let end = outer.at + outer.size;
        let mut array = Array {
            class: Class::Numeric(Number::F64),
            complex: false,
            dims: vec![0, 0],
            count: 0,
            name: String::new(),
            store,
            body: end,
            end,
        };
        if outer.size == 0 {
            return Ok(array);
        }
        let flags = self.element(store, outer.at, end)?;
        if flags.kind != UINT32 || flags.size != 8 {
            return Err(self.damaged(store, outer.at, "an array does not begin with its flags"));
        }
        let flag_bytes = self.stores[store].get(flags.at)?;
        let word = self.word(flag_bytes);
        array.complex = word & 0x0800 != 0;
        array.class = match (word & 0xFF, self.big) {
            (1, _) => Class::Cell,
            (2, _) => Class::Struct,
            (4, _) => Class::Text,
            (class @ 6..=15, big) => {
                const STORED: [u32; 10] = [9, 7, 1, 2, 3, 4, 5, 6, 12, 13];
                number_of(STORED[class as usize - 6], big).map_or(Class::Other, Class::Numeric)
            }
            (3 | 5 | 16 | 17, _) => Class::Other,
            (class, _) => return Err(self.damaged(store, outer.at, &format!("there is no array class {class}"))),
        };
        let mut at = flags.next;
        // opaque objects have no dimensions, and a name that is none of ours
        let opaque = word & 0xFF == 17;
        if !opaque {
            let dims = self.element(store, at, end)?;
            let n = dims.size / 4;
            if dims.kind != INT32 || dims.size % 4 != 0 || !(2..=MOST_DIMENSIONS).contains(&n) {
                return Err(self.damaged(store, at, &format!("an array has {n} dimensions; 2 or more are possible")));
            }
            array.dims.clear();
            array.count = 1;
            for k in 0..n {
                let bytes = self.stores[store].get(dims.at + 4 * k)?;
                let dim = u64::from(self.word(bytes));
                let product = array.count.checked_mul(dim).filter(|_| dim <= i32::MAX as u64);
                array.count = product.ok_or_else(|| self.damaged(store, at, "an array has impossible dimensions"))?;
                array.dims.push(dim);
            }
            at = dims.next;
        }
        let name = self.element(store, at, end)?;
        if opaque && !matches!(name.kind, INT8 | UINT8) {
            return Ok(array);
        }
        if !matches!(name.kind, INT8 | UINT8 | 16) || name.size > LONGEST_TEXT.min(HEAD / 2) {
            return Err(self.damaged(store, at, "an array has no name where one should stand"));
        }
        let bytes = self.bytes(store, name.at, name.size)?;
        array.name = decode_text(&bytes).0.trim_end_matches('\0').to_owned();
        array.body = name.next;
        Ok(array)
    }

    fn bytes(&mut self, store: usize, at: u64, size: u64) -> Result<Vec<u8>> {
        let pages = &mut self.stores[store];
        let from = at.wrapping_sub(pages.first) as usize;
        match pages.page.get(from..from.saturating_add(size as usize)) {
            Some(bytes) if at >= pages.first => Ok(bytes.to_vec()),
            _ => read_vec(&mut *pages.store, at, size),
        }
    }

    /// Where a numeric array's (real) values lie; `None` for other classes.
    pub(super) fn numbers(&mut self, array: &Array) -> Result<Option<Numbers>> {
        let Class::Numeric(_) = array.class else { return Ok(None) };
        let store = array.store;
        if array.body >= array.end {
            if array.count > 0 {
                return Err(self.damaged(store, array.body, "a numeric array has no values"));
            }
            return Ok(Some(Numbers { number: Number::F64, at: array.end, count: 0, store }));
        }
        let values = self.element(store, array.body, array.end)?;
        let Some(number) = number_of(values.kind, self.big) else {
            return Err(self.damaged(store, array.body, &format!("type {} is no type of numbers", values.kind)));
        };
        if array.count.checked_mul(number.width() as u64) != Some(values.size) {
            let dims: Vec<String> = array.dims.iter().map(u64::to_string).collect();
            let what = format!("an array of {} numbers does not have {} bytes", dims.join(" × "), values.size);
            return Err(self.damaged(store, array.body, &what));
        }
        Ok(Some(Numbers { number, at: values.at, count: array.count, store }))
    }

    /// One of the numbers.
    pub(super) fn number(&mut self, numbers: &Numbers, index: u64) -> Result<f64> {
        let width = numbers.number.width();
        let at = numbers.at + index * width as u64;
        let mut bytes = [0; 8];
        let pages = &mut self.stores[numbers.store];
        match width {
            1 => bytes[..1].copy_from_slice(&pages.get::<1>(at)?),
            2 => bytes[..2].copy_from_slice(&pages.get::<2>(at)?),
            4 => bytes[..4].copy_from_slice(&pages.get::<4>(at)?),
            _ => bytes = pages.get::<8>(at)?,
        }
        if self.big {
            bytes[..width].reverse();
        }
        let raw = u64::from_le_bytes(bytes);
        let signed = (raw << (64 - 8 * width)) as i64 >> (64 - 8 * width);
        use Number::*;
        Ok(match numbers.number {
            F64 | F64Be => f64::from_bits(raw),
            F32 | F32Be => f32::from_bits(raw as u32).into(),
            U8 | U16 | U16Be | U32 | U32Be | U64 | U64Be => raw as f64,
            I8 | I16 | I16Be | I24 | I32 | I32Be | I64 | I64Be => signed as f64,
        })
    }

    /// The value of a 1 × 1 array of numbers; `None` for anything else.
    pub(super) fn scalar(&mut self, node: Node) -> Result<Option<f64>> {
        let array = self.array(node)?;
        match self.numbers(&array)? {
            Some(numbers) if numbers.count == 1 => self.number(&numbers, 0).map(Some),
            _ => Ok(None),
        }
    }

    /// The first row of a text; `None` for anything else. What is no character becomes U+FFFD.
    pub(super) fn text(&mut self, node: Node) -> Result<Option<String>> {
        let array = self.array(node)?;
        if array.class != Class::Text {
            return Ok(None);
        }
        if array.count == 0 || array.body >= array.end {
            return Ok(Some(String::new()));
        }
        let element = self.element(array.store, array.body, array.end)?;
        if element.size > LONGEST_TEXT {
            return Ok(Some(String::new()));
        }
        let bytes = self.bytes(array.store, element.at, element.size)?;
        let big = self.big;
        let units = |width: usize| {
            let value = move |chunk: &[u8]| {
                let shift = |n: u32, &b: &u8| n << 8 | u32::from(b);
                if big { chunk.iter().fold(0, shift) } else { chunk.iter().rev().fold(0, shift) }
            };
            bytes.chunks_exact(width).map(value)
        };
        let text: String = match element.kind {
            INT8 | UINT8 | 16 => decode_text(&bytes).0,
            3 | 4 | 17 => char::decode_utf16(units(2).map(|u| u as u16)).map(|c| c.unwrap_or('\u{FFFD}')).collect(),
            INT32 | UINT32 | 18 => units(4).map(|u| char::from_u32(u).unwrap_or('\u{FFFD}')).collect(),
            kind => return Err(self.damaged(array.store, array.body, &format!("type {kind} is no type of text"))),
        };
        // Rows are stored interleaved, as columns of a matrix.
        let rows = array.dims.first().copied().unwrap_or(1).max(1) as usize;
        let text: String = if rows > 1 { text.chars().step_by(rows).collect() } else { text };
        Ok(Some(text.trim_end_matches(['\0', ' ', '\t', '\r', '\n']).to_owned()))
    }

    /// The records of a structure array, or the items of a cell array; `None` for other classes.
    pub(super) fn records(&mut self, array: &Array) -> Result<Option<Records>> {
        let (store, mut at) = (array.store, array.body);
        let names = match array.class {
            Class::Cell => vec![String::new()],
            Class::Struct => {
                let width = self.element(store, at, array.end)?;
                if width.kind != INT32 || width.size != 4 {
                    return Err(self.damaged(store, at, "a structure does not say how long its field names are"));
                }
                let bytes = self.stores[store].get(width.at)?;
                let width_bytes = u64::from(self.word(bytes));
                let names = self.element(store, width.next, array.end)?;
                let whole = width_bytes > 0 && names.size % width_bytes == 0 && names.size / width_bytes <= MOST_FIELDS;
                if !whole || width_bytes > LONGEST_TEXT || names.size > 1 << 20 {
                    let what = format!("field names of {width_bytes} bytes cannot fill {}", names.size);
                    return Err(self.damaged(store, at, &what));
                }
                at = names.next;
                let bytes = self.bytes(store, names.at, names.size)?;
                let name = |b: &[u8]| decode_text(b.split(|&b| b == 0).next().unwrap_or_default()).0;
                bytes.chunks_exact(width_bytes as usize).map(name).collect()
            }
            Class::Text | Class::Numeric(_) | Class::Other => return Ok(None),
        };
        // Each of them is an array, and has a tag of its own.
        let members = array.count.checked_mul(names.len() as u64).and_then(|n| n.checked_mul(8));
        if members.is_none_or(|bytes| bytes > array.end - at.min(array.end)) {
            return Err(self.damaged(store, at, &format!("{} records do not fit into their array", array.count)));
        }
        Ok(Some(Records { names, left: array.count, store, at, end: array.end }))
    }
}

/// Walks a structure array record by record, or a cell array item by item.
#[derive(Debug, Clone)]
pub(super) struct Records {
    /// The fields; a cell has one without a name.
    pub(super) names: Vec<String>,
    /// Records that are still to come.
    pub(super) left: u64,
    store: usize,
    at: u64,
    end: u64,
}

impl Records {
    /// The next record's arrays, one per field, into `fields`; `false` at the end.
    pub(super) fn next(&mut self, mat: &mut Mat, fields: &mut Vec<Node>) -> Result<bool> {
        fields.clear();
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        for _ in 0..self.names.len() {
            let element = mat.element(self.store, self.at, self.end)?;
            fields.push(Node { store: self.store, at: self.at, end: self.end });
            self.at = element.next;
        }
        Ok(true)
    }

    /// The place of a field.
    pub(super) fn field(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }
}

/// The number type of a storage type.
fn number_of(kind: u32, big: bool) -> Option<Number> {
    use Number::*;
    Some(match (kind, big) {
        (1, _) => I8,
        (2, _) => U8,
        (3, false) => I16,
        (3, true) => I16Be,
        (4, false) => U16,
        (4, true) => U16Be,
        (5, false) => I32,
        (5, true) => I32Be,
        (6, false) => U32,
        (6, true) => U32Be,
        (7, false) => F32,
        (7, true) => F32Be,
        (9, false) => F64,
        (9, true) => F64Be,
        (12, false) => I64,
        (12, true) => I64Be,
        (13, false) => U64,
        (13, true) => U64Be,
        _ => return None,
    })
}

/// Some bytes of a store, one after the other.
struct Range<'a> {
    store: &'a mut dyn ByteStore,
    at: u64,
    end: u64,
}

impl Read for Range<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = (self.end - self.at).min(buffer.len() as u64) as usize;
        let came = self.store.read_at(self.at, &mut buffer[..n])?;
        self.at += came as u64;
        Ok(came)
    }
}

/// An unpacked variable: in memory while it is small, else in a nameless temporary file.
struct Unpacked {
    spool: SpooledTempFile,
    length: u64,
}

impl ByteStore for Unpacked {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.spool.seek(SeekFrom::Start(offset))?;
        self.spool.read(buffer)
    }
}
