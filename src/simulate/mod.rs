//! Recordings with a known truth: a [`TmsSimulation`], a [`RestSimulation`] or a [`TacsSimulation`] says what, its
//! [`Simulator`] yields the samples like any [`Source`](crate::flow::Source) and tells the truth as tables.

mod background;
mod blinks;
mod check;
mod config;
mod electrodes;
mod oscillator;
mod random;
mod response;
pub mod rest;
mod scalp;
mod simulator;
pub mod tacs;
pub mod tms;
mod trials;
mod truth;

pub use config::{Component, Site, TmsSimulation};
pub use response::TrueComponent;
pub use rest::{RestSimulation, RestSimulator, TRUTH_COUPLING, TRUTH_SPECTRUM};
pub use simulator::{Play, Simulator};
pub use tacs::{TRUTH_FIELD, TRUTH_STIMULATION, TacsSimulation, TacsSimulator};
pub use tms::TmsSimulator;
pub use trials::Pulse;
pub use truth::{TRUTH_COMPONENTS, TRUTH_EVENTS, TRUTH_TEP};
