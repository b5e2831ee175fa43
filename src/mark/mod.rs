//! What we measure: one marker per file, with its columns.
//!
//! Most markers are functions of the averages that the engine keeps; [`peaks`] also accumulates sign-flipped sums and
//! [`trial_values`] a queue of rows. Where to look and when is a [`Site`], which every marker that needs one takes as `site`.

pub mod areas;
pub mod component;
pub mod field;
mod flips;
#[cfg(test)]
mod kit;
pub mod pairs;
pub mod peaks;
pub mod quality;
pub mod series;
pub mod site;
pub mod tep;
pub mod trial_values;

pub use site::{Component, Polarity, Roi, Site, SiteChoice};
