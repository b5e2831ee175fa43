//! The verbs: what may happen to a recording between its door and a table. Traits and the cutter, no algorithms.
//!
//! | verb | sees | does |
//! |---|---|---|
//! | [`Source`] | a file, a memory | yields [`Block`](crate::signal::Block)s |
//! | [`Stage`] | an endless stream of blocks | filters, resamples, bridges pulses |
//! | [`Step`] | one epoch | changes it in place, or drops it with a [`Reason`] |
//! | [`Fit`] | all epochs, from a spool | freezes into a [`Step`] through a [`Model`] |
//! | [`StreamFit`] | the whole stream, as often as it likes | freezes into a [`Stage`] through a [`Model`] |
//! | [`Watch`] | what goes into a Stage and what comes out | reports tables at any moment |
//! | [`Marker`] | kept epochs and their averages | reports [`Table`](crate::table::Table)s at any moment |

mod build;
mod cutter;
mod fit;
mod marker;
mod source;
mod stage;
mod step;
mod watch;

pub use build::{BuildContext, EDGE_DB, EpochInfo, Passband, Problem, Problems};
pub use cutter::{Due, MAX_PENDING, Ring, Schedule, Trigger};
pub use fit::{Fit, FitConfig, Model, Replay, Rewind, StreamFit};
pub use marker::{ConditionFacts, Marker, MarkerConfig, Report};
pub use source::{Source, read_all};
pub use stage::{Stage, StageConfig};
pub use step::{Reason, Step, StepConfig, Verdict};
pub use watch::Watch;
