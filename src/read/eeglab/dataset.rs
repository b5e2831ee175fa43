//! The fields of a dataset, wherever they stand: in a structure `EEG`, or as variables of their own.

use super::RESAVE;
use crate::read::bytes::ByteStore;
use crate::read::mat::{Array, Class, Mat, Node};
use crate::read::text::{Defects, visible};
use crate::{Error, Result};
use std::collections::HashMap;

/// What is looked at. `EEGDATA` is where the oldest versions kept the samples.
const FIELDS: [&str; 13] = [
    "nbchan", "pnts", "trials", "srate", "xmin", "xmax", "data", "datfile", "chanlocs", "chaninfo", "event", "epoch",
    "icaact",
];
const STRUCTURE: &str = "EEG";
const OLD_DATA: &str = "EEGDATA";

/// An open dataset.
pub(super) struct Dataset {
    pub(super) mat: Mat,
    fields: HashMap<String, Node>,
}

impl Dataset {
    /// Finds the dataset in a MAT-file.
    ///
    /// # Errors
    /// As [`Mat::open`], and when there is none, or several.
    pub(super) fn open(store: Box<dyn ByteStore>, defects: &mut Defects) -> Result<Self> {
        let wanted = |name: &str| name == STRUCTURE || name == OLD_DATA || FIELDS.contains(&name);
        let mut mat = Mat::open(store, &wanted, STRUCTURE)?;
        if let Some(damage) = &mat.damage {
            let at = damage.offset().unwrap_or_default();
            let message =
                format!("behind the dataset, at byte {at}, the file is damaged ({}); left aside", damage.message());
            defects.warn("W_SET_DAMAGE_BEHIND", message);
        }
        let mut fields = HashMap::new();
        if let Some(node) = mat.variable(STRUCTURE) {
            let array = mat.array(node)?;
            let records = if array.class == Class::Struct { mat.records(&array)? } else { None };
            let Some(mut records) = records else {
                let what = "the variable EEG is no structure (an object, or something else of that name)";
                return Err(mat.refuse(node, what).with_hint(RESAVE));
            };
            if records.left != 1 {
                let what = format!("the variable EEG holds {} datasets", records.left);
                return Err(mat.refuse(node, &what).with_hint("save one dataset per file"));
            }
            let mut nodes = Vec::new();
            records.next(&mut mat, &mut nodes)?;
            for (name, node) in records.names.into_iter().zip(nodes) {
                if FIELDS.contains(&&*name) {
                    fields.entry(name).or_insert(node);
                }
            }
        } else {
            for name in FIELDS {
                fields.extend(mat.variable(name).map(|node| (name.to_owned(), node)));
            }
            if !["srate", "nbchan", "chanlocs"].iter().any(|name| fields.contains_key(*name)) {
                let wanted = FIELDS.into_iter().filter(|name| fields.contains_key(*name));
                let others: Vec<&str> = wanted.chain(mat.others.iter().map(String::as_str)).collect();
                let found = if others.is_empty() { "nothing".to_owned() } else { others.join(", ") };
                let (found, _) = visible(&found, &[]);
                return Err(Error::format(format!("this MAT-file holds no EEGLAB dataset; it holds {found}"))
                    .at_offset(128)
                    .with_hint("name a .set file that EEGLAB saved"));
            }
        }
        if let Some(node) = mat.variable(OLD_DATA) {
            fields.insert(OLD_DATA.to_owned(), node);
        }
        Ok(Self { mat, fields })
    }

    /// Where a field lies; `None` where there is none of this name.
    pub(super) fn field(&self, name: &str) -> Option<Node> {
        self.fields.get(name).copied()
    }

    /// A field's header.
    pub(super) fn array(&mut self, name: &str) -> Result<Option<Array>> {
        self.field(name).map(|node| self.mat.array(node)).transpose()
    }

    /// The samples of the oldest versions, where the field `data` only says `EEGDATA`.
    pub(super) fn old_data(&self) -> Option<Node> {
        self.field(OLD_DATA)
    }

    /// A field that holds one number; `None` where it is missing or empty.
    ///
    /// # Errors
    /// When it holds anything else.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>> {
        let Some(node) = self.field(name) else { return Ok(None) };
        if let Some(value) = self.mat.scalar(node)? {
            return Ok(Some(value));
        }
        let array = self.mat.array(node)?;
        if array.count == 0 {
            return Ok(None);
        }
        let what = match array.class {
            Class::Text => "text".to_owned(),
            Class::Numeric(_) => format!("{} numbers", array.count),
            _ => "no number".to_owned(),
        };
        Err(self.refuse(name, &format!("EEG.{name} is {what}; expected is one number")))
    }

    /// A field that counts something, from 1 on; `None` where it is missing or empty.
    ///
    /// # Errors
    /// When it holds anything else.
    pub(super) fn count(&mut self, name: &str) -> Result<Option<u64>> {
        match self.number(name)? {
            None => Ok(None),
            Some(n) if n.fract() == 0.0 && (1.0..=(1_u64 << 40) as f64).contains(&n) => Ok(Some(n as u64)),
            Some(n) => Err(self.refuse(name, &format!("EEG.{name} is {n}; expected is a whole number from 1 on"))),
        }
    }

    /// A field that holds text; `None` for anything else.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>> {
        match self.field(name) {
            Some(node) => self.mat.text(node),
            None => Ok(None),
        }
    }

    /// An error about a field, at its place where it has one.
    pub(super) fn refuse(&self, name: &str, what: &str) -> Error {
        let error = match self.field(name) {
            Some(node) => self.mat.refuse(node, what),
            None => Error::format(what),
        };
        error.with_hint("correct it in EEGLAB (eeg_checkset) and save the dataset again")
    }
}
