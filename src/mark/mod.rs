//! What we measure: one marker per file, with its columns.

pub mod areas;
pub mod component;
pub mod field;
pub mod pairs;
pub mod peaks;
pub mod quality;
pub mod tep;
pub mod trial_values;
