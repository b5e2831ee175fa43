//! Recordings with a known truth: a [`TmsSimulation`] says what, its [`TmsSimulator`] yields the samples like any
//! [`Source`](crate::flow::Source) and tells the truth as tables.

mod background;
mod config;
mod random;
mod response;
mod scalp;
pub mod tms;
mod trials;
mod truth;

pub use config::{Component, Site, TmsSimulation};
pub use response::TrueComponent;
pub use tms::TmsSimulator;
pub use trials::Pulse;
pub use truth::{TRUTH_COMPONENTS, TRUTH_EVENTS, TRUTH_TEP};
