//! The nouns: what a recording is made of. All samples are f64; EEG and EMG in µV, currents in mA.

mod block;
mod channel;
pub(crate) mod date;
mod epoch;
mod event;
pub mod montage;
mod recording;
mod spectrum;
mod stimulation;

pub use block::{Block, LANES, Lanes};
pub use channel::{Channel, ChannelKind};
pub(crate) use epoch::window_range;
pub use epoch::{Averages, Epoch, Evoked};
pub use event::{Event, EventName, Segment};
pub use recording::{Epoching, Place, Recording, Stream, StreamInfo};
pub use spectrum::{PsdAverage, PsdConfig, PsdMethod, PsdPlan, PsdSum, Spectrum};
pub use stimulation::{Episode, Free, Stimulation};
